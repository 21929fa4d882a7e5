use super::{CreateProject, UpdateProject};
use crate::domain::fixture::{company, contact, created, deleted, given, text, uid, updated};
use crate::domain::{Entity, Field, Patch, Refusal, Seq, Target, Value};

const PROJECT: Entity = Entity::Project;

fn create<const N: usize>(name: &str, changes: [(Field, Option<Value>); N]) -> CreateProject {
    let patch = [(Field::Name, text(name))].into_iter().chain(changes).collect();
    CreateProject::new(uid(name), patch, Vec::new()).expect("a whole project")
}

fn update<const N: usize>(name: &str, changes: [(Field, Option<Value>); N]) -> UpdateProject {
    UpdateProject { target: Target::Uid(uid(name)), if_match: None, patch: Patch::from(changes), custom: Vec::new() }
}

#[test]
fn a_project_needs_a_name_that_others_may_have() {
    let invalid = CreateProject::new(uid("P"), Patch::new(), Vec::new()).expect_err("not whole").into_list();
    assert_eq!(invalid.into_iter().map(|invalid| invalid.pointer).collect::<Vec<_>>(), ["#/name"]);
    given([])
        .when(create("P", [(Field::Status, text("Open")), (Field::DueTime, None)]))
        .about(PROJECT, "P")
        .then_events([created(PROJECT, "P").with(Field::Name, text("P")).with(Field::Status, text("Open"))])
        .when(create("Q", [(Field::Name, text("P"))]))
        .then_events([created(PROJECT, "Q").with(Field::Name, text("P"))]);
}

#[test]
fn a_project_ends_no_earlier_than_it_starts() {
    let days = |start: &str, end: &str| [(Field::StartDate, text(start)), (Field::EndDate, text(end))];
    given([])
        .when(create("P", days("2026-11-24", "2026-11-23")))
        .then_invalid(["#/end_date"])
        .when(create("P", days("2026-11-24", "2026-11-24")))
        .apply()
        .when(update("P", [(Field::StartDate, text("2026-11-25"))]))
        .then_invalid(["#/end_date"])
        .when(update("P", [(Field::StartDate, text("2026-11-25")), (Field::EndDate, None)]))
        .then_events([updated(PROJECT, "P").with(Field::StartDate, text("2026-11-25")).with(Field::EndDate, None)])
        .when(update("P", [(Field::StartDate, text("2026-11-25"))]))
        .then_nothing();
}

#[test]
fn a_client_is_a_live_company_or_contact() {
    let client = |name: &str| [(Field::Client, text(&uid(name).to_string()))];
    given([company("Acme"), contact("ann@x.org"), contact("bob@x.org"), deleted(Entity::Contact, "bob@x.org")])
        .when(create("P", client("nobody")))
        .then_invalid(["#/client"])
        .when(create("P", client("bob@x.org")))
        .then_invalid(["#/client"])
        .when(create("P", client("Acme")))
        .apply()
        .when(update("P", client("ann@x.org")))
        .then_events([updated(PROJECT, "P").with(Field::Client, text(&uid("ann@x.org").to_string()))])
        .when(UpdateProject { if_match: Some(vec![Seq(1)]), ..update("P", []) })
        .then_refused(Refusal::Stale { version: Seq(6) })
        .when(update("Q", []))
        .then_refused(Refusal::NotFound(PROJECT));
}
