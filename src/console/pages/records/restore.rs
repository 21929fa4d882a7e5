//! Restoring a deleted record, by the command of `POST /sync/batch`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::Map;

use super::super::super::commands::{NotDone, in_words, submit};
use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::session::ConsoleSession;
use super::super::super::state::Console;
use super::Kind;
use crate::contract::outcome::Disposition;
use crate::contract::record::parse_uid;
use crate::domain::sync::{Restore, SyncOperation};
use crate::domain::{Command, Refusal, Target};

pub(in crate::console) async fn restore<K: Kind>(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(uid): Path<String>,
) -> PageResult {
    let kind = K::KIND;
    let uid = parse_uid(&uid).ok_or(PageError::Missing)?;
    let path = format!("{}/{uid}", kind.path);
    let restore = Restore { entity: kind.entity, target: Target::Uid(uid) };
    let command = Command::Sync(Box::new(SyncOperation::Restore(restore)));
    let action = format!("{}.restore", kind.entity.name());
    match submit(&console, &session, command, &action, Map::new()).await {
        Ok(result) if result.done.disposition == Disposition::Unchanged => {
            Ok(session.redirect(&path, Flash::success(format!("The {} was not deleted.", kind.noun))))
        }
        Ok(_) => Ok(session.redirect(&path, Flash::success(format!("The {} was restored.", kind.noun)))),
        Err(NotDone::Refused(refusal @ (Refusal::Invalid(_) | Refusal::Gone { .. }))) => {
            let text = format!("The {} could not be restored. {}", kind.noun, in_words(&refusal));
            Ok(session.redirect(&path, Flash::failure(text)))
        }
        Err(not_done) => Err(not_done.into()),
    }
}
