//! The rules of the machine, one by one.

use serde_json::{Value, json};

use super::super::{Apply, Connector, Event, ListPage, Lookup, Op, OpResult, Page, Presence, Values};
use super::partner::kind;

const UID: &str = "uid-1";

fn machine() -> Connector {
    let mut machine = Connector::new(kind(), "here", "instance");
    machine.resync();
    machine.list(&ListPage { records: Vec::new(), as_of: "0".into(), is_last: true });
    machine
}

fn record(version: u64, changed: &Value) -> Value {
    let mut record = json!({"uid": UID, "version": version, "deleted": false, "refs": [],
        "first_name": "Ann", "last_name": "Lee", "email": "ann@example.org"});
    record.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
    record
}

fn event(happened: &str, record: &Value) -> Event {
    let event = json!({"type": format!("crm.contact.{happened}"), "origin": "there",
        "data": {"seq": record["version"], "record": record}});
    serde_json::from_value(event).unwrap()
}

fn pull(machine: &mut Connector, happened: &str, record: &Value) {
    machine.hint(&event(happened, record));
}

/// Executes all changes, and returns them.
fn apply(machine: &mut Connector) -> Vec<Apply> {
    let changes = machine.changes();
    for change in &changes {
        machine.applied(change);
    }
    changes
}

fn values(changed: &Value) -> Values {
    let mut values = Values::from([
        ("first_name".to_owned(), json!("Ann")),
        ("last_name".to_owned(), json!("Lee")),
        ("email".to_owned(), json!("ann@example.org")),
    ]);
    values.extend(changed.as_object().unwrap().clone());
    values
}

/// A machine whose two systems have the record `uid-1` at position 1.
fn synchronised() -> Connector {
    let mut machine = machine();
    pull(&mut machine, "created", &record(1, &json!({})));
    assert!(matches!(&apply(&mut machine)[..], [Apply::Create { key, .. }] if key == UID));
    machine
}

fn one(ops: Vec<Op>) -> Op {
    let [op] = <[Op; 1]>::try_from(ops).unwrap();
    op
}

fn result(op: &Op, result: Value) -> OpResult {
    let result: OpResult = serde_json::from_value(result).unwrap();
    OpResult { op_id: Some(op.op_id.clone()), ..result }
}

#[test]
fn a_newer_value_is_applied_and_an_older_event_changes_nothing() {
    let mut machine = synchronised();
    pull(&mut machine, "updated", &record(3, &json!({"title": "Dr"})));
    pull(&mut machine, "updated", &record(2, &json!({"title": "Ms"})));
    let changes = apply(&mut machine);
    let [Apply::Update { key, changes }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((key.as_str(), changes.len()), (UID, 1));
    assert_eq!((&changes["title"].from, &changes["title"].to), (&Value::Null, &json!("Dr")));
    assert_eq!(apply(&mut machine), []);
}

#[test]
fn an_edit_keeps_its_base_while_the_service_moves_on() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "updated", &record(2, &json!({"title": "Dr"})));
    assert_eq!(machine.changes(), []);
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), op.base, &op.set), ("update", Some(1), &Values::from([("title".into(), json!("Ms"))])));
}

#[test]
fn the_base_of_an_edit_advances_while_nobody_else_changes_the_field() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "updated", &record(2, &json!({"last_name": "Li"})));
    assert_eq!(one(machine.push(9)).base, Some(2));
}

#[test]
fn fields_with_different_bases_are_sent_one_after_the_other() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "updated", &record(2, &json!({"title": "Dr"})));
    machine.edited(UID, &values(&json!({"title": "Ms", "last_name": "Li"})));
    let op = one(machine.push(9));
    assert_eq!((op.base, op.set.keys().collect::<Vec<_>>()), (Some(1), vec![&"title".to_owned()]));
    let returned = record(3, &json!({"title": "Ms"}));
    machine.results(&[result(&op, json!({"status": 200, "uid": UID, "record": returned}))]);
    let op = one(machine.push(9));
    assert_eq!((op.base, op.set.keys().collect::<Vec<_>>()), (Some(3), vec![&"last_name".to_owned()]));
}

#[test]
fn an_edit_that_is_undone_takes_the_newer_value() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "updated", &record(2, &json!({"title": "Dr"})));
    machine.edited(UID, &values(&json!({})));
    assert_eq!(machine.push(9), []);
    assert!(matches!(&apply(&mut machine)[..], [Apply::Update { changes, .. }] if changes["title"].to == "Dr"));
}

#[test]
fn a_value_that_lost_is_replaced_by_the_returned_one() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    let op = one(machine.push(9));
    let returned = record(2, &json!({"title": "Dr"}));
    machine.results(&[result(&op, json!({"status": 409, "uid": UID, "record": returned, "rejected": ["title"]}))]);
    assert!(matches!(&apply(&mut machine)[..], [Apply::Update { changes, .. }] if changes["title"].to == "Dr"));
    assert_eq!(machine.push(9), []);
}

