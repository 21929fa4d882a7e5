//! The cursor of `nextPage` links: what it carries, what it refuses.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use uuid::Uuid;

use super::cursor::After;
use super::*;
use crate::contract::Cursor;
use crate::domain::{Entity, Seq, Uid};
use crate::store::lists::{Filter, Order, Sort};

fn turn() -> Turn {
    let filter = Filter { tag: Some("red".to_owned()), ..Filter::default() };
    let (account, key_id) = (AccountId(Uuid::from_u128(1)), Uuid::from_u128(2));
    Turn { account, key_id, entity: Entity::Contact, filter, order: Order::default(), size: 10, number: 1 }
}

fn ordered(by: Sort) -> Turn {
    Turn { order: Order { by, descending: false }, ..turn() }
}

fn after(value: Option<&str>) -> After {
    let as_of = Cursor { epoch: 3, seq: Seq(70) };
    let position = Position { value: value.map(str::to_owned), uid: Uid(Uuid::from_u128(9)) };
    After { position, counted: Counted { total: 12, as_of }, number: 2 }
}

fn sorts() -> impl Strategy<Value = (Sort, Option<String>)> {
    let text = || proptest::option::of("[^\\x00]{0,128}");
    let number = || any::<i64>().prop_map(|number| number.to_string());
    prop_oneof![
        Just((Sort::Uid, None)),
        text().prop_map(|value| (Sort::Key, value)),
        text().prop_map(|value| (Sort::Field("title"), value)),
        number().prop_map(|value| (Sort::Version, Some(value))),
        proptest::option::of(number()).prop_map(|value| (Sort::Number("id"), value)),
        Just((Sort::Updated, Some("2026-11-24T03:00:00.000000Z".to_owned()))),
    ]
}

proptest! {
    #[test]
    fn a_cursor_is_read_as_it_was_written((by, value) in sorts(), number in 1..i64::from(i32::MAX), uid in any::<u128>()) {
        let turn = ordered(by);
        let position = Position { value, uid: Uid(Uuid::from_u128(uid)) };
        let after = After { position, number, ..after(None) };
        let text = after.encode(&turn).unwrap();
        prop_assert_eq!(After::decode(&text, &turn), Ok(after));
    }

    #[test]
    fn any_other_text_is_refused(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        for text in [text, encoded] {
            let refused = After::decode(&text, &turn()).unwrap_err();
            prop_assert_eq!(refused.pointer, "#/after");
        }
    }
}

#[test]
fn a_cursor_is_short_whatever_the_list_is_ordered_by() {
    let turn = ordered(Sort::Field("background_info"));
    let longest = "\u{10FFFF}".repeat(128);
    assert!(after(Some(&longest)).encode(&turn).unwrap().len() < 800);
    let key = "x".repeat(1_024);
    assert!(after(Some(&key)).encode(&turn).unwrap().len() <= 1_500);
    assert_eq!(after(Some(&"x".repeat(2_000))).encode(&turn), None);
    let refused = After::decode(&"A".repeat(1 << 20), &turn).unwrap_err();
    assert!(refused.detail.starts_with("Must be taken from"));
}

#[test]
fn a_cursor_of_another_list_is_refused_and_one_of_another_page_size_is_not() {
    let text = after(None).encode(&turn()).unwrap();
    let others = [
        Turn { account: AccountId(Uuid::from_u128(7)), ..turn() },
        Turn { entity: Entity::Company, ..turn() },
        Turn { order: Order { by: Sort::Uid, descending: true }, ..turn() },
        Turn { order: Order { by: Sort::Key, descending: false }, ..turn() },
        Turn { filter: Filter::default(), ..turn() },
        Turn { filter: Filter { text: Some("red".to_owned()), ..Filter::default() }, ..turn() },
        Turn { filter: Filter { role: Some("Lead"), ..turn().filter }, ..turn() },
    ];
    for other in others {
        let refused = After::decode(&text, &other).unwrap_err();
        assert!(refused.detail.starts_with("Must be used with"), "{other:?}");
    }
    for same in [Turn { size: 500, ..turn() }, Turn { key_id: Uuid::nil(), ..turn() }, Turn { number: 9, ..turn() }] {
        assert_eq!(After::decode(&text, &same), Ok(after(None)));
    }
}

#[test]
fn a_cursor_whose_value_postgres_could_not_compare_is_refused() {
    for (by, value) in [
        (Sort::Uid, Some("x")),
        (Sort::Updated, None),
        (Sort::Updated, Some("yesterday")),
        (Sort::Updated, Some("0000-01-01T00:00:00.000000Z")),
        (Sort::Version, Some("9223372036854775808")),
        (Sort::Version, None),
        (Sort::Number("id"), Some("1.5")),
        (Sort::Key, Some("a\0b")),
    ] {
        let text = after(value).encode(&ordered(by)).unwrap();
        assert!(After::decode(&text, &ordered(by)).is_err(), "{by:?} {value:?}");
    }
    let untrue = After { counted: Counted { total: i64::MAX, ..after(None).counted }, ..after(None) };
    assert!(After::decode(&untrue.encode(&turn()).unwrap(), &turn()).is_err());
}
