//! Unificus: the service that keeps every system's contacts and companies equal.
//!
//! `ARCHITECTURE.md` is the map; `tests/architecture.rs` holds the code to it.

pub mod app;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod contract;
pub mod dev;
pub mod domain;
pub mod feed;
pub mod http;
pub mod keys;
pub mod lifecycle;
pub mod memory;
pub mod metrics;
pub mod projection;
pub mod push;
pub mod quota;
pub mod relay;
pub mod search;
pub mod secrets;
pub mod shard;
pub mod store;
pub mod sweep;
pub mod telemetry;
pub mod worker;
