//! Every route of the console, with the least role that may use it. Authorisation is decided here and nowhere else; the
//! tests ask every route as everybody.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::{MethodRouter, get, post};
use hyper::Method;

use super::access::Access;
use super::form::MAX_FORM;
use super::pages::{
    account_links, audiences, audit, branding, components, custom_fields, dashboard, files, preferences, profile,
    records, secure_api, sign_in, team,
};
use super::pages::{push, sync};
use super::state::Console;

/// A route of the console.
pub(super) struct ConsoleRoute {
    method: Method,
    /// Below `/console`.
    pub(super) path: &'static str,
    pub(super) access: Access,
    /// The largest body, in bytes.
    pub(super) max_body: usize,
    pub(super) handler: MethodRouter<Arc<Console>>,
}

impl ConsoleRoute {
    /// The same route for larger bodies. Its form sends the token as `?csrf=`, so that the body is not read twice.
    #[must_use]
    fn with_body(self, max_body: usize) -> Self {
        // The guard bounds every body.
        Self { max_body, handler: self.handler.layer(DefaultBodyLimit::disable()), ..self }
    }
}

fn page<H, T>(path: &'static str, access: Access, handler: H) -> ConsoleRoute
where
    H: Handler<T, Arc<Console>>,
    T: 'static,
{
    ConsoleRoute { method: Method::GET, path, access, max_body: 0, handler: get(handler) }
}

fn action<H, T>(path: &'static str, access: Access, handler: H) -> ConsoleRoute
where
    H: Handler<T, Arc<Console>>,
    T: 'static,
{
    ConsoleRoute { method: Method::POST, path, access, max_body: MAX_FORM, handler: post(handler) }
}

/// The table.
pub(super) fn all() -> Vec<ConsoleRoute> {
    use Access::{Admin, Member, Public, SecureApi, SuperAdmin};
    vec![
        // Files.
        page("/assets/{name}", Public, files::serve),
        page("/brand/style/{name}", Public, files::brand_style),
        page("/brand/logo/{tag}", Public, files::logo),
        // Signing in.
        page("/sign-in", Public, sign_in::form),
        action("/sign-in", Public, sign_in::submit),
        action("/sign-in/account", Public, sign_in::choose_account),
        action("/sign-in/code", Public, sign_in::check_code),
        action("/sign-out", Public, sign_in::sign_out),
        page("/forgot", Public, account_links::forgot_form),
        action("/forgot", Public, account_links::forgot),
        page("/link/{token}", Public, account_links::link_form),
        action("/link/{token}", Public, account_links::use_link),
        action("/theme", Public, preferences::theme),
        action("/menu", Public, preferences::menu),
        // Integrations.
        page("/integrations", Admin, secure_api::integrations),
        page("/integrations/secure-api", SecureApi, secure_api::show),
        page("/integrations/secure-api/live", SecureApi, secure_api::live),
        action("/integrations/secure-api/keys", SecureApi, secure_api::add_key),
        action("/integrations/secure-api/keys/{key}/reveal", SecureApi, secure_api::reveal_key),
        action("/integrations/secure-api/keys/{key}/delete", SecureApi, secure_api::delete_key),
        action("/integrations/secure-api/behavior", SecureApi, secure_api::set_behavior),
        // Platform Branding.
        page("/branding", SuperAdmin, branding::show),
        action("/branding", SuperAdmin, branding::save),
        action("/branding/logo", SuperAdmin, branding::save_logo).with_body(branding::MAX_UPLOAD),
        action("/branding/logo/remove", SuperAdmin, branding::remove_logo),
        action("/branding/clear", SuperAdmin, branding::clear),
        action("/branding/visibility", SuperAdmin, branding::set_visibility),
        // Team.
        page("/team", SuperAdmin, team::show),
        action("/team/invite", SuperAdmin, team::invite),
        action("/team/{user}/role", SuperAdmin, team::set_role),
        action("/team/{user}/link", SuperAdmin, team::make_link),
        action("/team/{user}/disable", SuperAdmin, team::disable),
        action("/team/{user}/enable", SuperAdmin, team::enable),
        action("/team/{user}/remove", SuperAdmin, team::remove),
        action("/team/{user}/remove-totp", SuperAdmin, team::remove_totp),
        // Audit.
        page("/audit", Admin, audit::show),
        page("/audit/export", Admin, audit::export),
        // Profile.
        page("/profile", Member, profile::show),
        action("/profile/password", Member, profile::change_password),
        action("/profile/totp", Member, profile::add_totp),
        action("/profile/totp/remove", Member, profile::remove_totp),
        action("/profile/sessions/end-others", Member, profile::end_others),
        action("/profile/sessions/{session}/end", Member, profile::end_session),
        page("/components", Member, components::show),
    ]
    .into_iter()
    .chain(of_records())
    .chain(push_and_sync())
    .collect()
}

/// The tabs Push Endpoints and Sync of Integrations.
fn push_and_sync() -> Vec<ConsoleRoute> {
    use Access::Admin;
    vec![
        page("/integrations/push", Admin, push::list::show),
        page("/integrations/push/live", Admin, push::list::live),
        page("/integrations/push/new", Admin, push::edit::new),
        action("/integrations/push", Admin, push::edit::create),
        page("/integrations/push/{id}", Admin, push::detail::show),
        page("/integrations/push/{id}/live", Admin, push::detail::live),
        page("/integrations/push/{id}/edit", Admin, push::edit::form),
        action("/integrations/push/{id}", Admin, push::edit::update),
        page("/integrations/push/{id}/attempts/{attempt}", Admin, push::attempts::show),
        action("/integrations/push/{id}/rotate", Admin, push::actions::rotate),
        action("/integrations/push/{id}/test", Admin, push::actions::test),
        action("/integrations/push/{id}/pause", Admin, push::actions::pause),
        action("/integrations/push/{id}/resume", Admin, push::actions::resume),
        action("/integrations/push/{id}/delete", Admin, push::actions::delete),
        action("/integrations/push/{id}/replay", Admin, push::replay::start),
        action("/integrations/push/{id}/parked/retry", Admin, push::actions::retry_all),
        action("/integrations/push/{id}/parked/{seq}/retry", Admin, push::actions::retry),
        page("/integrations/sync", Admin, sync::overview::show),
        action("/integrations/sync/consumers", Admin, sync::consumers::create),
        action("/integrations/sync/consumers/{name}/delete", Admin, sync::consumers::delete),
        page("/integrations/sync/conflicts", Admin, sync::conflicts::list),
        action("/integrations/sync/conflicts/{uid}/resolve", Admin, sync::conflicts::resolve),
        page("/integrations/sync/rules", Admin, sync::policy::show),
        action("/integrations/sync/rules", Admin, sync::policy::set_default),
        action("/integrations/sync/rules/fields", Admin, sync::policy::set_field),
        action("/integrations/sync/rules/fields/remove", Admin, sync::policy::remove_field),
        page("/integrations/sync/undo", Admin, sync::undo::form),
        action("/integrations/sync/undo", Admin, sync::undo::start),
        page("/integrations/sync/undo/progress", Admin, sync::undo::progress),
        action("/integrations/sync/undo/step", Admin, sync::undo::step),
        page("/integrations/sync/undo/result", Admin, sync::undo::result),
    ]
}

/// The routes of the account's records, of what they are made of, and of their numbers.
fn of_records() -> Vec<ConsoleRoute> {
    use Access::{Admin, Member};
    use records::{Companies, Contacts, MAX_UPLOAD, Projects};
    vec![
        page("/contacts", Member, records::list::<Contacts>),
        page("/contacts/export", Admin, records::export::<Contacts>),
        page("/contacts/import", Admin, records::import_form::<Contacts>),
        action("/contacts/import", Admin, records::import_run::<Contacts>).with_body(MAX_UPLOAD),
        page("/contacts/{uid}", Member, records::show::<Contacts>),
        action("/contacts/{uid}/restore", Admin, records::restore::<Contacts>),
        page("/companies", Member, records::list::<Companies>),
        page("/companies/export", Admin, records::export::<Companies>),
        page("/companies/import", Admin, records::import_form::<Companies>),
        action("/companies/import", Admin, records::import_run::<Companies>).with_body(MAX_UPLOAD),
        page("/companies/{uid}", Member, records::show::<Companies>),
        action("/companies/{uid}/restore", Admin, records::restore::<Companies>),
        page("/projects", Member, records::list::<Projects>),
        page("/projects/export", Admin, records::export::<Projects>),
        page("/projects/{uid}", Member, records::show::<Projects>),
        action("/projects/{uid}/restore", Admin, records::restore::<Projects>),
        page("/dashboard", Member, dashboard::show),
        page("/dashboard/live", Member, dashboard::live),
        page("/custom-fields", Member, custom_fields::show),
        action("/custom-fields", Admin, custom_fields::add),
        action("/custom-fields/{uid}", Admin, custom_fields::change),
        action("/custom-fields/{uid}/archive", Admin, custom_fields::archive),
        page("/audiences", Member, audiences::show),
        action("/audiences", Admin, audiences::add),
    ]
}

/// A route as tests see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// GET or POST.
    pub method: Method,
    /// The path with `{…}` for its parameters.
    pub path: String,
    /// The least that a visitor must be.
    pub access: Access,
}

/// Every route, for the test that asks each as everybody.
#[must_use]
pub fn table() -> Vec<RouteInfo> {
    let info = |ConsoleRoute { method, path, access, .. }| RouteInfo {
        method,
        path: format!("{}{path}", super::PATH),
        access,
    };
    all().into_iter().map(info).collect()
}
