//! Files and documents as responses: their headers, and 304 where the client has them.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, VARY,
};
use hyper::{HeaderMap, StatusCode, Uri};

use super::assets::{Asset, Encoding};
use super::template::Template;
use crate::http::request::conditions::has_tag;
use crate::http::request::extract::Query;
use crate::http::request::service_url::ServiceUrl;

/// The policy of a file. A logo may be anybody's SVG: opened by itself, it may draw and nothing else.
pub(super) const FILE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// The time for which a browser may use its copy.
#[derive(Clone, Copy)]
pub(super) enum CachePolicy {
    /// The browser revalidates its copy each time, mostly with 304.
    Revalidate,
    /// The address contains the content's tag, so the copy never expires.
    Forever,
}

impl CachePolicy {
    pub(super) fn of(uri: &Uri, asset: &Asset) -> Self {
        if Query::of(uri).get("v") == Some(&asset.tag) { Self::Forever } else { Self::Revalidate }
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Revalidate => "no-cache",
            Self::Forever => "public, max-age=31536000, immutable",
        })
    }
}

pub(super) fn answer(asset: &Asset, headers: &HeaderMap, cache: CachePolicy, policy: &'static str) -> Response {
    let mut response = tagged(&asset.tag, headers, || asset.bytes.clone());
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    put(CACHE_CONTROL, cache.header());
    put(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    put(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asset.encoding == Encoding::Gzip {
        put(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Responds with a document as it reads at this service URL.
pub(super) fn document(
    template: &Template,
    service_url: &ServiceUrl,
    headers: &HeaderMap,
    policy: &'static str,
) -> Response {
    let mut response = tagged(&template.tag(service_url), headers, || template.bytes(service_url));
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(template.media_type));
    put(CACHE_CONTROL, CachePolicy::Revalidate.header());
    put(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    put(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Responds with a document that depends on the keys that it is requested with.
pub(in crate::http) fn data(template: &Template, service_url: &ServiceUrl, headers: &HeaderMap) -> Response {
    let mut response = document(template, service_url, headers, FILE_POLICY);
    response.headers_mut().insert(VARY, HeaderValue::from_static("x-public-id, x-secret-key"));
    response
}

/// 304 where the client has the content of this tag, else 200 and the bytes.
fn tagged(tag: &str, headers: &HeaderMap, bytes: impl FnOnce() -> Bytes) -> Response {
    let tag = format!("\"{tag}\"");
    let known = has_tag(headers, &tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(bytes()) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
