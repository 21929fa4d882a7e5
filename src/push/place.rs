//! What an endpoint's place becomes by its owner's orders: replay, skip, retry, resume. Pure.
//!
//! An endpoint has dealt with everything up to its cursor and with some stretches above it, those that it had passed
//! before the cursor went back for a replay that ends before them. So a replay of a stretch is a move of the cursor
//! like any other, and what lies behind the stretch is not sent twice.

use crate::domain::{Seq, Timestamp};
use crate::store::endpoints::{Placed, PushOrder};
use crate::store::owner::{PlaceMove, Waiting};
use crate::store::push_changes::Move;

/// A stretch of the log: after, through.
pub(super) type Stretch = (Seq, Seq);

/// The place after the orders, in their order. `waiting` are the endpoint's exceptions.
pub(super) fn after(placed: &Placed, waiting: &[Waiting], orders: &[PushOrder], now: Timestamp) -> PlaceMove {
    let mut place = placed.place.clone();
    let mut passed = placed.passed.clone();
    let mut waiting: Vec<(Waiting, bool)> = waiting.iter().map(|event| (event.clone(), false)).collect();
    let mut dropped = Vec::new();
    for order in orders {
        match order.order {
            Move::Replay { after, through } => {
                // What stands for earlier events of its record takes them along.
                let stands_for = waiting.iter().map(|(event, _)| event).filter(|event| event.seq > after);
                let stands_for = stands_for.filter(|event| through.is_none_or(|through| event.seq <= through));
                let after = stands_for.map(|event| Seq(event.first.0 - 1)).fold(after, Seq::min);
                let again = (after, through.unwrap_or(Seq(i64::MAX)));
                if after < place.seq {
                    passed.push((after, place.seq));
                    place.seq = after;
                }
                passed = without(&passed, again);
                dropped.extend(take(&mut waiting, |seq| again.0 < seq && seq <= again.1));
            }
            Move::Skip { through } => {
                place.seq = place.seq.max(through);
                (place.failing_since, place.failures, place.next_at) = (None, 0, None);
                dropped.extend(take(&mut waiting, |seq| seq <= through));
            }
            Move::Retry { seq } => {
                for (event, changed) in waiting.iter_mut().filter(|(event, _)| event.parked && event.seq == seq) {
                    (event.parked, event.next_at, *changed) = (false, now, true);
                }
            }
            Move::Resume => (place.failing_since, place.failures, place.next_at) = (None, 0, None),
        }
    }
    passed = joined(passed.into_iter().filter(|(_, through)| *through > place.seq).collect());
    // What touches the cursor is below it.
    while let Some((_, through)) = passed.first().filter(|(after, _)| *after <= place.seq).copied() {
        place.seq = through;
        passed.remove(0);
    }
    let retried = waiting.into_iter().filter(|(_, changed)| *changed).map(|(event, _)| event).collect();
    PlaceMove { place, passed, dropped, retried, orders: orders.iter().map(|order| order.order_id).collect() }
}

/// Where to go on reading at a position: behind the stretch that it is in.
pub(super) fn go_on(passed: &[Stretch], at: Seq) -> Seq {
    passed.iter().find(|(after, through)| (*after..*through).contains(&at)).map_or(at, |(_, through)| *through)
}

/// Whether an event was dealt with before.
pub(super) fn is_passed(passed: &[Stretch], seq: Seq) -> bool {
    passed.iter().any(|(after, through)| *after < seq && seq <= *through)
}

fn take(waiting: &mut Vec<(Waiting, bool)>, which: impl Fn(Seq) -> bool) -> Vec<Seq> {
    waiting.extract_if(.., |(event, _)| which(event.seq)).map(|(event, _)| event.seq).collect()
}

/// The stretches but for one.
fn without(stretches: &[Stretch], (after, through): Stretch) -> Vec<Stretch> {
    let pieces = stretches.iter().flat_map(|(a, t)| [(*a, (*t).min(after)), ((*a).max(through), *t)]);
    pieces.filter(|(a, t)| a < t).collect()
}

