//! Decides which events an endpoint is sent now: a state machine without a clock, randomness or I/O of its own.
//!
//! The cursor is below every event that is not settled. Above it events are *pending*: read from the log, to be sent or
//! in flight. An event that fails while others succeed moves to the *retry queue*, where it has its own schedule, and the
//! cursor moves on; later events of the same record follow it there and wait for it, so that a record's events keep their
//! order. When several attempts in a row fail, or the endpoint asks for a pause, the *endpoint* is failing: its circuit
//! breaker lets one probe through at a time, the cursor stays where it is, and the first success closes the breaker.
//!
//! A *delivery* is the contents of one request: one event; in mode `batch` several, which are sent again as the same
//! batch until they arrive; in mode `latest` the newest event of a record, which stands for all of the record's events
//! since the last delivery. In order `strict` one event is in flight and any failure is the endpoint's; in order `none`
//! no event waits for another.

mod circuit_breaker;
mod delivery;
mod event_meta;
mod pending;
mod policy;
mod rate;
mod retry_queue;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use delivery::Delivery;
pub(crate) use event_meta::EventMeta;
pub(crate) use policy::DeliveryPolicy;
pub(crate) use state::{DeliveryScheduler, EndpointAction};
