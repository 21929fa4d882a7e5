//! Webhooks: an endpoint is a cursor on its account's log.
//!
//! The supervisor starts a worker for each live endpoint of an account that was written to; a worker without work ends
//! after 5 s. The worker's scheduler ([`scheduler`], pure) decides which events are sent now, and the worker sends them. In
//! the steady state a delivery costs no statement of its own and no wait for the disk: cursors are written for 32 deliveries
//! or once a second, and the attempt log is written in batches.
//!
//! Guarantees: every event that an endpoint's filters select is delivered at least once, the first deliveries of one
//! record's events in the order of the log; an endpoint that is unreachable loses nothing; a slow one delays no other.
//! `webhook-id` is the event's id, the same for every attempt and after every crash. This module knows no routes of the HTTP
//! API: callers read requests and render responses. The service stores a rendered response, status and body, and returns it
//! when the request is repeated.

pub(crate) mod address;
mod attempts;
pub(crate) mod client;
mod concurrency;
mod context;
mod cursor_flusher;
mod endpoint_worker;
mod event_cache;
pub(crate) mod filter;
mod gauges;
mod health;
pub(crate) mod outcome;
pub(crate) mod own_headers;
mod ping;
pub(crate) mod retry_delays;
pub(crate) mod scheduler;
pub(crate) mod secret_storage;
pub(crate) mod service;
pub mod signature;
mod supervisor;
mod target;

pub use attempts::{AttemptDays, AttemptLog};
pub use concurrency::ConcurrencyLimiter;
pub use context::DeliveryContext;
pub use cursor_flusher::CursorFlusher;
pub use gauges::EndpointGauges;
pub use supervisor::EndpointSupervisor;
