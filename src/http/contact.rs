//! `/contact`

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use hyper::HeaderMap;

use super::auth::Caller;
use super::extract::{Origin, Query, Write};
use super::problem::Problem;
use super::{Api, records};
use crate::domain::Entity;

type Answer = Result<Response, Problem>;

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    origin: Origin,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Answer {
    records::list(&api, &caller, Entity::Contact, &origin, &uri, &query).await
}

pub(super) async fn create(State(api): State<Arc<Api>>, caller: Caller, write: Write) -> Answer {
    records::create(&api, &caller, Entity::Contact, write).await
}

pub(super) async fn read(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    records::read(&api, &caller, Entity::Contact, &id, &headers).await
}

pub(super) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Answer {
    records::update(&api, &caller, Entity::Contact, &id, write).await
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Answer {
    records::delete(&api, &caller, Entity::Contact, &id, write).await
}
