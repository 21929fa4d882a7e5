//! `/sync/conflicts/{id}/resolve`: ends a conflict by choosing a value.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::clock;
use crate::contract::resolution;
use crate::domain::sync::{Resolve, SyncOperation};
use crate::domain::{Command, Entity, Target};
use crate::http::request::caller::Caller;
use crate::http::request::extract::{NamedTarget, Write};
use crate::http::resources::records::{self, RecordsState};
use crate::http::response::problem::Problem;

pub(in crate::http) async fn resolve(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> Result<Response, Problem> {
    let Target::Uid(conflict) = target else { return Err(Problem::missing(Entity::Conflict.noun())) };
    let take = resolution::read(write.json()?, &mut clock::fresh_uid)?;
    let resolve = Resolve { conflict, take, if_match: write.if_match.clone() };
    records::submit(&state, &caller, write, Command::Sync(Box::new(SyncOperation::Resolve(resolve)))).await
}
