//! Lists of texts, each text once.
//!
//! Guarantees: the work is linear in the texts that are read, and reading ends as soon as the list is known to be too long,
//! so that texts beyond the limit cost nothing.

use std::collections::HashSet;
use std::hash::Hash;

use super::text::plain;

/// The most tags of a record.
pub(crate) const MAX_TAGS: usize = 200;

/// The texts that are read per item of the limit. Clients send blank and repeated texts, which do not count as items.
const READ_PER_ITEM: usize = 5;

/// The list has more items than its limit.
#[derive(Debug, PartialEq, Eq)]
struct TooLong;

/// A set of texts: trimmed, sorted, without empty and repeated texts.
pub(crate) fn tags<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut tags = distinct_texts(texts, MAX_TAGS, 100, || format!("Must have at most {MAX_TAGS} tags."))?;
    tags.sort_unstable();
    Ok(tags)
}

/// Texts in their order: trimmed, without empty and repeated texts.
pub(crate) fn words<'a>(texts: impl Iterator<Item = &'a str>, max: usize) -> Result<Vec<String>, String> {
    distinct_texts(texts, max, 255, || format!("Must have at most {max} items."))
}

/// The most texts that are read for a list of up to `max` items, blank and repeated texts included.
#[must_use]
pub(crate) fn max_read(max: usize) -> usize {
    max * READ_PER_ITEM
}

fn distinct_texts<'a>(
    texts: impl Iterator<Item = &'a str>,
    max: usize,
    longest: usize,
    too_long: impl Fn() -> String,
) -> Result<Vec<String>, String> {
    let trimmed = texts.map(str::trim).enumerate().take_while(|(read, _)| *read <= max_read(max));
    let mut bad = None;
    let valid = trimmed.map_while(|(read, text)| {
        let checked = if read == max_read(max) { Err(too_long()) } else { plain(text, longest) };
        checked.map_err(|detail| bad = Some(detail)).ok()
    });
    let distinct = distinct(valid.filter(|text| !text.is_empty()), max);
    match (bad, distinct) {
        (Some(detail), _) => Err(detail),
        (None, Err(TooLong)) => Err(too_long()),
        (None, Ok(texts)) => Ok(texts),
    }
}

/// The items in the order of their first appearance, without repeated ones. Ends at the first item beyond `max`.
fn distinct<T: Clone + Eq + Hash>(items: impl Iterator<Item = T>, max: usize) -> Result<Vec<T>, TooLong> {
    let mut seen = HashSet::with_capacity(items.size_hint().0.min(max));
    let mut distinct = Vec::new();
    for item in items {
        if seen.contains(&item) {
            continue;
        }
        if distinct.len() == max {
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
    fn steps(values: &[u16], max: usize) -> (usize, usize, Result<Vec<u16>, TooLong>) {
        let (work, read) = (Cell::new(0), Cell::new(0));
        let items = values.iter().map(|value| {
            read.set(read.get() + 1);
            Counted { value: *value, work: &work }
        });
        let distinct = distinct(items, max).map(|items| items.iter().map(|item| item.value).collect());
        (work.get(), read.get(), distinct)
    }

    proptest! {
        #[test]
        fn the_work_of_a_list_is_linear_in_its_length_and_ends_at_its_limit(
            values in vec(0_u16..3_000, 0..3_000), max in 0_usize..300
        ) {
            let (work, read, distinct) = steps(&values, max);
            prop_assert!(work <= 8 * read + 8, "{work} steps for {read} items");
            let mut expected: Vec<u16> = Vec::new();
            let mut needed = 0;
            for value in &values {
                needed += 1;
                if !expected.contains(value) {
                    expected.push(*value);
                }
                if expected.len() > max {
                    break;
                }
            }
            prop_assert_eq!(read, needed, "nothing beyond the first excess item is read");
            prop_assert_eq!(distinct, if expected.len() > max { Err(TooLong) } else { Ok(expected) });
        }

        #[test]
        fn a_list_of_texts_is_read_no_further_than_five_times_its_limit(
            texts in vec("[a-c ]{0,2}", 0..400), max in 1_usize..20
        ) {
            let read = Cell::new(0);
            let counted = texts.iter().map(|text| {
                read.set(read.get() + 1);
                text.as_str()
            });
            let _outcome = words(counted, max);
            prop_assert!(read.get() <= max_read(max) + 1, "{} of {} were read", read.get(), texts.len());
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
