//! The state that handlers share.

use std::sync::Arc;

use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::assets::ConsoleAssets;
use super::brand::ShownBrand;
use super::streams::StreamCounts;
use crate::clock::Clock;
use crate::command::Lanes;
use crate::config::Config;
use crate::domain::AccountId;
use crate::gateway::consumers::ConsumerService;
use crate::http::Brands;
use crate::keys::KeyService;
use crate::push::service::EndpointService;
use crate::store::Store;
use crate::users::Users;

/// The brands of accounts that are cached.
const BRANDS: u64 = 1_000;

/// Imports of files that run at the same time.
const MAX_IMPORTS: usize = 2;

/// The parts of the service that the pages use.
pub(crate) struct ConsoleParts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) lanes: Lanes,
    pub(crate) clock: Clock,
    pub(crate) endpoints: Arc<EndpointService>,
    pub(crate) consumers: Arc<ConsumerService>,
    pub(crate) brands: Arc<Brands>,
    pub(crate) users: Users,
    pub(crate) keys: KeyService,
    /// Streams end when this is cancelled.
    pub(crate) stop: CancellationToken,
}

/// The state of every route.
pub(crate) struct Console {
    pub(crate) is_enabled: bool,
    pub(crate) parts: ConsoleParts,
    pub(crate) assets: ConsoleAssets,
    /// By account and revision.
    pub(crate) account_brands: Cache<(AccountId, i64), Arc<ShownBrand>>,
    pub(crate) streams: StreamCounts,
    /// Imports of files that run, because each holds its file in memory.
    pub(crate) imports: Arc<Semaphore>,
}

impl Console {
    pub(crate) fn new(parts: ConsoleParts) -> Self {
        Self {
            is_enabled: parts.config.console.enabled,
            assets: ConsoleAssets::new(),
            account_brands: Cache::builder().max_capacity(BRANDS).build(),
            streams: StreamCounts::default(),
            imports: Arc::new(Semaphore::new(MAX_IMPORTS)),
            parts,
        }
    }
}

impl std::ops::Deref for Console {
    type Target = ConsoleParts;

    fn deref(&self) -> &ConsoleParts {
        &self.parts
    }
}
