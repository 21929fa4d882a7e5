//! Operations of partners on an account in memory.

use super::*;
use crate::domain::fixture::{contact, deleted, given, key, text, uid, updated};
use crate::domain::reference::Ref;
use crate::domain::{Command, EventType, Field, NewEvent, Patch, Target, Uid, Value, contact as contacts};

const ANN: &str = "ann@x.org";

fn update(patch: impl IntoIterator<Item = (Field, Option<Value>)>) -> Box<Command> {
    Box::new(Command::UpdateContact(contacts::UpdateContact {
        target: Target::Key(Vec::new()),
        if_match: None,
        patch: Patch::from_iter(patch),
        address: None,
        company: None,
        related: contacts::RelatedChanges::default(),
    }))
}

fn reference(id: &str) -> Ref {
    Ref { source: "erp".to_owned(), id: id.to_owned() }
}

fn upsert(base: Option<i64>, patch: impl IntoIterator<Item = (Field, Option<Value>)>) -> Upsert {
    Upsert {
        entity: Entity::Contact,
        target: Some(Target::Uid(uid(ANN))),
        reference: None,
        matching: Vec::new(),
        base: Base { seq: base.map(Seq), origin: "erp".into() },
        change: update(patch),
        create: None,
    }
}

fn command(operation: SyncOperation) -> Command {
    Command::Sync(Box::new(operation))
}

fn phone(number: &str) -> (Field, Option<Value>) {
    (Field::Phone, text(number))
}

#[test]
fn a_field_is_in_conflict_only_where_another_origin_changed_it_after_the_base() {
    let account = given([contact(ANN)]).with_origin("shop");
    let account = account.and(updated(Entity::Contact, ANN).with(Field::Phone, text("2")));
    let decide = |account: crate::domain::fixture::Account, base, value| {
        let outcome = account.when(command(SyncOperation::Upsert(upsert(base, [phone(value)]))));
        let fields = |decision: &Decision| decision.conflicts.iter().map(|c| c.field).collect::<Vec<_>>();
        fields(outcome.decision().as_ref().expect("executed"))
    };
    let again = || {
        let account = given([contact(ANN)]).with_origin("shop");
        account.and(updated(Entity::Contact, ANN).with(Field::Phone, text("2")))
    };
    assert_eq!(decide(account, Some(1), "3"), [Field::Phone]);
    assert_eq!(decide(again(), Some(2), "3"), []);
    assert_eq!(decide(again(), None, "3"), []);
    assert_eq!(decide(again(), Some(1), "2"), [], "the values are equal");
    assert_eq!(
        decide(
            again().with_origin("erp").and(updated(Entity::Contact, ANN).with(Field::Phone, text("4"))),
            Some(1),
            "3"
        ),
        [],
        "own change"
    );
}

#[test]
fn a_reference_is_added_once_and_belongs_to_one_record() {
    let linked = || Upsert { reference: Some(reference("17")), ..upsert(None, []) };
    let event = NewEvent { refs: vec![reference("17")], ..updated(Entity::Contact, ANN) };
    let account = given([contact(ANN), contact("bob@x.org")])
        .when(command(SyncOperation::Upsert(linked())))
        .then_events([event])
        .when(command(SyncOperation::Upsert(linked())))
        .then_nothing();
    let bob = Upsert { target: Some(Target::Uid(uid("bob@x.org"))), ..linked() };
    account.when(command(SyncOperation::Upsert(bob))).then_invalid(["#/ref"]);
}

#[test]
fn a_record_has_a_bounded_number_of_references() {
    let refs = (0..100).map(|id| reference(&id.to_string())).collect();
    let account = given([contact(ANN)]).and(NewEvent { refs, ..updated(Entity::Contact, ANN) });
    let one_more = Upsert { reference: Some(reference("x")), ..upsert(None, []) };
    account.when(command(SyncOperation::Upsert(one_more))).then_invalid(["#/ref"]);
}

#[test]
fn an_erased_record_is_found_by_its_reference_and_is_not_created_again() {
    let erase = SyncOperation::Erase(Erase { entity: Entity::Contact, target: key(ANN) });
    let account = given([contact(ANN)])
        .and(NewEvent { refs: vec![reference("17")], ..updated(Entity::Contact, ANN) })
        .when(command(erase))
        .apply();
    let record = account.record(Entity::Contact, ANN);
    assert!(record.fields.is_empty() && record.origins.is_empty() && record.field_seq.is_empty());
    assert!(record.refs.iter().all(|kept| !kept.id.contains("17")), "{:?}", record.refs);
    let target = Some(Target::Ref(reference("17")));
    let again = Upsert { target, reference: Some(reference("17")), ..upsert(None, [phone("1")]) };
    let outcome = account.when(command(SyncOperation::Upsert(again)));
    let decision = outcome.decision().as_ref().expect("logged");
    assert!(matches!(decision.rejection, Some(Refusal::Gone { .. })));
    assert_eq!(decision.new_events, []);
}

#[test]
fn an_unchanged_operation_makes_no_event() {
    given([contact(ANN)])
        .when(command(SyncOperation::Upsert(upsert(None, [(Field::Email, text(ANN))]))))
        .then_nothing()
        .and(deleted(Entity::Contact, ANN))
        .when(command(SyncOperation::Delete(SyncDelete {
            entity: Entity::Contact,
            target: Target::Uid(uid(ANN)),
            base: Base { seq: None, origin: "erp".into() },
        })))
        .then_nothing()
        .when(command(SyncOperation::Restore(Restore { entity: Entity::Contact, target: Target::Uid(uid(ANN)) })))
        .then_events([NewEvent { event_type: EventType::Restored, ..updated(Entity::Contact, ANN) }])
        .when(command(SyncOperation::Restore(Restore { entity: Entity::Contact, target: Target::Uid(uid(ANN)) })))
        .then_nothing();
}

#[test]
fn a_merge_names_each_record_once_and_not_the_one_that_continues() {
    let from = |uids: &[u128]| uids.iter().map(|bits| Uid(uuid::Uuid::from_u128(*bits))).collect::<Vec<_>>();
    let into = Uid(uuid::Uuid::from_u128(9));
    let merge = |uids: Vec<Uid>| Merge::new(Entity::Contact, into, uids).is_ok();
    assert!(merge(from(&[1, 2])));
    assert!(!merge(Vec::new()));
    assert!(!merge(from(&[1, 1])));
    assert!(!merge(from(&[9])));
    assert!(merge(from(&(10..30).collect::<Vec<_>>())));
    assert!(!merge(from(&(10..31).collect::<Vec<_>>())));
}

#[test]
fn a_policy_of_a_field_goes_before_the_one_of_all_fields() {
    let changed_by_the_shop = || {
        let account = given([contact(ANN)]).with_origin("shop");
        account.and(updated(Entity::Contact, ANN).with(Field::Phone, text("2")))
    };
    let fields = [((Entity::Contact, Field::Phone), FieldPolicy::ExistingWins)].into();
    let policy = SyncPolicy { default: FieldPolicy::IncomingWins, fields };
    let operation = || command(SyncOperation::Upsert(upsert(Some(1), [phone("3"), (Field::Title, text("Dr"))])));
    let events = |policy: SyncPolicy| {
        let outcome = changed_by_the_shop().with_policy(policy).when(operation());
        let decision = outcome.decision().as_ref().expect("executed");
        decision.new_events.first().map(|event| event.changes.clone()).unwrap_or_default()
    };
    assert_eq!(events(SyncPolicy::default()), [(Field::Title, text("Dr")), phone("3")]);
    assert_eq!(events(policy), [(Field::Title, text("Dr"))]);
}
