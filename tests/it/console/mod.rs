//! The console: over HTTP as programs see it, and in a browser as people do.

mod accessibility;
mod assets;
mod audit;
mod brand;
mod command_line;
mod crawl;
mod links;
mod mail;
mod markup;
mod push;
mod records;
mod records_walk;
mod roles;
mod schema;
mod secure_api;
mod security;
mod sign_in;
pub(crate) mod support;
mod sync;
mod team;
mod walk;
mod white_label;
