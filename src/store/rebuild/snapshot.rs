//! Reading what is derived from one account's log, to compare it with the log.

use std::collections::BTreeMap;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::LogReader;
use crate::domain::reference::Ref;
use crate::domain::{AccountId, Entity, Seq, Timestamp, Uid};
use crate::store::live::Live;
use crate::store::text_index::search_text;
use crate::store::{StoreError, records};

const HEAD: &str = "-- verify.head
select h.seq, h.epoch, h.live::text, h.listed_companies, c.seq, c.backfilled
from head h left join search_cursor c on c.account_id = h.account_id where h.account_id = $1";

const LINKS: &str = "-- verify.links
select contact_uid, company_uid from contact_company where account_id = $1 and contact_uid = any($2)
order by contact_uid, company_uid";

const REFS: &str = "-- verify.refs
select uid, source, id from record_ref where account_id = $1 and entity = $2 and uid = any($3) order by uid, source, id";

const COUNT_REFS: &str = "-- verify.count_refs
select count(*) from record_ref where account_id = $1";

const REFS_AFTER: &str = "-- verify.refs_after
select entity, source, id, uid from record_ref where account_id = $1 and (entity, source, id) > ($2, $3, $4)
order by entity, source, id limit $5";

const TEXTS: &str = concat!(
    "-- verify.texts
select c.uid, s.text, case when not c.deleted then t.text end
from contact c left join contact_search s on s.account_id = c.account_id and s.uid = c.uid cross join lateral ",
    search_text!("c.record"),
    " t where c.account_id = $1 and c.uid = any($2)"
);

const COUNT_LINKS: &str = "-- verify.count_links
select count(*) from contact_company where account_id = $1";

const COUNT_LISTED: &str = "-- verify.count_listed
select count(*) from company where account_id = $1 and listed";

/// The companies whose listing does not follow from their links and the operator's decision.
const WRONG_LISTED: &str = "-- verify.wrong_listed
select r.uid, r.listed from company r
where r.account_id = $1 and r.listed <> (not r.deleted and (r.kept or exists (
    select from contact_company l where l.account_id = r.account_id and l.company_uid = r.uid)))
order by r.uid limit 1";

/// The companies that are not kept as the operator decided last.
const WRONG_KEPT: &str = "-- verify.wrong_kept
select c.uid, c.kept from company c join (
    select distinct on (detail->>'uid') (detail->>'uid')::uuid as uid, (detail->>'kept')::boolean as kept
    from audit where account_id = $1 and action = 'company.keep' order by detail->>'uid', at desc, audit_id desc
) as d on d.uid = c.uid
where c.account_id = $1 and c.kept <> d.kept order by c.uid limit 1";

const EXTRA_TEXT: &str = "-- verify.extra_text
select s.uid from contact_search s left join contact c on c.account_id = s.account_id and c.uid = s.uid
where s.account_id = $1 and c.uid is null order by s.uid limit 1";

const BEYOND: &str = "-- verify.beyond
(select seq, uid from event where account_id = $1 and seq > $2 order by seq limit 1)
union all (select seq, uid from event where account_id = $1 and seq < 1 order by seq limit 1) limit 1";

const LINKS_AFTER: &str = "-- verify.links_after
select company_uid, contact_uid from contact_company
where account_id = $1 and (company_uid, contact_uid) > ($2, $3) order by company_uid, contact_uid limit $4";

/// The head of an account's log, and the state of the account's index of texts.
#[derive(Debug, Clone)]
pub(crate) struct StoredHead {
    pub(crate) seq: Seq,
    pub(crate) epoch: i32,
    pub(crate) live: Live,
    pub(crate) listed_companies: i64,
    /// The event up to which the texts are complete; `None` where the account has no index.
    pub(crate) indexed: Option<Seq>,
    /// The last contact whose text is complete; `None` where all are.
    pub(crate) backfilled: Option<Uid>,
}

/// The columns of a row of a read model that events determine.
#[derive(Debug, Clone)]
pub(crate) struct StoredRow {
    pub(crate) uid: Uid,
    pub(crate) version: Seq,
    pub(crate) key: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) deleted: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) record: String,
}

/// The searched text of a contact. `None` is no row.
#[derive(Debug, Clone)]
pub(crate) struct StoredText {
    pub(crate) uid: Uid,
    pub(crate) stored: Option<String>,
    pub(crate) expected: Option<String>,
}

/// The counts of an account, and the first row whose derived columns do not fit the others.
#[derive(Debug, Clone)]
pub(crate) struct Totals {
    pub(crate) records: BTreeMap<Entity, i64>,
    pub(crate) links: i64,
    pub(crate) refs: i64,
    pub(crate) listed: i64,
    /// A company with its wrong value of `listed`.
    pub(crate) wrong_listed: Option<(Uid, bool)>,
    /// A company with its wrong value of `kept`.
    pub(crate) wrong_kept: Option<(Uid, bool)>,
    /// A text without a contact.
    pub(crate) extra_text: Option<Uid>,
}

