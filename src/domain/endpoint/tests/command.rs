use proptest::prelude::*;
use uuid::Uuid;

use crate::domain::endpoint::fixture::endpoint;
use crate::domain::endpoint::{
    CursorCommand, CursorUpdate, EndpointCursor, EndpointState, QueuedCursorCommand, RetryEntry, SeqRange, apply,
    is_processed, pending_events, skip_processed,
};
use crate::domain::{AccountId, Seq, Timestamp, Uid};

const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

fn at(seq: i64) -> EndpointState {
    let cursor = EndpointCursor {
        account: AccountId(Uuid::nil()),
        endpoint: Uuid::nil(),
        seq: Seq(seq),
        failing_since: Some(NOW),
        failures: 3,
        next_at: Some(NOW),
    };
    EndpointState { endpoint: endpoint(Vec::new()), cursor, processed: Vec::new(), has_commands: true, brand: None }
}

fn queued(command: CursorCommand) -> QueuedCursorCommand {
    QueuedCursorCommand { endpoint: Uuid::nil(), command_id: Uuid::nil(), command }
}

fn replay(after: i64, through: Option<i64>) -> CursorCommand {
    CursorCommand::Replay { after: Seq(after), through: through.map(Seq) }
}

fn waiting(seq: i64, parked: bool) -> RetryEntry {
    RetryEntry { attempts: 2, next_at: NOW, parked, ..RetryEntry::unsent(Seq(seq), Uid(Uuid::nil())) }
}

fn moved(seq: i64, retries: &[RetryEntry], commands: &[CursorCommand]) -> CursorUpdate {
    apply(&at(seq), retries, &commands.iter().copied().map(queued).collect::<Vec<_>>(), NOW)
}

#[test]
fn a_replay_moves_the_cursor_back_and_skips_the_events_after_its_range() {
    let open = moved(100, &[], &[replay(10, None)]);
    assert_eq!((open.cursor.seq, open.processed), (Seq(10), vec![]));
    let closed = moved(100, &[], &[replay(10, Some(20))]);
    assert_eq!((closed.cursor.seq, &*closed.processed), (Seq(10), &[SeqRange::new(Seq(20), Seq(100))][..]));
    assert_eq!(skip_processed(&closed.processed, Seq(20)), Seq(100));
    assert_eq!(skip_processed(&closed.processed, Seq(19)), Seq(19));
    assert!(is_processed(&closed.processed, Seq(21)) && !is_processed(&closed.processed, Seq(20)));
    let later = moved(100, &[], &[replay(200, None)]);
    assert_eq!(later.cursor.seq, Seq(100), "a replay skips nothing");
}

#[test]
fn a_skip_moves_the_cursor_on_and_drops_the_retries_before_it() {
    let skipped = moved(100, &[waiting(7, true), waiting(150, false)], &[CursorCommand::Skip { through: Seq(120) }]);
    assert_eq!((skipped.cursor.seq, &*skipped.dropped), (Seq(120), &[Seq(7)][..]));
    assert_eq!(moved(100, &[], &[CursorCommand::Skip { through: Seq(20) }]).cursor.seq, Seq(100));
}

#[test]
fn a_replay_goes_back_to_the_first_event_that_a_retry_stands_for() {
    let stands_for = RetryEntry { first: Seq(2), ..waiting(9, false) };
    let again = moved(10, &[stands_for], &[replay(5, None)]);
    assert_eq!((again.cursor.seq, again.dropped), (Seq(1), vec![Seq(9)]));
}

#[test]
fn a_parked_event_is_retried_and_nothing_else() {
    let retried = moved(100, &[waiting(7, true), waiting(8, true)], &[CursorCommand::Retry { seq: Seq(7) }]);
    assert_eq!(retried.retried, [waiting(7, false)]);
}

#[test]
fn resuming_forgets_the_failure_and_moves_nothing() {
    let resumed = moved(100, &[], &[CursorCommand::Resume]);
    assert_eq!(resumed.cursor, EndpointCursor { failing_since: None, failures: 0, next_at: None, ..at(100).cursor });
}

/// Returns the numbers of the events up to 40 that would be sent.
fn sent(seq: Seq, processed: &[SeqRange]) -> Vec<i64> {
    (1..=40).filter(|event| Seq(*event) > seq && !is_processed(processed, Seq(*event))).collect()
}

fn any_move() -> impl Strategy<Value = CursorCommand> {
    let cursor = 0_i64..30;
    prop_oneof![
        cursor.clone().prop_map(|after| replay(after, None)),
        (cursor.clone(), 1_i64..10).prop_map(|(after, more)| replay(after, Some(after + more))),
        cursor.prop_map(|through| CursorCommand::Skip { through: Seq(through) }),
    ]
}

proptest! {
    #[test]
    fn pending_and_replayed_events_are_sent_and_no_others(
        start in 0_i64..30, moves in prop::collection::vec(any_move(), 0..6)
    ) {
        let mut expected: Vec<i64> = (1..=40).filter(|event| *event > start).collect();
        for one in &moves {
            match *one {
                CursorCommand::Replay { after, through } => {
                    expected.extend((1..=40).filter(|e| Seq(*e) > after && through.is_none_or(|t| Seq(*e) <= t)));
                }
                CursorCommand::Skip { through } => expected.retain(|event| Seq(*event) > through),
                CursorCommand::Retry { .. } | CursorCommand::Resume => {}
            }
        }
        expected.sort_unstable();
        expected.dedup();
        let together = moved(start, &[], &moves);
        prop_assert_eq!(sent(together.cursor.seq, &together.processed), expected.clone());
        let mut one_by_one = at(start);
        for one in &moves {
            let moved = apply(&one_by_one, &[], &[queued(*one)], NOW);
            (one_by_one.cursor, one_by_one.processed) = (moved.cursor, moved.processed);
        }
        prop_assert_eq!(sent(one_by_one.cursor.seq, &one_by_one.processed), expected);
    }
}

#[test]
fn events_of_processed_ranges_are_not_pending() {
    let range = |after, through| SeqRange::new(Seq(after), Seq(through));
    assert_eq!(pending_events(Seq(5), &[], Seq(9)), 4);
    assert_eq!(pending_events(Seq(9), &[], Seq(9)), 0);
    assert_eq!(pending_events(Seq(12), &[], Seq(9)), 0, "a cursor beyond a restored log");
    assert_eq!(pending_events(Seq(2), &[range(4, 6), range(7, 9)], Seq(10)), 4);
    assert_eq!(pending_events(Seq(5), &[range(4, 20)], Seq(10)), 0);
}
