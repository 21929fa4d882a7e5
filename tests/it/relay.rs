//! The stream is a cache of the log: whatever happens to the stream, a subscriber gets every event, in order.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use unificus::app::App;
use unificus::broker::Broker;
use unificus::clock::{self, Clock};
use unificus::domain::{AccountId, Seq};
use unificus::metrics::Metrics;
use unificus::relay::verify::{self, RelayReport, Remedy};
use unificus::worker::Worker as _;

use crate::support::servers::{Servers, TestEnv};
use crate::support::service::{account, base};
use crate::support::{Client, Parts, Service, stream, until};

async fn env() -> TestEnv {
    Servers::get().env().await
}

async fn context(env: &TestEnv) -> Context {
    jetstream::new(env.nats().await)
}

async fn events(env: &TestEnv) -> Stream {
    context(env).await.get_stream(&env.stream).await.unwrap()
}

/// A replica that has relayed the first `n` events of an account.
async fn relayed(env: &TestEnv, n: usize) -> (Parts, AccountId) {
    let mut parts = Parts::start(env).await;
    let (account, _) = account(&parts.store).await;
    for number in 0..n {
        parts.write(account, &format!("p{number}@example.org")).await;
    }
    parts.wake_up().await;
    parts.relay_all().await;
    assert_eq!(stream::ids(env, account, n).await, stream::unbroken(account, n));
    (parts, account)
}

/// Lets the replica work until the stream has `n` messages of the account. At first the server may treat an event that
/// is published again as a duplicate of the removed message.
async fn relay(parts: &mut Parts, env: &TestEnv, account: AccountId, n: usize) -> Vec<String> {
    until("the stream is as long as the log", async || {
        parts.wake_up().await;
        parts.relay_all().await;
        stream::bodies(env, account).await.len() == n
    })
    .await;
    stream::ids(env, account, n).await
}

/// Publishes a message that this service never published.
async fn forge(env: &TestEnv, account: AccountId, message_id: &str, body: &str) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", message_id);
    let subject = format!("{}.{account}.evt.contact.created", env.subject_root);
    let context = context(env).await;
    context.publish_with_headers(subject, headers, body.to_owned().into()).await.unwrap().await.unwrap();
}

