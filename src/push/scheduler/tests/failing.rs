//! An endpoint that takes nothing, or asks for a pause.

use super::*;

const PROBE: Duration = Duration::from_millis(500);

/// Five attempts in a row failed: events 1 to 4 wait, 5 is the first that the cursor stands below.
fn failing(window: usize, log: &str) -> Driven {
    let mut driven = given(window, log);
    for seq in 1..=5 {
        driven.send();
        driven.ends(seq, FAILED);
    }
    driven
}

#[test]
fn five_failures_in_a_row_stop_all_but_one_probe_at_a_time() {
    let mut driven = failing(8, "abcdefgh");
    driven.all_end([6, 7, 8], FAILED);

    driven.sends([]);
    assert_eq!(driven.scheduler.next_at(), Some(BEGIN + PROBE));
    driven.after(PROBE);
    assert_eq!(driven.send().len(), 1);
    assert_eq!(driven.scheduler.next_at(), None, "the probe's end will tell");
}

#[test]
fn four_do_not() {
    given(8, "abcdefgh")
        .sends([1, 2, 3, 4, 5, 6, 7, 8])
        .all_end([1, 2, 3, 4], FAILED)
        .ends(5, AttemptOutcome::Delivered)
        .all_end([6, 7, 8], FAILED)
        .log("i")
        .sends([9])
        .stands_at(8);
}

#[test]
fn a_probe_waits_until_everything_else_has_ended() {
    failing(8, "abcdefgh").after(PROBE).sends([]).all_end([6, 7, 8], FAILED).after(PROBE).sends([5]);
}

#[test]
fn while_it_fails_the_cursor_stands_still_and_nothing_new_is_read() {
    let mut driven = failing(1, "abcdef");
    driven.stands_at(4);
    assert_eq!(driven.scheduler.room(), 0, "it has something to try");
    for _ in 0..20 {
        let probe = driven.probe();
        driven.ends(probe, FAILED).stands_at(4);
    }
    driven.waits([(1, 1, Duration::ZERO), (2, 1, Duration::ZERO), (3, 1, Duration::ZERO), (4, 1, Duration::ZERO)]);
}

#[test]
fn the_first_success_lets_everything_go() {
    let mut driven = failing(8, "abcdefgh");
    driven.all_end([6, 7, 8], FAILED).after(PROBE).sends([5]);

    driven.ends(5, AttemptOutcome::Delivered).sends([1, 2, 3, 4, 6, 7, 8]);
    let cursor = &driven.saved().cursor;
    assert_eq!((cursor.failing_since, cursor.failures, cursor.next_at), (None, 0, None));
}

#[test]
fn it_is_asked_after_a_twentieth_of_its_absence() {
    let mut driven = failing(1, "abcdef");
    for (away, pause) in [(SECOND, PROBE), (20 * SECOND, SECOND), (DAY, 300 * SECOND)] {
        driven.now = BEGIN + away;
        let probe = driven.probe();
        driven.ends(probe, FAILED);
        assert_eq!(driven.scheduler.next_at(), Some(driven.now + pause), "away for {away:?}");
    }
}

#[test]
fn a_pause_that_was_asked_for_is_kept_whatever_else_fails_meanwhile() {
    given(8, "abc")
        .sends([1, 2, 3])
        .ends(1, throttled_for(600 * SECOND))
        .ends(2, FAILED)
        .ends(3, THROTTLED)
        .after(599 * SECOND)
        .sends([])
        .after(SECOND)
        .sends([1]);
}

#[test]
fn a_longer_pause_replaces_a_shorter_one() {
    given(8, "ab")
        .sends([1, 2])
        .ends(1, throttled_for(600 * SECOND))
        .ends(2, throttled_for(900 * SECOND))
        .after(899 * SECOND)
        .sends([])
        .after(SECOND)
        .sends([1]);
}

/// A receiver that takes ten a second answers some of a window with 200 after it answered one with 429.
#[test]
fn a_success_that_was_on_its_way_does_not_end_a_pause_that_was_asked_for() {
    given(8, "abc")
        .sends([1, 2, 3])
        .ends(1, throttled_for(600 * SECOND))
        .ends(2, AttemptOutcome::Delivered)
        .stands_at(0)
        .after(599 * SECOND)
        .sends([])
        .ends(3, AttemptOutcome::Delivered)
        .after(SECOND)
        .sends([1])
        .ends(1, AttemptOutcome::Delivered)
        .log("def")
        .sends([4, 5, 6]);
}

#[test]
fn throttled_events_stay_where_they_are() {
    given(8, "ab")
        .sends([1, 2])
        .all_end([1, 2], THROTTLED)
        .waits([])
        .stands_at(0)
        .after(PROBE)
        .sends([1])
        .ends(1, AttemptOutcome::Delivered)
        .sends([2]);
}

#[test]
fn one_that_is_gone_is_disabled_and_loses_nothing() {
    let mut driven = given(8, "ab");
    driven.sends([1, 2]);

    assert_eq!(driven.action(1, AttemptOutcome::Gone), EndpointAction::Disable);
    driven.ends(2, AttemptOutcome::Delivered).stands_at(0).restarts().sends([1, 2]);
}

#[test]
fn one_that_took_nothing_for_five_days_is_disabled() {
    for outcome in [FAILED, THROTTLED] {
        let mut driven = failing(1, "abcdef");
        driven.now = BEGIN + 5 * DAY - SECOND;
        let probe = driven.probe();
        assert_eq!(driven.action(probe, outcome), EndpointAction::GoOn);

        let probe = driven.probe();
        assert_eq!(driven.action(probe, outcome), EndpointAction::Disable, "{outcome:?}");
        driven.stands_at(4);
    }
}

#[test]
fn after_a_restart_it_is_still_failing_and_asked_no_sooner() {
    let mut driven = failing(1, "abcdef");
    driven.stands_at(4);
    let (before, probe_at) = (driven.table.cursor.clone(), driven.scheduler.next_at());

    driven.restarts().sends([]);
    assert_eq!(driven.scheduler.next_at(), probe_at);
    assert_eq!(driven.saved().cursor, before);
    driven.after(PROBE).sends([5]).ends(5, FAILED);
    let cursor = &driven.saved().cursor;
    assert_eq!((cursor.failing_since, cursor.failures), (before.failing_since, before.failures + 1));
}

/// The receiver is well, and cannot take these five: were the first of them the probe for ever, nothing would pass.
#[test]
fn events_that_cannot_be_taken_do_not_stop_those_behind_them() {
    let mut driven = failing(1, "abcdefg");
    let refused = (0..10).map_while(|_| {
        let probe = driven.probe();
        driven.ends(probe, if probe <= 5 { FAILED } else { AttemptOutcome::Delivered });
        (probe <= 5).then_some(probe)
    });
    assert!(refused.count() < 10, "nothing else was tried");
    assert_eq!(driven.saved().cursor.failing_since, None, "it goes on");
}

/// The probe is the first event of its record, always.
#[test]
fn probes_keep_the_order_of_a_record() {
    let mut driven = failing(1, "abcdeeeff");
    for _ in 0..20 {
        let probe = driven.probe();
        assert!([1, 2, 3, 4, 5, 8].contains(&probe), "{probe}");
        driven.ends(probe, FAILED);
    }
}
