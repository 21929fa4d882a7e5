//! The pages of errors, with the menu where somebody is signed in.

use axum::response::Response;
use hyper::header::{HeaderName, HeaderValue};
use maud::{Markup, html};

use super::PATH;
use super::error::PageError;
use super::layout::{self, Nav};
use super::session::{ConsoleSession, Visitor, redirect};

const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// The page of an error.
pub(super) fn page(error: &PageError, visitor: &Visitor, session: Option<&ConsoleSession>) -> Response {
    log(error);
    if let PageError::SignIn { next } = error {
        return sign_in(visitor, next.as_deref());
    }
    let (title, text) = error.words();
    let content = message(title, &text);
    let mut response = match session {
        Some(session) => session.page(Nav::None, title, content),
        None => visitor.page(title, content),
    };
    *response.status_mut() = error.status();
    response
}

/// The response before anything is known of the visitor.
pub(super) fn bare(error: &PageError) -> Response {
    log(error);
    let (title, text) = error.words();
    let mut response = layout::respond(&layout::bare(title, &message(title, &text)));
    *response.status_mut() = error.status();
    response
}

/// A path below the console that no route has. Nobody is looked up for it.
pub(super) async fn unknown() -> Response {
    bare(&PageError::Missing)
}

fn log(error: &PageError) {
    if let PageError::Store(error) = error {
        tracing::error!(error = error.report(), "console request failed");
    }
}

/// Leads to the page for signing in; a part of a page that htmx asks for makes the whole page go there.
fn sign_in(visitor: &Visitor, next: Option<&str>) -> Response {
    let mut path = format!("{PATH}/sign-in");
    if let Some(next) = next.filter(|next| *next != PATH && *next != format!("{PATH}/")) {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        path = format!("{path}?next={next}");
    }
    if visitor.is_partial {
        let mut response = Response::default();
        let value = HeaderValue::try_from(format!("{PATH}/sign-in"));
        response.headers_mut().extend(value.ok().map(|value| (HX_REDIRECT, value)));
        return response;
    }
    redirect(&path)
}

fn message(title: &str, text: &str) -> Markup {
    html! {
        section.message {
            h1 { (title) }
            p { (text) }
            p { a.button.primary href=(PATH) { "Go to the Dashboard" } }
        }
    }
}