async fn verified(env: &TestEnv, parts: &Parts, account: AccountId) -> RelayReport {
    let broker = Broker::connect(&env.config().nats, &Metrics::new().unwrap()).await.unwrap();
    broker.connected().await.unwrap();
    let stream = broker.stream_info().await.unwrap().unwrap();
    verify::verify(&parts.store, &broker, stream, account).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_message_beyond_the_head_does_not_silence_the_relay() {
    let service = Service::start().await;
    let account = service.client.account;
    service.client.contact("one@example.org").await.expect(201);
    assert_eq!(stream::ids(&service.env, account, 1).await, stream::unbroken(account, 1));
    // The next owner of the account reads its position from the stream.
    service.app.stop().await.unwrap();
    let forged = format!("{account}:1000000");
    forge(&service.env, account, &forged, "{}").await;
    let app = App::start(service.env.config(), Clock::system()).await.unwrap();
    let client = Client::new(&base(&app), account, &service.client.secret);

    client.contact("two@example.org").await.expect(201);

    let ids = stream::ids(&service.env, account, 3).await;
    assert_eq!(ids, [format!("{account}:1"), forged, format!("{account}:2")]);
    let service = Service { app, ..service };
    assert!(service.gauge("unificus_relay_foreign_total").await >= 1.0, "an operator sees it");
    assert!(service.gauge("unificus_relay_stopped_accounts").await < 1.0, "and nothing stands still");
}

/// Within the duplicate window the server would take the event for one that it already has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_the_id_of_the_next_event_does_not_replace_it() {
    let env = env().await;
    let (mut parts, account) = relayed(&env, 1).await;
    let stolen = format!("{account}:2");
    forge(&env, account, &stolen, "{}").await;
    // The window of a stream that was created without one.
    let mut config = events(&env).await.cached_info().config.clone();
    config.duplicate_window = Duration::from_mins(2);
    let context = context(&env).await;
    context.update_stream(config).await.unwrap();
    forge(&env, account, &format!("{account}:3"), "{}").await;

    parts.write(account, "two@example.org").await;
    parts.write(account, "three@example.org").await;
    let published = until("all are published", async || {
        parts.relay_all().await;
        let bodies = stream::bodies(&env, account).await;
        bodies.iter().filter(|body| body.contains(r#""specversion""#)).count() == 3
    });
    published.await;
}

#[tokio::test]
async fn a_replica_that_knows_the_old_stream_leaves_no_gap_in_a_new_one() {
    let env = env().await;
    let (mut parts, account) = relayed(&env, 5).await;
    // Another replica saw that the stream was gone, and recreated it. This replica's connection never broke.
    let context = context(&env).await;
    let config = events(&env).await.cached_info().config.clone();
    context.delete_stream(&env.stream).await.unwrap();
    context.create_stream(config).await.unwrap();

    parts.write(account, "six@example.org").await;

    assert_eq!(relay(&mut parts, &env, account, 6).await, stream::unbroken(account, 6));
}

#[tokio::test]
async fn quiet_accounts_are_published_to_a_stream_that_was_recreated_elsewhere() {
    let env = env().await;
    let (parts, account) = relayed(&env, 3).await;
    parts.kill().await;
    let context = context(&env).await;
    let config = events(&env).await.cached_info().config.clone();
    context.delete_stream(&env.stream).await.unwrap();
    context.create_stream(config).await.unwrap();

    let mut next = Parts::start(&env).await;

    assert_eq!(relay(&mut next, &env, account, 3).await, stream::unbroken(account, 3));
}

#[tokio::test]
async fn a_stream_that_was_purged_is_filled_again() {
    let env = env().await;
    let (mut parts, account) = relayed(&env, 5).await;
    events(&env).await.purge().await.unwrap();

    parts.write(account, "six@example.org").await;

    assert_eq!(relay(&mut parts, &env, account, 6).await, stream::unbroken(account, 6));
}

/// The state after a relay has published only the newest event to a recreated stream.
#[tokio::test]
async fn an_existing_gap_is_detected_at_takeover() {
    let env = env().await;
    for lost in [&[1_u64, 2, 3, 4][..], &[2, 3]] {
        let (parts, account) = relayed(&env, 5).await;
        parts.kill().await;
        let stream = events(&env).await;
        let before = stream.cached_info().state.last_sequence - 5;
        for offset in lost {
            stream.delete_message(before + offset).await.unwrap();
        }

        let mut next = Parts::start(&env).await;
        next.write(account, "six@example.org").await;

        assert_eq!(relay(&mut next, &env, account, 6).await, stream::unbroken(account, 6), "{lost:?} were lost");
        next.kill().await;
    }
}

#[tokio::test]
async fn a_replaced_owner_that_was_only_paused_stores_nothing() {
    let env = env().await;
    let (mut paused, account) = relayed(&env, 2).await;
    let owned = paused.shards.owned().unwrap();
    // Its session ends while it is paused, and another replica takes over.
    let sql = env.superuser().await;
    let end = "select pg_terminate_backend(pid, 30000) from pg_stat_activity
               where datname = current_database() and application_name = 'unificus owner'";
    sql.batch_execute(end).await.unwrap();
    let mut next = Parts::start(&env).await;
    for email in ["three@example.org", "four@example.org"] {
        next.write(account, email).await;
    }
    next.wake_up().await;
    next.relay_all().await;
    // The duplicate window must not be the only protection, because a pause can last longer.
    let mut config = events(&env).await.cached_info().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    context(&env).await.update_stream(config).await.unwrap();
    until("the window for duplicates is over", async || !stream::is_duplicate(&env, account, 2).await).await;

    paused.feed.relay().mark(&[account]);
    let _looked = paused.relay.publish(&owned).await;

    assert_eq!(stream::ids(&env, account, 4).await, stream::unbroken(account, 4));
}

#[tokio::test]
async fn verify_reports_missing_repeated_and_foreign_messages_and_a_rewind_repairs_them() {
    let env = env().await;
    let (mut parts, account) = relayed(&env, 8).await;
    assert!(verified(&env, &parts, account).await.is_sound());
    let copy = stream::bodies(&env, account).await.remove(1);
    let stream = events(&env).await;
    let first = stream.cached_info().state.last_sequence - 7;
    for lost in [2, 3, 5] {
        stream.delete_message(first + lost).await.unwrap();
    }
    forge(&env, account, "anything", "{}").await;
    forge(&env, account, "anything else", &copy).await;

    let report = verified(&env, &parts, account).await;

    assert_eq!((report.messages, report.first, report.last), (7, Some(Seq(1)), Some(Seq(8))));
    assert_eq!((report.missing, report.repeated, report.foreign), (3, 1, 1));
    assert_eq!(report.gaps, [(Seq(3), Seq(4)), (Seq(6), Seq(6))]);
    assert_eq!(report.foreign_at, [first + 8]);
    assert_eq!(report.remedy(), Some(Remedy::Refill));
    verify::request(&parts.store, account, Remedy::Refill).await.unwrap();
    assert_eq!(relay(&mut parts, &env, account, 8).await, stream::unbroken(account, 8));
    assert!(verified(&env, &parts, account).await.is_sound());
    let repairs: i64 =
        env.sql().await.query_one("select count(repair_id) from relay_cursor", &[]).await.unwrap().get(0);
    assert_eq!(repairs, 0, "no repair is requested any more");
}

#[tokio::test]
async fn a_tail_that_the_stream_lost_is_published_after_the_messages_that_it_has() {
    let env = env().await;
    let (mut parts, account) = relayed(&env, 5).await;
    let stream = events(&env).await;
    let last = stream.cached_info().state.last_sequence;
    for lost in [last - 1, last] {
        stream.delete_message(lost).await.unwrap();
    }

    let report = verified(&env, &parts, account).await;
    assert_eq!((report.missing, report.remedy()), (2, Some(Remedy::PublishAfter(Seq(3)))));
    verify::request(&parts.store, account, Remedy::PublishAfter(Seq(3))).await.unwrap();

    assert_eq!(relay(&mut parts, &env, account, 5).await, stream::unbroken(account, 5));
}

/// The process ends between the removal of messages and their publication.
#[tokio::test]
async fn killed_between_removal_and_refill() {
    let env = env().await;
    let (parts, account) = relayed(&env, 5).await;
    verify::request(&parts.store, account, Remedy::Refill).await.unwrap();
    parts.kill().await;
    events(&env).await.purge().await.unwrap();

    let mut next = Parts::start(&env).await;

    assert_eq!(relay(&mut next, &env, account, 5).await, stream::unbroken(account, 5));
}

/// One account's log is read slowly. A step of the relay does not wait for it, so others are published meanwhile.
#[tokio::test]
async fn an_account_whose_pass_takes_long_delays_no_other() {
    let env = env().await;
    let (mut parts, slow) = relayed(&env, 1).await;
    let (quick, _) = account(&parts.store).await;
    parts.write(quick, "q0@example.org").await;
    parts.wake_up().await;
    parts.relay_all().await;
    let (sql, observer) = (env.sql().await, env.sql().await);
    // Reads of the slow account's log wait for a lock.
    let view = format!(
        "select pg_advisory_lock(7); alter table event rename to logged; create view event as
         select * from logged where case when account_id = '{slow}' and current_query() like '-- log.after%'
             then pg_advisory_xact_lock_shared(7) is not null else true end"
    );
    sql.batch_execute(&view).await.unwrap();
    // Another replica writes, so that this one has to read the logs.
    let writer = Parts::start(&env).await;
    writer.write(slow, "s1@example.org").await;
    let waiting = async || {
        let since = "select query_start::text from pg_stat_activity where query like '-- log.after%'
            and wait_event = 'advisory' and datname = current_database()";
        observer.query_opt(since, &[]).await.unwrap().map(|row| row.get::<_, String>(0))
    };

    let relaying = async {
        loop {
            parts.wake_up().await;
            parts.relay.step().await.unwrap();
        }
    };
    let observing = async {
        until("the pass of the slow account waits", async || waiting().await.is_some()).await;
        let began = waiting().await;
        for n in 2..=4 {
            writer.write(quick, &format!("q{n}@example.org")).await;
            assert_eq!(stream::ids(&env, quick, n).await, stream::unbroken(quick, n));
        }
        assert_eq!(waiting().await, began, "the same pass still waits");
    };
    tokio::select! {
        () = relaying => {}
        () = observing => {}
    }

    sql.batch_execute("select pg_advisory_unlock(7)").await.unwrap();
    assert_eq!(relay(&mut parts, &env, slow, 2).await, stream::unbroken(slow, 2));
    let saved = "select count(*) from relay_cursor c join head h using (account_id) where c.seq = h.seq";
    assert_eq!(sql.query_one(saved, &[]).await.unwrap().get::<_, i64>(0), 2);
}

/// The server compares when it stores a message, so there is nothing to ask before.
#[tokio::test]
async fn the_first_write_of_an_account_costs_no_request_besides_its_publish() {
    let env = env().await;
    let (mut parts, known) = relayed(&env, 1).await;
    let nats = env.nats().await;
    let reads = format!("$JS.API.STREAM.MSG.GET.{}", env.stream);
    let mut requests = nats.subscribe(reads.clone()).await.unwrap();
    nats.flush().await.unwrap();
    // The requests before this one, which is none of the relay's. The relay may compare other accounts at any time.
    let mut read = async |account: AccountId| {
        nats.publish(reads.clone(), "end".into()).await.unwrap();
        let before = (&mut requests).take_while(|request| std::future::ready(request.payload != "end"));
        let texts = before.map(|request| String::from_utf8(request.payload.to_vec()).unwrap());
        texts.filter(|text| std::future::ready(text.contains(&account.to_string()))).count().await
    };

    let (new, _) = account(&parts.store).await;
    parts.write(new, "new@example.org").await;
    parts.wake_up().await;
    // Its cursor is not saved by then, so that it is not compared for another reason.
    let owned = parts.shards.owned().unwrap();
    parts.relay.publish(&owned).await.unwrap();
    drop(owned);
    assert_eq!(read(new).await, 0, "requests");
    assert_eq!(stream::ids(&env, new, 1).await, stream::unbroken(new, 1));

    parts.kill().await;
    let mut next = Parts::start(&env).await;
    next.write(known, "two@example.org").await;
    next.wake_up().await;
    next.relay_all().await;
    assert!(read(known).await > 0, "an account with messages is taken over by its last one");
    assert_eq!(stream::ids(&env, known, 2).await, stream::unbroken(known, 2));
}

#[tokio::test]
async fn a_first_message_that_was_published_before_a_crash_is_not_published_again() {
    let env = env().await;
    let mut parts = Parts::start(&env).await;
    let (account, _) = account(&parts.store).await;
    parts.write(account, "one@example.org").await;
    parts.wake_up().await;
    // Cursors are saved by the second half of a step.
    let owned = parts.shards.owned().unwrap();
    parts.relay.publish(&owned).await.unwrap();
    drop(owned);
    assert_eq!(stream::ids(&env, account, 1).await, stream::unbroken(account, 1));
    let sql = env.sql().await;
    let cursors = "select from relay_cursor where account_id = $1 and seq > 0";
    assert!(sql.query(cursors, &[&account.0]).await.unwrap().is_empty(), "the cursor is not saved");
    parts.kill().await;

    let mut next = Parts::start(&env).await;
    next.write(account, "two@example.org").await;
    next.wake_up().await;
    next.relay_all().await;

    assert_eq!(stream::ids(&env, account, 2).await, stream::unbroken(account, 2));
}

/// Passes that hold every reading connection go on while a step waits for one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_that_hold_all_connections_end_while_a_step_waits() {
    let env = env().await;
    let readers = env.config().database.read_connections();
    let writer = Parts::start(&env).await;
    let mut accounts = Vec::new();
    for _ in 0..=readers {
        let (account, _) = account(&writer.store).await;
        writer.write(account, "ann@example.org").await;
        accounts.push(account);
    }
    writer.kill().await;
    // It has no event in memory, so that each pass reads the log.
    let mut parts = Parts::start(&env).await;
    let audited_at = clock::instant();
    parts.wake_up().await;
    let other = env.superuser().await;
    other.batch_execute("begin; lock table event in access exclusive mode").await.unwrap();
    // The audit of quiet accounts needs a connection too, every two seconds.
    while audited_at.elapsed() < Duration::from_secs(2) {
        parts.relay.step().await.unwrap();
    }
    let waiting = "select count(*) from pg_locks where relation = 'event'::regclass and not granted";
    let waiting: i64 = other.query_one(waiting, &[]).await.unwrap().get(0);
    assert!(usize::try_from(waiting).unwrap() >= readers, "{waiting} of {readers} connections wait");
    let (step, unlocked) = tokio::join!(parts.relay.step(), other.batch_execute("commit"));
    unlocked.unwrap();
    step.unwrap();
    parts.relay_all().await;
    for account in accounts {
        assert_eq!(stream::ids(&env, account, 1).await, stream::unbroken(account, 1));
    }
}
