//! Choosing from a custom field's allowed values.
//!
//! Guarantees: the work for one command is bounded, because it is done while the account is locked. Each text is looked up
//! in an index of the allowed values, which is made once per field; all indexes of one command together have a limit.

use std::collections::HashMap;

use crate::domain::Value;
use crate::domain::value::words;

/// The most values of one field.
const MAX_CHOICES: usize = 200;

/// The most bytes of allowed values that one command may index for comparison in any case.
const MAX_INDEXED_BYTES: usize = 1 << 20;

/// The most allowed values that an error lists, and the most bytes of them.
const MAX_LISTED: usize = 10;
const MAX_LISTED_BYTES: usize = 500;

/// The bytes that one command has indexed so far.
#[derive(Debug, Default)]
pub(super) struct Choices {
    indexed_bytes: usize,
}

/// The index of each allowed value by its lower-case form; of equal forms the first.
type Index = HashMap<String, usize>;

impl Choices {
    /// The allowed value that equals a text: literally, or else in any case.
    pub(super) fn one(&mut self, allowed: &[String], text: &str) -> Result<String, String> {
        let text = text.trim();
        if let Some(same) = allowed.iter().find(|value| *value == text) {
            return Ok(same.clone());
        }
        let index = self.index(allowed)?;
        let index = named(&index, allowed, text).ok_or_else(|| must_be_one_of(allowed))?;
        allowed.get(index).cloned().ok_or_else(|| must_be_one_of(allowed))
    }

    /// The allowed values that equal the texts. They are in the order of the allowed values, so that equal choices are equal
    /// values.
    pub(super) fn several<'a>(
        &mut self,
        allowed: &[String],
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Option<Value>, String> {
        let texts = words(texts, MAX_CHOICES)?;
        if texts.is_empty() {
            return Ok(None);
        }
        let literal: HashMap<&str, usize> =
            allowed.iter().enumerate().rev().map(|(index, value)| (value.as_str(), index)).collect();
        let mut index = None;
        let mut chosen = vec![false; allowed.len()];
        for text in &texts {
            let index = if let Some(index) = literal.get(text.as_str()) {
                Some(*index)
            } else {
                let index = match &index {
                    Some(index) => index,
                    None => index.insert(self.index(allowed)?),
                };
                named(index, allowed, text)
            };
            let index = index.and_then(|index| chosen.get_mut(index));
            *index.ok_or_else(|| must_be_one_of(allowed))? = true;
        }
        let values = allowed.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(value, _)| value.clone());
        Ok(Some(Value::Words(values.collect())))
    }

    fn index(&mut self, allowed: &[String]) -> Result<Index, String> {
        self.indexed_bytes += allowed.iter().map(String::len).sum::<usize>();
        if self.indexed_bytes > MAX_INDEXED_BYTES {
            return Err("Is one of too many choices in one write: send values as the field lists them.".to_owned());
        }
        Ok(allowed.iter().enumerate().rev().map(|(index, value)| (value.to_lowercase(), index)).collect())
    }
}

fn named(index: &Index, allowed: &[String], text: &str) -> Option<usize> {
    // A character has at most four bytes, so that a text of more than four times the longest value names none of them. It is
    // refused before it is converted; without values every text is.
    let longest = allowed.iter().map(String::len).max()?;
    let text = Some(text).filter(|text| text.len() <= longest * 4)?;
    index.get(&text.to_lowercase()).copied()
}

/// An error that lists the first allowed values. It does not list all of them, because a field may have two hundred.
fn must_be_one_of(allowed: &[String]) -> String {
    let mut bytes = 0;
    let listed: Vec<&str> = allowed
        .iter()
        .take(MAX_LISTED)
        .map(String::as_str)
        .take_while(|value| {
            bytes += value.len();
            bytes <= MAX_LISTED_BYTES
        })
        .collect();
    let more = allowed.len() - listed.len();
    match (listed.is_empty(), more) {
        (_, 0) => format!("Must be one of {}.", listed.join(", ")),
        (true, _) => "Must be one of the field's allowed values.".to_owned(),
        (false, _) => format!("Must be one of {} and {more} more.", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// The rule in its simplest form: literally, or else in any case; of equal values the first.
    fn plainly(allowed: &[String], text: &str) -> Option<usize> {
        let same = allowed.iter().position(|value| value == text);
        same.or_else(|| allowed.iter().position(|value| value.to_lowercase() == text.to_lowercase()))
    }

    proptest! {
        #[test]
        fn a_choice_is_the_value_that_is_literally_the_text_else_the_first_in_any_case(
            allowed in vec("[abAB\u{130}\u{df}]{1,2}", 1..12), texts in vec("[abAB\u{130}\u{df}]{1,2}", 1..6)
        ) {
            let expected: Option<Vec<usize>> = texts.iter().map(|text| plainly(&allowed, text)).collect();
            for text in &texts {
                let one = Choices::default().one(&allowed, text);
                prop_assert_eq!(one.ok(), plainly(&allowed, text).map(|index| allowed[index].clone()));
            }
            let several = Choices::default().several(&allowed, texts.iter().map(String::as_str));
            let expected = expected.map(|indexes| {
                let chosen = (0..allowed.len()).filter(|index| indexes.contains(index));
                Some(Value::Words(chosen.map(|index| allowed[index].clone()).collect()))
            });
            prop_assert_eq!(several.ok(), expected);
        }
    }

    #[test]
    fn one_command_converts_no_more_than_a_mebibyte_of_allowed_values() {
        let allowed: Vec<String> = (0..200).map(|number| format!("{number:0>250}-A")).collect();
        let bytes: usize = allowed.iter().map(String::len).sum();
        let sent = allowed[199].to_lowercase();
        let mut choices = Choices::default();
        let taken = (0..500).filter(|_| choices.one(&allowed, &sent).is_ok()).count();
        assert_eq!(taken, MAX_INDEXED_BYTES / bytes);
        assert_eq!(choices.one(&allowed, &allowed[199]), Ok(allowed[199].clone()), "a literal value needs no index");
        // Two hundred choices of one field are one index.
        let mut choices = Choices::default();
        let sent: Vec<String> = allowed.iter().map(|value| value.to_lowercase()).collect();
        let all = choices.several(&allowed, sent.iter().map(String::as_str));
        assert_eq!(all, Ok(Some(Value::Words(allowed.clone()))));
        assert_eq!(choices.indexed_bytes, bytes);
    }

    #[test]
    fn a_refusal_names_the_first_values_only() {
        let allowed: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        assert_eq!(
            Choices::default().one(&allowed, "none"),
            Err("Must be one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 190 more.".to_owned())
        );
        let long = vec!["a".repeat(501), "b".to_owned()];
        assert_eq!(Choices::default().one(&long, "c"), Err("Must be one of the field's allowed values.".to_owned()));
    }
}
