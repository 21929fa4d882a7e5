//! The service on a real PostgreSQL and a real NATS.
//!
//! One pair of servers serves the whole run; a test has a database, a stream and subjects of its own, and waits for
//! what it expects rather than for time to pass.
#![cfg(test)]

mod api;
mod blocking;
mod brand;
mod changes;
mod clocks;
mod config;
mod crash;
mod docs;
mod edge;
mod endpoints;
mod feed_pages;
mod health;
mod isolation;
mod keys;
mod kinds;
mod leniency;
mod lists;
mod log;
mod metrics;
mod openapi;
mod operations;
mod paused;
mod pools;
mod process;
mod proto;
mod push;
mod push_delivery;
mod quota;
mod quota_leases;
mod relay;
mod release_before;
mod restore;
mod searches;
mod services;
mod shards;
mod streams;
mod support;
mod text_index;
mod trouble;
mod upgrades;
mod usage;
mod walks;
