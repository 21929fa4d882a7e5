//! Unificus: the service that keeps every system's contacts and companies equal.
//!
//! `ARCHITECTURE.md` is the map; `tests/architecture.rs` holds the code to it.

pub mod app;
mod audited;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod console;
mod console_config;
pub mod contract;
pub mod dev;
pub mod doctor;
pub mod domain;
pub mod erasure;
pub mod feed;
mod gateway;
mod http;
pub mod keys;
mod lifecycle;
mod memory;
pub mod metrics;
pub mod projection;
pub mod push;
pub mod quota;
mod rebuild;
pub mod relay;
mod search;
pub mod secrets;
pub mod shard;
pub mod store;
pub mod sweep;
mod sync;
mod telemetry;
pub mod traces;
pub mod users;
pub mod worker;
