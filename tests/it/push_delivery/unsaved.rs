//! Cursors that Postgres refuses to save, and rows that another writer changes in between.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Timed, endpoint, sent, seqs, settled, state, until, waiting};
use crate::support::{LONG, Receiver, Service};

/// Makes Postgres refuse the cursors of endpoints whose description matches.
async fn refuse_cursors(service: &Service, description: &str) {
    let refuse = format!(
        "create or replace function refuse() returns trigger language plpgsql as $$ begin
            if exists (select from push_endpoint e where e.endpoint_id = new.endpoint_id
                and e.description like '{description}') then
                raise exception 'refused' using errcode = '23514';
            end if;
            return new;
        end $$;
        create or replace trigger refuse before update on push_endpoint_cursor for each row execute function refuse()"
    );
    service.env.sql().await.batch_execute(&refuse).await.unwrap();
}

async fn accept_cursors(service: &Service) {
    service.env.sql().await.batch_execute("drop trigger refuse on push_endpoint_cursor").await.unwrap();
}

async fn until_refused(service: &Service, more: f64) {
    let before = service.gauge("unificus_push_saves_failed_total").await;
    let refused = async || service.gauge("unificus_push_saves_failed_total").await >= before + more;
    until("a refused cursor", refused).await;
}

/// A worker that starts from the older stored cursor would deliver again, and write its retry entries beside those that
/// are still to be written.
#[tokio::test]
async fn no_worker_starts_from_a_cursor_older_than_one_that_could_not_be_saved() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({})).await;
    refuse_cursors(&service, "%").await;
    service.client.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;
    until_refused(&service, 1.0).await;

    // Its worker ends because its settings have changed; the next look at the account would start another one.
    let path = format!("/push/endpoints/{}", made["id"].as_str().unwrap());
    service.client.put(&path, json!({"description": "ours"})).await.expect(200);
    until("the end of its worker", async || service.gauge("unificus_push_runners").await < 0.5).await;
    service.client.contact("bob@example.org").await.expect(201);
    until_refused(&service, 4.0).await;
    assert_eq!(seqs(&receiver.received()), [1], "nothing is sent from an outdated cursor");

    accept_cursors(&service).await;
    settled(&service, "the cursor", "select seq = 2 from push_endpoint_cursor").await;
    assert_eq!(seqs(&receiver.received()), [1, 2], "each once");
}

#[tokio::test]
async fn a_cursor_that_could_not_be_saved_is_saved_without_another_event() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    refuse_cursors(&service, "%").await;
    service.client.contact("ann@example.org").await.expect(201);
    until_refused(&service, 3.0).await;
    accept_cursors(&service).await;
    settled(&service, "the cursor", "select seq = 1 from push_endpoint_cursor").await;
    assert_eq!(seqs(&receiver.received()), [1]);
}

#[tokio::test]
async fn a_cursor_that_is_refused_delays_no_other_endpoint() {
    let (service, receiver, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let refused = endpoint(&service, &receiver, json!({"description": "refused"})).await;
    let accepted = endpoint(&service, &other, json!({"description": "accepted"})).await;
    refuse_cursors(&service, "refused").await;
    for number in 0..3 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let at = |made: &Value, seq: i64| {
        format!("select seq = {seq} from push_endpoint_cursor where endpoint_id = '{}'", made["id"].as_str().unwrap())
    };
    settled(&service, "the other's cursor", &at(&accepted, 3)).await;
    // Nor is its pause delayed: an endpoint waits only for its own cursor.
    let path = format!("/push/endpoints/{}/pause", accepted["id"].as_str().unwrap());
    service.client.post(&path, Value::Null).await.expect(200);
    until("the other's pause", async || service.gauge("unificus_push_runners").await < 1.5).await;
    accept_cursors(&service).await;
    settled(&service, "the cursor", &at(&refused, 3)).await;
}

/// A decision to disable belongs to the settings that were used for the delivery. The change comes when it would be
/// lost most easily: after the event is appended, and before the row is written.
#[tokio::test]
async fn a_decision_about_outdated_settings_disables_nothing() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    let change = "create function change() returns trigger language plpgsql as $$ begin
            update push_endpoint set state = 'paused', description = 'changed', revision = revision + 1
            where endpoint_id = new.uid and description = '';
            return new;
        end $$;
        create trigger change after insert on push_health for each row execute function change()";
    service.env.sql().await.batch_execute(change).await.unwrap();
    receiver.respond_with(410);
    service.client.contact("ann@example.org").await.expect(201);

    // The log has the event that disables it, and then the event that revokes it.
    settled(&service, "the end of the log", "select seq = 3 from head").await;
    let shown = state(&service).await;
    assert_eq!((&shown["state"], &shown["description"]), (&json!("paused"), &json!("changed")));
    let kinds: Vec<Value> = service.client.changes().await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["crm.contact.created", "crm.push.disabled", "crm.push.recovered"]);
    settled(&service, "no audit row", "select count(*) = 0 from audit where action = 'push.disable'").await;

    receiver.recover();
    let path = format!("/push/endpoints/{}/resume", shown["id"].as_str().unwrap());
    service.client.post(&path, Value::Null).await.expect(200);
    settled(&service, "the cursor", "select seq >= 1 from push_endpoint_cursor").await;
    assert_eq!(seqs(&receiver.accepted()), [1], "nothing was skipped");
}

/// The success of event 1 makes event 2 of the same record due, which cannot be read.
#[tokio::test]
async fn an_outcome_before_an_error_is_saved_and_its_delivery_is_not_repeated() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    let made = endpoint(&timed.service, &receiver, json!({})).await;
    receiver.refuse(&format!("{}:1", timed.service.client.account));
    let uid = timed.service.client.contact("ann@example.org").await.uid();
    until("a retry that waits", async || waiting(&timed.service).await == [(1, 1, false)]).await;
    timed.service.client.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(200);
    until("an event behind it", async || waiting(&timed.service).await == [(1, 1, false), (2, 0, false)]).await;

    // The next worker has no events in memory.
    let path = format!("/push/endpoints/{}", made["id"].as_str().unwrap());
    timed.service.client.post(&format!("{path}/pause"), json!({})).await.expect(200);
    until("the end of its worker", async || timed.service.gauge("unificus_push_runners").await < 0.5).await;
    let sql = timed.service.env.sql().await;
    sql.batch_execute("create table lost as select * from event where seq = 2; delete from event where seq = 2")
        .await
        .unwrap();
    receiver.recover();
    timed.pass(Duration::from_secs(6));
    timed.service.client.post(&format!("{path}/resume"), json!({})).await.expect(200);
    until("the saved outcome", async || waiting(&timed.service).await == [(2, 0, false)]).await;
    assert_eq!(sent(&receiver, 1), 2, "refused, then accepted once");

    sql.batch_execute("insert into event select * from lost").await.unwrap();
    until("the event", async || sent(&receiver, 2) == 1).await;
    assert_eq!(sent(&receiver, 1), 2);
}
