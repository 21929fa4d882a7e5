//! The live documentation: Swagger UI at `/swagger`, public, in the brand of the requested host.
//!
//! Every file of the page comes from this service (`assets`), the page's policy allows no other source, and it needs no
//! database. It knows nothing of the content of the OpenAPI document.

mod assets;
mod html;
pub(super) mod serving;
mod template;

use std::sync::Arc;

use axum::extract::{OriginalUri, Path, State};
use axum::response::Response;
use hyper::HeaderMap;

pub(in crate::http) use self::assets::{Asset, Assets};
use self::html::{Html, fill};
use self::serving::{CachePolicy, FILE_POLICY, answer, document};
pub(in crate::http) use self::template::Template;
use super::BASE;
use super::asyncapi;
use super::brand::{Branded, Brands};
use crate::config;
use crate::domain::tier::TierTerms;
use crate::http::request::auth::TEST_CREDENTIALS;
use crate::http::request::service_url::ServiceUrl;
use crate::http::response::problem::Problem;

/// The policy of the page: run and style itself from files of this service, and call its API. Swagger UI draws its
/// icons from `data:`, sets styles through the object model alone and needs neither inline code nor `eval`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The state of the documentation's routes.
pub(in crate::http) struct Pages {
    pub(in crate::http) brands: Arc<Brands>,
    pub(in crate::http) assets: Assets,
    /// The limits that the page shows.
    pub(in crate::http) quota: config::Quota,
    /// The first step of the subjects that events are published to.
    pub(in crate::http) subject_root: String,
}

/// The page itself.
pub(in crate::http) async fn page(
    State(pages): State<Arc<Pages>>,
    service_url: ServiceUrl,
    headers: HeaderMap,
) -> Response {
    let brand = pages.brands.shown_at(&service_url).await;
    let quota = &pages.quota;
    let make =
        || Template::new("text/html; charset=utf-8", |service_url| render(&pages.assets, &brand, service_url, quota));
    document(brand.page.get_or_init(make), &service_url, &headers, PAGE_POLICY)
}

/// A file of the page: one of [`Assets`], or one that the brand makes.
pub(in crate::http) async fn asset(
    State(pages): State<Arc<Pages>>,
    service_url: ServiceUrl,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if let Some(asset) = pages.assets.get(&name) {
        return Ok(answer(asset, &headers, CachePolicy::of(&uri, asset), FILE_POLICY));
    }
    let brand = pages.brands.shown_at(&service_url).await;
    let asset = match name.as_str() {
        "brand.css" => &brand.style,
        "logo" => &brand.logo,
        _ => return Err(Problem::no_route()),
    };
    Ok(answer(asset, &headers, CachePolicy::of(&uri, asset), FILE_POLICY))
}

/// The AsyncAPI document of the account's events.
pub(in crate::http) async fn events(
    State(pages): State<Arc<Pages>>,
    service_url: ServiceUrl,
    headers: HeaderMap,
) -> Response {
    let brand = pages.brands.shown_at(&service_url).await;
    let root = &pages.subject_root;
    let text = |service_url: &ServiceUrl| asyncapi::document(&brand.brand.name, &service_url.0, BASE, root).to_string();
    let template = brand.events.get_or_init(|| Template::new("application/json", text));
    document(template, &service_url, &headers, FILE_POLICY)
}

/// The page, from its template.
fn render(assets: &Assets, branded: &Branded, service_url: &ServiceUrl, quota: &config::Quota) -> String {
    let address = |name: &str, asset: &Asset| Html::text(&format!("{BASE}/swagger/assets/{name}?v={}", asset.tag));
    fill(include_str!("page.html"), |gap| {
        Some(match gap {
            "name" => Html::text(&branded.brand.name),
            "base" => Html::text(BASE),
            "service_url" => Html::text(&service_url.0),
            "dummy-id" => Html::text(TEST_CREDENTIALS.0),
            "dummy-key" => Html::text(TEST_CREDENTIALS.1),
            "burst" => Html::text(&burst(quota.burst_per_second)),
            "tiers" => Html::concat(quota.tiers.by_size().into_iter().map(|(_, terms)| tier(terms))),
            "brand.css" => address(gap, &branded.style),
            "logo" => address(gap, &branded.logo),
            name => address(name, assets.get(name)?),
        })
    })
}

/// The end of the sentence on refused calls; nothing where the limit is off.
fn burst(per_second: u64) -> String {
    match per_second {
        0 => String::new(),
        _ => format!(", and so does one beyond {} calls within one second", thousands(per_second)),
    }
}

fn tier(terms: &TierTerms) -> Html {
    let (title, calls) = (Html::text(&terms.title), Html::text(&thousands(terms.calls_per_month)));
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

#[cfg(test)]
mod tests;
