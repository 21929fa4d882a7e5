//! Commands that people send by pages: they go through the lanes like those of the API, and each that changes something is
//! in the audit with its author, in the same transaction.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::error::PageError;
use super::form::FieldErrors;
use super::session::SessionState;
use super::state::Console;
use crate::command::{AuditNote, CommandEnvelope, CommandResult, Failure, IDEMPOTENCY_TTL};
use crate::domain::{Command, Event, Invalid, Refusal};

/// The origin of everything that is written by pages.
pub(crate) const ORIGIN: &str = "console";

/// The mark by which an event names the person who caused it; their id follows. The events of a log are read by partners,
/// so that they do not name an email address.
const CAUSED_BY: &str = "console:";

/// The causation of what a user does by pages.
pub(crate) fn causation_of(session: &SessionState) -> String {
    format!("{CAUSED_BY}{}", session.user_id)
}

/// The user who caused an event by pages.
pub(crate) fn causing_user(event: &Event) -> Option<Uuid> {
    event.causation.as_deref()?.strip_prefix(CAUSED_BY)?.parse().ok()
}

/// A command that was not executed.
pub(crate) enum NotDone {
    /// The rules of the domain refused it.
    Refused(Refusal),
    /// Anything else.
    Failed(PageError),
}

impl From<NotDone> for PageError {
    /// A refusal in words, where a page has no field for it.
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Failed(error) => error,
            NotDone::Refused(Refusal::NotFound(_)) => Self::Missing,
            NotDone::Refused(refusal) => Self::Invalid(in_words(&refusal)),
        }
    }
}

/// Executes a command of this user. `action` and `detail` become its row in the audit.
pub(crate) async fn submit(
    console: &Console,
    session: &SessionState,
    command: Command,
    action: &str,
    detail: Map<String, Json>,
) -> Result<CommandResult, NotDone> {
    let envelope = CommandEnvelope {
        causation: Some(causation_of(session)),
        audit: Some(AuditNote {
            actor: session.email.clone(),
            address: session.visitor.address.0,
            action: action.to_owned(),
            detail,
        }),
        ..CommandEnvelope::new(session.account, ORIGIN.into(), command)
    };
    console.lanes.submit(envelope).await.map_err(|failure| match failure {
        Failure::Refused { refusal, .. } | Failure::StepRefused { refusal, .. } => NotDone::Refused(refusal),
        Failure::NoAccount => NotDone::Failed(PageError::Missing),
        Failure::Full => {
            NotDone::Failed(PageError::Busy("Too much is being written. Try again in a few seconds.".to_owned()))
        }
        Failure::Unavailable => NotDone::Failed(PageError::Busy(
            "The database cannot be reached. Look whether the change was made before you try again.".to_owned(),
        )),
        Failure::Broken => NotDone::Failed(PageError::Internal),
    })
}

/// A refusal as a sentence.
pub(crate) fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotFound(entity) => format!("There is no such {}.", entity.noun()),
        Refusal::Gone { entity, merged_into: Some(_), .. } => {
            format!("The {} was merged into another one.", entity.noun())
        }
        Refusal::Gone { entity, .. } => format!("The {} was deleted, or erased for ever.", entity.noun()),
        Refusal::Stale { .. } => "It was changed by somebody else meanwhile. Reload the page.".to_owned(),
        Refusal::Invalid(errors) => {
            let sentence = |invalid: &Invalid| match field_of(invalid) {
                "" => invalid.detail.clone(),
                field => format!("{field}: {}", invalid.detail),
            };
            errors.iter().map(sentence).collect::<Vec<_>>().join(" ")
        }
        Refusal::KeyReused => "The same request was sent with other values.".to_owned(),
        Refusal::Ambiguous { entity, .. } => format!("More than one {} matches.", entity.noun()),
        Refusal::Concurrent { fields, .. } => format!("Another system has changed {} meanwhile.", fields.join(", ")),
    }
}

/// The errors of a refusal beside the fields of a form that have the names of the body's members. The first error that
/// belongs to no field stands beside `otherwise`.
pub(crate) fn beside_fields(refusal: &Refusal, fields: &[&str], otherwise: &str) -> FieldErrors {
    let Refusal::Invalid(invalid) = refusal else { return FieldErrors::one(otherwise, in_words(refusal)) };
    let mut errors = FieldErrors::default();
    for one in invalid {
        let name = field_of(one);
        errors.add(if fields.contains(&name) { name } else { otherwise }, &*one.detail);
    }
    errors
}

/// The member of the body that an error is of.
fn field_of(invalid: &Invalid) -> &str {
    invalid.pointer.trim_start_matches("#/").trim_start_matches('#').split('/').next().unwrap_or_default()
}

/// Writes an audit row by itself, for what changes no table.
pub(crate) async fn audit(
    console: &Console,
    session: &SessionState,
    action: &str,
    detail: &Json,
) -> Result<(), PageError> {
    let opened = console.store.change_account(session.account, &[], IDEMPOTENCY_TTL).await?;
    let opened = opened.ok_or(PageError::Missing)?;
    Ok(opened.change.commit(session.by(&console.clock), action, detail, None).await?)
}
