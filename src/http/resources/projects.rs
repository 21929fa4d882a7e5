//! `/project/{type}/{identifier}`: a project by its uid, its name, a part of its name, or its age.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::Response;
use hyper::HeaderMap;

use super::history;
use super::lists::ListState;
use super::records::{self, RecordsState};
use crate::clock::Clock;
use crate::contract::input::InputKind;
use crate::contract::record::parse_uid;
use crate::domain::{Entity, Target, Uid};
use crate::http::request::caller::Caller;
use crate::http::request::extract::{Query, Write, readings};
use crate::http::response::problem::Problem;
use crate::store::Store;
use crate::store::projects::ProjectBy;
use crate::store::records::StoredRecord;

/// The meaning of the last two steps of the path. The readings are tried in turn.
pub(in crate::http) enum ProjectSelector {
    Uid(Uid),
    By(Vec<ProjectBy>),
    /// `/project/{uid}/history`.
    HistoryOf(Uid),
}

impl<S: Send + Sync> FromRequestParts<S> for ProjectSelector {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((kind, identifier)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::malformed("The identifier in the path is not UTF-8."))?;
        let texts = readings(&identifier, parts.uri.path());
        match kind.as_str() {
            "uid" => Ok(parse_uid(&identifier).map_or(Self::By(Vec::new()), Self::Uid)),
            "name" => Ok(Self::By(texts.into_iter().map(ProjectBy::Name).collect())),
            "contains_the_following" => Ok(Self::By(texts.into_iter().map(ProjectBy::Part).collect())),
            "most_recent" if identifier == "true" => Ok(Self::By(vec![ProjectBy::Latest])),
            "most_recent" => Ok(Self::By(Vec::new())),
            // Not a route of its own, because a project may be named `history`.
            uid if identifier == "history" => parse_uid(uid).map(Self::HistoryOf).ok_or_else(Problem::no_route),
            _ => Err(Problem::no_route()),
        }
    }
}

pub(in crate::http) async fn read(
    State(state): State<Arc<RecordsState>>,
    State(lists): State<Arc<ListState>>,
    State(clock): State<Clock>,
    caller: Caller,
    selector: ProjectSelector,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let ProjectSelector::HistoryOf(uid) = selector {
        return history::of_target(&lists, &caller, Entity::Project, &Target::Uid(uid), &query).await;
    }
    let stored = find(&state.store, &caller, selector).await?;
    records::show(&state.store, &clock, &caller, Entity::Project, stored, &query, &headers).await
}

pub(in crate::http) async fn history(
    State(state): State<Arc<ListState>>,
    caller: Caller,
    selector: ProjectSelector,
    query: Query,
) -> Result<Response, Problem> {
    let stored = find(&state.store, &caller, selector).await?;
    history::show(&state, &caller, Entity::Project, stored, &query).await
}

pub(in crate::http) async fn update(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    selector: ProjectSelector,
    write: Write,
) -> Result<Response, Problem> {
    // The command names the project by its uid. If the project is deleted meanwhile, the command is refused.
    let target = match selector {
        ProjectSelector::Uid(uid) => Target::Uid(uid),
        ProjectSelector::HistoryOf(_) => return Err(Problem::no_route()),
        by @ ProjectSelector::By(_) => match find(&state.store, &caller, by).await? {
            Some(stored) => Target::Uid(stored.uid),
            None => Target::Key(Vec::new()),
        },
    };
    records::change(&state, &caller, InputKind::Project, target, write).await
}

async fn find(store: &Store, caller: &Caller, selector: ProjectSelector) -> Result<Option<StoredRecord>, Problem> {
    let ways = match selector {
        ProjectSelector::Uid(uid) => {
            return Ok(store.record(caller.account, Entity::Project, &Target::Uid(uid)).await?);
        }
        ProjectSelector::By(ways) => ways,
        ProjectSelector::HistoryOf(_) => return Err(Problem::no_route()),
    };
    for by in ways {
        if let Some(stored) = store.find_project(caller.account, &by).await? {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}
