//! Messages of the stream count only as far as the log has their events.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::Known;
use super::decide::{Gap, PublishDecision, decide, seqs_to_check};
use super::publisher::Progress;
use crate::broker::{StoredMessage, Survey};
use crate::contract::Identity;
use crate::domain::{AccountId, Entity, EventType, FIRST_EPOCH, Seq, Timestamp, Uid};
use crate::feed::Behind;
use crate::shard::ShardLease;
use crate::store::relay::{Logged, RelayStatus};

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(7));

/// The event at a position in one of the timelines that a log may have had.
fn event(timeline: u128, seq: i64) -> Identity {
    Identity {
        account: ACCOUNT,
        epoch: FIRST_EPOCH,
        seq: Seq(seq),
        entity: Entity::Contact,
        event_type: EventType::Created,
        uid: Uid(Uuid::from_u128(timeline)),
        at: Timestamp::UNIX_EPOCH,
    }
}

/// A log up to `head`, in which the retention keeps events above `old`.
fn log(head: i64, old: i64) -> impl Fn(&[Seq]) -> HashMap<Seq, Logged> {
    move |seqs| {
        let there = seqs.iter().filter(|seq| (1..=head).contains(&seq.0));
        there.map(|seq| (*seq, Logged { identity: event(1, seq.0), is_retained: seq.0 > old })).collect()
    }
}

/// Messages in the order of the stream, at stream sequences from 101 on.
fn stream(messages: &[Option<Identity>]) -> Survey {
    let stored = |index: usize| {
        let sequence = 101 + u64::try_from(index).unwrap();
        messages.get(index).map(|identity| StoredMessage { sequence, identity: *identity, message_id: String::new() })
    };
    Survey {
        first: stored(0),
        last: messages.len().checked_sub(1).and_then(stored),
        messages: u64::try_from(messages.len()).unwrap(),
    }
}

fn events(timeline: u128, seqs: impl IntoIterator<Item = i64>) -> Vec<Option<Identity>> {
    seqs.into_iter().map(|seq| Some(event(timeline, seq))).collect()
}

fn decided(messages: &[Option<Identity>], head: i64, cursor: i64, old: i64) -> PublishDecision {
    decided_without(&[], messages, head, cursor, old)
}

/// Decides where an erasure removed the messages of these events.
fn decided_without(
    removed: &[i64],
    messages: &[Option<Identity>],
    head: i64,
    cursor: i64,
    old: i64,
) -> PublishDecision {
    let removed = removed.iter().copied().map(Seq).collect();
    let status = RelayStatus { head: Seq(head), cursor: Seq(cursor), repair: None };
    let survey = stream(messages);
    let log = log(head, old)(&seqs_to_check(&status, &survey, &removed));
    decide(ACCOUNT, &status, &survey, &log, &removed)
}

fn continues(published: i64, expected_last: u64, has_foreign: bool) -> PublishDecision {
    PublishDecision::Continue { published: Seq(published), expected_last, has_foreign }
}

#[test]
fn the_last_event_of_an_unbroken_run_is_how_far_it_is_whatever_the_cursor_says() {
    for cursor in [0, 3, 5, 7] {
        assert_eq!(decided(&events(1, 1..=5), 9, cursor, 0), continues(5, 105, false), "cursor {cursor}");
    }
    assert_eq!(decided(&events(1, 4..=5), 9, 5, 3), continues(5, 102, false), "what is old may be gone");
    assert_eq!(decided(&[], 9, 0, 0), continues(0, 0, false));
    assert_eq!(decided(&[], 9, 9, 9), continues(9, 0, false), "all of it may be gone for its age");
}

#[test]
fn what_the_retention_does_not_explain_is_published_again() {
    assert_eq!(decided(&[], 77, 76, 0), PublishDecision::Refill(Gap::Everything));
    assert_eq!(decided(&events(1, [77]), 77, 77, 0), PublishDecision::Refill(Gap::Beginning));
    assert_eq!(decided(&events(1, 4..=5), 9, 5, 2), PublishDecision::Refill(Gap::Beginning));
    assert_eq!(decided(&events(1, [1, 2, 4, 5]), 9, 5, 0), PublishDecision::Refill(Gap::Middle));
}

#[test]
fn messages_that_an_erasure_removed_are_not_published_again() {
    let without = |removed: &[i64], seqs: &[i64]| decided_without(removed, &events(1, seqs.to_vec()), 9, 5, 0);
    assert_eq!(without(&[2, 3], &[1, 4, 5]), continues(5, 103, false));
    assert_eq!(without(&[1, 2], &[3, 4, 5]), continues(5, 103, false));
    assert_eq!(without(&[2, 3], &[1, 2, 3, 4, 5]), continues(5, 105, false), "they are still there");
    assert_eq!(without(&[2, 3], &[1, 5]), PublishDecision::Refill(Gap::Middle));
    assert_eq!(without(&[2], &[3, 4, 5]), PublishDecision::Refill(Gap::Beginning), "the first one is missing");
    assert_eq!(without(&[5], &[1, 2, 3, 4]), continues(4, 104, false), "the last one is published again");
}

