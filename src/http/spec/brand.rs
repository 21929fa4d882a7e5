//! The brand of a request: that of the account that owns the requested host name, else the installation's.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::future::Cache;

use super::docs::{Asset, Template};
use crate::domain::AccountId;
use crate::domain::brand::{Brand, parse_host};
use crate::http::request::service_url::ServiceUrl;
use crate::store::Store;
use crate::store::StoreError;
use bytes::Bytes;

/// A host is looked up again after this time, which bounds how long a change stays unseen.
const CACHE_TTL: Duration = Duration::from_secs(5);

/// The largest number of hosts that are cached; a brand may have a logo of 256 KiB.
const HOSTS: u64 = 1_000;

/// A brand with the documents that depend on it alone. Each document is made when it is first requested.
pub(crate) struct Branded {
    pub(crate) brand: Brand,
    /// The account whose host this is; `None` for the installation's brand.
    pub(crate) account: Option<AccountId>,
    pub(in crate::http) style: Asset,
    /// The brand's own logo, or a mark with the first letter of its name.
    pub(in crate::http) logo: Asset,
    pub(in crate::http) page: OnceLock<Template>,
    pub(in crate::http) openapi: OnceLock<Template>,
    pub(in crate::http) events: OnceLock<Template>,
}

impl Branded {
    pub(in crate::http) fn new(brand: Brand, account: Option<AccountId>) -> Self {
        let (style, logo) = (style(&brand), logo(&brand));
        let (page, openapi, events) = Default::default();
        Self { brand, account, style, logo, page, openapi, events }
    }
}

/// The cache of brands by host name.
pub(crate) struct Brands {
    store: Store,
    installation: Arc<Branded>,
    known: Cache<String, Arc<Branded>>,
    /// The brand that each host of an account had when it was last looked up, for the time in which the database cannot be
    /// reached.
    last: Cache<String, Arc<Branded>>,
}

impl Brands {
    pub(in crate::http) fn new(store: Store, installation: Brand) -> Self {
        let known = Cache::builder().max_capacity(HOSTS).time_to_live(CACHE_TTL).build();
        let last = Cache::new(HOSTS);
        Self { store, installation: Arc::new(Branded::new(installation, None)), known, last }
    }

    /// The installation's own brand.
    pub(crate) fn installation(&self) -> &Brand {
        &self.installation.brand
    }

    async fn look_up(&self, host: &str) -> Result<Arc<Branded>, StoreError> {
        let branded = self.of_host(host).await?;
        match branded.account {
            Some(_) => self.last.insert(host.to_owned(), Arc::clone(&branded)).await,
            None => self.last.invalidate(host).await,
        }
        Ok(branded)
    }

    async fn of_host(&self, host: &str) -> Result<Arc<Branded>, StoreError> {
        let installation = &self.installation.brand;
        let Some(own) = self.store.brand_of_host(host).await? else { return Ok(Arc::clone(&self.installation)) };
        let brand = Brand {
            name: own.name,
            color: own.color.unwrap_or(installation.color),
            logo: own.logo.or_else(|| installation.logo.clone()),
            support_url: own.support_url,
        };
        Ok(Arc::new(Branded::new(brand, Some(own.account))))
    }

    /// The brand that a visitor of `service_url` sees. The public pages need no database: while it cannot be reached, a host
    /// keeps the brand that it had, and one that was never looked up has the installation's.
    pub(crate) async fn shown_at(&self, service_url: &ServiceUrl) -> Arc<Branded> {
        let Ok(host) = parse_host(service_url.host()) else { return Arc::clone(&self.installation) };
        match self.known.try_get_with_by_ref(&host, self.look_up(&host)).await {
            Ok(brand) => brand,
            Err(error) => {
                tracing::warn!(host, error = error.report(), "look up brand of host failed");
                self.last.get(&host).await.unwrap_or_else(|| Arc::clone(&self.installation))
            }
        }
    }
}

/// A style sheet that sets the brand's colours as variables.
fn style(brand: &Brand) -> Asset {
    let (color, text) = (brand.color, brand.color.text());
    Asset::new("text/css; charset=utf-8", format!(":root {{ --brand: {color}; --on-brand: {text}; }}\n"))
}

fn logo(brand: &Brand) -> Asset {
    match &brand.logo {
        Some(logo) => Asset::new(logo.format.name(), Bytes::copy_from_slice(&logo.bytes)),
        None => Asset::new("image/svg+xml", mark(brand)),
    }
}

/// The first letter of a brand's name, in its colour: the mark of the console, which stands on the brand's colour here.
fn mark(brand: &Brand) -> String {
    let letter = brand.name.chars().find(|sign| sign.is_alphanumeric()).unwrap_or('·').to_uppercase();
    let (color, ground) = (brand.color, brand.color.text());
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40" width="40" height="40"><rect width="40" height="40" rx="9" fill="{ground}"/><text x="20" y="28" text-anchor="middle" font-family="system-ui, sans-serif" font-size="22" font-weight="700" fill="{color}">{letter}</text></svg>"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::brand::Color;

    #[test]
    fn a_brand_without_a_logo_has_the_first_letter_of_its_name() {
        let brand = |name: &str| Brand { name: name.to_owned(), color: Color::NEUTRAL, logo: None, support_url: None };
        assert!(mark(&brand("unificus")).contains(">U</text>"));
        assert!(mark(&brand("<script>")).contains(">S</text>"), "no sign of the name is markup");
        assert!(mark(&brand("&")).contains(">·</text>"));
    }
}
