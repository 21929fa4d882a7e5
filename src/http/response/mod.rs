//! Responses: the envelope of a success, the problem of a refusal, and the memory that large responses hold.
//!
//! Guarantees: an error's status is chosen in `problem` alone. It knows nothing of requests, resources or connections.

pub(in crate::http) mod envelope;
pub(in crate::http) mod in_flight;
pub(in crate::http) mod limits;
pub(in crate::http) mod problem;
pub(in crate::http) mod replayed;
