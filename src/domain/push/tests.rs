use super::{Health, Report};
use crate::domain::fixture::{given, text, uid};
use crate::domain::{Entity, Fact, Field, Value, Verb};

fn report(health: Health) -> Report {
    let failing_since = (health != Health::Well).then(|| "2026-11-24T03:00:00+00:00".to_owned());
    Report { uid: uid("hook"), health, description: "Ours".to_owned(), failing_since }
}

fn told(verb: Verb, changes: Vec<(Field, Option<Value>)>) -> Fact {
    Fact { entity: Entity::Push, uid: uid("hook"), verb, changes }
}

#[test]
fn the_log_is_told_each_turn_of_an_endpoints_health_once() {
    let since = text("2026-11-24T03:00:00+00:00");
    let failing =
        vec![(Field::Status, text("failing")), (Field::Description, text("Ours")), (Field::FailingSince, since)];
    given([])
        .when(report(Health::Well))
        .then_nothing()
        .when(report(Health::Failing))
        .then_facts([told(Verb::Failing, failing)])
        .when(report(Health::Failing))
        .then_nothing()
        .when(report(Health::Disabled))
        .then_facts([told(Verb::Disabled, vec![(Field::Status, text("disabled"))])])
        .when(report(Health::Disabled))
        .then_facts([told(Verb::Disabled, vec![])])
        .when(report(Health::Well))
        .then_facts([told(Verb::Recovered, vec![(Field::Status, text("well")), (Field::FailingSince, None)])])
        .when(report(Health::Well))
        .then_nothing();
}
