//! The states of the handlers of operations.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;

use crate::clock::Clock;
use crate::http::request::extract::BodyLimit;
use crate::http::resources::changes::FeedState;
use crate::http::resources::lists::ListState;
use crate::http::resources::records::RecordsState;
use crate::push::service::EndpointService;
use crate::store::Store;

/// The states that handlers and samples take, one per concern: a handler names its own and sees no other. Cloning
/// shares them, and costs one reference count: the router clones it several times for each request.
#[derive(Clone)]
pub(in crate::http) struct HandlerState(Arc<States>);

/// The states themselves.
pub(in crate::http) struct States {
    pub(in crate::http) records: Arc<RecordsState>,
    pub(in crate::http) lists: Arc<ListState>,
    pub(in crate::http) feed: Arc<FeedState>,
    pub(in crate::http) endpoints: Arc<EndpointService>,
    pub(in crate::http) store: Arc<Store>,
    pub(in crate::http) clock: Clock,
    pub(in crate::http) body_limit: BodyLimit,
}

impl From<States> for HandlerState {
    fn from(states: States) -> Self {
        Self(Arc::new(states))
    }
}

impl Deref for HandlerState {
    type Target = States;

    fn deref(&self) -> &States {
        &self.0
    }
}

macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {$(
        impl FromRef<HandlerState> for $part {
            fn from_ref(state: &HandlerState) -> Self {
                state.$field.clone()
            }
        }
    )*};
}

parts! {
    records: Arc<RecordsState>,
    lists: Arc<ListState>,
    feed: Arc<FeedState>,
    endpoints: Arc<EndpointService>,
    store: Arc<Store>,
    clock: Clock,
    body_limit: BodyLimit,
}
