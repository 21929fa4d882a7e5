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
mod usage;

use std::sync::Arc;

use axum::Router;

pub(super) use self::operation::{Body, Dummy, Operation, Shape, Success, Tag};
use super::Api;

/// All of them, by tag.
pub(super) fn all() -> Vec<Operation> {
    let records = [records::operations(), projects::operations(), marketing::operations()];
    let others = [sync::operations(), push::operations(), vec![usage::operation()], fields::operations()];
    records.into_iter().chain(others).flatten().collect()
}

/// The routes of those that are calls, and of those that no limit counts.
pub(super) fn routers() -> (Router<Arc<Api>>, Router<Arc<Api>>) {
    let (calls, uncounted): (Vec<_>, Vec<_>) = all().into_iter().partition(|operation| operation.tag != Tag::Usage);
    (routes(calls), routes(uncounted))
}

/// Each under its path and its aliases.
fn routes(operations: Vec<Operation>) -> Router<Arc<Api>> {
    operations.into_iter().fold(Router::new(), |router, operation| {
        let handlers = &operation.route.handlers;
        operation.paths().fold(router, |router, path| router.route(path, handlers.clone()))
    })
}
