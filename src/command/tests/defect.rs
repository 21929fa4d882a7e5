//! A command that cannot be encoded: a defect of the service, which must not append an incomplete event.
//!
//! RFC 3339 has no years before 0, so a record that was created in such a year stands for any record without JSON.

use super::*;
use crate::command::batch::{Decided, Deciding, decide_all};
use crate::command::working_set::Defect;
use crate::domain::contact::{RelatedChanges, UpdateContact};
use crate::domain::fixture::{contact, given as account_with, key, text, timestamp};
use crate::domain::{FIRST_EPOCH, Field, Patch, Seq};
use crate::store::batch::{HeadLock, LoadRequest, LoadedState, LockedHead};
use crate::store::live::Live;

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(1));
const ANN: &str = "ann@x.org";
const BOB: &str = "bob@x.org";

/// Ann, who has no JSON, and Bob, who has.
fn loaded() -> LoadedState {
    let account = account_with([contact(ANN), contact(BOB)]);
    let mut ann = account.record(Entity::Contact, ANN).clone();
    ann.created_at = ann.created_at.replace_year(-1).unwrap();
    let bob = account.record(Entity::Contact, BOB).clone();
    LoadedState {
        heads: vec![LockedHead { account: ACCOUNT, seq: Seq(2), epoch: FIRST_EPOCH, live: Live::default() }],
        records: vec![(ACCOUNT, ann), (ACCOUNT, bob)],
        idempotency_records: Vec::new(),
        policies: Vec::new(),
    }
}

fn update(email: &str, title: Option<&str>) -> CommandEnvelope {
    let update = UpdateContact {
        target: key(email),
        if_match: None,
        patch: Patch::from([(Field::Title, title.and_then(text))]),
        address: None,
        company: None,
        related: RelatedChanges::default(),
    };
    CommandEnvelope { bytes: 1, ..CommandEnvelope::new(ACCOUNT, "test".into(), update.into()) }
}

fn decide(commands: &[&CommandEnvelope]) -> Result<Decided, Defect> {
    match decide_all(commands, &LoadRequest::default(), loaded(), HeadLock::Brief, timestamp(Seq(3)))? {
        Deciding::Done(decided) => Ok(decided),
        Deciding::Needs(..) => panic!("all is loaded"),
    }
}

#[test]
fn a_batch_with_an_event_that_has_no_json_appends_nothing() {
    let (ann, bob) = (update(ANN, Some("Dr")), update(BOB, Some("Dr")));
    for batch in [[&ann, &bob], [&bob, &ann]] {
        assert!(matches!(decide(&batch), Err(Defect::Event(_))));
    }

    let append = decide(&[&bob]).ok().unwrap().append;
    assert_eq!(append.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [Seq(3)]);
    assert!(append.events[0].decode().is_ok());
}

#[test]
fn an_unchanged_record_that_has_no_json_is_no_empty_reply() {
    assert!(matches!(decide(&[&update(ANN, None)]), Err(Defect::Record(_))));
    assert!(decide(&[&update(BOB, None)]).is_ok_and(|decided| decided.append.events.is_empty()));
}

#[test]
fn the_log_gets_the_reason() {
    let defect = decide(&[&update(ANN, Some("Dr"))]).err().unwrap();
    let report = defect.report();
    assert!(report.starts_with(&format!("encoding event 3 of account {ACCOUNT} failed: ")), "{report}");
    assert!(report.contains("RFC 3339"), "{report}");
}
