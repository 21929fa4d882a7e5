//! A range of the log that is sent again, and how far its endpoint is.

use std::fmt;

use maud::Markup;

use super::super::super::components::spark::progress;
use super::super::super::form::Form;
use super::super::super::text;
use crate::domain::Seq;
use crate::push::service::EndpointView;

/// A range of the log that is sent again, in the page's address: `5-120` is after event 5, up to event 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplayRange {
    pub(super) after: Seq,
    pub(super) through: Seq,
}

impl ReplayRange {
    pub(super) fn of(query: &Form) -> Option<Self> {
        let (after, through) = query.get("replay")?.split_once('-')?;
        let range = Self { after: Seq(after.parse().ok()?), through: Seq(through.parse().ok()?) };
        (Seq::ZERO <= range.after && range.after < range.through).then_some(range)
    }

    /// The progress of the endpoint through the range.
    pub(super) fn progress(self, view: &EndpointView) -> Markup {
        let length = |from: Seq, to: Seq| (to.0 - from.0).max(0).unsigned_abs();
        let all = length(self.after, self.through);
        // Until the command is applied the cursor stands where it stood before.
        let reached = view.cursor.as_ref().filter(|_| !view.has_commands).map_or(self.after, |cursor| cursor.seq);
        let done = length(self.after, reached).min(all);
        let label = if done == all {
            format!("Replay finished: {} sent again.", text::count(all, "event was", "events were"))
        } else {
            format!("Replaying: {} of {}", text::thousands(done), text::count(all, "event", "events"))
        };
        progress(&label, done, all)
    }
}

impl fmt::Display for ReplayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.after, self.through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_back_from_the_address() {
        let range = ReplayRange { after: Seq(5), through: Seq(120) };
        let query = Form::parse(format!("replay={range}").as_bytes());
        assert_eq!(ReplayRange::of(&query), Some(range));
        for wrong in ["replay=5", "replay=5-5", "replay=9-5", "replay=-1-5", "replay=a-b", ""] {
            assert_eq!(ReplayRange::of(&Form::parse(wrong.as_bytes())), None, "{wrong}");
        }
    }
}
