//! The API described: the list of operations, and what is made of it: routes, OpenAPI, the documentation page and samples.
//!
//! Guarantees: the router and the documents are built from one list. It knows nothing of connections.

mod asyncapi;
pub(in crate::http) mod brand;
pub(in crate::http) mod docs;
pub(in crate::http) mod openapi;
pub(in crate::http) mod operations;
mod samples;

/// The path that every route of the API stands below.
pub const BASE: &str = "/secure-api";
