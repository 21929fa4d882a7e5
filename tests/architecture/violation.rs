//! A broken rule's places, and how a test fails for it.

use std::fmt;

use crate::architecture::source::lies_in;

/// A place that breaks a rule. `subject` is what an exception names: the file, or the statement, table or function in it.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    subject: String,
    reason: String,
}

/// Rows of `(subject, why it may)`. A subject that ends with `/` is a folder.
pub(crate) type Exemptions = [(&'static str, &'static str)];

impl Violation {
    pub(crate) fn new(path: &str, line: usize, reason: impl Into<String>) -> Self {
        Self { path: path.into(), line, subject: path.into(), reason: reason.into() }
    }

    pub(crate) fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: subject.into(), ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, subject, reason } = self;
        write!(f, "{path}:{line}: {reason}")?;
        if subject == path { Ok(()) } else { write!(f, " [{subject}]") }
    }
}

/// Fails with every violation that no exception excuses, and with every exception that excuses nothing any more.
#[track_caller]
pub(crate) fn hold(violations: &[Violation], exceptions: &Exemptions) {
    let excuses = |(subject, _): &(&str, &str), violation: &Violation| lies_in(&violation.subject, subject);
    let open = violations
        .iter()
        .filter(|violation| !exceptions.iter().any(|row| excuses(row, violation)))
        .map(Violation::to_string);
    let stale = exceptions.iter().filter(|row| !violations.iter().any(|violation| excuses(row, violation)));
    let stale = stale.map(|(subject, why)| {
        format!("exception `{subject}` ({why}) excuses nothing any more: take it out of tables.rs")
    });
    let complaints = open.chain(stale).collect::<Vec<_>>();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// For the rules' own tests: the lines of the violations, in order.
pub(crate) fn lines(violations: &[Violation]) -> Vec<usize> {
    violations.iter().map(|violation| violation.line).collect()
}

#[cfg(test)]
mod tests {
    use super::{Violation, hold};

    fn violation() -> Violation {
        Violation::new("src/http/mod.rs", 7, "chooses a status").about("src/http/mod.rs::router")
    }

    #[test]
    #[should_panic(expected = "src/http/mod.rs:7: chooses a status [src/http/mod.rs::router]")]
    fn a_violation_fails_with_its_place_and_reason() {
        hold(&[violation()], &[]);
    }

    #[test]
    fn an_exception_excuses_its_subject_or_its_folder() {
        hold(&[violation()], &[("src/http/mod.rs::router", "one list")]);
        hold(&[violation()], &[("src/http/", "one list")]);
    }

    #[test]
    #[should_panic(expected = "exception `src/push/` (gone) excuses nothing any more")]
    fn an_exception_that_excuses_nothing_fails() {
        hold(&[], &[("src/push/", "gone")]);
    }
}
