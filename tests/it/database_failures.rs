//! The database refuses, is down or does not respond: the responses to callers, and the state of the log.

use std::cell::Cell;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use unificus::app::App;
use unificus::clock::{self, Clock};
use unificus::command::{CommandEnvelope, Failure};
use unificus::contract::input::{self, InputKind};
use unificus::dev::services::Services;
use unificus::metrics::Metrics;
use unificus::store::Store;

use crate::support::client::{Reply, lead};
use crate::support::servers::{Servers, binaries, directory};
use crate::support::service::{account, base};
use crate::support::{Client, LONG, Service, stream};

/// The service's connections to the database of the test.
const OURS: &str = "from pg_stat_activity where datname = current_database() and application_name like 'unificus%'";

/// Those of them that wait for a lock.
const BLOCKED: &str = "from pg_stat_activity where datname = current_database() and application_name = 'unificus' \
                       and wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_the_database_refuses_harms_none_of_its_batch() {
    const QUEUED: usize = 30;
    let service = Service::configured(|config| config.commands.queued_per_account = QUEUED).await;
    let (sql, holder) = (service.env.sql().await, service.env.sql().await);
    sql.batch_execute("alter table contact add constraint no_prospects check (role <> 'Prospect')").await.unwrap();

    // While the first write waits for this lock the others queue in the lane, until one finds it full.
    holder.batch_execute("begin; select from head for update").await.unwrap();
    let mut writes = JoinSet::new();
    write(&mut writes, &service.client, "Lead", 0);
    until_blocked(&sql, 1).await;
    for number in 1..=QUEUED + 1 {
        write(&mut writes, &service.client, if number % 10 == 0 { "Prospect" } else { "Lead" }, number);
    }
    let (_, full) = writes.join_next().await.unwrap().unwrap();
    busy(&full);
    holder.batch_execute("commit").await.unwrap();

    let mut created = 0;
    for (role, response) in writes.join_all().await {
        response.expect(if role == "Prospect" { 500 } else { 201 });
        created += usize::from(response.status == 201);
    }
    assert!(created >= QUEUED + 1 - 3, "{created}");
    assert_eq!(gapless(&service.client).await.len(), created);
    assert_eq!(service.client.get("/contacts").await.json["meta"]["pagination"]["totalItems"], json!(created));
    service.client.contact("after@example.org").await.expect(201);
}

