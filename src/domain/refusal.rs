//! Reasons for which a command is refused, and the collector of field errors.

use serde::{Deserialize, Serialize};

use super::{Entity, Seq, Uid};

/// The reason for which a command was refused. A refused command changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No live record matches the target.
    NotFound(Entity),
    /// The record was deleted by the event at `deleted_seq`.
    Gone {
        /// The kind of record.
        entity: Entity,
        /// The position of the deletion.
        deleted_seq: Seq,
        /// The record that continues it, where it was merged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        merged_into: Option<Uid>,
    },
    /// None of the versions in `If-Match` is the current one.
    Stale {
        /// The current version.
        version: Seq,
    },
    /// One or more fields are invalid; see [`ValidationErrors`].
    Invalid(Vec<Invalid>),
    /// The idempotency key was used with another request before.
    KeyReused,
    /// Several live records match.
    Ambiguous {
        /// The kind of the records.
        entity: Entity,
        /// The records.
        uids: Vec<Uid>,
    },
    /// Other origins changed fields after the state that the command is based on.
    Concurrent {
        /// The kind of record.
        entity: Entity,
        /// The current version.
        version: Seq,
        /// The names of the fields.
        fields: Vec<String>,
    },
}

/// The error of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// A JSON Pointer in its URI fragment form (RFC 6901, section 6): `#/email`.
    pub pointer: String,
    /// One plain sentence.
    pub detail: String,
}

impl Invalid {
    /// `name` is the path below the body's root, with `/` between its steps.
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/{name}"), detail: detail.into() }
    }

    /// An error of the body as a whole: its pointer is `#`.
    #[must_use]
    pub fn of_body(detail: impl Into<String>) -> Self {
        Self { pointer: "#".to_owned(), detail: detail.into() }
    }
}

/// The most field errors that a refusal lists. Beyond them it says how many more there are.
pub(crate) const MAX_INVALID: usize = 100;

/// Collects the field errors of one request, so that a client learns all of them at once.
///
/// The first [`MAX_INVALID`] errors are kept and further ones are counted, so that a refusal has a bounded size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct ValidationErrors {
    listed: Vec<Invalid>,
    unlisted: usize,
}

impl ValidationErrors {
    /// Adds one error.
    pub fn push(&mut self, invalid: Invalid) {
        if self.listed.len() < MAX_INVALID {
            self.listed.push(invalid);
        } else {
            self.unlisted += 1;
        }
    }

    /// Adds the errors of another collector.
    pub fn append(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        self.extend(other.listed);
    }

    /// The value; where there is none, its error is added.
    pub fn take<T>(&mut self, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.push(invalid)).ok()
    }

    /// The value; where there is none, its errors are added.
    pub fn take_all<T>(&mut self, result: Result<T, Self>) -> Option<T> {
        result.map_err(|errors| self.append(errors)).ok()
    }

    /// The value of a decision; where its fields are invalid, their errors are added. Returns any other refusal.
    pub(super) fn take_decided<T>(&mut self, result: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Invalid(invalid)) => {
                self.extend(invalid);
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// True when no error was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// True when an error of this field is listed.
    #[must_use]
    pub fn contains(&self, pointer: &str) -> bool {
        self.listed.iter().any(|invalid| invalid.pointer == pointer)
    }

    /// The value when no error was added; otherwise all errors.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The listed errors; a last one, of the body as a whole, says how many further ones there are.
    #[must_use]
    pub fn into_list(self) -> Vec<Invalid> {
        let Self { mut listed, unlisted } = self;
        if unlisted > 0 {
            listed.push(Invalid::of_body(format!("Further invalid fields: {unlisted}.")));
        }
        listed
    }
}

impl Extend<Invalid> for ValidationErrors {
    fn extend<I: IntoIterator<Item = Invalid>>(&mut self, invalid: I) {
        invalid.into_iter().for_each(|invalid| self.push(invalid));
    }
}

impl FromIterator<Invalid> for ValidationErrors {
    fn from_iter<I: IntoIterator<Item = Invalid>>(invalid: I) -> Self {
        let mut errors = Self::default();
        errors.extend(invalid);
        errors
    }
}

impl From<Invalid> for ValidationErrors {
    fn from(invalid: Invalid) -> Self {
        Self::from_iter([invalid])
    }
}

impl From<ValidationErrors> for Refusal {
    fn from(errors: ValidationErrors) -> Self {
        Self::Invalid(errors.into_list())
    }
}

impl From<Invalid> for Refusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(vec![invalid])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lists_a_hundred_fields_and_counts_the_others() {
        let errors: ValidationErrors =
            (0..100_000).map(|number| Invalid::new(&number.to_string(), "Must be a string.")).collect();
        assert!(errors.contains("#/99") && !errors.contains("#/100"));
        let Err(Refusal::Invalid(invalid)) = errors.into_result(()).map_err(Refusal::from) else {
            panic!("nothing is wrong")
        };
        assert_eq!(invalid.len(), MAX_INVALID + 1);
        let last = invalid.last().expect("the count");
        assert_eq!((last.pointer.as_str(), last.detail.as_str()), ("#", "Further invalid fields: 99900."));
        assert_eq!(ValidationErrors::default().into_result(()), Ok(()));
    }

    #[test]
    fn every_error_is_collected_and_every_valid_value_is_returned() {
        let mut errors = ValidationErrors::default();
        assert_eq!(errors.take(Ok(1)), Some(1));
        assert_eq!(errors.take::<()>(Err(Invalid::new("a", "Is required."))), None);
        assert_eq!(errors.take_all(Ok(2)), Some(2));
        let inner: ValidationErrors = (0..=MAX_INVALID).map(|_| Invalid::of_body("Must be an object.")).collect();
        assert_eq!(errors.take_all::<()>(Err(inner)), None);
        let invalid = errors.into_result(()).expect_err("errors").into_list();
        assert_eq!(invalid.first().map(|invalid| invalid.pointer.as_str()), Some("#/a"));
        assert_eq!(invalid.last().map(|invalid| invalid.detail.as_str()), Some("Further invalid fields: 2."));
    }
}
