//! The choices of an import, and how far it is.

use crate::sync::files::ImportStep;

/// The largest file, in bytes. Larger ones are for the command line.
pub(super) const MAX_FILE: usize = 16 << 20;

/// The choices of the form.
#[derive(Debug, Clone)]
pub(super) struct ImportChoices {
    pub(super) file_name: String,
    /// The role of new records, where the file has no column for it.
    pub(super) role: String,
    pub(super) origin: String,
    pub(super) reference: String,
    /// Lines `column = attribute`.
    pub(super) columns: String,
    pub(super) clears_empty: bool,
    pub(super) is_run: bool,
}

impl Default for ImportChoices {
    fn default() -> Self {
        Self {
            file_name: String::new(),
            role: String::new(),
            origin: "import".to_owned(),
            reference: String::new(),
            columns: String::new(),
            clears_empty: false,
            is_run: false,
        }
    }
}

/// How far an import is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ImportProgress {
    pub(super) lines: u64,
    pub(super) done: u64,
}

impl ImportProgress {
    pub(super) fn add(&mut self, step: ImportStep) {
        match step {
            ImportStep::Reading => {}
            ImportStep::Executing(lines) => self.lines = lines,
            ImportStep::Done(lines) => self.done += lines,
        }
    }
}
