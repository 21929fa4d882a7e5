//! The guard of every route: who may use it, and whether a form comes from our own page.
//!
//! A handler runs only after the guard. Without the role that the route needs, the response is that of a page that does not
//! exist, so that a page which is hidden in the menu is not confirmed by its address.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, SET_COOKIE};

use super::access::{Access, CSRF_FIELD};
use super::error::PageError;
use super::error_page;
use super::form::Form;
use super::lookup;
use super::session::{ConsoleSession, Visitor};
use super::state::Console;
use crate::http::ServiceUrl;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The header by which scripts send the token of forms.
const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

/// The guard of one route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) console: Arc<Console>,
    pub(super) access: Access,
    /// The largest body, in bytes.
    pub(super) max_body: usize,
}

/// Runs the handler with the visitor and, where there is one, the session in the request's extensions.
pub(super) async fn authorise(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let visitor = lookup::visitor(&guard.console, &mut parts).await;
    let (visitor, session) = match visitor {
        Ok(known) => known,
        Err(error) => return error_page::bare(&error),
    };
    let checked = check(&guard, &visitor, session.as_ref(), &parts, body).await;
    let body = match checked {
        Ok(body) => body,
        Err(error) => return error_page::page(&error, &visitor, session.as_ref()),
    };
    let new_visit = visitor.new_cookie.clone();
    parts.extensions.insert(Arc::clone(&visitor));
    if let Some(session) = &session {
        parts.extensions.insert(session.clone());
    }
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<PageError>>() {
        response = error_page::page(&error, &visitor, session.as_ref());
    }
    // Files are kept by shared caches, so they set no cookie.
    let is_page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if let Some(cookie) = new_visit.filter(|_| is_page) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    lookup::clear_flash(&visitor, session.as_ref(), &mut response);
    response
}

/// Checks the role and the token; returns the body, which may have been read.
async fn check(
    guard: &Guard,
    visitor: &Arc<Visitor>,
    session: Option<&ConsoleSession>,
    parts: &Parts,
    body: Body,
) -> Result<Body, PageError> {
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    match session {
        None if guard.access != Access::Public => {
            return Err(PageError::SignIn { next: is_read.then(|| lookup::local_path(&parts.uri)) });
        }
        Some(session) if !session.may_use(guard.access) => return Err(PageError::Missing),
        None | Some(_) => {}
    }
    if is_read {
        return Ok(body);
    }
    if comes_from_elsewhere(parts) {
        return Err(PageError::Forged);
    }
    // The forms of people who are not signed in are those of the browser, also where somebody is signed in in it.
    let is_ours = |claimed: &str| {
        let is_public = session.is_none() || guard.access == Access::Public;
        session.is_some_and(|session| session.token.is_csrf(claimed)) || (is_public && visitor.token.is_csrf(claimed))
    };
    let header = parts.headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    if header.is_some_and(is_ours) || Form::of_query(&parts.uri).get(CSRF_FIELD).is_some_and(is_ours) {
        return Ok(Body::new(http_body_util::Limited::new(body, guard.max_body)));
    }
    let bytes: Bytes =
        axum::body::to_bytes(body, guard.max_body).await.map_err(|_| PageError::TooLarge(guard.max_body))?;
    let form = Form::parse(&bytes);
    if form.get(CSRF_FIELD).is_some_and(is_ours) { Ok(Body::from(bytes)) } else { Err(PageError::Forged) }
}

/// Whether the browser says that a page of another site sent the request. Older browsers say nothing; the token decides.
fn comes_from_elsewhere(parts: &Parts) -> bool {
    let site = parts.headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let origin = parts.headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let own = parts.extensions.get::<ServiceUrl>();
    match (origin, own) {
        // The scheme is left out, because a proxy in front may not forward it.
        (Some(origin), Some(own)) => {
            origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(own.parts().1))
        }
        (None, _) | (_, None) => false,
    }
}
