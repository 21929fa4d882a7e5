//! The tail is never anything but a piece of the log.

use bytes::Bytes;
use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::tail::Tail;
use super::{EventPage, PageLimit};
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Entity, EventType, FIRST_EPOCH, Seq, Uid};

fn account(n: u8) -> AccountId {
    AccountId(Uuid::from_u128(u128::from(n)))
}

fn event(account_number: u8, seq: i64) -> EncodedEvent {
    EncodedEvent {
        account: account(account_number),
        epoch: FIRST_EPOCH,
        seq: Seq(seq),
        entity: Entity::Contact,
        event_type: EventType::Created,
        uid: Uid(Uuid::nil()),
        at: OffsetDateTime::UNIX_EPOCH,
        origin: "test".into(),
        body: Bytes::from(vec![b'x'; 100]),
    }
}

fn at_most(events: usize) -> PageLimit {
    PageLimit { events, bytes: usize::MAX }
}

fn seqs(page: Option<EventPage>) -> Option<Vec<i64>> {
    page.map(|page| page.events.iter().map(|event| event.seq.0).collect())
}

#[test]
fn a_run_is_read_from_any_position_that_it_covers() {
    let mut tail = Tail::new(1 << 20);
    tail.append(vec![event(1, 5), event(1, 6), event(1, 7)]);

    assert_eq!(seqs(tail.after(account(1), Seq(4), at_most(10))), Some(vec![5, 6, 7]));
    assert_eq!(seqs(tail.after(account(1), Seq(5), at_most(1))), Some(vec![6]));
    assert_eq!(seqs(tail.after(account(1), Seq(3), at_most(10))), None, "4 is not here, the log must be asked");
    assert_eq!(seqs(tail.after(account(1), Seq(7), at_most(10))), None, "another replica may have written 8");
    assert_eq!(seqs(tail.after(account(2), Seq(0), at_most(10))), None);
}

#[test]
fn a_page_ends_by_bytes_and_has_one_event_at_least() {
    let mut tail = Tail::new(1 << 20);
    tail.append((1..=4).map(|seq| event(1, seq)).collect());
    let read = |after, bytes| {
        let page = tail.after(account(1), Seq(after), PageLimit { events: 10, bytes }).unwrap();
        (page.more, seqs(Some(page)).unwrap())
    };

    assert_eq!(read(0, 1), (true, vec![1]));
    assert_eq!(read(0, 199), (true, vec![1]));
    assert_eq!(read(0, 200), (true, vec![1, 2]));
    assert_eq!(read(2, 200), (false, vec![3, 4]));
    assert_eq!(read(3, 0), (false, vec![4]));
}

#[test]
fn a_gap_breaks_the_run() {
    let mut tail = Tail::new(1 << 20);
    tail.append(vec![event(1, 1), event(1, 2), event(1, 5)]);

    assert_eq!(seqs(tail.after(account(1), Seq(1), at_most(10))), None);
    assert_eq!(seqs(tail.after(account(1), Seq(4), at_most(10))), Some(vec![5]));
}

#[test]
fn what_another_replica_wrote_to_is_forgotten() {
    let mut tail = Tail::new(1 << 20);
    tail.append(vec![event(1, 1), event(1, 2), event(2, 1)]);
    tail.forget(account(1));

    assert_eq!(seqs(tail.after(account(1), Seq(0), at_most(10))), None);
    assert_eq!(seqs(tail.after(account(2), Seq(0), at_most(10))), Some(vec![1]));
    tail.append(vec![event(1, 4)]);
    assert_eq!(seqs(tail.after(account(1), Seq(3), at_most(10))), Some(vec![4]));
}

proptest! {
    #[test]
    fn what_is_read_is_always_the_next_of_the_log(
        writes in prop::collection::vec((1..4_u8, 1..3_i64), 1..200),
        limit in 300..3_000_usize,
        after in 0..300_i64,
    ) {
        let mut tail = Tail::new(limit);
        let mut heads = [0_i64; 4];
        for (account, step) in writes {
            // A step of more than one is what another replica wrote.
            heads[usize::from(account)] += step;
            tail.append(vec![event(account, heads[usize::from(account)])]);
        }
        for number in 1..4_u8 {
            if let Some(read) = seqs(tail.after(account(number), Seq(after), at_most(10))) {
                let expected: Vec<i64> = (after + 1..).take(read.len()).collect();
                prop_assert_eq!(&read, &expected);
                prop_assert!(!read.is_empty());
            }
        }
    }
}

#[test]
fn an_event_is_dropped_when_it_is_ten_seconds_old_and_its_memory_given_back() {
    let (mut tail, began) = (Tail::new(1 << 20), crate::clock::instant());
    let at = |seconds| began + std::time::Duration::from_secs(seconds);
    tail.append((0..100).map(|number| event(number, 1)).collect());
    tail.expire(at(0));
    tail.append(vec![event(1, 2), event(2, 3)]);
    tail.expire(at(5));

    tail.expire(at(9));
    assert_eq!(seqs(tail.after(account(1), Seq(0), at_most(10))), Some(vec![1, 2]));
    tail.expire(at(10));
    assert_eq!(seqs(tail.after(account(1), Seq(0), at_most(10))), None);
    assert_eq!(seqs(tail.after(account(1), Seq(1), at_most(10))), Some(vec![2]), "five seconds old");
    assert_eq!(seqs(tail.after(account(50), Seq(0), at_most(10))), None);
    tail.expire(at(15));
    assert_eq!(seqs(tail.after(account(1), Seq(1), at_most(10))), None);
    assert_eq!(seqs(tail.after(account(2), Seq(2), at_most(10))), None);

    tail.append(vec![event(1, 3)]);
    tail.expire(at(16));
    assert_eq!(seqs(tail.after(account(1), Seq(2), at_most(10))), Some(vec![3]), "later ones are kept again");
}
