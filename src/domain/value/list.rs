//! Lists of texts, each text once.
//!
//! Guarantees: work is linear in what is read, and reading ends as soon as the list is known to be too long, so that a
//! list costs the same whatever a client sends behind its limit.

use std::collections::HashSet;
use std::hash::Hash;

use super::text::plain;

/// Most tags of a record.
pub const MAX_TAGS: usize = 200;

/// For each item that a list may hold, this many may be read: clients send blank and repeated ones.
const READ_PER_ITEM: usize = 5;

/// A list that is too long.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// A set of texts: trimmed, without empty ones, sorted, each once.
pub fn tags<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut tags = distinct_texts(texts, MAX_TAGS, 100, || format!("Must have at most {MAX_TAGS} tags."))?;
    tags.sort_unstable();
    Ok(tags)
}

/// Texts in their order: trimmed, without empty ones, each once.
pub fn words<'a>(texts: impl Iterator<Item = &'a str>, most: usize) -> Result<Vec<String>, String> {
    distinct_texts(texts, most, 255, || format!("Must have at most {most} items."))
}

/// The most items of a list of `most` that are read at all, blank and repeated ones among them.
#[must_use]
pub fn max_read(most: usize) -> usize {
    most * READ_PER_ITEM
}

fn distinct_texts<'a>(
    texts: impl Iterator<Item = &'a str>,
    most: usize,
    longest: usize,
    too_long: impl Fn() -> String,
) -> Result<Vec<String>, String> {
    let trimmed = texts.map(str::trim).enumerate().take_while(|(read, _)| *read <= max_read(most));
    let mut bad = None;
    let valid = trimmed.map_while(|(read, text)| {
        let checked = if read == max_read(most) { Err(too_long()) } else { plain(text, longest) };
        checked.map_err(|detail| bad = Some(detail)).ok()
    });
    let distinct = distinct(valid.filter(|text| !text.is_empty()), most);
    match (bad, distinct) {
        (Some(detail), _) => Err(detail),
        (None, Err(TooLong)) => Err(too_long()),
        (None, Ok(texts)) => Ok(texts),
    }
}

/// The items in the order of their first appearance, each once. Ends at the first item beyond `most`.
fn distinct<T: Clone + Eq + Hash>(items: impl Iterator<Item = T>, most: usize) -> Result<Vec<T>, TooLong> {
    let mut seen = HashSet::with_capacity(items.size_hint().0.min(most));
    let mut distinct = Vec::new();
    for item in items {
        if seen.contains(&item) {
            continue;
        }
        if distinct.len() == most {
            return Err(TooLong);
        }
        distinct.push(item.clone());
        seen.insert(item);
    }
    Ok(distinct)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// An item that counts how often items are read, compared and hashed.
    #[derive(Clone)]
    struct Counted<'a> {
        value: u16,
        work: &'a Cell<usize>,
    }

    impl Counted<'_> {
        fn count(&self) {
            self.work.set(self.work.get() + 1);
        }
    }

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.count();
            self.value == other.value
        }
    }

    impl Eq for Counted<'_> {}

    impl Hash for Counted<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.count();
            self.value.hash(state);
        }
    }

    /// The steps that a list of these values takes, and how many values it read.
    fn steps(values: &[u16], most: usize) -> (usize, usize, Result<Vec<u16>, TooLong>) {
        let (work, read) = (Cell::new(0), Cell::new(0));
        let items = values.iter().map(|value| {
            read.set(read.get() + 1);
            Counted { value: *value, work: &work }
        });
        let found = distinct(items, most).map(|items| items.iter().map(|item| item.value).collect());
        (work.get(), read.get(), found)
    }

    proptest! {
        #[test]
        fn the_work_of_a_list_is_linear_in_its_length_and_ends_at_its_limit(
            values in vec(0_u16..3_000, 0..3_000), most in 0_usize..300
        ) {
            let (work, read, found) = steps(&values, most);
            prop_assert!(work <= 8 * read + 8, "{work} steps for {read} items");
            let mut expected: Vec<u16> = Vec::new();
            let mut needed = 0;
            for value in &values {
                needed += 1;
                if !expected.contains(value) {
                    expected.push(*value);
                }
                if expected.len() > most {
                    break;
                }
            }
            prop_assert_eq!(read, needed, "nothing behind the first item too many is read");
            prop_assert_eq!(found, if expected.len() > most { Err(TooLong) } else { Ok(expected) });
        }

        #[test]
        fn a_list_of_texts_is_read_no_further_than_five_times_its_limit(
            texts in vec("[a-c ]{0,2}", 0..400), most in 1_usize..20
        ) {
            let read = Cell::new(0);
            let counted = texts.iter().map(|text| {
                read.set(read.get() + 1);
                text.as_str()
            });
            let _outcome = words(counted, most);
            prop_assert!(read.get() <= max_read(most) + 1, "{} of {} were read", read.get(), texts.len());
        }
    }

    #[test]
    fn a_list_of_two_hundred_thousand_distinct_words_is_refused_at_its_two_hundred_and_first() {
        let read = Cell::new(0);
        let texts: Vec<String> = (0..200_000).map(|number| number.to_string()).collect();
        let counted = || {
            read.set(0);
            texts.iter().map(|text| {
                read.set(read.get() + 1);
                text.as_str()
            })
        };
        assert_eq!(words(counted(), 200), Err("Must have at most 200 items.".to_owned()));
        assert_eq!(read.get(), 201);
        assert_eq!(tags(counted()), Err("Must have at most 200 tags.".to_owned()));
        assert_eq!(read.get(), 201);
    }

    #[test]
    fn blank_and_repeated_texts_do_not_count_and_order_stays() {
        let sent = ["b", " a ", "", "b", "a", " "];
        assert_eq!(words(sent.into_iter(), 2), Ok(vec!["b".to_owned(), "a".to_owned()]));
        assert_eq!(tags(sent.into_iter()), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert!(words(sent.into_iter(), 1).is_err());
        assert!(words(std::iter::repeat_n("", 1_001), 200).is_err(), "blank texts are read up to a limit too");
        assert!(words(["a\0"].into_iter(), 2).is_err());
    }
}
