//! The real binary, ended softly and hard.
