//! Texts of cells: lists, amounts of money, and texts that a spreadsheet would execute.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

/// The items of a cell: a JSON list, or texts between commas.
pub(super) fn list(cell: &str) -> Vec<String> {
    json_list(cell)
        .unwrap_or_else(|| cell.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

/// The names of a cell that has one name, which may contain commas, or several as a JSON list.
pub(super) fn names(cell: &str) -> Vec<String> {
    json_list(cell).unwrap_or_else(|| vec![cell.to_owned()])
}

/// The inverse of [`list`].
pub(super) fn of_list(items: &[String]) -> String {
    let plain = items.join(", ");
    if list(&plain) == items { plain } else { json!(items).to_string() }
}

/// The inverse of [`names`].
pub(super) fn of_names(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] if names(only) == items => only.clone(),
        _ => json!(items).to_string(),
    }
}

/// The cells of one line of comma-separated values.
pub(crate) fn cells_of(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    let lines = reader.records().filter_map(Result::ok);
    lines.flat_map(|cells| cells.iter().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn json_list(cell: &str) -> Option<Vec<String>> {
    let is_list = cell.trim_start().starts_with('[');
    is_list.then(|| serde_json::from_str(cell).ok()).flatten()
}

/// An amount and a currency in any order: `12.50 EUR`.
pub(super) fn money(cell: &str) -> Result<Json, String> {
    let mut parts = cell.split_whitespace();
    let (Some(one), Some(other), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err("Must be an amount and a currency, as 12.50 EUR.".to_owned());
    };
    let is_amount = |text: &str| text.parse::<f64>().is_ok();
    let (amount, currency) = if is_amount(one) { (one, other) } else { (other, one) };
    Ok(json!({"amount": amount, "currency": currency}))
}

/// A text that no spreadsheet takes for a formula: an apostrophe before what might be one. [`unprotected`] removes it.
pub(super) fn protected(text: &str) -> Cow<'_, str> {
    let is_formula = match text.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        // Telephone numbers and negative amounts stay as they are.
        Some('+' | '-') => !text.chars().all(|letter| letter.is_ascii_digit() || " ()./,+-".contains(letter)),
        _ => false,
    };
    if is_formula || is_protected(text) { ["'", text].concat().into() } else { text.into() }
}

/// The text that was protected.
pub(super) fn unprotected(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|_| is_protected(cell)).unwrap_or(cell)
}

/// True for apostrophes before a character with which a formula begins.
fn is_protected(text: &str) -> bool {
    text.starts_with('\'') && text.trim_start_matches('\'').starts_with(['=', '@', '+', '-', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_protected_text_is_no_formula_and_comes_back(text in "['=@+\t\r0-9 a|!-]{0,8}|.{0,12}") {
            let cell = protected(&text);
            prop_assert_eq!(unprotected(&cell), text.as_str());
            let is_number = || cell.chars().all(|letter| letter.is_ascii_digit() || " ()./,+-".contains(letter));
            prop_assert!(!cell.starts_with(['=', '@', '\t', '\r']));
            prop_assert!(!cell.starts_with(['+', '-']) || is_number());
        }

        #[test]
        fn a_list_of_trimmed_texts_comes_back(items in vec("[a-c,\"\\[\\]]{1,4}( [a-c,]{1,3})?", 0..4)) {
            prop_assert_eq!(&list(&of_list(&items)), &items);
        }

        #[test]
        fn names_come_back(items in vec("[a-c,\"\\[\\]]{1,4}( [a-c,]{1,3})?", 1..4)) {
            prop_assert_eq!(&names(&of_names(&items)), &items);
        }
    }

    #[test]
    fn cells_have_the_forms_that_people_write() {
        assert_eq!(list(" vip, ,new"), ["vip", "new"]);
        assert_eq!(list("[\"a, b\",\"c\"]"), ["a, b", "c"]);
        assert_eq!(list("[a], b"), ["[a]", "b"], "no JSON");
        assert_eq!(names("Acme, Inc."), ["Acme, Inc."]);
        assert_eq!(money("12.50 EUR"), Ok(json!({"amount": "12.50", "currency": "EUR"})));
        assert_eq!(money("USD -3"), Ok(json!({"amount": "-3", "currency": "USD"})));
        assert!(money("12.50").is_err() && money("1 2 3").is_err());
        assert_eq!(protected("+31 20 123-4567"), "+31 20 123-4567");
        assert_eq!(protected("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(protected("-1+cmd|' /C calc'!A0"), "'-1+cmd|' /C calc'!A0");
        assert_eq!(unprotected("'s-Gravenhage"), "'s-Gravenhage");
    }
}
