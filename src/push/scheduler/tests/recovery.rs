//! Events that end a wait for a retry, and those that do not.

use super::*;

const AWAY: AttemptOutcome = AttemptOutcome::Failed(Reason::Connect);

#[test]
fn a_receiver_that_is_not_there_is_the_endpoints_failure_at_once() {
    let mut driven = given(8, "a");
    driven.sends([1]).ends(1, AWAY).waits([]).stands_at(0);

    driven.log("b").sends([]).after(20 * SECOND);
    let probe = driven.probe();
    driven.ends(probe, AttemptOutcome::Delivered);
    assert_eq!((probe, driven.send()), (1, vec![2]), "neither waits for a clock of its own");
}

#[test]
fn the_first_success_pulls_forward_what_failed_again_and_again_while_nothing_passed() {
    given(8, "a")
        .sends([1])
        .ends(1, FAILED)
        .after(5 * SECOND)
        .sends([1])
        .ends(1, FAILED)
        .waits([(1, 2, 300 * SECOND)])
        .after(15 * SECOND)
        .log("b")
        .sends([2])
        .ends(2, AttemptOutcome::Delivered)
        .waits([(1, 2, Duration::ZERO)])
        .sends([1]);
}

#[test]
fn an_event_that_fails_while_others_pass_keeps_its_schedule() {
    let mut driven = given(8, "ab");
    driven.sends([1, 2]).ends(1, FAILED).ends(2, AttemptOutcome::Delivered);
    driven.after(5 * SECOND).sends([1]).ends(1, FAILED);
    for seq in 3..6 {
        driven.log("b").sends([seq]).ends(seq, AttemptOutcome::Delivered).waits([(1, 2, 300 * SECOND)]);
    }
}

#[test]
fn too_many_requests_slows_the_endpoint_down_though_one_more_passes() {
    given(2, "abc").sends([1, 2]).ends(1, THROTTLED).ends(2, AttemptOutcome::Delivered).sends([]);
}

#[test]
fn what_is_parked_takes_no_room() {
    let mut table = Table::new();
    table.cursor.seq = Seq(10_000);
    for seq in 1..=10_000 {
        let parked = RetryEntry { parked: true, ..RetryEntry::unsent(Seq(seq), uid('a')) };
        table.waiting.insert(parked.seq, parked);
    }
    assert!(table.scheduler(singly(8)).room() > 0);
}

#[test]
fn under_a_strict_order_a_parked_event_that_is_retried_and_fails_is_parked_again() {
    let mut table = Table::new();
    table.cursor.seq = Seq(1);
    let retried = RetryEntry { attempts: 10, next_at: BEGIN, ..RetryEntry::unsent(Seq(1), uid('a')) };
    table.waiting.insert(retried.seq, retried);
    let policy = DeliveryPolicy { order: DeliveryOrder::Strict, ..singly(8) };
    let log = vec![event(1, 'a', BEGIN)];
    let mut driven = Driven { scheduler: table.scheduler(policy), policy, log, now: BEGIN, table };

    driven.log("b").sends([1]).ends(1, FAILED).parks([1]).sends([2]);
}

#[test]
fn an_endpoint_that_is_sent_nothing_more_is_not_failing() {
    let mut driven = given(8, "a");
    driven.sends([1]).ends(1, AWAY);
    driven.scheduler.reached_end();
    assert!(driven.scheduler.failing_since().is_some(), "one event is left to be sent");

    let probe = driven.after(SECOND).probe();
    driven.ends(probe, FAILED).table.cursor.seq = Seq(1);
    let mut skipped = driven.table.scheduler(driven.policy);
    skipped.reached_end();
    assert_eq!(skipped.failing_since(), None);
}

#[test]
fn a_clock_that_steps_back_holds_a_rate_up_no_longer_than_its_bucket_lasts() {
    let mut driven = given_rules(DeliveryPolicy { rate: Some(10), ..singly(8) }, "ab");
    driven.sends([1]).now -= Duration::from_hours(1);

    driven.sends([]).after(Duration::from_millis(100)).sends([2]);
}

#[test]
fn retry_after_is_never_shorter_than_the_schedule() {
    let mut driven = given(1, "a");
    driven.sends([1]).ends(1, THROTTLED).after(1_000 * SECOND);
    let probe = driven.probe();
    driven.ends(probe, throttled_for(SECOND));

    assert_eq!(driven.scheduler.next_at(), Some(driven.now + 50 * SECOND), "a twentieth of its absence");
}

#[test]
fn an_event_that_is_asked_to_slow_down_again_and_again_while_others_pass_is_parked() {
    let mut driven = given(8, "a");
    for hour in 0..400 {
        driven.log("b");
        for seq in driven.send() {
            driven.ends(seq, if seq == 1 { THROTTLED } else { AttemptOutcome::Delivered });
        }
        driven.after(Duration::from_hours(1));
        assert!(driven.saved().cursor.seq > Seq(1) || hour < 20, "it holds up nothing for long");
    }
    driven.parks([1]);
}

#[test]
fn a_limit_that_no_event_exceeds_alone_counts_no_attempt() {
    let mut driven = given(8, "ab");
    for _ in 0..100 {
        // Nothing passes in between.
        for seq in driven.after(Duration::from_hours(1)).send() {
            driven.ends(seq, THROTTLED);
        }
    }
    driven.waits([]).stands_at(0);
}

#[test]
fn the_return_of_the_endpoint_leaves_the_schedule_of_an_event_that_failed_by_itself() {
    let mut driven = given(8, "ab");
    driven.sends([1, 2]).ends(1, FAILED).ends(2, AttemptOutcome::Delivered);
    driven.after(5 * SECOND).sends([1]).ends(1, FAILED);
    driven.log("b").sends([3]).ends(3, AttemptOutcome::Delivered).waits([(1, 2, 300 * SECOND)]);

    driven.log("b").sends([4]).ends(4, AWAY);
    assert_eq!(driven.probe(), 4);
    driven.ends(4, AttemptOutcome::Delivered);
    driven.waits([(1, 2, Duration::from_millis(299_500))]).sends([]);
}

#[test]
fn events_that_failed_by_themselves_are_due_at_once_one_time_only() {
    let mut driven = given(8, "abcde");
    driven.sends([1, 2, 3, 4, 5]).all_end([1, 2, 3, 4, 5], FAILED);
    assert!(driven.scheduler.failing_since().is_some(), "five in a row are the endpoint's failure");
    driven.log("f");
    assert_eq!(driven.probe(), 5, "the first that was not sent by a probe");
    driven.ends(5, AttemptOutcome::Delivered).sends([1, 2, 3, 4, 6]);
    driven.ends(6, AttemptOutcome::Delivered).all_end([1, 2, 3, 4], FAILED);
    let wait = 300 * SECOND;
    driven.waits([(1, 2, wait), (2, 2, wait), (3, 2, wait), (4, 2, wait)]);

    driven.log("f").sends([7]).ends(7, AWAY);
    assert_eq!(driven.probe(), 7);
    driven.ends(7, AttemptOutcome::Delivered).sends([]);
}
