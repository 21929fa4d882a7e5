//! The files that pages load.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};

use super::super::assets::{STYLE, accent_style};
use super::super::error::{PageError, PageResult};
use super::super::session::MaybeSession;
use super::super::state::Console;
use crate::domain::brand::{Color, Logo};

const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The policy of a logo: opened by itself, an SVG may draw and nothing else.
const LOGO_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'");

/// A file of the console.
pub(in crate::console) async fn serve(State(console): State<Arc<Console>>, Path(name): Path<String>) -> PageResult {
    let asset = console.assets.get(&name).ok_or(PageError::Missing)?;
    let mut response = file(asset.media_type, asset.bytes.clone());
    if asset.is_gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The style sheet of a colour, which its name says: every pair of colours in it is readable.
pub(in crate::console) async fn brand_style(Path(name): Path<String>) -> PageResult {
    let color = name.strip_suffix(".css").and_then(|digits| Color::parse(&format!("#{digits}")).ok());
    let style = color.map(accent_style).ok_or(PageError::Missing)?;
    Ok(file(STYLE, Bytes::from(style)))
}

/// The brand's logo, by its tag. The tag only makes the address change with the logo.
pub(in crate::console) async fn logo(
    MaybeSession(visitor, session): MaybeSession,
    Path(tag): Path<String>,
) -> PageResult {
    let brands = [session.as_ref().map(|session| &session.brand), Some(&visitor.brand)];
    let has_tag = |logo_tag: &Option<String>| logo_tag.as_deref() == Some(&*tag);
    let brand = brands.into_iter().flatten().find(|brand| has_tag(&brand.logo_tag)).ok_or(PageError::Missing)?;
    let Logo { format, bytes } = brand.logo.as_ref().ok_or(PageError::Missing)?;
    let mut response = file(format.name(), Bytes::copy_from_slice(bytes));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, LOGO_POLICY);
    // Another account's browser must not get it from a shared cache.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    Ok(response)
}

fn file(media_type: &'static str, bytes: Bytes) -> Response {
    let mut response = bytes.into_response();
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(media_type));
    put(CACHE_CONTROL, FOREVER);
    response
}