/// RFC 3339 has no years before 0, so a contact that was created in such a year has no JSON. No client can cause that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_event_has_no_json_harms_none_of_its_batch() {
    const CONTACTS: usize = 20;
    let service = Service::start().await;
    let (api, sql, holder) = (&service.client, service.env.sql().await, service.env.sql().await);
    for number in 0..CONTACTS {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let spoil = r#"update contact set record = replace(record, '"created":"', '"created":"-') where key = $1"#;
    assert_eq!(sql.execute(spoil, &[&"p7@example.org"]).await.unwrap(), 1);

    // While the first write waits for this lock, the others form the next batch.
    holder.batch_execute("begin; select from head for update").await.unwrap();
    let mut writes = JoinSet::new();
    for number in 0..CONTACTS {
        let client = api.clone();
        writes.spawn(async move {
            let answer = client.put(&format!("/contact/p{number}@example.org"), json!({"title": "Dr"})).await;
            (number, answer)
        });
    }
    until_blocked(&sql, 1).await;
    holder.batch_execute("commit").await.unwrap();

    for (number, answer) in writes.join_all().await {
        answer.expect(if number == 7 { 500 } else { 200 });
    }
    let events = gapless(api).await;
    assert_eq!(events.len(), CONTACTS + CONTACTS - 1);
    assert!(events.iter().all(|event| event["data"]["record"]["uid"] == event["subject"]), "every event is whole");
    api.contact("after@example.org").await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_database_ends_lose_nothing_and_repeat_nothing() {
    const WRITERS: usize = 20;
    const WRITES: usize = 10;
    let service = Service::start().await;
    let api = &service.client;
    let sql = service.env.sql().await;

    let writers = (0..WRITERS).map(|writer| {
        let client = api.clone();
        tokio::spawn(async move {
            for write in 0..WRITES {
                create(&client, &format!("w{writer}-{write}@example.org")).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for written in [20_i64, 60, 100, 140] {
        until("progress", async || head(&sql).await >= written).await;
        // The connections that were ended before may not be back yet.
        until("a connection to end", async || terminate(&sql, OURS).await > 0).await;
    }
    for writer in join_all(writers).await {
        writer.unwrap();
    }

    let n = WRITERS * WRITES;
    let events = gapless(api).await;
    let mut emails: Vec<&str> = events.iter().map(|event| event["data"]["record"]["email"].as_str().unwrap()).collect();
    emails.sort_unstable();
    emails.dedup();
    assert_eq!((events.len(), emails.len()), (n, n), "every email exactly once");
    assert_eq!(stream::ids(&service.env, api.account, n).await, stream::unbroken(api.account, n));
}

/// The server commits, and its response is lost: it waits for a standby that does not exist, and is then disconnected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_acknowledgement_is_lost_is_not_repeated() {
    let services = Services::start(&directory("commit"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let store = Store::new(&env.config().database, 1, Metrics::new().unwrap()).unwrap();
    let app = App::start(env.config(), Clock::system()).await.unwrap();
    let (account, secret) = account(&store).await;
    let api = Client::new(&base(&app), account, &secret);
    let sql = env.superuser().await;
    sql.batch_execute("alter system set synchronous_standby_names = 'nobody'").await.unwrap();
    sql.batch_execute("select pg_reload_conf()").await.unwrap();

    // Without an idempotency key only the service itself can prevent a second write. The server applies the setting
    // with a delay; the first write that waits for the standby is the last one.
    let (mut written, enough) = (0, Cell::new(false));
    let writes = async {
        while !enough.get() {
            api.contact(&format!("p{written}@example.org")).await.expect(201);
            written += 1;
        }
    };
    let cut = async {
        let unanswered = "from pg_stat_activity where wait_event = 'SyncRep' and query = 'commit'";
        until("a commit that is not acknowledged", async || count(&sql, unanswered).await > 0).await;
        enough.set(true);
        assert_eq!(terminate(&sql, unanswered).await, 1);
        sql.batch_execute("alter system reset synchronous_standby_names").await.unwrap();
        sql.batch_execute("select pg_reload_conf()").await.unwrap();
    };
    tokio::join!(writes, cut);

    assert_eq!(gapless(&api).await.len(), written);
    app.stop().await.unwrap();
    services.stop().await.unwrap();
}

/// As above, and the outcome of the batch cannot be determined, because the event that would prove it cannot be read.
/// New events can be written meanwhile, so a repeated batch would be stored twice.
#[tokio::test]
async fn a_batch_whose_commit_cannot_be_determined_is_not_repeated() {
    const UNREADABLE: &str = "create schema unreadable;
        create function unreadable.body() returns text language plpgsql as $$ begin raise 'unreadable'; end $$;
        create view unreadable.event as
            select account_id, seq, uid, type, at, origin, unreadable.body() as body from public.event;
        create function unreadable.append() returns trigger language plpgsql as $$ begin
            insert into public.event
            values (new.account_id, new.seq, new.uid, new.type, new.at, new.origin, new.body);
            return new;
        end $$;
        create trigger append instead of insert on unreadable.event
            for each row execute function unreadable.append();
        grant usage on schema unreadable to public;
        grant select, insert on unreadable.event to public;
        do $$ begin
            execute format('alter database %I set search_path = unreadable, public', current_database());
        end $$";
    let services = Services::start(&directory("unknown"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let (sql, probe) = (env.superuser().await, env.superuser().await);
    sql.batch_execute(UNREADABLE).await.unwrap();
    let mut config = env.config();
    config.commands.lanes = 1;
    let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
    let app = App::start(config, Clock::system()).await.unwrap();
    let (account, _) = account(&store).await;
    let projects = ["one", "two"].map(|name| {
        let command = input::create(InputKind::Project, json!({"name": name}), &mut clock::fresh_uid).unwrap();
        CommandEnvelope { bytes: 100, ..CommandEnvelope::new(account, "test".into(), command) }
    });

    // From the first unacknowledged commit of the test on, no commit is acknowledged.
    sql.batch_execute("alter system set synchronous_standby_names = 'nobody'").await.unwrap();
    sql.batch_execute("select pg_reload_conf()").await.unwrap();
    let enough = Cell::new(false);
    let commits = async {
        while !enough.get() {
            probe.batch_execute("select pg_logical_emit_message(true, '', '')").await.unwrap();
        }
    };
    let cut = async {
        let unanswered = "from pg_stat_activity where wait_event = 'SyncRep'";
        until("a commit that is not acknowledged", async || count(&sql, unanswered).await > 0).await;
        // On this single thread both are in the lane before its writer runs, so they share a batch.
        let mut responses = Vec::new();
        for project in projects {
            let mut response = Box::pin(app.lanes().submit(project));
            assert!(futures_util::poll!(response.as_mut()).is_pending());
            responses.push(response);
        }
        let (responses, ()) = tokio::join!(join_all(responses), async {
            let ours = format!("{unanswered} and application_name = 'unificus' and query = 'commit'");
            until("the batch", async || count(&sql, &ours).await > 0).await;
            assert_eq!(terminate(&sql, &ours).await, 1);
            // Lets the test's own commit go on.
            sql.batch_execute("alter system reset synchronous_standby_names").await.unwrap();
            sql.batch_execute("select pg_reload_conf()").await.unwrap();
            enough.set(true);
        });
        responses
    };
    let (responses, ()) = tokio::join!(cut, commits);

    assert_eq!(responses, [Err(Failure::Unavailable), Err(Failure::Unavailable)]);
    assert_eq!((count(&sql, "from public.event").await, count(&sql, "from project").await), (2, 2), "each once");
    app.stop().await.unwrap();
    services.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_lane_refuses_commands_and_accepts_no_more_than_it_answers() {
    const WRITES: usize = 20;
    let service = Service::configured(|config| config.commands.queued_per_account = 1).await;
    let sql = service.env.sql().await;
    sql.batch_execute("begin; select from head for update").await.unwrap();
    let mut writes = JoinSet::new();
    for number in 0..WRITES {
        write(&mut writes, &service.client, "Lead", number);
    }

    // One is executed and one waits: all others are refused at once.
    for _ in 0..WRITES - 2 {
        let (_, response) = writes.join_next().await.unwrap().unwrap();
        busy(&response);
    }
    sql.batch_execute("commit").await.unwrap();

    let mut created = Vec::new();
    for (_, response) in writes.join_all().await {
        match response.status {
            201 => created.push(response.uid()),
            _ => busy(&response),
        }
    }
    assert!(!created.is_empty());
    created.sort_unstable();
    let events = gapless(&service.client).await;
    let mut logged: Vec<&str> = events.iter().map(|event| event["subject"].as_str().unwrap()).collect();
    logged.sort_unstable();
    assert_eq!(logged, created);
}

#[tokio::test]
async fn a_read_that_the_database_does_not_answer_ends_with_retry_after() {
    let service = Service::configured(|config| config.http.request_timeout_s = 1).await;
    let sql = service.env.sql().await;
    sql.batch_execute("begin; lock table contact in access exclusive mode").await.unwrap();

    busy(&service.client.get("/contacts").await);

    sql.batch_execute("commit").await.unwrap();
    service.client.get("/contacts").await.expect(200);
}

#[tokio::test]
async fn a_read_whose_connection_ends_gets_retry_after() {
    let service = Service::start().await;
    let (sql, holder) = (service.env.sql().await, service.env.sql().await);
    holder.batch_execute("begin; lock table contact in access exclusive mode").await.unwrap();

    let client = service.client.clone();
    let read = tokio::spawn(async move { client.get("/contacts").await });
    until_blocked(&sql, 1).await;
    assert_eq!(terminate(&sql, BLOCKED).await, 1);
    busy(&read.await.unwrap());
    holder.batch_execute("commit").await.unwrap();

    // The pool reuses a broken connection until its end arrives, a moment after the error.
    let mut response = service.client.get("/contacts").await;
    let came_back = async {
        while response.status != 200 {
            busy(&response);
            response = service.client.get("/contacts").await;
        }
    };
    tokio::time::timeout(LONG, came_back).await.expect("the service does not recover");
}

/// Sends a create; returns its role with the response.
fn write(writes: &mut JoinSet<(&'static str, Reply)>, client: &Client, role: &'static str, number: usize) {
    let client = client.clone();
    let mut body = lead(&format!("p{number}@example.org"));
    body["role"] = json!(role);
    writes.spawn(async move { (role, client.post("/contact", body).await) });
}

/// Creates a contact, and retries under the same key while the response is 503.
async fn create(client: &Client, email: &str) {
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let created = async {
        loop {
            pause.tick().await;
            let headers = [("idempotency-key", email)];
            let response = client.send(Method::POST, "/contact", &headers, &lead(email).to_string()).await;
            if response.status != 503 {
                response.expect(201);
                return;
            }
            busy(&response);
        }
    };
    tokio::time::timeout(LONG, created).await.expect("it is never created");
}

/// Checks that the response is 503 with `Retry-After`.
#[track_caller]
fn busy(response: &Reply) {
    response.expect(503);
    assert!(response.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0), "{:?}", response.headers);
}

/// The account's log, without a gap.
async fn gapless(client: &Client) -> Vec<Value> {
    let events = client.changes().await;
    let seqs: Vec<i64> = events.iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..).take(events.len()).collect::<Vec<i64>>());
    events
}

/// Waits until this many of the service's connections wait for a lock.
async fn until_blocked(sql: &tokio_postgres::Client, n: i64) {
    until("a connection that waits for a lock", async || count(sql, BLOCKED).await >= n).await;
}

/// Ends connections; returns their number.
async fn terminate(sql: &tokio_postgres::Client, connections: &str) -> i64 {
    count(sql, &format!("from (select pg_terminate_backend(pid) {connections}) as ended")).await
}

async fn head(sql: &tokio_postgres::Client) -> i64 {
    sql.query_one("select max(seq) from head", &[]).await.unwrap().get(0)
}

async fn count(sql: &tokio_postgres::Client, from: &str) -> i64 {
    sql.query_one(&format!("select count(*) {from}"), &[]).await.unwrap().get(0)
}

async fn until(label: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let waited = async {
        while !holds().await {
            pause.tick().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "{label}: not within the timeout");
}
