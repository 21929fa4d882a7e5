//! Records in files of comma-separated values: importing and exporting them.
//!
//! Guarantees: memory does not grow with the file; an import that was interrupted is continued by starting it again, and
//! executes no line twice; an exported file that is imported gives equal records.

mod attributes;
mod cells;
mod export;
mod import;
mod lines;
mod operations;
mod repeated;
mod report;
#[cfg(test)]
mod tests;

pub(crate) use cells::cells_of;
pub(crate) use export::{ExportError, ExportPages, ExportRequest, Exported, export};
pub(crate) use import::{ImportError, ImportRequest, ImportStep, import};
pub(crate) use lines::{FileError, FileSource};
pub(crate) use operations::{MappingOptions, MatchBy};
pub(crate) use report::{ImportReport, Noted};
