//! The resources, a file or folder each, in one order: request types, handlers, rendering, tests.
//!
//! Guarantees: nothing that matters happens in a handler after its command was submitted. It knows nothing of paths,
//! documents or samples, nor of SQL or NATS.

pub(in crate::http) mod change_stream;
pub(in crate::http) mod changes;
mod company_fields;
pub(in crate::http) mod consumers;
pub(in crate::http) mod endpoints;
pub(in crate::http) mod erase;
pub(in crate::http) mod history;
pub(in crate::http) mod lists;
pub(in crate::http) mod marketing;
pub(in crate::http) mod meta;
mod missing;
pub(in crate::http) mod ops;
mod past;
pub(in crate::http) mod projects;
pub(in crate::http) mod records;
mod resolve_links;
pub(in crate::http) mod resource;
pub(in crate::http) mod sync;
pub(in crate::http) mod usage;
