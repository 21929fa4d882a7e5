//! Telephone numbers. They are kept as they were written, and compared by the number that is dialled.

/// The fewest and the most digits of an international number, without its prefix (ITU-T E.164, 6.2.1).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Whether two texts are the same international number in different spellings. Numbers without a country are compared as
/// texts, because what is dialled depends on the country.
pub(crate) fn is_same_number(one: &str, other: &str) -> bool {
    one == other || international(one).is_some_and(|number| Some(number) == international(other))
}

/// The digits of an international number in the form of E.164; `None` where the text has no country code or is no number.
fn international(text: &str) -> Option<String> {
    // The trunk prefix in brackets is dialled within the country only.
    let text = text.trim().replace("(0)", "");
    let text = text.trim_start_matches('(');
    let rest = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
    let is_separator = |letter: char| matches!(letter, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}');
    let digits: String = rest.chars().filter(|letter| !is_separator(*letter)).collect();
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
    (is_number && DIGITS.contains(&digits.len())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_international_number_are_the_same() {
        for spelling in
            ["+31201234567", "+31 20 123 4567", "0031-20-1234567", "+31 (0)20 123.45.67", "(+31) 20 1234567"]
        {
            assert!(is_same_number(spelling, "+31201234567"), "{spelling}");
        }
    }

    #[test]
    fn other_texts_are_the_same_only_letter_by_letter() {
        for (one, other) in [
            ("020 1234567", "0201234567"),
            ("+31 20 1234567", "+31 20 1234568"),
            ("+31 20 1234567 ext 5", "+31 20 1234567"),
            ("+12345", "+1 2345"),
            ("+1234567890123456", "+1 234567890123456"),
            ("+0201234567", "+02 01234567"),
            ("+31 20 1234567", "31 20 1234567"),
        ] {
            assert!(!is_same_number(one, other), "{one} {other}");
            assert!(is_same_number(one, one));
        }
    }
}
