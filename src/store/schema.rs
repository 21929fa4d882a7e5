//! The definitions of an account: its custom fields and audiences, in one read.

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Params, Store, StoreError};
use crate::contract::record;
use crate::domain::{AccountId, Entity, Record};

const CUSTOM_FIELDS: &str = "-- schema.custom_fields
select record from custom_field where account_id = $1 and not deleted order by uid";

const AUDIENCES: &str = "-- schema.audiences
select record from audience where account_id = $1 and not deleted order by uid";

const DEFINITIONS: &str = "-- schema.definitions
select record from custom_field where account_id = $1 and uid = any($2)";

/// An account's definitions in the order of creation, without the archived ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSchema {
    pub custom_fields: Vec<Record>,
    pub audiences: Vec<Record>,
}

impl Store {
    /// Returns the definitions of these custom fields, archived ones included.
    pub async fn definitions(&self, account: AccountId, fields: &[Uuid]) -> Result<Vec<Record>, StoreError> {
        let client = self.reader().await?;
        let definitions = client.prepare_cached(DEFINITIONS).await?;
        let rows = client.query(&definitions, &[&account.0, &fields]).await?;
        records(account, Entity::CustomField, &rows)
    }

    /// Returns the account's definitions.
    pub async fn schema(&self, account: AccountId) -> Result<AccountSchema, StoreError> {
        let client = self.reader().await?;
        let custom_fields = client.prepare_cached(CUSTOM_FIELDS).await?;
        let audiences = client.prepare_cached(AUDIENCES).await?;
        let of: Params<'_, 1> = [&account.0];
        let (custom_fields, audiences) =
            tokio::try_join!(client.query(&custom_fields, &of), client.query(&audiences, &of))?;
        Ok(AccountSchema {
            custom_fields: records(account, Entity::CustomField, &custom_fields)?,
            audiences: records(account, Entity::Audience, &audiences)?,
        })
    }
}

fn records(account: AccountId, entity: Entity, rows: &[PgRow]) -> Result<Vec<Record>, StoreError> {
    let decode = |row: &PgRow| {
        record::decode(entity, row.get(0)).map_err(|error| StoreError::corrupt(entity.name(), "record", account, error))
    };
    rows.iter().map(decode).collect()
}
