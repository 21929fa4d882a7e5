//! Durable consumers of accounts: an account's owner provisions them, because the rights of a client cannot bound the filter
//! of a consumer that it makes itself.
//!
//! The table is the truth, and a change of it is one transaction with its audit row. JetStream has a copy of each consumer,
//! made after the commit. Where that fails, or JetStream loses its state, [`ConsumerUpkeep`] makes the copy again, at the
//! position up to which the consumer had acknowledged.

mod error;
mod service;
mod upkeep;

pub(crate) use error::ConsumerError;
pub(crate) use service::{ConsumerInput, ConsumerService, ConsumerView, Lag, Missing, StartPosition};
pub(crate) use upkeep::ConsumerUpkeep;

/// The longest name of a consumer, in characters.
pub(crate) const MAX_NAME: usize = 40;

/// Whether a text is a name: it stands in a subject and in the name of a file of the NATS server.
pub(crate) fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    begins && text.len() <= MAX_NAME && text.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_stand_in_a_subject_and_a_file_name() {
        for name in ["a", "erp", "erp-2_b", "0", &"x".repeat(MAX_NAME)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "-a", "_a", "a.b", "a*", "a>", "a b", "a/b", "ä", "a\0", &"x".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
