//! The states of the handlers of operations.

use std::sync::Arc;

use axum::extract::FromRef;

use crate::clock::Clock;
use crate::domain::tier::Tiers;
use crate::erasure::ErasureService;
use crate::gateway::consumers::ConsumerService;
use crate::http::request::extract::BodyLimit;
use crate::http::resources::changes::FeedState;
use crate::http::resources::lists::ListState;
use crate::http::resources::records::RecordsState;
use crate::push::service::EndpointService;
use crate::store::Store;

/// The states that handlers and samples take: a handler names its own and sees no other. Cloning shares them; the router
/// clones them for each request.
#[derive(Clone)]
pub(in crate::http) struct HandlerState(pub(in crate::http) Arc<HandlerStates>);

/// One state per concern.
pub(in crate::http) struct HandlerStates {
    pub(in crate::http) records: Arc<RecordsState>,
    pub(in crate::http) lists: Arc<ListState>,
    pub(in crate::http) feed: Arc<FeedState>,
    pub(in crate::http) endpoints: Arc<EndpointService>,
    pub(in crate::http) consumers: Arc<ConsumerService>,
    pub(in crate::http) erasures: ErasureService,
    pub(in crate::http) store: Arc<Store>,
    pub(in crate::http) clock: Clock,
    pub(in crate::http) tiers: Tiers,
    pub(in crate::http) body_limit: BodyLimit,
}

macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {$(
        impl FromRef<HandlerState> for $part {
            fn from_ref(state: &HandlerState) -> Self {
                state.0.$field.clone()
            }
        }
    )*};
}

parts! {
    records: Arc<RecordsState>,
    lists: Arc<ListState>,
    feed: Arc<FeedState>,
    endpoints: Arc<EndpointService>,
    consumers: Arc<ConsumerService>,
    erasures: ErasureService,
    store: Arc<Store>,
    clock: Clock,
    tiers: Tiers,
    body_limit: BodyLimit,
}
