//! The live documentation: Swagger UI at `/swagger`, for anybody, in the brand of the host that was asked.
//!
//! Everything that the page shows comes from this service (`assets`), its policy allows nothing else, and it works
//! with no database. It knows nothing of what the OpenAPI document says.

mod assets;
mod html;
mod template;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, VARY,
};
use hyper::{HeaderMap, StatusCode, Uri};

use self::assets::Encoding;
pub(super) use self::assets::{Asset, Assets};
use self::html::{Html, fill};
pub(super) use self::template::Template;
use super::asyncapi;
use super::auth::TEST_CREDENTIALS;
use super::brand::{Branded, brand_of};
use super::extract::{self, Origin, Query};
use super::problem::Problem;
use super::{Api, BASE};
use crate::domain::account::Tier;
use crate::domain::brand::Brand;

/// What the page may do: run and style itself from files of this service, and call it. Swagger UI draws its icons
/// from `data:`, sets styles through the object model alone and needs neither inline code nor `eval`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A logo is somebody's file: opened by itself, it may draw and nothing else.
const FILE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// The page itself.
pub(super) async fn page(State(api): State<Arc<Api>>, origin: Origin, headers: HeaderMap) -> Response {
    let brand = brand_of(&api, &origin).await;
    let burst = api.config.quota.burst_per_second;
    let make = || Template::new("text/html; charset=utf-8", |origin| render(&api.assets, &brand, origin, burst));
    document(brand.page.get_or_init(make), &origin, &headers, PAGE_POLICY)
}

/// A file of the page: one of [`Assets`], or one that the brand makes.
pub(super) async fn asset(
    State(api): State<Arc<Api>>,
    origin: Origin,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(asset) = api.assets.get(&name) {
        return Ok(answer(asset, &headers, Freshness::of(&uri, asset), FILE_POLICY));
    }
    let brand = brand_of(&api, &origin).await;
    let asset = match name.as_str() {
        "brand.css" => &brand.style,
        "logo" => brand.logo.as_ref().unwrap_or_else(|| api.assets.logo()),
        _ => return Err(Problem::no_route()),
    };
    Ok(answer(asset, &headers, Freshness::of(&uri, asset), FILE_POLICY))
}

/// The AsyncAPI document of the account's events.
pub(super) async fn events(State(api): State<Arc<Api>>, origin: Origin, headers: HeaderMap) -> Response {
    let brand = brand_of(&api, &origin).await;
    let root = &api.config.nats.subject_root;
    let text = |origin: &Origin| asyncapi::document(&brand.brand.name, &origin.0, BASE, root).to_string();
    let template = brand.events.get_or_init(|| Template::new("application/json", text));
    document(template, &origin, &headers, FILE_POLICY)
}

/// How long a browser may go without asking.
#[derive(Clone, Copy)]
enum Freshness {
    /// It asks each time, and mostly hears that nothing changed.
    Asked,
    /// The address names the content: it never asks again.
    Forever,
}

impl Freshness {
    fn of(uri: &Uri, asset: &Asset) -> Self {
        if Query::of(uri).get("v") == Some(&asset.tag) { Self::Forever } else { Self::Asked }
    }

    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Asked => "no-cache",
            Self::Forever => "public, max-age=31536000, immutable",
        })
    }
}

fn answer(asset: &Asset, headers: &HeaderMap, freshness: Freshness, policy: &'static str) -> Response {
    let mut response = tagged(&asset.tag, headers, || asset.bytes.clone());
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    put(CACHE_CONTROL, freshness.header());
    put(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    put(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asset.encoding == Encoding::Gzip {
        put(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A document as it reads at this origin.
fn document(template: &Template, origin: &Origin, headers: &HeaderMap, policy: &'static str) -> Response {
    let mut response = tagged(&template.tag(origin), headers, || template.bytes(origin));
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(template.media_type));
    put(CACHE_CONTROL, Freshness::Asked.header());
    put(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    put(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A document of data, which readers with keys see in their own way.
pub(super) fn data(template: &Template, origin: &Origin, headers: &HeaderMap) -> Response {
    let mut response = document(template, origin, headers, FILE_POLICY);
    response.headers_mut().insert(VARY, HeaderValue::from_static("x-public-id, x-secret-key"));
    response
}

/// 304 where the client has what this tag names, else 200 and the bytes.
fn tagged(tag: &str, headers: &HeaderMap, bytes: impl FnOnce() -> Bytes) -> Response {
    let tag = format!("\"{tag}\"");
    let known = extract::has_tag(headers, &tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(bytes()) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The page's template with its gaps filled.
fn render(assets: &Assets, branded: &Branded, origin: &Origin, burst: u64) -> String {
    let address = |name: &str, asset: &Asset| Html::text(&format!("{BASE}/swagger/assets/{name}?v={}", asset.tag));
    fill(include_str!("page.html"), |gap| {
        Some(match gap {
            "name" => Html::text(&branded.brand.name),
            "base" => Html::text(BASE),
            "origin" => Html::text(&origin.0),
            "dummy-id" => Html::text(TEST_CREDENTIALS.0),
            "dummy-key" => Html::text(TEST_CREDENTIALS.1),
            "burst" => Html::text(&burst.to_string()),
            "tiers" => Html::concat(Tier::ALL.map(tier)),
            "brand.css" => address(gap, &branded.style),
            "logo" => address(gap, branded.logo.as_ref().unwrap_or_else(|| assets.logo())),
            name => address(name, assets.get(name)?),
        })
    })
}

fn tier(tier: Tier) -> Html {
    let (title, calls) = (Html::text(tier.title()), Html::text(&thousands(tier.monthly_calls())));
    Html::markup(format!("<tr><td>{title}</td><td>{calls}</td></tr>"))
}

/// 20000 as `20,000`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The brand's colours as variables.
pub(super) fn style(brand: &Brand) -> Asset {
    let (color, text) = (brand.color, brand.color.text());
    Asset::new("text/css; charset=utf-8", format!(":root {{ --brand: {color}; --on-brand: {text}; }}\n"))
}

/// The brand's own logo.
pub(super) fn logo(brand: &Brand) -> Option<Asset> {
    let logo = brand.logo.as_ref()?;
    Some(Asset::new(logo.format.name(), Bytes::copy_from_slice(&logo.bytes)))
}

#[cfg(test)]
mod tests;
