//! What an endpoint's place becomes by its owner's orders: replay, skip, retry, resume. Pure.
//!
//! An endpoint has dealt with everything up to its cursor and with some stretches above it, those that it had passed
//! before the cursor went back for a replay that ends before them. So a replay of a stretch is a move of the cursor
//! like any other, and what lies behind the stretch is not sent twice.

use crate::domain::{Seq, Timestamp};
use crate::store::endpoint_changes::CursorCommand;
use crate::store::endpoints::{EndpointState, QueuedCursorCommand};
use crate::store::owner::{CursorUpdate, RetryEntry};

/// A stretch of the log: after, through.
pub(super) type SeqRange = (Seq, Seq);

/// The place after the orders, in their order. `waiting` are the endpoint's exceptions.
pub(super) fn after(
    placed: &EndpointState,
    waiting: &[RetryEntry],
    orders: &[QueuedCursorCommand],
    now: Timestamp,
) -> CursorUpdate {
    let mut cursor = placed.cursor.clone();
    let mut processed = placed.processed.clone();
    let mut waiting: Vec<(RetryEntry, bool)> = waiting.iter().map(|event| (event.clone(), false)).collect();
    let mut dropped = Vec::new();
    for order in orders {
        match order.order {
            CursorCommand::Replay { after, through } => {
                // What stands for earlier events of its record takes them along.
                let stands_for = waiting.iter().map(|(event, _)| event).filter(|event| event.seq > after);
                let stands_for = stands_for.filter(|event| through.is_none_or(|through| event.seq <= through));
                let after = stands_for.map(|event| Seq(event.first.0 - 1)).fold(after, Seq::min);
                let again = (after, through.unwrap_or(Seq(i64::MAX)));
                if after < cursor.seq {
                    processed.push((after, cursor.seq));
                    cursor.seq = after;
                }
                processed = without(&processed, again);
                dropped.extend(take(&mut waiting, |seq| again.0 < seq && seq <= again.1));
            }
            CursorCommand::Skip { through } => {
                cursor.seq = cursor.seq.max(through);
                (cursor.failing_since, cursor.failures, cursor.next_at) = (None, 0, None);
                dropped.extend(take(&mut waiting, |seq| seq <= through));
            }
            CursorCommand::Retry { seq } => {
                for (event, changed) in waiting.iter_mut().filter(|(event, _)| event.parked && event.seq == seq) {
                    (event.parked, event.next_at, *changed) = (false, now, true);
                }
            }
            CursorCommand::Resume => (cursor.failing_since, cursor.failures, cursor.next_at) = (None, 0, None),
        }
    }
    processed = joined(processed.into_iter().filter(|(_, through)| *through > cursor.seq).collect());
    // What touches the cursor is below it.
    while let Some((_, through)) = processed.first().filter(|(after, _)| *after <= cursor.seq).copied() {
        cursor.seq = through;
        processed.remove(0);
    }
    let retried = waiting.into_iter().filter(|(_, changed)| *changed).map(|(event, _)| event).collect();
    CursorUpdate { cursor, processed, dropped, retried, orders: orders.iter().map(|order| order.order_id).collect() }
}

/// Where to go on reading at a position: behind the stretch that it is in.
pub(super) fn skip_processed(processed: &[SeqRange], at: Seq) -> Seq {
    processed.iter().find(|(after, through)| (*after..*through).contains(&at)).map_or(at, |(_, through)| *through)
}

/// Whether an event was dealt with before.
pub(super) fn is_processed(processed: &[SeqRange], seq: Seq) -> bool {
    processed.iter().any(|(after, through)| *after < seq && seq <= *through)
}

fn take(waiting: &mut Vec<(RetryEntry, bool)>, which: impl Fn(Seq) -> bool) -> Vec<Seq> {
    waiting.extract_if(.., |(event, _)| which(event.seq)).map(|(event, _)| event.seq).collect()
}

/// The stretches but for one.
fn without(stretches: &[SeqRange], (after, through): SeqRange) -> Vec<SeqRange> {
    let pieces = stretches.iter().flat_map(|(a, t)| [(*a, (*t).min(after)), ((*a).max(through), *t)]);
    pieces.filter(|(a, t)| a < t).collect()
}

