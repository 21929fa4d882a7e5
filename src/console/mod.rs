//! The web console: server-rendered pages for the people of an account.
//!
//! `routes.rs` lists every route with the least role that may use it; `guard.rs` enforces the list before a handler runs,
//! together with the token of forms. A page is a function in `pages/` that takes a [`session::ConsoleSession`] and returns
//! markup; everything that it changes goes through the services that the API and the command line use. Works without
//! scripts, except for live values and copying. Knows no SQL and no NATS.

mod access;
mod assets;
mod brand;
mod commands;
mod components;
mod cookies;
mod error;
mod error_page;
mod flash;
mod form;
mod guard;
mod headers;
mod layout;
mod live;
mod lookup;
mod pages;
mod routes;
mod session;
mod state;
mod streams;
mod text;

pub use self::access::Access;
pub use self::routes::{RouteInfo, table};
pub(crate) use self::state::{Console, ConsoleParts};

use std::sync::Arc;

use axum::Router;
use axum::middleware;

/// The origin of the events by which people's changes in the console are recorded. Who made them is in the audit.
pub(crate) const ORIGIN: &str = "console";

/// The path under which all pages stand.
pub(crate) const PATH: &str = "/console";

/// The routes of the console; none where it is switched off.
pub(crate) fn router(console: &Arc<Console>) -> Router {
    if !console.is_enabled {
        return Router::new();
    }
    let routes = routes::all().into_iter().fold(Router::new(), |router, route| {
        let guard = guard::Guard { console: Arc::clone(console), access: route.access, max_body: route.max_body };
        let guarded = route.handler.layer(middleware::from_fn_with_state(guard, guard::authorise));
        router.route(route.path, guarded)
    });
    let routes = routes.fallback(error_page::unknown).method_not_allowed_fallback(error_page::unknown);
    let routes = routes.with_state(Arc::clone(console));
    let home = Router::new().route(PATH, axum::routing::get(pages::home)).merge(Router::new().nest(PATH, routes));
    home.layer(middleware::from_fn(headers::secure))
}
