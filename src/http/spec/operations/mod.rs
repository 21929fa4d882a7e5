//! Every operation of the Secure API, as data.
//!
//! The router and the OpenAPI document are built from this one list, so that neither can say what the other does not.
//! An operation is one entry: its route, what it takes, what it answers, and the handlers for real keys and for the
//! test credentials. This folder knows nothing of how a document or an answer is written.

mod fields;
mod marketing;
mod operation;
pub(in crate::http) mod parameter;
mod projects;
mod push;
mod records;
mod sync;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use hyper::Method;
use hyper::header::HeaderValue;

pub(in crate::http) use self::operation::{BodySpec, Operation, SampleMode, Shape, Success, Tag};
use crate::http::Api;
use crate::http::BASE;

/// All of them, by tag.
pub(in crate::http) fn all() -> Vec<Operation> {
    let records = [records::operations(), projects::operations(), marketing::operations()];
    let others = [sync::operations(), push::operations(), vec![usage::operation()], fields::operations()];
    records.into_iter().chain(others).flatten().collect()
}

/// The routes of those that are calls, and of those that no limit counts.
pub(in crate::http) fn routers() -> (Router<Arc<Api>>, Router<Arc<Api>>) {
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

/// Routes that no operation describes: documents, and those of operators.
const READ_ONLY: [&str; 8] = [
    "/secure-api/swagger",
    "/secure-api/swagger/",
    "/secure-api/swagger/json-file",
    "/secure-api/swagger/assets/{name}",
    "/secure-api/asyncapi.json",
    "/metrics",
    "/livez",
    "/readyz",
];

/// The methods that each route takes, as `Allow` lists them.
pub(in crate::http) struct Methods {
    by_route: BTreeMap<String, HeaderValue>,
    anywhere: HeaderValue,
}

impl Methods {
    pub(in crate::http) fn new() -> Self {
        let mut by_route: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let operations = all();
        for operation in &operations {
            for path in operation.paths() {
                by_route.entry(format!("{BASE}{path}")).or_default().insert(operation.route.method.as_str());
            }
        }
        by_route.extend(READ_ONLY.map(|path| (path.to_owned(), BTreeSet::from([Method::GET.as_str()]))));
        let anywhere = by_route.values().flatten().copied().collect();
        let by_route = by_route.into_iter().map(|(route, methods)| (route, allow(&methods))).collect();
        Self { by_route, anywhere: allow(&anywhere) }
    }

    /// Those of a route; of `*`, which is the whole service (RFC 9110, 9.3.7), those of any.
    pub(in crate::http) fn of(&self, route: &str, path: &str) -> Option<&HeaderValue> {
        if path == "*" { Some(&self.anywhere) } else { self.by_route.get(route) }
    }
}

fn allow(methods: &BTreeSet<&str>) -> HeaderValue {
    let head = methods.contains("GET").then_some("HEAD");
    let all: BTreeSet<&str> = methods.iter().copied().chain(head).chain([Method::OPTIONS.as_str()]).collect();
    let text = all.into_iter().collect::<Vec<_>>().join(", ");
    // Names of methods are always a header's text.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("OPTIONS"))
}