#[test]
fn a_forged_message_counts_for_nothing() {
    let forged = [None, Some(event(9, 1_000_000)), Some(Identity { account: AccountId(Uuid::nil()), ..event(1, 5) })];
    for message in forged {
        let messages = [events(1, 1..=5), vec![message]].concat();
        assert_eq!(decided(&messages, 5, 5, 0), continues(5, 106, true), "{message:?}");
    }
    let repeated = [events(1, 1..=5), events(1, [2])].concat();
    assert_eq!(decided(&repeated, 5, 5, 0), continues(5, 106, true), "a copy of an earlier event is not the end");
}

#[test]
fn events_that_the_log_does_not_have_stop_the_account() {
    let lost = [events(1, 1..=70), events(2, 71..=76)].concat();
    assert_eq!(
        decided(&lost, 70, 70, 0),
        PublishDecision::Stop { published: Seq(76) },
        "restored expected_last the stream"
    );
    assert_eq!(decided(&lost, 76, 70, 0), PublishDecision::Stop { published: Seq(76) }, "and written to since");
    assert_eq!(decided(&lost, 90, 70, 0), PublishDecision::Stop { published: Seq(76) }, "and beyond");
    assert_eq!(
        decided(&events(1, 1..=70), 70, 76, 0),
        PublishDecision::Stop { published: Seq(76) },
        "the cursor says so"
    );
    assert_eq!(decided(&[], 70, 76, 0), PublishDecision::Stop { published: Seq(76) });
}

proptest! {
    /// Publishing never continues beyond the log, and never leaves an event out, with any messages in the stream.
    #[test]
    fn nothing_in_the_stream_makes_the_relay_leave_an_event_out(
        messages in prop::collection::vec(prop_oneof![
            4 => (1..12_i64).prop_map(|seq| Some(event(1, seq))),
            1 => (1..20_i64).prop_map(|seq| Some(event(2, seq))),
            1 => Just(None),
        ], 0..12),
        head in 0..12_i64,
        cursor in 0..12_i64,
    ) {
        let true_end = messages.iter().flatten().filter(|event| event.uid.0.as_u128() == 1).map(|event| event.seq.0);
        let end = true_end.max().unwrap_or(0).max(cursor);
        match decided(&messages, head, cursor, 0) {
            PublishDecision::Continue { published, expected_last, .. } => {
                prop_assert!(published.0 <= head.min(end));
                let last = if messages.is_empty() { 0 } else { 100 + u64::try_from(messages.len()).unwrap() };
                prop_assert_eq!(expected_last, last);
            }
            PublishDecision::Stop { .. } => {
                let is_logged = |event: &Identity| event.uid.0.as_u128() == 1 && event.seq.0 <= head;
                prop_assert!(cursor > head || messages.last().is_some_and(|last| !last.as_ref().is_some_and(is_logged)));
            }
            PublishDecision::Refill(_) => {}
        }
    }
}

#[test]
fn a_sweep_that_saw_an_older_cursor_marks_no_account_that_is_published() {
    let (lease, other, began) = (ShardLease::default(), ShardLease::default(), crate::clock::instant());
    let at = |seconds| began + std::time::Duration::from_secs(seconds);
    let known = |published, saved, saved_at| {
        let progress =
            Progress { published: Seq(published), last: None, expected_last: 7, saved: Seq(saved), repaired: None };
        Known { progress, lease: Arc::downgrade(&lease), saved_at }
    };
    let behind = |head, seen_at| Behind { account: ACCOUNT, head: Seq(head), seen_at };

    assert!(known(5, 3, None).explains(&behind(5, at(1)), &lease), "its cursor will be saved");
    assert!(!known(5, 3, None).explains(&behind(6, at(1)), &lease), "the log has more");
    assert!(!known(5, 3, None).explains(&behind(5, at(1)), &other), "the shard has changed hands");
    assert!(known(5, 5, Some(at(2))).explains(&behind(5, at(1)), &lease), "the sweep may not have seen the cursor");
    assert!(!known(5, 5, Some(at(1))).explains(&behind(5, at(2)), &lease), "the cursor was moved since");
    assert!(!known(5, 5, None).explains(&behind(5, at(2)), &lease), "another replica saved it");
}
