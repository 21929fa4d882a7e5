//! The service on a real PostgreSQL and a real NATS.
//!
//! One pair of servers serves the whole run. A test has its own database, stream and subjects, and waits for events
//! instead of sleeping.
#![cfg(test)]

mod api;
mod batches;
mod blocking;
mod bootstrap;
mod brand;
mod changes;
mod clocks;
mod company_fields;
mod config;
#[expect(dead_code, unreachable_pub, unused_imports, reason = "programs use more of it; here its own tests run")]
#[path = "../../examples/connector/mod.rs"]
mod connector;
mod console;
mod crash;
mod database_failures;
mod deploy;
mod docs;
mod doctor;
mod edge;
mod endpoints;
mod erase;
mod feed_pages;
mod files;
mod form_values;
mod generated_clients;
mod health;
mod history;
mod isolation;
mod keys;
mod kinds;
mod leniency;
mod lists;
mod log;
mod meta;
mod metrics;
mod nats_gateway;
mod openapi;
mod operations;
mod page_links;
mod paused;
mod pools;
mod process;
mod proto;
mod push;
mod push_delivery;
mod quota;
mod quota_leases;
mod quota_spare;
mod rebuild;
mod relay;
mod release_before;
mod request_ids;
mod restore;
mod searches;
mod services;
mod shards;
mod streams;
mod support;
mod sync;
mod text_index;
mod tiers;
mod time_travel;
mod upgrades;
mod usage;
#[path = "../../examples/carddav/vcard/mod.rs"]
mod vcard;
mod watch;
