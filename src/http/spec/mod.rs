//! The list of operations, and everything that is made from it: the routes that the service serves, the documents and the
//! samples.
//!
//! The routes are in `operations`: `operations::routers` makes the router, `operations::state` has the states that the
//! handlers take. `http/mod.rs` adds authentication, and the routes of the documents and of operators.
//!
//! Guarantees: the router and the documents are built from one list. It knows nothing of connections.

mod asyncapi;
pub(in crate::http) mod brand;
pub(in crate::http) mod docs;
pub(in crate::http) mod openapi;
pub(in crate::http) mod operations;
mod samples;

/// The path below which every route of the API is.
pub(crate) const BASE: &str = "/secure-api";
