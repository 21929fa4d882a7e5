//! An operation: its route, and its description.

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use hyper::Method;
use serde_json::Value as Json;

use super::parameter::Parameter;
use super::state::HandlerState;
use crate::http::request::auth::SampleMode;
use crate::http::response::problem::Problem;
use crate::http::spec::openapi::Schema;

/// A route and its documentation.
pub(in crate::http) struct Operation {
    pub(in crate::http) route: Route,
    /// Below the base path; `{name}` stands for one segment.
    pub(in crate::http) path: &'static str,
    /// Other paths of the same operation, for existing clients.
    pub(in crate::http) aliases: &'static [&'static str],
    pub(in crate::http) tag: Tag,
    /// The name of the operation in generated clients.
    pub(in crate::http) id: &'static str,
    pub(in crate::http) summary: &'static str,
    /// In Markdown.
    pub(in crate::http) description: &'static str,
    pub(in crate::http) parameters: Vec<Parameter>,
    pub(in crate::http) body: Option<BodySpec>,
    pub(in crate::http) success: Success,
    /// The statuses of refusals besides those of every operation: 401, 429, 503.
    pub(in crate::http) refusals: &'static [u16],
}

impl Operation {
    /// The path, then the aliases.
    pub(in crate::http) fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }
}

/// A group of operations; the declaration order is the order in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Tag {
    Company,
    Contact,
    Project,
    Marketing,
    Worlds,
    Sync,
    Push,
    Usage,
    Meta,
}

impl Tag {
    pub(in crate::http) const ALL: [Self; 9] = [
        Self::Company,
        Self::Contact,
        Self::Project,
        Self::Marketing,
        Self::Worlds,
        Self::Sync,
        Self::Push,
        Self::Usage,
        Self::Meta,
    ];

    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::Contact => "contact",
            Self::Project => "project",
            Self::Marketing => "marketing",
            Self::Worlds => "worlds",
            Self::Sync => "sync",
            Self::Push => "push",
            Self::Usage => "usage",
            Self::Meta => "meta",
        }
    }

    pub(in crate::http) fn description(self) -> &'static str {
        match self {
            Self::Company => "Organizations that contacts belong to.",
            Self::Contact => "People.",
            Self::Project => "Work for a client.",
            Self::Marketing => "Audiences, and who subscribed to them.",
            Self::Worlds => "The account's workspaces.",
            Self::Sync => "Every change of the account, in order and without a gap.",
            Self::Push => "Webhooks: the URLs that the account's changes are sent to.",
            Self::Usage => "The calls of this month.",
            Self::Meta => "The fields that the account added to its records.",
        }
    }
}

/// The body of a request.
pub(in crate::http) struct BodySpec {
    pub(in crate::http) schema: Schema,
    pub(in crate::http) example: Json,
}

/// The response to a request that was carried out.
pub(in crate::http) struct Success {
    pub(in crate::http) status: u16,
    pub(in crate::http) shape: Shape,
}

/// The form of a success.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) enum Shape {
    /// The envelope around one record, tagged with its version.
    Record(Schema),
    /// The same, or around `null` for accounts that receive a missing record as a success.
    RecordOrNull(Schema),
    /// The envelope around a page of records, with `meta.pagination`.
    Page(Schema),
    /// The envelope around data without a version.
    Data(Schema),
    /// The same after a write.
    Written(Schema),
    /// The same with 202 while the work is not done.
    Progress(Schema),
    /// The envelope around a whole list.
    List(Schema),
    /// The envelope around `null`.
    Nothing,
    /// The data without the envelope.
    Bare(Schema),
    /// A page of a record's history.
    History,
    /// A page of the log, as JSON or protobuf.
    Changes,
    /// The log as server-sent events.
    Stream,
}

/// A method and its handlers.
pub(in crate::http) struct Route {
    pub(in crate::http) method: Method,
    pub(in crate::http) handlers: MethodRouter<HandlerState>,
    /// Whether requests with the test credentials get a sample.
    pub(in crate::http) sampled: bool,
    /// Whether a request is charged to the account's limits as a call.
    pub(in crate::http) charged: bool,
}

/// A GET, with the sample that answers the test credentials.
pub(super) fn get<H, T, S, U>(handler: H, sample: S) -> Route
where
    H: Handler<T, HandlerState>,
    S: Handler<U, HandlerState>,
    T: 'static,
    U: 'static,
{
    let either = move |State(state): State<HandlerState>, request: Request| async move {
        match request.extensions().get::<SampleMode>() {
            Some(SampleMode) => sample.call(request, state).await,
            None => handler.call(request, state).await,
        }
    };
    Route { method: Method::GET, handlers: on(MethodFilter::GET, either), sampled: true, charged: true }
}

/// A GET that has no sample: a stream.
pub(super) fn stream<H: Handler<T, HandlerState>, T: 'static>(handler: H) -> Route {
    Route { sampled: false, ..get(handler, || async { Problem::test_credentials() }) }
}

pub(super) fn post<H: Handler<T, HandlerState>, T: 'static>(handler: H) -> Route {
    Route { method: Method::POST, handlers: on(MethodFilter::POST, handler), sampled: false, charged: true }
}

pub(super) fn put<H: Handler<T, HandlerState>, T: 'static>(handler: H) -> Route {
    Route { method: Method::PUT, handlers: on(MethodFilter::PUT, handler), sampled: false, charged: true }
}

pub(super) fn delete<H: Handler<T, HandlerState>, T: 'static>(handler: H) -> Route {
    Route { method: Method::DELETE, handlers: on(MethodFilter::DELETE, handler), sampled: false, charged: true }
}
