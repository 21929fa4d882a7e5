//! The beginning of an erasure: its row, and what belongs to the person.

use deadpool_postgres::Object;
use tokio_postgres::Statement;
use uuid::Uuid;

use super::{ErasureStage, lock, uuids};
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Entity, EventType, Uid};
use crate::store::attempts::UNHURRIED;
use crate::store::{Store, StoreError};

const INSERT: &str = "-- erasure.insert
insert into erasure (account_id, uid, seq, stage)
select account_id, uid, seq, 'begun' from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as e(account_id, uid, seq)";

/// The contact, and contacts that were merged into it, also over others. No index leads to those, so that the account's
/// contacts are read once per generation.
const UIDS: &str = "-- erasure.find_uids
with recursive merged as (
    select $2::uuid as uid
    union
    select c.uid from merged m join contact c on c.account_id = $1 and c.deleted
        and c.record like concat('%\"merged_into\":\"', m.uid, '\"%')
)
select uid from merged";

/// The addresses and telephone numbers that the contacts ever had, in lower case. Shorter texts would be found in ids by
/// chance. Each event names the version before it, which leads to all events of a record.
const TEXTS: &str = "-- erasure.find_texts
with recursive walk as (
    select e.seq, e.body from contact c join event e on e.account_id = $1 and e.seq = c.version
    where c.account_id = $1 and c.uid = any($2)
    union all
    select e.seq, e.body from walk w join event e on e.account_id = $1
        and e.seq = (w.body::json #>> '{data,previous_version}')::bigint
)
select distinct lower(trim(t.text)) from walk w
cross join lateral (select w.body::json #> '{data,record}' as record) r
cross join lateral (values (r.record ->> 'email'), (r.record ->> 'home_email'), (r.record ->> 'work_email'),
    (r.record ->> 'phone'), (r.record ->> 'home_phone'), (r.record ->> 'work_phone'),
    (r.record ->> 'shop_phone')) as t(text)
where length(trim(t.text)) >= 5";

const PREPARED: &str = "-- erasure.prepared
update erasure set stage = 'log', uids = $3, texts = $4 where account_id = $1 and uid = $2";

/// The erasures that a batch of commands begins.
pub(in crate::store) struct Begun {
    statement: Statement,
    accounts: Vec<Uuid>,
    uids: Vec<Uuid>,
    seqs: Vec<i64>,
}

impl Begun {
    /// `None` where these events erase no contact, as in nearly every batch.
    pub(in crate::store) async fn prepare(
        client: &Object,
        events: &[EncodedEvent],
    ) -> Result<Option<Self>, StoreError> {
        let is_erasure =
            |event: &&EncodedEvent| event.event_type == EventType::Erased && event.entity == Entity::Contact;
        let erased: Vec<&EncodedEvent> = events.iter().filter(is_erasure).collect();
        if erased.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            statement: client.prepare_cached(INSERT).await?,
            accounts: erased.iter().map(|event| event.account.0).collect(),
            uids: erased.iter().map(|event| event.uid.0).collect(),
            seqs: erased.iter().map(|event| event.seq.0).collect(),
        }))
    }

    pub(in crate::store) async fn write(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        client.execute(&self.statement, &[&self.accounts, &self.uids, &self.seqs]).await.map(drop)
    }
}

impl Store {
    /// Finds the contacts that were merged into an erased one, and the texts by which clients may have named the person.
    /// Returns false where another replica does it.
    pub async fn prepare_erasure(&self, account: AccountId, uid: Uid) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if lock(&transaction, account, uid, ErasureStage::Begun).await?.is_none() {
            return Ok(false);
        }
        transaction.batch_execute(UNHURRIED).await?;
        let uids = transaction.query(UIDS, &[&account.0, &uid.0]).await?;
        let uids = uuids(uids.iter().map(|row| Uid(row.get(0))));
        let texts = transaction.query(TEXTS, &[&account.0, &uids]).await?;
        let texts: Vec<String> = texts.iter().map(|row| row.get(0)).collect();
        transaction.execute(PREPARED, &[&account.0, &uid.0, &uids, &texts]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
