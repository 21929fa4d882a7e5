//! Batches, the newest state of a record, orders and rates.

use super::*;

fn by(mode: Mode, order: DeliveryOrder) -> DeliveryPolicy {
    DeliveryPolicy { mode, order, ..singly(8) }
}

fn batch(max: usize) -> DeliveryPolicy {
    by(Mode::Batch { max }, DeliveryOrder::Record)
}

fn latest(debounce: Duration) -> DeliveryPolicy {
    by(Mode::Latest { debounce }, DeliveryOrder::Record)
}

impl Driven {
    /// The scheduler sends exactly these batches now.
    #[track_caller]
    fn sends_batches<const N: usize>(&mut self, expected: [&[i64]; N]) -> &mut Self {
        let sent = self.send_deliveries();
        let sent: Vec<Vec<i64>> =
            sent.iter().map(|delivery| delivery.events.iter().map(|seq| seq.0).collect()).collect();
        assert_eq!(sent, expected);
        self
    }

    /// The scheduler sends exactly these states now, each with the position after which it stands for its record's events.
    #[track_caller]
    fn sends_newest<const N: usize>(&mut self, expected: [(i64, i64); N]) -> &mut Self {
        let sent = self.send_deliveries();
        let sent: Vec<(i64, i64)> = sent.iter().map(|delivery| (delivery.after.unwrap().0, delivery.id().0)).collect();
        assert_eq!(sent, expected);
        self
    }
}

mod strict {
    use super::*;

    fn given_strict(log: &str) -> Driven {
        given_rules(by(Mode::Single, DeliveryOrder::Strict), log)
    }

    #[test]
    fn is_one_at_a_time_in_the_order_of_the_log() {
        given_strict("abc")
            .sends([1])
            .sends([])
            .ends(1, AttemptOutcome::Delivered)
            .sends([2])
            .ends(2, AttemptOutcome::Delivered)
            .sends([3]);
    }

    #[test]
    fn an_event_that_fails_holds_the_endpoint() {
        let mut driven = given_strict("ab");
        driven.sends([1]);
        for _ in 0..20 {
            driven.ends(1, FAILED).waits([]).stands_at(0);
            assert_eq!(driven.probe(), 1);
        }
        driven.ends(1, AttemptOutcome::Delivered).sends([2]);
    }
}

#[test]
fn without_an_order_there_is_the_window_only() {
    let policy = DeliveryPolicy { window: 2, ..by(Mode::Single, DeliveryOrder::None) };
    given_rules(policy, "aaa")
        .sends([1, 2])
        .ends(1, FAILED)
        .sends([3])
        .all_end([2, 3], AttemptOutcome::Delivered)
        .stands_at(3);
}

mod a_batch {
    use super::*;

    #[test]
    fn holds_no_more_events_than_was_chosen_those_of_a_record_in_order() {
        given_rules(batch(3), "aabcab").sends_batches([&[1, 2, 3]]);
    }

    #[test]
    fn holds_no_more_than_256_kib_unless_one_event_has_more() {
        let mut driven = given_rules(batch(100), "");
        for (seq, kib) in (1..).zip([100, 100, 100, 300, 1]) {
            let event = EventMeta { bytes: kib * 1_024, ..event(seq, 'a', BEGIN) };
            driven.scheduler.add_events([event], BEGIN);
        }
        driven.sends_batches([&[1, 2]]).ends(1, AttemptOutcome::Delivered).sends_batches([&[3]]);
        driven
            .ends(3, AttemptOutcome::Delivered)
            .sends_batches([&[4]])
            .ends(4, AttemptOutcome::Delivered)
            .sends_batches([&[5]]);
    }

    #[test]
    fn goes_at_once_if_it_is_full_or_nothing_is_on_its_way() {
        given_rules(batch(3), "a")
            .sends_batches([&[1]])
            .log("bc")
            .sends_batches([])
            .log("d")
            .sends_batches([&[2, 3, 4]]);
    }

    #[test]
    fn is_all_or_nothing_and_goes_again_as_it_was() {
        let mut driven = given_rules(batch(3), "abc");
        driven.sends_batches([&[1, 2, 3]]).ends(1, FAILED).log("dab").sends_batches([&[4]]);
        driven.ends(4, AttemptOutcome::Delivered).stands_at(6).after(5 * SECOND).sends_batches([&[1, 2, 3]]);
        driven.ends(1, AttemptOutcome::Delivered).sends_batches([&[5, 6]]).ends(5, AttemptOutcome::Delivered).waits([]);
    }

    #[test]
    fn goes_again_as_it_was_after_a_restart() {
        let mut driven = given_rules(batch(3), "abc");
        driven.sends_batches([&[1, 2, 3]]).ends(1, FAILED).log("dab").stands_at(3);

        driven.restarts().after(5 * SECOND).sends_batches([&[1, 2, 3]]);
    }