#[test]
fn an_edit_of_a_value_in_flight_is_sent_on_top_of_it() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    let op = one(machine.push(9));
    // Back to the value before: without the operation in flight it would be no edit.
    machine.edited(UID, &values(&json!({})));
    pull(&mut machine, "updated", &record(2, &json!({"title": "Ms"})));
    assert_eq!(machine.changes(), []);
    machine.results(&[result(&op, json!({"status": 200, "uid": UID, "record": record(2, &json!({"title": "Ms"}))}))]);
    let op = one(machine.push(9));
    assert_eq!((op.base, op.unset), (Some(2), vec!["title".to_owned()]));
}

#[test]
fn an_operation_without_a_result_is_sent_again_unchanged() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    let op = one(machine.push(9));
    let mut machine: Connector = serde_json::from_str(&serde_json::to_string(&machine).unwrap()).unwrap();
    machine.edited(UID, &values(&json!({"title": "Mx"})));
    assert_eq!(one(machine.push(9)), op);
    for status in [424, 429, 500, 503] {
        machine.results(&[result(&op, json!({"status": status}))]);
        assert_eq!(one(machine.push(9)), op);
    }
}

#[test]
fn a_change_that_was_executed_before_a_crash_is_no_edit() {
    let mut machine = synchronised();
    pull(&mut machine, "updated", &record(2, &json!({"title": "Dr"})));
    let mut restarted = machine.clone();
    apply(&mut machine);
    restarted.edited(UID, &values(&json!({"title": "Dr"})));
    assert_eq!((restarted.push(9), restarted.changes()), (Vec::new(), Vec::new()));
}

#[test]
fn a_refused_operation_waits_for_the_next_change_of_its_record() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"email": "x"})));
    let op = one(machine.push(9));
    machine.results(&[result(&op, json!({"status": 422, "problem": {"title": "Invalid"}}))]);
    assert_eq!(machine.push(9), []);
    assert_eq!(machine.records[UID].refused, Some(json!({"title": "Invalid"})));
    machine.edited(UID, &values(&json!({"email": "x@example.org"})));
    assert_eq!(one(machine.push(9)).set["email"], "x@example.org");
}

#[test]
fn a_new_record_is_created_with_a_reference_and_the_fields_to_match_on() {
    let mut machine = machine();
    machine.edited("17", &values(&json!({})));
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), op.base, op.reference.unwrap().id.as_str()), ("upsert", Some(0), "17"));
    assert_eq!((op.match_on, &op.set["role"]), (vec!["email".to_owned()], &json!("Lead")));
}

#[test]
fn the_event_of_an_own_creation_finds_the_record_before_the_response_does() {
    let mut machine = machine();
    machine.edited("17", &values(&json!({})));
    let op = one(machine.push(9));
    let created = record(1, &json!({"refs": [{"source": "here", "id": "17"}]}));
    pull(&mut machine, "created", &created);
    assert_eq!((machine.changes(), machine.key_of(UID)), (Vec::new(), Some("17")));
    machine.results(&[result(&op, json!({"status": 201, "uid": UID, "record": created}))]);
    assert_eq!((machine.changes(), machine.push(9)), (Vec::new(), Vec::new()));
}

#[test]
fn a_record_that_replaces_one_whose_deletion_is_refused_is_that_one() {
    let mut machine = synchronised();
    machine.deleted(UID);
    machine.edited("17", &values(&json!({"title": "Ms"})));
    let [removal, creation] = &machine.push(9)[..] else { panic!("two operations") };
    assert_eq!((removal.op.as_str(), creation.op.as_str()), ("delete", "upsert"));
    // The creation found the record, and its response comes first.
    let linked = record(3, &json!({"title": "Ms"}));
    let created = result(creation, json!({"status": 200, "uid": UID, "record": linked}));
    machine.results(std::slice::from_ref(&created));
    assert_eq!(machine.push(9), [removal.clone(), creation.clone()]);
    machine.results(&[result(removal, json!({"status": 409, "uid": UID, "record": linked})), created]);
    assert!(machine.push(9).is_empty(), "its values are written once");
    let changes = apply(&mut machine);
    assert!(matches!(&changes[..], [Apply::Delete { key, .. }, Apply::Create { .. }] if key == "17"), "{changes:?}");
}

