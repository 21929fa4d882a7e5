//! Integrations → Sync: who writes, who reads, where writers disagree, and undoing what one of them did.

pub(in crate::console) mod conflicts;
mod consumer_list;
pub(in crate::console) mod consumers;
pub(in crate::console) mod overview;
pub(in crate::console) mod policy;
pub(in crate::console) mod undo;
mod undo_run;
mod undo_table;
mod values;

use maud::{Markup, html};

use super::super::error::PageError;
use crate::command::Failure;

const TITLE: &str = "Sync";
const HERE: &str = "/console/integrations/sync";

/// The pages of the tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SyncPage {
    Overview,
    Conflicts,
    Policy,
    Undo,
}

impl SyncPage {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Overview, "Overview", ""),
        (Self::Conflicts, "Conflicts", "/conflicts"),
        (Self::Policy, "Rules", "/rules"),
        (Self::Undo, "Undo", "/undo"),
    ];
}

/// The links between the pages of the tab.
fn pages(current: SyncPage) -> Markup {
    html! {
        nav.segments aria-label="Sync" {
            @for (page, label, path) in SyncPage::ALL {
                a href={ (HERE) (path) } aria-current=[(page == current).then_some("page")] { (label) }
            }
        }
    }
}

/// A command that has no outcome for its form.
fn failed(failure: Failure) -> PageError {
    match failure {
        Failure::NoAccount => PageError::Missing,
        Failure::Full => PageError::Busy("Too many changes are waiting. Try again in a few seconds.".to_owned()),
        Failure::Unavailable => {
            PageError::Busy("The database cannot be reached. Try again in a few seconds.".to_owned())
        }
        Failure::Refused { refusal, .. } | Failure::StepRefused { refusal, .. } => {
            PageError::Invalid(format!("This was refused: {}.", values::refusal_words(&refusal)))
        }
        // The lane has logged it.
        Failure::Broken => PageError::Internal,
    }
}
