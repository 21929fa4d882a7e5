//! The cursor of `nextPage` links.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::contract::Cursor;
use crate::domain::{Seq, Uid};
use crate::store::lists::{ListFilter, Sort, SortOrder};

fn page_request() -> PageRequest {
    let filter = ListFilter { tag: Some("red".to_owned()), ..ListFilter::default() };
    let (account, key_id) = (AccountId(Uuid::from_u128(1)), Uuid::from_u128(2));
    PageRequest { account, key_id, entity: Entity::Contact, filter, order: SortOrder::default(), size: 10, number: 1 }
}

fn ordered(by: Sort) -> PageRequest {
    PageRequest { order: SortOrder { by, descending: false }, ..page_request() }
}

fn after(value: Option<&str>) -> After {
    let as_of = Cursor { epoch: 3, seq: Seq(70) };
    let position = Position { value: value.map(str::to_owned), uid: Uid(Uuid::from_u128(9)) };
    After { position, counted: ListCount { total: 12, as_of }, number: 2 }
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
        let page_request = ordered(by);
        let position = Position { value, uid: Uid(Uuid::from_u128(uid)) };
        let after = After { position, number, ..after(None) };
        let text = after.encode(&page_request).unwrap();
        prop_assert_eq!(After::decode(&text, &page_request), Ok(after));
    }

    #[test]
    fn any_other_text_is_refused(text in ".{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        for text in [text, encoded] {
            let refused = After::decode(&text, &page_request()).unwrap_err();
            prop_assert_eq!(refused.pointer, "#/after");
        }
    }
}

#[test]
fn a_cursor_is_short_whatever_the_list_is_ordered_by() {
    let page_request = ordered(Sort::Field("background_info"));
    let longest = "\u{10FFFF}".repeat(128);
    assert!(after(Some(&longest)).encode(&page_request).unwrap().len() < 800);
    let key = "x".repeat(1_024);
    assert!(after(Some(&key)).encode(&page_request).unwrap().len() <= 1_500);
    assert_eq!(after(Some(&"x".repeat(2_000))).encode(&page_request), None);
    let refused = After::decode(&"A".repeat(1 << 20), &page_request).unwrap_err();
    assert!(refused.detail.starts_with("Must be taken from"));
}

#[test]
fn a_cursor_of_another_list_is_refused_and_one_of_another_page_size_is_not() {
    let text = after(None).encode(&page_request()).unwrap();
    let others = [
        PageRequest { account: AccountId(Uuid::from_u128(7)), ..page_request() },
        PageRequest { entity: Entity::Company, ..page_request() },
        PageRequest { order: SortOrder { by: Sort::Uid, descending: true }, ..page_request() },
        PageRequest { order: SortOrder { by: Sort::Key, descending: false }, ..page_request() },
        PageRequest { filter: ListFilter::default(), ..page_request() },
        PageRequest { filter: ListFilter { text: Some("red".to_owned()), ..ListFilter::default() }, ..page_request() },
        PageRequest { filter: ListFilter { role: Some("Lead"), ..page_request().filter }, ..page_request() },
    ];
    for other in others {
        let refused = After::decode(&text, &other).unwrap_err();
        assert!(refused.detail.starts_with("Must be used with"), "{other:?}");
    }
    for same in [
        PageRequest { size: 500, ..page_request() },
        PageRequest { key_id: Uuid::nil(), ..page_request() },
        PageRequest { number: 9, ..page_request() },
    ] {
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
    let untrue = After { counted: ListCount { total: i64::MAX, ..after(None).counted }, ..after(None) };
    assert!(After::decode(&untrue.encode(&page_request()).unwrap(), &page_request()).is_err());
}
