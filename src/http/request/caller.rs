//! The authenticated sender of a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::Method;
use uuid::Uuid;

use super::method::is_write;
use crate::domain::AccountId;
use crate::domain::account::OnMissing;
use crate::domain::tier::Tier;
use crate::http::response::problem::Problem;
use crate::keys::AuthenticatedKey;

/// An authenticated caller: the account, and the key that the request was sent with.
#[derive(Debug, Clone)]
pub(in crate::http) struct Caller {
    pub(in crate::http) account: AccountId,
    pub(in crate::http) key_id: Uuid,
    /// The key's origin, which is stored with every event that the caller causes.
    pub(in crate::http) origin: Arc<str>,
    pub(in crate::http) read_only: bool,
    pub(in crate::http) tier: Tier,
    pub(in crate::http) on_missing: OnMissing,
    /// The revision of the account that these values were read at.
    pub(in crate::http) revision: i64,
}

impl Caller {
    /// Whether the key's scope allows this method.
    pub(in crate::http) fn may(&self, method: &Method) -> bool {
        !(self.read_only && is_write(method))
    }
}

impl From<AuthenticatedKey> for Caller {
    fn from(key: AuthenticatedKey) -> Self {
        let AuthenticatedKey { account, key_id, origin, read_only, expires_in: _, tier, on_missing, revision } = key;
        Self { account, key_id, origin, read_only, tier, on_missing, revision }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}