    #[test]
    fn that_found_the_endpoint_away_goes_again_as_it_was_though_more_has_come() {
        let mut driven = given_rules(batch(3), "ab");
        driven.sends_batches([&[1, 2]]).ends(1, THROTTLED).log("cd").after(SECOND).sends_batches([&[1, 2]]);
        driven.ends(1, FAILED).after(SECOND).sends_batches([&[3, 4]]).ends(3, FAILED).log("ef");
        driven.after(SECOND).sends_batches([&[5, 6]]).ends(5, FAILED).after(SECOND).sends_batches([&[1, 2]]);
    }
}

mod the_newest_state {
    use super::*;

    #[test]
    fn of_a_record_is_sent_alone_after_a_debounce() {
        let mut driven = given_rules(latest(SECOND), "a");
        driven.sends_newest([]).after(SECOND / 2).log("ba").sends_newest([]).after(SECOND / 2).sends_newest([(0, 3)]);
        driven
            .after(SECOND / 2)
            .sends_newest([(1, 2)])
            .ends(3, AttemptOutcome::Delivered)
            .ends(2, AttemptOutcome::Delivered)
            .stands_at(3);
    }

    #[test]
    fn stands_for_what_came_while_the_one_before_was_on_its_way() {
        let mut driven = given_rules(latest(Duration::ZERO), "a");
        driven.sends_newest([(0, 1)]).log("aba").sends_newest([(2, 3)]).ends(1, AttemptOutcome::Delivered);
        driven.sends_newest([(1, 4)]).stands_at(1);
    }

    #[test]
    fn is_all_that_a_receiver_gets_of_a_record_when_it_was_away() {
        let mut driven = given_rules(latest(Duration::ZERO), "abc");
        driven.sends_newest([(0, 1), (1, 2), (2, 3)]).all_end([1, 2, 3], THROTTLED);
        driven.log(&"abc".repeat(500)).after(DAY);
        driven.sends_newest([(0, 1_501)]).ends(1_501, AttemptOutcome::Delivered).sends_newest([(1, 1_502), (2, 1_503)]);
        driven.all_end([1_502, 1_503], AttemptOutcome::Delivered).stands_at(1_503);
    }

    #[test]
    fn takes_the_place_of_one_that_waits_for_its_retry() {
        let mut driven = given_rules(latest(Duration::ZERO), "ab");
        driven.sends_newest([(0, 1), (1, 2)]).ends(1, FAILED).ends(2, AttemptOutcome::Delivered).log("aa");
        driven.waits([(4, 1, 5 * SECOND)]).restarts().after(5 * SECOND).sends_newest([(0, 4)]);
    }

    #[test]
    fn waits_for_a_rate() {
        let mut driven = given_rules(DeliveryPolicy { rate: Some(1), ..latest(Duration::ZERO) }, "ab");
        driven.sends_newest([(0, 1)]).log("bb").ends(1, AttemptOutcome::Delivered).after(SECOND).sends_newest([(1, 4)]);
    }
}

#[test]
fn no_more_go_out_in_a_second_than_the_rate_and_a_tenth() {
    let mut driven = given_rules(DeliveryPolicy { rate: Some(100), window: 1_000, ..singly(8) }, "");
    driven.log(&('!'..='~').collect::<String>()).log(&('À'..='ž').collect::<String>());
    let end = BEGIN + SECOND;
    let mut sent = 0;
    while driven.now < end {
        sent += driven.send().len();
        driven.now = driven.scheduler.next_at().unwrap();
    }
    assert_eq!(sent, 109);
}

/// 100 events a second of ten records, for twenty seconds.
#[test]
fn a_receiver_that_was_away_20_s_is_caught_up_within_a_second_of_its_return() {
    let mut driven = given_rules(singly(32), "");
    let mut away = Vec::new();
    for tenth in 0..200 {
        driven.now = BEGIN + tenth * SECOND / 10;
        driven.log("abcdefghij");
        away.append(&mut driven.send());
        for seq in std::mem::take(&mut away) {
            driven.ends(seq, FAILED);
        }
    }
    let returned = driven.now;
    let mut delivered = 0;
    while delivered < 2_000 {
        let sent = driven.send();
        if sent.is_empty() {
            driven.now = driven.scheduler.next_at().expect("something is to be sent").max(driven.now);
        }
        for seq in sent {
            driven.ends(seq, AttemptOutcome::Delivered);
            delivered += 1;
        }
        driven.add_events();
    }
    assert!(driven.now - returned <= SECOND, "{} after its return", driven.now - returned);
    driven.stands_at(2_000);
}
