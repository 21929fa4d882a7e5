//! Every operation of the Secure API, as data.
//!
//! The router and the OpenAPI document are built from this one list, so they cannot differ. An operation is one entry:
//! its route, its parameters and body, its response, and the handlers for real keys and for the test credentials. This
//! folder knows nothing of how a document or a response is written.

mod consumers;
mod fields;
mod history;
mod marketing;
mod operation;
pub(in crate::http) mod parameter;
mod projects;
mod push;
mod records;
pub(in crate::http) mod state;
mod sync;
mod usage;

use axum::Router;
use hyper::Method;

pub(in crate::http) use self::operation::{BodySpec, Operation, Shape, Success, Tag};
use self::state::HandlerState;
use super::BASE;

/// All operations, by tag.
pub(in crate::http) fn all() -> Vec<Operation> {
    let records = [records::operations(), projects::operations(), marketing::operations()];
    let others = [
        sync::operations(),
        consumers::operations(),
        push::operations(),
        vec![usage::operation()],
        fields::operations(),
    ];
    records.into_iter().chain(others).flatten().collect()
}

/// The routes of the operations that are charged as calls, and of those that are not.
pub(in crate::http) fn routers() -> (Router<HandlerState>, Router<HandlerState>) {
    let (charged, uncharged): (Vec<_>, Vec<_>) = all().into_iter().partition(|operation| operation.route.charged);
    (routes(charged), routes(uncharged))
}

/// Each operation under its path and its aliases.
fn routes(operations: Vec<Operation>) -> Router<HandlerState> {
    operations.into_iter().fold(Router::new(), |router, operation| {
        let handlers = &operation.route.handlers;
        operation.paths().fold(router, |router, path| router.route(path, handlers.clone()))
    })
}

/// Routes that no operation describes, of the documents and of operators. Each has GET only.
const UNDESCRIBED_GETS: [&str; 7] = [
    "/secure-api/swagger",
    "/secure-api/swagger/json-file",
    "/secure-api/swagger/assets/{name}",
    "/secure-api/asyncapi.json",
    "/metrics",
    "/livez",
    "/readyz",
];

/// Every route with its methods: of the operations, and of the documents and the operators' routes.
pub(in crate::http) fn methods() -> Vec<(String, Method)> {
    let operations = all().into_iter().flat_map(|operation| {
        let method = operation.route.method.clone();
        operation.paths().map(move |path| (format!("{BASE}{path}"), method.clone())).collect::<Vec<_>>()
    });
    operations.chain(UNDESCRIBED_GETS.map(|path| (path.to_owned(), Method::GET))).collect()
}
