use crate::domain::endpoint::{Health, ReportHealth};
use crate::domain::fixture::{given, text, uid};
use crate::domain::{Entity, EventType, Field, NewEvent, Value};

fn report(health: Health) -> ReportHealth {
    let failing_since = (health != Health::Well).then(|| "2026-11-24T03:00:00+00:00".to_owned());
    ReportHealth { uid: uid("hook"), health, description: "Ours".to_owned(), failing_since }
}

fn event(event_type: EventType, changes: Vec<(Field, Option<Value>)>) -> NewEvent {
    NewEvent::new(Entity::Push, uid("hook"), event_type, changes)
}

#[test]
fn the_log_records_each_change_of_an_endpoints_health_once() {
    let since = text("2026-11-24T03:00:00+00:00");
    let failing =
        vec![(Field::Status, text("failing")), (Field::Description, text("Ours")), (Field::FailingSince, since)];
    given([])
        .when(report(Health::Well))
        .then_nothing()
        .when(report(Health::Failing))
        .then_events([event(EventType::Failing, failing)])
        .when(report(Health::Failing))
        .then_nothing()
        .when(report(Health::Disabled))
        .then_events([event(EventType::Disabled, vec![(Field::Status, text("disabled"))])])
        .when(report(Health::Disabled))
        .then_events([event(EventType::Disabled, vec![])])
        .when(report(Health::Well))
        .then_events([event(EventType::Recovered, vec![(Field::Status, text("well")), (Field::FailingSince, None)])])
        .when(report(Health::Well))
        .then_nothing();
}
