//! The names that a file has more than once, in memory of a fixed size.
//!
//! A dry run keeps the records of such names between its chunks, because what a later line does depends on them. A name that
//! the file has once may be taken for a repeated one; never the other way round.

use sha2::{Digest as _, Sha256};

/// Bits per set. A file of a million names takes one of a hundred for a repeated one.
const BITS: usize = 1 << 27;

/// Names that were seen once, and names that were seen again.
pub(super) struct RepeatedNames {
    once: Vec<u64>,
    again: Vec<u64>,
}

impl RepeatedNames {
    pub(super) fn new() -> Self {
        Self { once: vec![0; BITS / 64], again: vec![0; BITS / 64] }
    }

    /// Adds a name of a kind.
    pub(super) fn add(&mut self, kind: char, name: &str) {
        let (word, bit) = position(kind, name);
        let (Some(once), Some(again)) = (self.once.get_mut(word), self.again.get_mut(word)) else { return };
        *again |= *once & bit;
        *once |= bit;
    }

    /// True where a name was added more than once.
    pub(super) fn has(&self, kind: char, name: &str) -> bool {
        let (word, bit) = position(kind, name);
        self.again.get(word).is_some_and(|again| again & bit != 0)
    }
}

/// The word of a name's bit, and the bit.
fn position(kind: char, name: &str) -> (usize, u64) {
    let digest: [u8; 32] = Sha256::new().chain_update(kind.to_string()).chain_update(name).finalize().into();
    let index = digest.iter().take(8).fold(0_usize, |index, byte| index << 8 | usize::from(*byte)) % BITS;
    (index / 64, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_repeated_when_it_is_added_again() {
        let mut names = RepeatedNames::new();
        for number in 0..1_000 {
            names.add('k', &number.to_string());
        }
        names.add('k', "7");
        names.add('r', "8");
        assert!(names.has('k', "7"));
        assert!(!names.has('k', "8") && !names.has('r', "8") && !names.has('k', "1000"));
    }
}
