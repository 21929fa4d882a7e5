//! What an endpoint may be sent now: a state machine without time, chance or I/O of its own.
//!
//! The cursor stands below everything that is not settled. Above it events are open (read from the log, to be sent or
//! in flight). An event that fails while others pass leaves for the *waiting*, where it has its own schedule, and the
//! cursor goes on; events of the same record follow it there and wait behind it, so that a record's events keep their
//! order. When several attempts in a row fail, or the endpoint asks for a pause, the *endpoint* is failing: nothing is
//! sent but one probe at a time, the cursor stands still, and the first success lets everything go at once.
//!
//! What is sent at once is a *parcel*: one event; in mode `batch` several, which go again as the same batch until they
//! are delivered; in mode `latest` the newest event of a record, which stands for all of the record's since the one
//! delivered before. In order `strict` one event is in flight and any failure is the endpoint's; in order `none` no
//! event waits for another.

mod circuit_breaker;
mod delivery;
mod pending;
mod policy;
mod rate;
mod retry_queue;
mod state;
#[cfg(test)]
mod tests;

pub use delivery::{Delivery, MAX_BODY};
pub use policy::DeliveryPolicy;
pub use state::{DeliveryScheduler, EndpointAction, EventMeta};
