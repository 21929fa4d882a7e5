//! Webhooks: an endpoint is a cursor on its account's log.
//!
//! A lane per endpoint decides what may be sent now ([`scheduler`], pure), a runner sends it ([`runner`]), the worker here
//! starts runners for endpoints that have something to do and none for those that have not. In the steady state a
//! delivery costs no statement and no wait for the disk of its own: the cursor moves, and is written at most every few
//! tens of milliseconds, and the attempt log takes its rows in batches.
//!
//! Guarantees: every event that an endpoint asked for is delivered at least once, the first deliveries of one record's
//! events in the order of the log; an endpoint that is away loses nothing; a slow one delays no other. `webhook-id` is
//! the event's id, stable over every attempt and every crash. It knows nothing of HTTP routes.

pub mod address;
mod attempts;
pub mod client;
mod concurrency;
mod cursor_flusher;
mod endpoint_worker;
pub mod filter;
mod health;
mod kept;
pub mod outcome;
pub mod own_headers;
pub mod ping;
pub mod schedule;
pub mod scheduler;
pub mod secret_storage;
pub mod signature;
mod supervisor;
mod target;

pub use attempts::{AttemptDays, AttemptLog};
pub use concurrency::ConcurrencyLimiter;
pub use cursor_flusher::CursorFlusher;
pub use endpoint_worker::DeliveryContext;
pub use supervisor::EndpointSupervisor;