/// The same stretches in order, those that touch as one.
fn joined(mut stretches: Vec<SeqRange>) -> Vec<SeqRange> {
    stretches.sort_unstable();
    let mut joined: Vec<SeqRange> = Vec::with_capacity(stretches.len());
    for (after, through) in stretches {
        match joined.last_mut().filter(|(_, end)| *end >= after) {
            Some((_, end)) => *end = (*end).max(through),
            None => joined.push((after, through)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{AccountId, Uid};
    use crate::push::secret_storage::tests::endpoint;
    use crate::store::owner::EndpointCursor;

    const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

    fn placed(seq: i64) -> EndpointState {
        let cursor = EndpointCursor {
            account: AccountId(Uuid::nil()),
            endpoint: Uuid::nil(),
            seq: Seq(seq),
            failing_since: Some(NOW),
            failures: 3,
            next_at: Some(NOW),
        };
        EndpointState { endpoint: endpoint(), cursor, processed: Vec::new(), has_orders: true }
    }

    fn order(order: CursorCommand) -> QueuedCursorCommand {
        QueuedCursorCommand { endpoint: Uuid::nil(), order_id: Uuid::nil(), order }
    }

    fn replay(after: i64, through: Option<i64>) -> CursorCommand {
        CursorCommand::Replay { after: Seq(after), through: through.map(Seq) }
    }

    fn waiting(seq: i64, parked: bool) -> RetryEntry {
        RetryEntry { attempts: 2, next_at: NOW, parked, ..RetryEntry::behind(Seq(seq), Uid(Uuid::nil())) }
    }

    fn moved(seq: i64, waits: &[RetryEntry], orders: &[CursorCommand]) -> CursorUpdate {
        after(&placed(seq), waits, &orders.iter().copied().map(order).collect::<Vec<_>>(), NOW)
    }

    #[test]
    fn a_replay_moves_the_cursor_back_and_passes_what_lies_behind_it() {
        let open = moved(100, &[], &[replay(10, None)]);
        assert_eq!((open.cursor.seq, open.processed), (Seq(10), vec![]));
        let closed = moved(100, &[], &[replay(10, Some(20))]);
        assert_eq!((closed.cursor.seq, &*closed.processed), (Seq(10), &[(Seq(20), Seq(100))][..]));
        assert_eq!(skip_processed(&closed.processed, Seq(20)), Seq(100));
        assert_eq!(skip_processed(&closed.processed, Seq(19)), Seq(19));
        assert!(is_processed(&closed.processed, Seq(21)) && !is_processed(&closed.processed, Seq(20)));
        let ahead = moved(100, &[], &[replay(200, None)]);
        assert_eq!(ahead.cursor.seq, Seq(100), "a replay skips nothing");
    }

    #[test]
    fn a_skip_moves_the_cursor_on_and_drops_what_waits_before_it() {
        let skipped =
            moved(100, &[waiting(7, true), waiting(150, false)], &[CursorCommand::Skip { through: Seq(120) }]);
        assert_eq!((skipped.cursor.seq, &*skipped.dropped), (Seq(120), &[Seq(7)][..]));
        assert_eq!(moved(100, &[], &[CursorCommand::Skip { through: Seq(20) }]).cursor.seq, Seq(100));
    }

    #[test]
    fn a_replay_goes_back_to_the_first_event_that_a_waiting_one_stands_for() {
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
        assert_eq!(
            resumed.cursor,
            EndpointCursor { failing_since: None, failures: 0, next_at: None, ..placed(100).cursor }
        );
    }

    /// The numbers of events up to 40 that would be sent.
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
        fn what_is_sent_is_what_was_to_be_sent_and_what_was_asked_for(
            start in 0_i64..30, moves in prop::collection::vec(any_move(), 0..6)
        ) {
            let mut wanted: Vec<i64> = (1..=40).filter(|event| *event > start).collect();
            for one in &moves {
                match *one {
                    CursorCommand::Replay { after, through } => {
                        wanted.extend((1..=40).filter(|e| Seq(*e) > after && through.is_none_or(|t| Seq(*e) <= t)));
                    }
                    CursorCommand::Skip { through } => wanted.retain(|event| Seq(*event) > through),
                    CursorCommand::Retry { .. } | CursorCommand::Resume => {}
                }
            }
            wanted.sort_unstable();
            wanted.dedup();
            let together = moved(start, &[], &moves);
            prop_assert_eq!(sent(together.cursor.seq, &together.processed), wanted.clone());
            let mut one_by_one = placed(start);
            for one in &moves {
                let moved = after(&one_by_one, &[], &[order(*one)], NOW);
                (one_by_one.cursor, one_by_one.processed) = (moved.cursor, moved.processed);
            }
            prop_assert_eq!(sent(one_by_one.cursor.seq, &one_by_one.processed), wanted);
        }
    }
}
