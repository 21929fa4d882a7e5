//! An event that fails while others pass.

use super::*;

/// The schedule of Standard Webhooks after the first attempt, in seconds.
const DELAYS: [u32; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[test]
fn it_waits_and_its_records_later_ones_behind_it_while_others_pass() {
    given(8, "aab")
        .sends([1, 3])
        .ends(1, FAILED)
        .ends(3, AttemptOutcome::Delivered)
        .waits([(1, 1, 5 * SECOND), (2, 0, 5 * SECOND)])
        .stands_at(3)
        .log("ab")
        .sends([5])
        .waits([(1, 1, 5 * SECOND), (2, 0, 5 * SECOND), (4, 0, 5 * SECOND)])
        .ends(5, AttemptOutcome::Delivered)
        .stands_at(5);
}

#[test]
fn when_it_passes_at_last_those_behind_it_follow_in_order() {
    given(8, "aaa")
        .sends([1])
        .ends(1, FAILED)
        .after(5 * SECOND)
        .sends([1])
        .ends(1, AttemptOutcome::Delivered)
        .sends([2])
        .ends(2, AttemptOutcome::Delivered)
        .sends([3])
        .ends(3, AttemptOutcome::Delivered)
        .waits([])
        .log("a")
        .sends([4]);
}

#[test]
fn it_is_tried_again_at_its_time_and_no_sooner() {
    let mut driven = given(8, "a");
    driven.sends([1]).ends(1, FAILED);

    assert_eq!(driven.scheduler.next_at(), Some(driven.now + 5 * SECOND));
    driven.after(Duration::from_millis(4_999)).sends([]).after(Duration::from_millis(1)).sends([1]);
    assert_eq!(driven.scheduler.next_at(), None, "in flight: only its end can tell");
}

#[test]
fn chance_spreads_retries_by_a_tenth() {
    let mut driven = given(8, "a");
    driven.sends([1]);
    driven.scheduler.ended(Seq(1), FAILED, driven.now, 1.0);

    driven.waits([(1, 1, Duration::from_millis(5_500))]);
}

#[test]
fn after_its_schedule_it_is_parked_and_its_record_goes_on() {
    let mut driven = given(8, "aa");
    let mut end = 2;
    driven.sends([1]).ends(1, FAILED);
    for (attempts, delay) in (1..).zip(DELAYS) {
        // Others pass.
        end += 1;
        driven.log("b").sends([end]).ends(end, AttemptOutcome::Delivered);
        let delay = delay * SECOND;
        driven.waits([(1, attempts, delay), (2, 0, if attempts == 1 { delay } else { Duration::ZERO })]);
        driven.after(delay.saturating_sub(SECOND)).sends([]).after(SECOND).sends([1]).ends(1, FAILED);
    }

    driven.parks([1]).sends([2]).ends(2, AttemptOutcome::Delivered).log("a").sends([end + 1]);
    driven.ends(end + 1, AttemptOutcome::Delivered).waits([]).parks([1]);
    assert!(driven.scheduler.is_idle(), "what is parked is not tried again by itself");
}

#[test]
fn a_retry_goes_before_what_is_new() {
    given(1, "ab")
        .sends([1])
        .ends(1, FAILED)
        .sends([2])
        .after(5 * SECOND)
        .log("c")
        .ends(2, AttemptOutcome::Delivered)
        .sends([1]);
}

/// With a time, the worker would wake at once, find nothing to send, and wake again.
#[test]
fn behind_a_full_window_no_moment_is_named() {
    let mut driven = given(1, "ab");
    driven.sends([1]).ends(1, FAILED).sends([2]).after(5 * SECOND).sends([]);

    assert_eq!(driven.scheduler.next_at(), None);
}

#[test]
fn with_ten_thousand_waiting_nothing_new_is_read() {
    let mut table = Table::new();
    for number in 1..=10_000 {
        let uid = Uid(Uuid::from_u128(number));
        let seq = Seq(i64::try_from(number).unwrap());
        table.waiting.insert(seq, RetryEntry { attempts: 1, next_at: BEGIN, ..RetryEntry::unsent(seq, uid) });
    }
    table.cursor.seq = Seq(10_000);
    let mut scheduler = table.scheduler(singly(8));
    assert_eq!(scheduler.room(), 0);

    let delivery = scheduler.next(BEGIN).unwrap();
    scheduler.ended(delivery.id(), AttemptOutcome::Delivered, BEGIN, 0.0);
    assert!(scheduler.room() > 0);
}

mod after_a_restart {
    use super::*;

    #[test]
    fn it_goes_on_waiting_for_the_same_moment() {
        given(8, "aab")
            .sends([1, 3])
            .ends(1, FAILED)
            .ends(3, AttemptOutcome::Delivered)
            .waits([(1, 1, 5 * SECOND), (2, 0, 5 * SECOND)])
            .after(2 * SECOND)
            .restarts()
            .sends([])
            .waits([(1, 1, 3 * SECOND), (2, 0, 3 * SECOND)])
            .after(3 * SECOND)
            .sends([1])
            .ends(1, AttemptOutcome::Delivered)
            .sends([2]);
    }

    /// The cursor may stand below what waits: the log is offered again from there.
    #[test]
    fn it_keeps_its_attempts_though_it_is_offered_again() {
        let mut driven = given(8, "ab");
        driven.sends([1, 2]).ends(2, FAILED).after(5 * SECOND).sends([2]).ends(2, FAILED);

        driven.stands_at(0).restarts().waits([(2, 2, 300 * SECOND)]).sends([1]);
    }

    #[test]
    fn what_is_parked_stays_parked_though_it_is_offered_again() {
        let mut driven = given(8, "ab");
        let event = RetryEntry { attempts: 10, next_at: BEGIN, parked: true, ..RetryEntry::unsent(Seq(2), uid('b')) };
        driven.table.waiting.insert(Seq(2), event);

        driven.restarts().sends([1]).parks([2]);
        driven.ends(1, AttemptOutcome::Delivered).stands_at(2).parks([2]);
    }

    /// The first of its record was the probe that found the receiver well; the second must not wait for its own time.
    #[test]
    fn what_was_pulled_forward_is_not_put_back() {
        let mut driven = given(8, "aa");
        let day = BEGIN + DAY;
        for (seq, attempts) in [(1, 9), (2, 0)] {
            let event = RetryEntry { attempts, next_at: day, ..RetryEntry::unsent(Seq(seq), uid('a')) };
            driven.table.waiting.insert(Seq(seq), event);
        }
        driven.table.cursor = EndpointCursor {
            seq: Seq(2),
            failing_since: Some(BEGIN),
            failures: 9,
            next_at: Some(BEGIN),
            ..driven.table.cursor
        };

        driven
            .restarts()
            .sends([1])
            .ends(1, AttemptOutcome::Delivered)
            .waits([(2, 0, Duration::ZERO)])
            .restarts()
            .sends([2]);
    }
}