#[test]
fn a_record_that_replaces_a_deleted_one_knows_what_that_one_knew() {
    let mut machine = synchronised();
    machine.edited("17", &values(&json!({"title": "Ms"})));
    let creation = one(machine.push(9));
    machine.deleted(UID);
    pull(&mut machine, "updated", &record(4, &json!({"title": "Dr"})));
    // The creation found the record before the event, and its response comes after it.
    let linked = record(3, &json!({"title": "Ms"}));
    machine.results(&[result(&creation, json!({"status": 200, "uid": UID, "record": linked}))]);
    let [Apply::Update { key, changes }] = &apply(&mut machine)[..] else { panic!("{machine:?}") };
    assert_eq!((key.as_str(), &changes["title"].to), ("17", &json!("Dr")));
    assert!(machine.push(9).is_empty());
}

#[test]
fn a_record_that_both_systems_have_is_found_by_a_matching_field() {
    let mut machine = machine();
    machine.edited("17", &values(&json!({"title": "Ms", "last_name": Value::Null})));
    pull(&mut machine, "created", &record(1, &json!({"email": "ANN@example.org ", "title": "Dr"})));
    assert_eq!(machine.key_of(UID), Some("17"));
    let op = one(machine.push(9));
    // A difference is a conflict, and the service learns the other system's identifier.
    assert_eq!((op.base, op.reference.unwrap().id.as_str(), &op.set["title"]), (Some(0), "17", &json!("Ms")));
}

#[test]
fn a_new_record_that_turns_out_to_be_a_known_one_is_deleted_here() {
    let mut machine = synchronised();
    machine.edited("17", &values(&json!({})));
    let op = one(machine.push(9));
    machine.results(&[result(&op, json!({"status": 200, "uid": UID, "record": record(1, &json!({}))}))]);
    assert!(matches!(&apply(&mut machine)[..], [Apply::Delete { key, .. }] if key == "17"));
    assert_eq!(machine.records.keys().collect::<Vec<_>>(), [UID]);
}

#[test]
fn a_deletion_of_one_of_two_copies_deletes_that_copy_alone() {
    let mut machine = synchronised();
    machine.edited("17", &values(&json!({"title": "Ms"})));
    let op = one(machine.push(9));
    machine.edited("17", &values(&json!({"title": "Dr"})));
    machine.results(&[result(&op, json!({"status": 200, "uid": UID, "record": record(2, &json!({"title": "Ms"}))}))]);
    assert_eq!(one(machine.push(9)).op, "update");
    // The copy has an edit on its way.
    let mut other = machine.clone();
    machine.deleted("17");
    assert!(machine.push(9).is_empty());
    assert_eq!(machine.records.keys().collect::<Vec<_>>(), [UID]);

    other.deleted(UID);
    assert_eq!((one(other.push(9)).set["title"].clone(), other.key_of(UID)), (json!("Dr"), Some("17")));
}

#[test]
fn a_deletion_is_based_on_what_its_user_saw() {
    let mut machine = synchronised();
    pull(&mut machine, "updated", &record(2, &json!({"title": "Dr"})));
    machine.deleted(UID);
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), op.base), ("delete", Some(1)));
    let returned = record(2, &json!({"title": "Dr"}));
    machine.results(&[result(&op, json!({"status": 409, "uid": UID, "record": returned}))]);
    assert!(matches!(&apply(&mut machine)[..], [Apply::Create { values, .. }] if values["title"] == "Dr"));
}

#[test]
fn a_deletion_that_is_refused_late_does_not_bring_a_deleted_record_back() {
    for returned in [record(2, &json!({"title": "Dr"})), Value::Null] {
        let mut machine = synchronised();
        machine.deleted(UID);
        let op = one(machine.push(9));
        pull(&mut machine, "deleted", &record(3, &json!({"deleted": true})));
        machine.results(&[result(&op, json!({"status": 409, "uid": UID, "record": returned}))]);
        assert_eq!((apply(&mut machine), machine.records.len()), (Vec::new(), 0));
    }
}

#[test]
fn a_deletion_of_the_service_waits_until_edits_are_in_its_conflict_log() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "deleted", &record(2, &json!({"deleted": true})));
    assert_eq!(machine.changes(), []);
    let op = one(machine.push(9));
    machine.results(&[result(&op, json!({"status": 410, "uid": UID, "problem": {"deleted_seq": 2}}))]);
    assert!(matches!(&apply(&mut machine)[..], [Apply::Delete { .. }]));
    // An older event that arrives late does not bring it back.
    pull(&mut machine, "updated", &record(1, &json!({})));
    assert_eq!((machine.changes(), machine.records.len()), (Vec::new(), 0));
}

#[test]
fn an_erased_record_is_deleted_with_its_edits() {
    let mut machine = synchronised();
    machine.edited(UID, &values(&json!({"title": "Ms"})));
    pull(&mut machine, "erased", &record(2, &json!({"deleted": true})));
    assert!(matches!(&apply(&mut machine)[..], [Apply::Delete { .. }]));
    assert_eq!(machine.push(9), []);
}

