//! The API's description: the list of operations, and the routes, documents and samples that are made from it.
//!
//! Guarantees: the router and the documents are built from one list. It knows nothing of connections.

mod asyncapi;
pub(in crate::http) mod brand;
pub(in crate::http) mod docs;
pub(in crate::http) mod openapi;
pub(in crate::http) mod operations;
mod samples;

/// The path below which every route of the API is.
pub const BASE: &str = "/secure-api";
