//! Whose brand a request is shown: that of the account whose host name it used, else the installation's.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use super::Api;
use super::extract::Origin;
use crate::domain::brand::{Brand, parse_host};
use crate::store::Store;
use crate::store::StoreError;

/// A host is looked up again after this time: that long a change may take to be seen.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Hosts that are remembered at once; a brand may have a logo of 64 KiB.
const HOSTS: u64 = 1_000;

/// Knows brands by the host names that show them.
pub(super) struct Brands {
    store: Store,
    installation: Arc<Brand>,
    known: Cache<String, Arc<Brand>>,
}

impl Brands {
    pub(super) fn new(store: Store, installation: Brand) -> Self {
        let known = Cache::builder().max_capacity(HOSTS).time_to_live(REMEMBERED).build();
        Self { store, installation: Arc::new(installation), known }
    }

    async fn of_host(&self, host: &str) -> Result<Arc<Brand>, StoreError> {
        let installation = &self.installation;
        let Some(own) = self.store.brand_of_host(host).await? else { return Ok(Arc::clone(installation)) };
        Ok(Arc::new(Brand {
            name: own.name,
            color: own.color.unwrap_or(installation.color),
            logo: own.logo.or_else(|| installation.logo.clone()),
        }))
    }
}

/// The brand that a visitor of `origin` sees. The public pages need no database: while it is away, the installation's.
pub(super) async fn brand_of(api: &Api, origin: &Origin) -> Arc<Brand> {
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
