//! Deliveries and the cursor while every attempt succeeds.

use super::*;

#[test]
fn a_records_events_are_sent_one_after_the_other() {
    given(8, "aaa")
        .sends([1])
        .ends(1, AttemptOutcome::Delivered)
        .sends([2])
        .ends(2, AttemptOutcome::Delivered)
        .sends([3]);
}

#[test]
fn events_of_different_records_are_sent_side_by_side() {
    given(8, "abbac")
        .sends([1, 2, 5])
        .ends(2, AttemptOutcome::Delivered)
        .sends([3])
        .ends(1, AttemptOutcome::Delivered)
        .sends([4]);
}

#[test]
fn no_more_than_the_window_is_in_flight() {
    given(2, "abcd")
        .sends([1, 2])
        .sends([])
        .ends(1, AttemptOutcome::Delivered)
        .sends([3])
        .all_end([2, 3], AttemptOutcome::Delivered)
        .sends([4]);
}

#[test]
fn a_first_attempt_is_told_from_a_retry() {
    let mut driven = given(8, "ab");

    assert_eq!(driven.scheduler.next(driven.now).unwrap().attempts, 0);
    driven.sends([2]).ends(1, FAILED).ends(2, AttemptOutcome::Delivered).after(5 * SECOND);
    let again = driven.scheduler.next(driven.now).unwrap();
    assert_eq!((again.id(), again.attempts), (Seq(1), 1));
}

#[test]
fn the_cursor_stands_below_the_first_event_that_is_not_settled() {
    given(8, "abc")
        .sends([1, 2, 3])
        .stands_at(0)
        .all_end([3, 2], AttemptOutcome::Delivered)
        .stands_at(0)
        .ends(1, AttemptOutcome::Delivered)
        .stands_at(3);
}

#[test]
fn the_cursor_passes_what_was_not_asked_for() {
    given(8, "..")
        .sends([])
        .stands_at(2)
        .log(".a..")
        .stands_at(3)
        .sends([4])
        .ends(4, AttemptOutcome::Delivered)
        .stands_at(6);
}

#[test]
fn nothing_is_written_where_nothing_changed() {
    let mut driven = given(8, "");
    assert!(driven.scheduler.take_save().is_none(), "as it was loaded");

    driven.log("ab").sends([1, 2]);
    assert!(driven.scheduler.take_save().is_none(), "what is in flight is where it was");

    driven.ends(1, AttemptOutcome::Delivered);
    let save = driven.scheduler.take_save().unwrap();
    assert_eq!((save.cursor.seq, save.retries.len(), save.settled.len()), (Seq(1), 0, 0), "a success costs no row");
    assert!(driven.scheduler.take_save().is_none(), "it was saved");
}

#[test]
fn an_end_that_belongs_to_no_attempt_changes_nothing() {
    let mut driven = given(8, "ab");
    driven.sends([1, 2]).ends(1, AttemptOutcome::Delivered).stands_at(1);

    for outcome in [AttemptOutcome::Delivered, FAILED, THROTTLED, AttemptOutcome::Gone] {
        driven.ends(1, outcome).ends(9, outcome);
    }
    assert!(driven.scheduler.take_save().is_none());
    driven.log("c").sends([3]);
}

#[test]
fn a_scheduler_takes_four_windows_of_events_and_then_has_no_room() {
    let mut driven = given(2, "");
    assert_eq!(driven.scheduler.room(), 8);

    driven.log("abcd..ef");
    assert_eq!(driven.scheduler.room(), 2, "what is not selected takes none");
    driven.log("ghij");
    assert_eq!(driven.scheduler.room(), 0);
    driven.sends([1, 2]).ends(1, AttemptOutcome::Delivered);
    assert_eq!(driven.scheduler.room(), 0);
    driven.all_end([2], AttemptOutcome::Delivered).sends([3, 4]).all_end([3, 4], AttemptOutcome::Delivered);
    assert_eq!(driven.scheduler.room(), 2);
}

#[test]
fn it_is_idle_when_nothing_is_left_to_be_sent() {
    let mut driven = given(8, "a.");
    assert!(!driven.scheduler.is_idle());
    driven.sends([1]);
    assert!(!driven.scheduler.is_idle(), "in flight");
    driven.ends(1, AttemptOutcome::Delivered);
    assert!(driven.scheduler.is_idle());
    assert_eq!(driven.scheduler.next_at(), None);
}
