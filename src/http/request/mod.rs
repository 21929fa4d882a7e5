//! Requests: their parts, who sends them, and which earlier request they repeat.
//!
//! Guarantees: a handler runs for an authenticated caller that is within its limits, and a request that can be read in
//! two ways is refused. It knows nothing of resources or connections.

pub(in crate::http) mod admission;
pub(in crate::http) mod at;
pub(in crate::http) mod auth;
pub(in crate::http) mod authenticator;
pub(in crate::http) mod caller;
pub(in crate::http) mod client_address;
pub(in crate::http) mod conditions;
pub(in crate::http) mod extract;
pub(in crate::http) mod head;
mod header;
mod idempotency;
pub(in crate::http) mod method;
pub(in crate::http) mod peer;
pub(in crate::http) mod replays;
pub(in crate::http) mod request_id;
pub(in crate::http) mod service_url;
pub(in crate::http) mod sessions;
pub(in crate::http) mod slow_body;
pub(in crate::http) mod trace;
