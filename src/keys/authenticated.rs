//! The account and key that an authenticated request or login belongs to.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::domain::AccountId;
use crate::domain::account::OnMissing;
use crate::domain::tier::Tier;

/// A key that was recognised, with its account.
#[derive(Debug, Clone)]
pub(crate) struct AuthenticatedKey {
    pub(crate) account: AccountId,
    pub(crate) key_id: Uuid,
    /// The key's origin, which is stored with every event that the caller causes.
    pub(crate) origin: Arc<str>,
    pub(crate) read_only: bool,
    /// The time until the key expires.
    pub(crate) expires_in: Option<Duration>,
    pub(crate) tier: Tier,
    pub(crate) on_missing: OnMissing,
    /// The revision of the account that these values were read at.
    pub(crate) revision: i64,
}
