//! The result of an import.

use crate::command::{CommandResult, Failure};
use crate::contract::outcome::Disposition;
use crate::domain::{Entity, Invalid, Refusal, is_taken};

/// The most lines that are listed. All are counted.
const MAX_LISTED: usize = 1_000;

/// The numbers of lines by their results. Each line is created, linked, a duplicate or refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ImportReport {
    pub(crate) lines: u64,
    /// Lines that made a record.
    pub(crate) created: u64,
    /// Lines of existing records.
    pub(crate) linked: u64,
    /// Linked lines that changed their record.
    pub(crate) updated: u64,
    /// Linked lines whose record was as the line says.
    pub(crate) unchanged: u64,
    /// Lines that were refused because their record would have the email or name of another one.
    pub(crate) duplicates: u64,
    /// Lines that were refused for another reason.
    pub(crate) refused: u64,
    /// Lines with values that conflict with those of other origins.
    pub(crate) conflicts: u64,
    /// Lines that an earlier run executed. They count by their results of then.
    pub(crate) replayed: u64,
    /// The first lines that were not executed as they are.
    pub(crate) noted: Vec<Noted>,
    /// Columns that were not read.
    pub(crate) ignored: Vec<String>,
    /// False where a dry run had to forget lines, so that its numbers may differ from those of the run.
    pub(crate) exact: bool,
}

/// A line that was not executed as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) line: u64,
    /// `refused`, `duplicate` or `conflict`.
    pub(crate) result: &'static str,
    pub(crate) reason: String,
}

impl ImportReport {
    /// Adds a line that is no operation.
    pub(super) fn refuse(&mut self, line: u64, reason: String) {
        self.lines += 1;
        self.refused += 1;
        self.note(line, "refused", reason);
    }

    /// Adds an executed line. Returns a failure that ends the import.
    pub(super) fn add(&mut self, line: u64, result: Result<CommandResult, Failure>) -> Result<(), Failure> {
        match result {
            Ok(result) => self.executed(line, &result),
            Err(Failure::Refused { refusal, replayed }) => {
                self.replayed += u64::from(replayed);
                self.refused_by(line, &refusal);
            }
            Err(Failure::StepRefused { refusal, .. }) => self.refused_by(line, &refusal),
            Err(Failure::Broken) => {
                self.refuse(line, "A defect of the service: the log has the cause.".to_owned());
            }
            Err(failure @ (Failure::NoAccount | Failure::Full | Failure::Unavailable)) => return Err(failure),
        }
        Ok(())
    }

    fn executed(&mut self, line: u64, result: &CommandResult) {
        self.replayed += u64::from(result.replayed);
        if let Some(refusal @ Refusal::Gone { .. }) = &result.rejection {
            return self.refused_by(line, refusal);
        }
        self.lines += 1;
        let is_changed =
            |result: &CommandResult| matches!(result.done.disposition, Disposition::Updated | Disposition::Deleted);
        if result.done.disposition == Disposition::Created {
            self.created += 1;
        } else {
            self.linked += 1;
            let changed = is_changed(result) || result.then.iter().any(is_changed);
            *(if changed { &mut self.updated } else { &mut self.unchanged }) += 1;
        }
        if !result.conflicts.is_empty() {
            self.conflicts += 1;
            let fields = result.conflicts.iter().map(|conflict| {
                let stays = if conflict.is_applied { "the file's value" } else { "the other value" };
                format!("{} ({stays} stays)", conflict.field.name())
            });
            let fields: Vec<String> = fields.collect();
            self.note(line, "conflict", format!("Another origin has other values: {}.", fields.join(", ")));
        }
    }

    fn refused_by(&mut self, line: u64, refusal: &Refusal) {
        let is_duplicate = matches!(refusal, Refusal::Invalid(invalid) if invalid.iter().any(is_taken));
        if !is_duplicate {
            return self.refuse(line, reason(refusal));
        }
        self.lines += 1;
        self.duplicates += 1;
        self.note(line, "duplicate", reason(refusal));
    }

    fn note(&mut self, line: u64, result: &'static str, reason: String) {
        if self.noted.len() < MAX_LISTED {
            self.noted.push(Noted { line, result, reason });
        }
    }

    /// The lines that are not listed.
    pub(crate) fn unlisted(&self) -> u64 {
        let noted = self.duplicates + self.refused + self.conflicts;
        noted.saturating_sub(u64::try_from(self.noted.len()).unwrap_or(u64::MAX))
    }
}

/// A refusal as a sentence that names attributes as the operator knows them.
pub(super) fn reason(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid(invalid) => invalid.iter().map(invalid_attribute).collect::<Vec<_>>().join(" "),
        Refusal::NotFound(entity) => format!("There is no such {}.", entity.noun()),
        Refusal::Gone { entity, merged_into: None, .. } => format!("The {} was deleted.", entity.noun()),
        Refusal::Gone { entity, merged_into: Some(uid), .. } => {
            format!("The {} was merged into {uid}.", entity.noun())
        }
        Refusal::Ambiguous { entity, uids } => {
            let uids: Vec<String> = uids.iter().map(ToString::to_string).collect();
            format!("Several {} match: {}.", plural(*entity), uids.join(", "))
        }
        Refusal::KeyReused => "An earlier run of the same file executed this line with other values.".to_owned(),
        Refusal::Concurrent { fields, .. } => format!("Another origin changed {} since.", fields.join(", ")),
        Refusal::Stale { version } => format!("The record has version {} by now.", version.0),
    }
}

fn invalid_attribute(invalid: &Invalid) -> String {
    let attribute = invalid.pointer.trim_start_matches('#').trim_start_matches("/set").trim_start_matches('/');
    if attribute.is_empty() { invalid.detail.clone() } else { format!("{attribute}: {}", invalid.detail) }
}

fn plural(entity: Entity) -> &'static str {
    if entity == Entity::Company { "companies" } else { "contacts" }
}
