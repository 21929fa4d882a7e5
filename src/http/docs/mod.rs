//! The live documentation: Swagger UI at `/swagger`, for anybody, in the brand of the host that was asked.
//!
//! Everything that the page shows comes from this service (`assets`), its policy allows nothing else, and it works
//! with no database. It knows nothing of what the OpenAPI document says.

mod assets;
mod html;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, StatusCode, Uri};

pub(super) use self::assets::Assets;
use self::assets::{Asset, Encoding};
use self::html::{Html, fill};
use super::asyncapi;
use super::auth::TEST_CREDENTIALS;
use super::brand::brand_of;
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
    let asset = Asset::new("text/html; charset=utf-8", render(&api.assets, &brand, &origin, burst));
    answer(&asset, &headers, Freshness::Asked, PAGE_POLICY)
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
        "brand.css" => style(&brand),
        "logo" => logo(&api.assets, &brand),
        _ => return Err(Problem::no_route()),
    };
    Ok(answer(&asset, &headers, Freshness::of(&uri, &asset), FILE_POLICY))
}

/// The AsyncAPI document of the account's events.
pub(super) async fn events(State(api): State<Arc<Api>>, origin: Origin, headers: HeaderMap) -> Response {
    let brand = brand_of(&api, &origin).await;
    let document = asyncapi::document(&brand.name, &origin.0, BASE, &api.config.nats.subject_root);
    let asset = Asset::new("application/json", document.to_string());
    answer(&asset, &headers, Freshness::Asked, FILE_POLICY)
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
    let tag = format!("\"{}\"", asset.tag);
    let known = extract::has_tag(headers, &tag);
    let mut response = Response::new(if known { Body::empty() } else { Body::from(asset.bytes.clone()) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let mut put = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    put(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    put(CACHE_CONTROL, freshness.header());
    put(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    put(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    put(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if asset.encoding == Encoding::Gzip {
        put(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        put(ETAG, tag);
    }
    response
}

/// The page's template with its gaps filled.
fn render(assets: &Assets, brand: &Brand, origin: &Origin, burst: u64) -> String {
    let address = |name: &str, asset: &Asset| Html::text(&format!("{BASE}/swagger/assets/{name}?v={}", asset.tag));
    fill(include_str!("page.html"), |gap| {
        Some(match gap {
            "name" => Html::text(&brand.name),
            "base" => Html::text(BASE),
            "origin" => Html::text(&origin.0),
            "dummy-id" => Html::text(TEST_CREDENTIALS.0),
            "dummy-key" => Html::text(TEST_CREDENTIALS.1),
            "burst" => Html::text(&burst.to_string()),
            "tiers" => Html::concat(Tier::ALL.map(tier)),
            "brand.css" => address(gap, &style(brand)),
            "logo" => address(gap, &logo(assets, brand)),
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
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The brand's colours as variables.
fn style(brand: &Brand) -> Asset {
    let (color, text) = (brand.color, brand.color.text());
    Asset::new("text/css; charset=utf-8", format!(":root {{ --brand: {color}; --on-brand: {text}; }}\n"))
}

/// The brand's logo, or one of nobody's.
fn logo(assets: &Assets, brand: &Brand) -> Asset {
    match &brand.logo {
        Some(logo) => Asset::new(logo.format.media_type(), Bytes::copy_from_slice(&logo.bytes)),
        None => assets.logo(),
    }
}

#[cfg(test)]
mod tests;
