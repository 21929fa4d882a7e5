//! An account at a glance: how much it has, and how far its log was published.

use std::collections::HashMap;

use uuid::Uuid;

use crate::domain::{AccountId, Seq, Timestamp};
use crate::store::reading::Freshness;
use crate::store::{Store, StoreError, columns};

/// Open conflicts and parked events are counted up to this number.
pub const MAX_COUNTED: i64 = 1_000;

const READ: &str = "-- console.overview
select h.seq, coalesce(c.seq, 0) as relayed,
    (select e.at from event e where e.account_id = h.account_id and e.seq = coalesce(c.seq, 0) + 1) as waiting_since,
    coalesce((h.live ->> 'contact')::bigint, 0) as contacts,
    h.listed_companies as companies,
    coalesce((h.live ->> 'project')::bigint, 0) as projects,
    (select count(*) from (select from conflict k
        where k.account_id = h.account_id and k.role = 'open' and not k.deleted limit $2) as o) as conflicts,
    (select count(*) from (select from push_retry r
        where r.account_id = h.account_id and r.parked limit $2) as p) as parked
from head h left join relay_cursor c on c.account_id = h.account_id where h.account_id = $1";

const PARKED: &str = "-- console.parked
select e.endpoint_id, p.parked from push_endpoint e
cross join lateral (select count(*) as parked from (select from push_retry r
    where r.account_id = e.account_id and r.endpoint_id = e.endpoint_id and r.parked limit $2) as o) as p
where e.account_id = $1 and e.endpoint_id = any($3) and p.parked > 0";

/// The numbers of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overview {
    /// The end of the log.
    pub head: Seq,
    /// The last event that the relay has published.
    pub relayed: Seq,
    /// The time of the first event that is not published.
    pub waiting_since: Option<Timestamp>,
    /// Live contacts.
    pub contacts: i64,
    /// Listed companies.
    pub companies: i64,
    /// Live projects.
    pub projects: i64,
    /// Open conflicts, at most [`MAX_COUNTED`].
    pub conflicts: i64,
    /// Parked events of all endpoints, at most [`MAX_COUNTED`].
    pub parked: i64,
}

impl Store {
    /// Returns the numbers of an account; `None` where there is no such account.
    pub async fn overview(&self, account: AccountId) -> Result<Option<Overview>, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let rows = reading.query(READ, &[&account.0, &MAX_COUNTED]).await?;
        Ok(rows.first().map(|row| Overview {
            head: Seq(row.get("seq")),
            relayed: Seq(row.get("relayed")),
            waiting_since: row.get("waiting_since"),
            contacts: row.get("contacts"),
            companies: row.get("companies"),
            projects: row.get("projects"),
            conflicts: row.get("conflicts"),
            parked: row.get("parked"),
        }))
    }

    /// Returns the number of parked events, at most [`MAX_COUNTED`], of each of these endpoints that has any.
    pub async fn parked_counts(
        &self,
        account: AccountId,
        endpoints: &[Uuid],
    ) -> Result<HashMap<Uuid, u64>, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let rows = reading.query(PARKED, &[&account.0, &MAX_COUNTED, &endpoints]).await?;
        let counted = rows.iter().map(|row| {
            let endpoint: Uuid = row.get("endpoint_id");
            Ok((endpoint, columns::count(row, "push_retry", "parked", &endpoint)?))
        });
        counted.collect()
    }
}
