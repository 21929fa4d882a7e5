//! Connections: the listener, its limits, and the outermost layer around every route.
//!
//! Guarantees: every wait on a client has a bound. It imports no resource and authenticates nobody: of `request` it uses
//! what precedes authentication (head, method, peer, request id, slow bodies), of `response` the problems.

pub(in crate::http) mod allow;
mod closing;
mod exchange;
mod listener;
pub(in crate::http) mod outer_layer;
mod pace;
mod peers;
mod socket;

pub(crate) use self::listener::Server;
