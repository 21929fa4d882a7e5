//! The result of one check.

use crate::domain::text_enum::text_enum;

text_enum! {
    /// How bad a finding is.
    #[derive(PartialOrd, Ord)]
    pub enum Level {
        /// As it should be.
        Ok = "ok",
        /// The service works, and something will break or be missed later.
        Warning = "warning",
        /// Something does not work, or data can be lost.
        Error = "error",
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The check, such as `database.version`.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The state, in one sentence.
    pub message: String,
    /// How to mend it; nothing where all is well.
    pub remedy: Option<String>,
}

/// Findings in the order of their checks.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Diagnosis>);

impl Findings {
    pub(super) fn ok(&mut self, check: &'static str, message: impl Into<String>) {
        self.0.push(Diagnosis { check, level: Level::Ok, message: message.into(), remedy: None });
    }

    pub(super) fn warning(&mut self, check: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Warning, message.into(), remedy.into());
    }

    pub(super) fn error(&mut self, check: &'static str, message: impl Into<String>, remedy: impl Into<String>) {
        self.add(check, Level::Error, message.into(), remedy.into());
    }

    fn add(&mut self, check: &'static str, level: Level, message: String, remedy: String) {
        self.0.push(Diagnosis { check, level, message, remedy: Some(remedy) });
    }

    /// Adds that all is well with a check, unless it has findings already.
    pub(super) fn ok_unless_reported(&mut self, check: &'static str, message: impl Into<String>) {
        if self.0.iter().all(|finding| finding.check != check) {
            self.ok(check, message);
        }
    }

    pub(super) fn into_list(self) -> Vec<Diagnosis> {
        self.0
    }
}
