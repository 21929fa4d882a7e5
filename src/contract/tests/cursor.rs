use proptest::prelude::*;

use crate::contract::Cursor;
use crate::domain::Seq;

fn read(text: &str) -> Option<Cursor> {
    text.parse().ok()
}

#[test]
fn a_cursor_has_always_the_same_text() {
    assert_eq!(Cursor { epoch: 0, seq: Seq::ZERO }.to_string(), "AAAAAAAAAAAAAAAA");
    assert_eq!(Cursor { epoch: 1, seq: Seq(42) }.to_string(), "AAAAAQAAAAAAAAAq");
    assert_eq!(Cursor { epoch: -1, seq: Seq(i64::MAX) }.to_string(), "_____3__________");
}

#[test]
fn an_invalid_cursor_is_refused() {
    let negative = "AAAAAP__________";
    let refused =
        ["", "42", "AAAAAQAAAAAAAAA", "AAAAAQAAAAAAAAAqA", "AAAAAQAAAAAAAAAqAAAA", "AAAAAQAAAAAAAAAq ", negative];
    for text in refused {
        assert_eq!(read(text), None, "{text:?}");
    }
    assert_eq!(read("/////3//////////"), None, "the other base64 alphabet");
    assert_eq!(read("AAAAAQAAAAAAAA=="), None, "padding");
}

proptest! {
    #[test]
    fn a_cursor_reads_as_itself(epoch: i32, seq in 0..=i64::MAX) {
        let cursor = Cursor { epoch, seq: Seq(seq) };
        prop_assert_eq!(read(&cursor.to_string()), Some(cursor));
    }

    #[test]
    fn a_cursor_has_one_text_only(text in "[A-Za-z0-9_+/= -]{15,17}|\\PC{0,20}") {
        if let Some(cursor) = read(&text) {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }
}
