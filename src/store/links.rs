//! The links of contacts and companies, and which companies are listed because of them.

use std::collections::BTreeSet;

use deadpool_postgres::Object;
use tokio_postgres::Statement;
use uuid::Uuid;

use super::row::Row;
use super::{Params, StoreError};

const UNLINK: &str = "-- contact_company.unlink
delete from contact_company l using unnest($1::uuid[], $2::uuid[]) as k(account_id, contact_uid)
where l.account_id = k.account_id and l.contact_uid = k.contact_uid";

const LINK: &str = "-- contact_company.link
insert into contact_company (account_id, company_uid, contact_uid)
select account_id, company_uid, contact_uid
from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as l(account_id, company_uid, contact_uid)";

/// Runs after the statements that write rows and links, whose results it reads. No other statement writes `listed`.
pub(super) const RELIST: &str = "-- company.relist
with relisted as (
    update company c set listed = n.listed
    from (
        select r.account_id, r.uid, not r.deleted and (r.kept or exists (
            select from contact_company l where l.account_id = r.account_id and l.company_uid = r.uid)) as listed
        from unnest($1::uuid[], $2::uuid[]) as k(account_id, uid)
        join company r on r.account_id = k.account_id and r.uid = k.uid
    ) as n
    where c.account_id = n.account_id and c.uid = n.uid and c.listed <> n.listed
    returning c.account_id, c.listed
)
update head h set listed_companies = h.listed_companies + r.more
from (
    select account_id, sum(case when listed then 1 else -1 end) as more from relisted group by account_id
) as r
where h.account_id = r.account_id";

/// The companies of contacts.
pub(super) struct Links {
    unlink: Statement,
    link: Statement,
    contacts: (Vec<Uuid>, Vec<Uuid>),
    pairs: (Vec<Uuid>, Vec<Uuid>, Vec<Uuid>),
}

impl Links {
    pub(super) async fn prepare(client: &Object, rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let mut contacts = (Vec::new(), Vec::new());
        let mut pairs = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let Some(companies) = &row.companies else { continue };
            contacts.0.push(row.account.0);
            contacts.1.push(row.uid.0);
            for company in companies {
                pairs.0.push(row.account.0);
                pairs.1.push(company.0);
                pairs.2.push(row.uid.0);
            }
        }
        if contacts.0.is_empty() {
            return Ok(None);
        }
        let unlink = client.prepare_cached(UNLINK).await?;
        let link = client.prepare_cached(LINK).await?;
        Ok(Some(Self { unlink, link, contacts, pairs }))
    }

    pub(super) async fn run(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        let contacts: Params<'_, 2> = [&self.contacts.0, &self.contacts.1];
        let pairs: Params<'_, 3> = [&self.pairs.0, &self.pairs.1, &self.pairs.2];
        let (unlinked, linked) = tokio::join!(
            biased;
            client.execute(&self.unlink, &contacts),
            client.execute(&self.link, &pairs),
        );
        unlinked.and(linked).map(drop)
    }
}

/// Companies whose listing is computed again.
pub(super) struct Relist {
    statement: Statement,
    accounts: Vec<Uuid>,
    uids: Vec<Uuid>,
}

impl Relist {
    pub(super) async fn prepare(client: &Object, rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let relisted: BTreeSet<_> =
            rows.iter().flat_map(|row| row.relisted.iter().map(|uid| (row.account.0, uid.0))).collect();
        if relisted.is_empty() {
            return Ok(None);
        }
        let (accounts, uids) = relisted.into_iter().unzip();
        Ok(Some(Self { statement: client.prepare_cached(RELIST).await?, accounts, uids }))
    }

    pub(super) async fn run(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        client.execute(&self.statement, &[&self.accounts, &self.uids]).await.map(drop)
    }
}
