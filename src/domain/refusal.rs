//! Why a command was not carried out.

use serde::{Deserialize, Serialize};

use super::{Entity, Seq};

/// A refused command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No live record answers to the target.
    NotFound(Entity),
    /// The record was deleted by the event at `deleted_seq`.
    Gone {
        /// What it was.
        entity: Entity,
        /// The position of the deletion.
        deleted_seq: Seq,
    },
    /// `If-Match` named another version than the present one.
    Stale {
        /// The present version.
        version: Seq,
    },
    /// One or more fields cannot be taken, all of them listed.
    Invalid(Vec<Invalid>),
    /// The idempotency key was used before with another request.
    KeyReused,
}

/// One field that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// A JSON Pointer in its URI fragment form (RFC 6901, section 6): `#/email`.
    pub pointer: String,
    /// One plain sentence.
    pub detail: String,
}

/// The most fields of which a refusal says what is wrong; of further ones it says how many there are.
pub const MAX_INVALID: usize = 100;

/// What is wrong with a command, from every side that it is looked at from: all of it is said, not the first alone, up
/// to [`MAX_INVALID`] fields. Beyond them fields are counted and not kept, so that a refusal has a bounded size.
#[derive(Debug, Default)]
pub struct ValidationErrors {
    listed: Vec<Invalid>,
    unlisted: usize,
}

impl ValidationErrors {
    /// One more field that cannot be taken.
    pub fn push(&mut self, invalid: Invalid) {
        if self.listed.len() < MAX_INVALID {
            self.listed.push(invalid);
        } else {
            self.unlisted += 1;
        }
    }

    /// All that was gathered elsewhere.
    pub fn append(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        self.extend(other.listed);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether something is said of this field already.
    #[must_use]
    pub fn names(&self, pointer: &str) -> bool {
        self.listed.iter().any(|invalid| invalid.pointer == pointer)
    }

    /// The result, or nothing where its fields are invalid, which is kept. Any other refusal ends it.
    pub(super) fn of<T>(&mut self, result: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Invalid(invalid)) => {
                self.extend(invalid);
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The refusal for all that was gathered.
    pub fn refuse(self) -> Result<(), Refusal> {
        if self.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.into_list())) }
    }

    /// Every field that is listed, and how many are not.
    #[must_use]
    pub fn into_list(self) -> Vec<Invalid> {
        let Self { mut listed, unlisted } = self;
        if unlisted > 0 {
            let detail = format!("Further fields cannot be taken: {unlisted}.");
            listed.push(Invalid { pointer: "#".to_owned(), detail });
        }
        listed
    }
}

impl Extend<Invalid> for ValidationErrors {
    fn extend<I: IntoIterator<Item = Invalid>>(&mut self, invalid: I) {
        invalid.into_iter().for_each(|invalid| self.push(invalid));
    }
}

impl Invalid {
    /// `name` is the path below the body's root, with `/` between its steps.
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/{name}"), detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lists_a_hundred_fields_and_counts_the_others() {
        let mut gathered = ValidationErrors::default();
        gathered.extend((0..100_000).map(|number| Invalid::new(&number.to_string(), "Must be a string.")));
        assert!(gathered.names("#/99") && !gathered.names("#/100"));
        let Err(Refusal::Invalid(invalid)) = gathered.refuse() else { panic!("nothing is wrong") };
        assert_eq!(invalid.len(), MAX_INVALID + 1);
        let last = invalid.last().expect("the count");
        assert_eq!((last.pointer.as_str(), last.detail.as_str()), ("#", "Further fields cannot be taken: 99900."));
        assert_eq!(ValidationErrors::default().refuse(), Ok(()));
    }
}