impl LogReader {
    /// Returns the account's head; `None` where there is no such account.
    pub(crate) async fn stored_head(&self, account: AccountId) -> Result<Option<StoredHead>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(HEAD).await?;
        let Some(row) = client.query_opt(&statement, &[&account.0]).await? else { return Ok(None) };
        let live = serde_json::from_str(row.get(2));
        Ok(Some(StoredHead {
            seq: Seq(row.get(0)),
            epoch: row.get(1),
            live: live.map_err(|error| StoreError::corrupt("head", "live", account, error))?,
            listed_companies: row.get(3),
            indexed: row.get::<_, Option<i64>>(4).map(Seq),
            backfilled: row.get::<_, Option<Uuid>>(5).map(Uid),
        }))
    }

    /// Returns an event of the log beyond its head, or before position 1.
    pub(crate) async fn beyond(&self, account: AccountId, head: Seq) -> Result<Option<(Seq, Uid)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(BEYOND).await?;
        let row = client.query_opt(&statement, &[&account.0, &head.0]).await?;
        Ok(row.map(|row| (Seq(row.get(0)), Uid(row.get(1)))))
    }

    /// Returns the rows of these records.
    pub(crate) async fn stored_rows(
        &self,
        account: AccountId,
        entity: Entity,
        uids: &[Uuid],
    ) -> Result<Vec<StoredRow>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(records::select_stored(entity)).await?;
        let stored = |row: &PgRow| StoredRow {
            uid: Uid(row.get(0)),
            version: Seq(row.get(1)),
            key: row.get(2),
            role: row.get(3),
            deleted: row.get(4),
            created_at: row.get(5),
            updated_at: row.get(6),
            record: row.get(7),
        };
        Ok(client.query(&statement, &[&account.0, &uids]).await?.iter().map(stored).collect())
    }

    /// Returns the links of these contacts: each contact with a company, in order.
    pub(crate) async fn links_of(&self, account: AccountId, contacts: &[Uuid]) -> Result<Vec<(Uid, Uid)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(LINKS).await?;
        let rows = client.query(&statement, &[&account.0, &contacts]).await?;
        Ok(rows.iter().map(|row| (Uid(row.get(0)), Uid(row.get(1)))).collect())
    }

    /// Returns the identifiers in other systems of these records, in order.
    pub(crate) async fn refs_of(
        &self,
        account: AccountId,
        entity: Entity,
        uids: &[Uuid],
    ) -> Result<Vec<(Uid, Ref)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(REFS).await?;
        let rows = client.query(&statement, &[&account.0, &entity.name(), &uids]).await?;
        Ok(rows.iter().map(|row| (Uid(row.get(0)), Ref { source: row.get(1), id: row.get(2) })).collect())
    }

    /// Returns the next identifiers in other systems after `after`, in order, each with its kind of record and its record.
    pub(crate) async fn refs_after(
        &self,
        account: AccountId,
        (entity, after): (&str, &Ref),
        limit: i64,
    ) -> Result<Vec<(String, Ref, Uid)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(REFS_AFTER).await?;
        let rows = client.query(&statement, &[&account.0, &entity, &after.source, &after.id, &limit]).await?;
        let reference = |row: &PgRow| Ref { source: row.get(1), id: row.get(2) };
        Ok(rows.iter().map(|row| (row.get(0), reference(row), Uid(row.get(3)))).collect())
    }

    /// Returns the searched texts of these contacts, where they have rows.
    pub(crate) async fn texts_of(&self, account: AccountId, contacts: &[Uuid]) -> Result<Vec<StoredText>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(TEXTS).await?;
        let text = |row: &PgRow| StoredText { uid: Uid(row.get(0)), stored: row.get(1), expected: row.get(2) };
        Ok(client.query(&statement, &[&account.0, &contacts]).await?.iter().map(text).collect())
    }

    /// Returns the counts of the account, for a head in the same snapshot.
    pub(crate) async fn totals(&self, account: AccountId, head: &StoredHead) -> Result<Totals, StoreError> {
        let client = self.client()?;
        let mut of_entity = BTreeMap::new();
        for entity in Entity::ALL {
            let statement = client.prepare_cached(records::count(entity)).await?;
            of_entity.insert(entity, client.query_one(&statement, &[&account.0]).await?.get(0));
        }
        let uid = |row: PgRow| Uid(row.get(0));
        let flag = |row: PgRow| (Uid(row.get(0)), row.get(1));
        let extra_text = match head.indexed {
            Some(_) => client.query_opt(EXTRA_TEXT, &[&account.0]).await?.map(uid),
            None => None,
        };
        Ok(Totals {
            records: of_entity,
            links: client.query_one(COUNT_LINKS, &[&account.0]).await?.get(0),
            refs: client.query_one(COUNT_REFS, &[&account.0]).await?.get(0),
            listed: client.query_one(COUNT_LISTED, &[&account.0]).await?.get(0),
            wrong_listed: client.query_opt(WRONG_LISTED, &[&account.0]).await?.map(flag),
            wrong_kept: client.query_opt(WRONG_KEPT, &[&account.0]).await?.map(flag),
            extra_text,
        })
    }

    /// Returns the next uids of a read model after `after`, in order.
    pub(crate) async fn uids_after(
        &self,
        account: AccountId,
        entity: Entity,
        after: Uid,
        limit: i64,
    ) -> Result<Vec<Uid>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(records::select_uids(entity)).await?;
        let rows = client.query(&statement, &[&account.0, &after.0, &limit]).await?;
        Ok(rows.iter().map(|row| Uid(row.get(0))).collect())
    }

    /// Returns the next links after `after`, in order: each company with a contact.
    pub(crate) async fn links_after(
        &self,
        account: AccountId,
        after: (Uid, Uid),
        limit: i64,
    ) -> Result<Vec<(Uid, Uid)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(LINKS_AFTER).await?;
        let rows = client.query(&statement, &[&account.0, &after.0.0, &after.1.0, &limit]).await?;
        Ok(rows.iter().map(|row| (Uid(row.get(0)), Uid(row.get(1)))).collect())
    }
}
