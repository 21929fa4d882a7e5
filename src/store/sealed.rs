//! The secrets of all accounts that are sealed under master keys. A rotation of the master key reads and replaces them.

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::keys::Sealed;
use super::{Params, Store, StoreError, own_headers};
use crate::domain::AccountId;
use crate::domain::endpoint::Header;

const KEYS: &str = "-- account_key.sealed_after
select account_id, key_id, sealed from account_key
where (account_id, key_id) > ($1, $2) and sealed is not null order by account_id, key_id limit $3";

const RESEAL_KEY: &str = "-- account_key.reseal
update account_key set sealed = $4 where account_id = $1 and key_id = $2 and sealed = $3";

const ENDPOINTS: &str = "-- push_endpoint.secrets_after
select account_id, endpoint_id, secrets, headers::text from push_endpoint
where (account_id, endpoint_id) > ($1, $2) order by account_id, endpoint_id limit $3";

const RESEAL_ENDPOINT: &str = "-- push_endpoint.reseal
update push_endpoint set secrets = $4, headers = $6::text::json
where account_id = $1 and endpoint_id = $2 and secrets = $3 and headers::text = $5";

/// The stored secrets of an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointSecrets {
    /// The signing secrets, each as it is stored.
    pub secrets: Vec<Vec<u8>>,
    /// The headers that the endpoint adds.
    pub headers: Vec<Header>,
    /// The text of the headers' column. An update compares it, so that it replaces only an unchanged row.
    stored_headers: String,
}

/// The owner of secrets: an account, and one of its keys or endpoints.
pub(crate) type OwnedBy = (AccountId, Uuid);

/// The position before every key and endpoint.
pub(crate) const FIRST: OwnedBy = (AccountId(Uuid::nil()), Uuid::nil());

impl Store {
    /// Returns at most `limit` sealed keys after a position, in the order of positions.
    pub async fn sealed_keys(&self, after: OwnedBy, limit: i64) -> Result<Vec<(AccountId, Sealed)>, StoreError> {
        let client = self.reader().await?;
        let sealed =
            |row: &PgRow| (AccountId(row.get(0)), Sealed { key_id: row.get(1), sealed: row.get::<_, Vec<u8>>(2) });
        Ok(client.query(KEYS, &[&after.0.0, &after.1, &limit]).await?.iter().map(sealed).collect())
    }

    /// Replaces a key's sealed text; false where another change came first.
    pub async fn reseal_key(&self, account: AccountId, was: &Sealed, sealed: &[u8]) -> Result<bool, StoreError> {
        let client = self.writer().await?;
        Ok(client.execute(RESEAL_KEY, &[&account.0, &was.key_id, &was.sealed, &sealed]).await? > 0)
    }

    /// Returns the stored secrets of at most `limit` endpoints after a position, in the order of positions.
    pub async fn endpoint_secrets(
        &self,
        after: OwnedBy,
        limit: i64,
    ) -> Result<Vec<(OwnedBy, EndpointSecrets)>, StoreError> {
        let client = self.reader().await?;
        let secrets = |row: &PgRow| {
            let (endpoint, stored_headers): (Uuid, String) = (row.get(1), row.get(3));
            let headers = own_headers::decode(&stored_headers)
                .map_err(|error| StoreError::corrupt("push_endpoint", "headers", endpoint, error))?;
            Ok(((AccountId(row.get(0)), endpoint), EndpointSecrets { secrets: row.get(2), headers, stored_headers }))
        };
        client.query(ENDPOINTS, &[&after.0.0, &after.1, &limit]).await?.iter().map(secrets).collect()
    }

    /// Replaces an endpoint's secrets; false where another change came first.
    pub async fn reseal_endpoint(
        &self,
        owned_by: OwnedBy,
        were: &EndpointSecrets,
        are: &EndpointSecrets,
    ) -> Result<bool, StoreError> {
        let headers = own_headers::encode(&are.headers)
            .map_err(|error| StoreError::corrupt("push_endpoint", "headers", owned_by.1, error))?;
        let values: Params<'_, 6> =
            [&owned_by.0.0, &owned_by.1, &were.secrets, &are.secrets, &were.stored_headers, &headers];
        Ok(self.writer().await?.execute(RESEAL_ENDPOINT, &values).await? > 0)
    }
}
