//! The state of an undoing that is under way. It travels between the browser and the service, signed by the session, so that
//! any replica continues it, and so that nothing runs which was not confirmed and audited.

use url::form_urlencoded::{Serializer, parse};
use uuid::Uuid;

use super::super::super::session::SessionState;
use crate::clock;
use crate::domain::Seq;
use crate::sync::revert::Report;

/// The range that is undone, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UndoRun {
    /// Stands in the events as their correlation.
    pub(super) id: Uuid,
    pub(super) origin: String,
    pub(super) from: Seq,
    pub(super) to: Seq,
    /// Records of the plan that are done.
    pub(super) done: usize,
    /// All records of the plan; zero until the first step.
    pub(super) records: usize,
    pub(super) updated: usize,
    pub(super) deleted: usize,
    pub(super) restored: usize,
    pub(super) skipped: usize,
}

impl UndoRun {
    pub(super) fn new(origin: &str, from: Seq, to: Seq) -> Self {
        Self {
            id: clock::random_uuid(),
            origin: origin.to_owned(),
            from,
            to,
            done: 0,
            records: 0,
            updated: 0,
            deleted: 0,
            restored: 0,
            skipped: 0,
        }
    }

    /// The run after a step.
    pub(super) fn after(self, report: &Report) -> Self {
        Self {
            done: report.records.saturating_sub(report.remaining),
            records: report.records,
            updated: self.updated + report.updated,
            deleted: self.deleted + report.deleted,
            restored: self.restored + report.restored,
            skipped: self.skipped + report.skipped_total,
            ..self
        }
    }

    pub(super) fn signed(&self, session: &SessionState) -> String {
        session.token.sign(&self.text())
    }

    pub(super) fn verified(session: &SessionState, signed: &str) -> Option<Self> {
        Self::read(&session.token.verify(signed)?)
    }

    fn text(&self) -> String {
        let numbers = [self.done, self.records, self.updated, self.deleted, self.restored, self.skipped];
        let mut text = Serializer::new("undo=1".to_owned());
        text.append_pair("id", &self.id.to_string()).append_pair("origin", &self.origin);
        text.append_pair("from", &self.from.to_string()).append_pair("to", &self.to.to_string());
        for number in numbers {
            text.append_pair("n", &number.to_string());
        }
        text.finish()
    }

    fn read(text: &str) -> Option<Self> {
        let pairs: Vec<(String, String)> = parse(text.as_bytes()).into_owned().collect();
        let all =
            |name: &'static str| pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str());
        all("undo").next()?;
        let position = |name| all(name).next()?.parse().ok().map(Seq);
        let numbers: Vec<usize> = all("n").map(str::parse).collect::<Result<_, _>>().ok()?;
        let [done, records, updated, deleted, restored, skipped] = numbers.try_into().ok()?;
        Some(Self {
            id: all("id").next()?.parse().ok()?,
            origin: all("origin").next()?.to_owned(),
            from: position("from")?,
            to: position("to")?,
            done,
            records,
            updated,
            deleted,
            restored,
            skipped,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_back_and_nothing_else_is_one() {
        let run = UndoRun { done: 1, records: 2, updated: 3, skipped: 4, ..UndoRun::new("a&b=c ü", Seq(5), Seq(9)) };
        assert_eq!(UndoRun::read(&run.text()), Some(run));
        for wrong in ["", "sSaved.", "undo=1", "undo=1&id=x&origin=y&from=1&to=2&n=1"] {
            assert_eq!(UndoRun::read(wrong), None, "{wrong}");
        }
    }
}
