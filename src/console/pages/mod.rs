//! The pages: a file or folder each, with the handlers in the order of `routes.rs` and the markup below them.

pub(super) mod account_links;
pub(super) mod audiences;
pub(super) mod audit;
mod audit_words;
pub(super) mod branding;
pub(super) mod components;
pub(super) mod custom_fields;
pub(super) mod dashboard;
pub(super) mod files;
mod monthly_quota;
pub(super) mod preferences;
pub(super) mod profile;
pub(super) mod push;
pub(super) mod records;
pub(super) mod secure_api;
pub(super) mod sign_in;
pub(super) mod sync;
pub(super) mod team;

use axum::response::Response;

use super::PATH;
use super::session::redirect;

/// `/console`: the first page of whoever is signed in.
pub(super) async fn home() -> Response {
    redirect(&format!("{PATH}/dashboard"))
}
