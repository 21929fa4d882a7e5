//! Every operation of the Secure API, as data.
//!
//! The router and the OpenAPI document are built from this one list, so that neither can say what the other does not.
//! An operation is one entry: its route, what it takes, what it answers, and the handlers for real keys and for the
//! test credentials. This folder knows nothing of how a document or an answer is written.

mod fields;
mod marketing;
mod operation;
pub(super) mod parameter;
mod projects;
mod push;
mod records;
mod sync;

use std::sync::Arc;

use axum::Router;

pub(super) use self::operation::{Body, Dummy, Operation, Shape, Success, Tag};
use super::Api;

/// All of them, by tag.
pub(super) fn all() -> Vec<Operation> {
    [
        records::operations(),
        projects::operations(),
        marketing::operations(),
        sync::operations(),
        push::operations(),
        fields::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The routes, each under its path and its aliases.
pub(super) fn router() -> Router<Arc<Api>> {
    all().into_iter().fold(Router::new(), |router, operation| {
        let handlers = &operation.route.handlers;
        operation.paths().fold(router, |router, path| router.route(path, handlers.clone()))
    })
}