#[test]
fn a_restored_record_is_created_again() {
    let mut machine = synchronised();
    pull(&mut machine, "deleted", &record(2, &json!({"deleted": true})));
    apply(&mut machine);
    pull(&mut machine, "restored", &record(3, &json!({})));
    assert!(matches!(&apply(&mut machine)[..], [Apply::Create { key, .. }] if key == UID));
}

#[test]
fn a_record_that_is_taken_out_of_the_bin_is_restored() {
    let mut machine = machine();
    machine.edited("17", &values(&json!({"title": "Ms"})));
    let op = one(machine.push(9));
    machine.results(&[result(&op, json!({"status": 410, "uid": UID, "problem": {"deleted_seq": 2}}))]);
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), op.uid.as_deref()), ("restore", Some(UID)));
    machine.results(&[result(&op, json!({"status": 200, "uid": UID, "record": record(3, &json!({}))}))]);
    assert_eq!(one(machine.push(9)).set, Values::from([("title".into(), json!("Ms"))]));
}

#[test]
fn a_new_record_whose_reference_leads_to_another_one_that_was_deleted_is_created_without_it() {
    let mut machine = synchronised();
    machine.edited("17", &values(&json!({"email": "b@example.org"})));
    let op = one(machine.push(9));
    // The reference came to the other record by a merge, and the deletion of that one is not known here yet.
    machine.results(&[result(&op, json!({"status": 410, "uid": UID, "problem": {"deleted_seq": 2}}))]);
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), &op.uid, &op.reference), ("upsert", &None, &None));
    machine.results(&[result(
        &op,
        json!({"status": 201, "uid": "uid-2", "record": record(3, &json!({"uid": "uid-2", "email": "b@example.org"}))}),
    )]);
    pull(&mut machine, "deleted", &record(2, &json!({"deleted": true})));
    assert!(matches!(&apply(&mut machine)[..], [Apply::Delete { key, .. }] if key == UID));
    assert_eq!(machine.records.keys().collect::<Vec<_>>(), ["17"]);
}

#[test]
fn a_merge_of_the_other_system_is_a_merge_and_one_of_the_service_deletes_the_record() {
    let mut machine = synchronised();
    let other = record(2, &json!({"uid": "uid-2", "email": "b@example.org"}));
    pull(&mut machine, "created", &other);
    apply(&mut machine);
    let mut merging = machine.clone();
    merging.merged(UID, "uid-2");
    let op = one(merging.push(9));
    assert_eq!((op.op.as_str(), op.into.as_deref(), op.from), ("merge", Some("uid-2"), vec![UID.to_owned()]));

    pull(&mut machine, "merged", &record(3, &json!({"deleted": true, "merged_into": "uid-2"})));
    assert!(matches!(&apply(&mut machine)[..], [Apply::Delete { key, .. }] if key == UID));
}

#[test]
fn a_page_that_does_not_continue_is_refused() {
    let mut machine = machine();
    let page = |from: u64, through: u64| -> Page {
        let meta = json!({"cursor": through.to_string(), "from_seq": from, "through_seq": through, "has_more": false});
        serde_json::from_value(json!({"data": [], "meta": meta})).unwrap()
    };
    machine.pull(&page(0, 5)).unwrap();
    let gap = machine.pull(&page(6, 7)).unwrap_err();
    assert_eq!((gap.expected, gap.got), (5, 6));
    machine.pull(&page(5, 7)).unwrap();
    assert_eq!(machine.cursor.after.as_deref(), Some("7"));
}

#[test]
fn a_resync_looks_up_what_the_list_lacks() {
    let mut machine = synchronised();
    for uid in ["uid-2", "uid-3"] {
        pull(&mut machine, "created", &record(9, &json!({"uid": uid, "email": format!("{uid}@example.org")})));
    }
    apply(&mut machine);
    machine.resync();
    // The restored log is older: the record has a smaller version, and an older value.
    let records = vec![record(1, &json!({"title": "Dr"}))];
    machine.list(&ListPage { records, as_of: "new".into(), is_last: true });
    assert_eq!((machine.is_listing(), machine.unlisted()), (true, vec!["uid-2".to_owned(), "uid-3".to_owned()]));
    machine.looked_up("uid-2", &Lookup::Gone);
    machine.looked_up("uid-3", &Lookup::Unknown);
    assert_eq!((machine.is_listing(), machine.cursor.after.as_deref()), (false, Some("new")));
    let changes = apply(&mut machine);
    assert!(matches!(&changes[..], [Apply::Update { .. }, Apply::Delete { key, .. }] if key == "uid-2"), "{changes:?}");
    let op = one(machine.push(9));
    assert_eq!((op.op.as_str(), op.reference.unwrap().id.as_str()), ("upsert", "uid-3"));
    assert_eq!(machine.records["uid-3"].presence, Presence::Both);
}