/// The same stretches in order, those that touch as one.
fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable();
    let mut joined: Vec<Stretch> = Vec::with_capacity(stretches.len());
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
    use crate::push::keeping::tests::endpoint;
    use crate::store::owner::PushCursor;

    const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

    fn placed(seq: i64) -> Placed {
        let place = PushCursor {
            account: AccountId(Uuid::nil()),
            endpoint: Uuid::nil(),
            seq: Seq(seq),
            failing_since: Some(NOW),
            failures: 3,
            next_at: Some(NOW),
        };
        Placed { endpoint: endpoint(), place, passed: Vec::new(), has_orders: true }
    }

    fn order(order: Move) -> PushOrder {
        PushOrder { endpoint: Uuid::nil(), order_id: Uuid::nil(), order }
    }

    fn replay(after: i64, through: Option<i64>) -> Move {
        Move::Replay { after: Seq(after), through: through.map(Seq) }
    }

    fn waiting(seq: i64, parked: bool) -> Waiting {
        Waiting { attempts: 2, next_at: NOW, parked, ..Waiting::behind(Seq(seq), Uid(Uuid::nil())) }
    }

    fn moved(seq: i64, waits: &[Waiting], orders: &[Move]) -> PlaceMove {
        after(&placed(seq), waits, &orders.iter().copied().map(order).collect::<Vec<_>>(), NOW)
    }

    #[test]
    fn a_replay_moves_the_cursor_back_and_passes_what_lies_behind_it() {
        let open = moved(100, &[], &[replay(10, None)]);
        assert_eq!((open.place.seq, open.passed), (Seq(10), vec![]));
        let closed = moved(100, &[], &[replay(10, Some(20))]);
        assert_eq!((closed.place.seq, &*closed.passed), (Seq(10), &[(Seq(20), Seq(100))][..]));
        assert_eq!(go_on(&closed.passed, Seq(20)), Seq(100));
        assert_eq!(go_on(&closed.passed, Seq(19)), Seq(19));
        assert!(is_passed(&closed.passed, Seq(21)) && !is_passed(&closed.passed, Seq(20)));
        let ahead = moved(100, &[], &[replay(200, None)]);
        assert_eq!(ahead.place.seq, Seq(100), "a replay skips nothing");
    }

    #[test]
    fn a_skip_moves_the_cursor_on_and_drops_what_waits_before_it() {
        let skipped = moved(100, &[waiting(7, true), waiting(150, false)], &[Move::Skip { through: Seq(120) }]);
        assert_eq!((skipped.place.seq, &*skipped.dropped), (Seq(120), &[Seq(7)][..]));
        assert_eq!(moved(100, &[], &[Move::Skip { through: Seq(20) }]).place.seq, Seq(100));
    }

    #[test]
    fn a_replay_goes_back_to_the_first_event_that_a_waiting_one_stands_for() {
        let stands_for = Waiting { first: Seq(2), ..waiting(9, false) };
        let again = moved(10, &[stands_for], &[replay(5, None)]);
        assert_eq!((again.place.seq, again.dropped), (Seq(1), vec![Seq(9)]));
    }

    #[test]
    fn a_parked_event_is_retried_and_nothing_else() {
        let retried = moved(100, &[waiting(7, true), waiting(8, true)], &[Move::Retry { seq: Seq(7) }]);
        assert_eq!(retried.retried, [waiting(7, false)]);
    }

    #[test]
    fn resuming_forgets_the_failure_and_moves_nothing() {
        let resumed = moved(100, &[], &[Move::Resume]);
        assert_eq!(resumed.place, PushCursor { failing_since: None, failures: 0, next_at: None, ..placed(100).place });
    }

    /// The numbers of events up to 40 that would be sent.
    fn sent(seq: Seq, passed: &[Stretch]) -> Vec<i64> {
        (1..=40).filter(|event| Seq(*event) > seq && !is_passed(passed, Seq(*event))).collect()
    }

    fn any_move() -> impl Strategy<Value = Move> {
        let place = 0_i64..30;
        prop_oneof![
            place.clone().prop_map(|after| replay(after, None)),
            (place.clone(), 1_i64..10).prop_map(|(after, more)| replay(after, Some(after + more))),
            place.prop_map(|through| Move::Skip { through: Seq(through) }),
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
                    Move::Replay { after, through } => {
                        wanted.extend((1..=40).filter(|e| Seq(*e) > after && through.is_none_or(|t| Seq(*e) <= t)));
                    }
                    Move::Skip { through } => wanted.retain(|event| Seq(*event) > through),
                    Move::Retry { .. } | Move::Resume => {}
                }
            }
            wanted.sort_unstable();
            wanted.dedup();
            let together = moved(start, &[], &moves);
            prop_assert_eq!(sent(together.place.seq, &together.passed), wanted.clone());
            let mut one_by_one = placed(start);
            for one in &moves {
                let moved = after(&one_by_one, &[], &[order(*one)], NOW);
                (one_by_one.place, one_by_one.passed) = (moved.place, moved.passed);
            }
            prop_assert_eq!(sent(one_by_one.place.seq, &one_by_one.passed), wanted);
        }
    }
}
