//! Whose brand a request is shown: that of the account whose host name it used, else the installation's.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::future::Cache;

use super::docs::{self, Asset, Template};
use crate::domain::brand::{Brand, parse_host};
use crate::http::Api;
use crate::http::request::extract::Origin;
use crate::store::Store;
use crate::store::StoreError;

/// A host is looked up again after this time: that long a change may take to be seen.
const IDEMPOTENCY_TTL: Duration = Duration::from_secs(5);

/// Hosts that are remembered at once; a brand may have a logo of 64 KiB.
const HOSTS: u64 = 1_000;

/// A brand, and what is made of it alone: each document once, when it is first asked for.
pub(in crate::http) struct Branded {
    pub(in crate::http) brand: Brand,
    pub(in crate::http) style: Asset,
    /// Its own.
    pub(in crate::http) logo: Option<Asset>,
    pub(in crate::http) page: OnceLock<Template>,
    pub(in crate::http) openapi: OnceLock<Template>,
    pub(in crate::http) events: OnceLock<Template>,
}

impl Branded {
    pub(in crate::http) fn new(brand: Brand) -> Self {
        let (style, logo) = (docs::style(&brand), docs::logo(&brand));
        let (page, openapi, events) = Default::default();
        Self { brand, style, logo, page, openapi, events }
    }
}

/// Knows brands by the host names that show them.
pub(in crate::http) struct Brands {
    store: Store,
    installation: Arc<Branded>,
    known: Cache<String, Arc<Branded>>,
}

impl Brands {
    pub(in crate::http) fn new(store: Store, installation: Brand) -> Self {
        let known = Cache::builder().max_capacity(HOSTS).time_to_live(IDEMPOTENCY_TTL).build();
        Self { store, installation: Arc::new(Branded::new(installation)), known }
    }

    async fn of_host(&self, host: &str) -> Result<Arc<Branded>, StoreError> {
        let installation = &self.installation.brand;
        let Some(own) = self.store.brand_of_host(host).await? else { return Ok(Arc::clone(&self.installation)) };
        Ok(Arc::new(Branded::new(Brand {
            name: own.name,
            color: own.color.unwrap_or(installation.color),
            logo: own.logo.or_else(|| installation.logo.clone()),
        })))
    }
}

/// The brand that a visitor of `origin` sees. The public pages need no database: while it is away, the installation's.
pub(in crate::http) async fn brand_of(api: &Api, origin: &Origin) -> Arc<Branded> {
    let brands = &api.brands;
    let Ok(host) = parse_host(origin.host()) else { return Arc::clone(&brands.installation) };
    match brands.known.try_get_with_by_ref(&host, brands.of_host(&host)).await {
        Ok(brand) => brand,
        Err(error) => {
            tracing::warn!(error = error.report(), "a host's brand cannot be looked up");
            Arc::clone(&brands.installation)
        }
    }
}
