//! Choices of a browser that are kept in its cookies: the theme, and the width of the menu.

use axum::response::Response;
use hyper::header::SET_COOKIE;

use super::super::cookies::{self, Cookie};
use super::super::form::Form;
use super::super::session::{redirect, safe_path};

/// How long a browser keeps a choice.
const YEAR_S: u64 = 365 * 24 * 3_600;

pub(in crate::console) async fn theme(form: Form) -> Response {
    let theme = match form.text("theme") {
        "light" => "light",
        "dark" => "dark",
        _ => "",
    };
    back(&form, Cookie::Theme, theme)
}

pub(in crate::console) async fn menu(form: Form) -> Response {
    let menu = if form.text("menu") == "collapsed" { "collapsed" } else { "" };
    back(&form, Cookie::Menu, menu)
}

/// Sets or removes the cookie, and shows the same page again.
fn back(form: &Form, cookie: Cookie, value: &str) -> Response {
    let mut response = redirect(&safe_path(form.get("back")));
    let max_age_s = if value.is_empty() { 0 } else { YEAR_S };
    response.headers_mut().append(SET_COOKIE, cookies::set(cookie, value, max_age_s));
    response
}
