//! Projects that a request names by something other than their uid.

use tokio_postgres::types::ToSql;

use super::reading::Freshness;
use super::records::{StoredRecord, stored};
use super::{Store, StoreError};
use crate::domain::AccountId;
use crate::domain::record::normalize_key;

const NAMED: &str = "-- project.named
select uid, version, deleted, record from project
where account_id = $1 and key = $2 and not deleted order by uid desc limit 1";

const CONTAINING: &str = "-- project.containing
select uid, version, deleted, record from project
where account_id = $1 and position($2::text in key) > 0 and not deleted order by uid desc limit 1";

const LATEST: &str = "-- project.latest
select uid, version, deleted, record from project
where account_id = $1 and not deleted order by uid desc limit 1";

/// How a request names a project. Of several matches, the one that was created last is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectBy {
    /// Its name, in any case.
    Name(String),
    /// A part of its name, in any case.
    Part(String),
    /// The project that was created last.
    Latest,
}

impl Store {
    /// Returns the live project that a request names. Reads the primary, because writes name projects in this way too.
    pub async fn find_project(&self, account: AccountId, by: &ProjectBy) -> Result<Option<StoredRecord>, StoreError> {
        let (statement, key) = match by {
            ProjectBy::Name(name) => (NAMED, Some(normalize_key(name))),
            ProjectBy::Part(part) => (CONTAINING, Some(part.to_lowercase())),
            ProjectBy::Latest => (LATEST, None),
        };
        let reading = match by {
            ProjectBy::Part(_) => self.searching(account, Freshness::Current).await?,
            ProjectBy::Name(_) | ProjectBy::Latest => self.reading(account, Freshness::Current).await?,
        };
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&account.0];
        parameters.extend(key.iter().map(|key| -> &(dyn ToSql + Sync) { key }));
        Ok(reading.query(statement, &parameters).await?.first().map(stored))
    }
}
