//! Connections: the listener, its limits, and the outermost layer around every route.
//!
//! Guarantees: every wait on a client has a bound. It knows nothing of resources or keys.

pub(in crate::http) mod allow;
mod closing;
mod exchange;
pub(in crate::http) mod finish;
mod listener;
mod pace;
mod peers;
mod socket;

pub use self::listener::Server;
