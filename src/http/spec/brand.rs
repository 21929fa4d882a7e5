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

/// The hosts that are cached; a brand may have a logo of 256 KiB.
const HOSTS: u64 = 1_000;

/// A brand with the documents that depend on it alone. Each document is made when it is first requested.
pub(crate) struct Branded {
    pub(crate) brand: Brand,
    /// The account whose host this is; `None` for the installation's brand.
    pub(crate) account: Option<AccountId>,
    pub(in crate::http) style: Asset,
    /// The brand's own logo.
    pub(in crate::http) logo: Option<Asset>,
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
}

impl Brands {
    pub(in crate::http) fn new(store: Store, installation: Brand) -> Self {
        let known = Cache::builder().max_capacity(HOSTS).time_to_live(CACHE_TTL).build();
        Self { store, installation: Arc::new(Branded::new(installation, None)), known }
    }

    /// The installation's own brand.
    pub(crate) fn installation(&self) -> &Brand {
        &self.installation.brand
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

    /// The brand that a visitor of `service_url` sees. The public pages need no database: while it cannot be reached, the
    /// installation's brand is shown.
    pub(crate) async fn shown_at(&self, service_url: &ServiceUrl) -> Arc<Branded> {
        let Ok(host) = parse_host(service_url.host()) else { return Arc::clone(&self.installation) };
        match self.known.try_get_with_by_ref(&host, self.of_host(&host)).await {
            Ok(brand) => brand,
            Err(error) => {
                tracing::warn!(host, error = error.report(), "look up brand of host failed");
                Arc::clone(&self.installation)
            }
        }
    }
}

/// A style sheet that sets the brand's colours as variables.
fn style(brand: &Brand) -> Asset {
    let (color, text) = (brand.color, brand.color.text());
    Asset::new("text/css; charset=utf-8", format!(":root {{ --brand: {color}; --on-brand: {text}; }}\n"))
}

/// The brand's own logo.
fn logo(brand: &Brand) -> Option<Asset> {
    let logo = brand.logo.as_ref()?;
    Some(Asset::new(logo.format.name(), Bytes::copy_from_slice(&logo.bytes)))
}
