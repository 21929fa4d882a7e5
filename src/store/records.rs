//! The read models: records as clients see them.

use std::collections::HashSet;
use std::sync::Arc;

use deadpool_postgres::Object;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row as PgRow, Statement};
use uuid::Uuid;

use super::append::{APPEND, append};
use super::links::{Links, Relist};
use super::row::Row;
use super::shared_reads::SharedReads;
use super::sync::refs::{RefChanges, RefKeys};
use super::{Params, Store, StoreError, columns};
use crate::contract::record;
use crate::domain::reference::Ref;
use crate::domain::{AccountId, Entity, Record, Seq, Target, Timestamp, Uid};

/// A record as it is read for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub uid: Uid,
    pub version: Seq,
    pub deleted: bool,
    pub record: String,
}

struct Statements {
    table: &'static str,
    by_uid: &'static str,
    by_key: &'static str,
    by_ref: &'static str,
    upsert: &'static str,
    release_keys: &'static str,
    append: &'static str,
    get: &'static str,
    get_all: &'static str,
    find: &'static str,
    find_by_ref: &'static str,
    copy: &'static str,
    stored: &'static str,
    count: &'static str,
    uids: &'static str,
    erase: &'static str,
}

const fn statements(entity: Entity) -> &'static Statements {
    match entity {
        Entity::Contact => &CONTACT,
        Entity::Company => &COMPANY,
        Entity::Project => &PROJECT,
        Entity::CustomField => &CUSTOM_FIELD,
        Entity::Audience => &AUDIENCE,
        Entity::Circle => &CIRCLE,
        Entity::Note => &NOTE,
        Entity::World => &WORLD,
        Entity::Push => &PUSH,
        Entity::Conflict => &CONFLICT,
    }
}

macro_rules! statements {
    ($table:literal) => {
        Statements {
            table: $table,
            by_uid: concat!("-- ", $table, ".by_uid
select r.account_id, r.record from unnest($1::uuid[], $2::uuid[]) as k(account_id, uid)
join ", $table, " r on r.account_id = k.account_id and r.uid = k.uid"),
            by_key: concat!("-- ", $table, ".by_key
select r.account_id, r.record from unnest($1::uuid[], $2::text[]) as k(account_id, key)
join ", $table, " r on r.account_id = k.account_id and r.key = k.key and not r.deleted"),
            by_ref: concat!("-- ", $table, ".by_ref
select r.account_id, r.record from (
    select k.account_id, (select f.uid from record_ref f where f.account_id = k.account_id and f.entity = '", $table, "'
        and f.source = k.source and f.id = k.id) as uid
    from unnest($1::uuid[], $2::text[], $3::text[]) as k(account_id, source, id) offset 0) f
join ", $table, " r on r.account_id = f.account_id and r.uid = f.uid"),
            upsert: concat!("-- ", $table, ".upsert
insert into ", $table, " (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
select account_id, uid, version, key, role, deleted, created_at, updated_at, record
from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[],
    $8::timestamptz[], $9::text[]) as r(account_id, uid, version, key, role, deleted, created_at, updated_at, record)
on conflict (account_id, uid) do update set version = excluded.version, key = excluded.key, role = excluded.role,
    deleted = excluded.deleted, updated_at = excluded.updated_at, record = excluded.record"),
            release_keys: concat!("-- ", $table, ".release_keys
update ", $table, " r set key = null
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::boolean[]) as k(account_id, uid, key, deleted)
where r.account_id = k.account_id and r.uid = k.uid and (k.deleted or r.key <> k.key or k.key is null)"),
            append: append!($table, concat!("
), inserted as (
    insert into ", $table, " (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
    select account_id, uid, version, key, role, deleted, created_at, updated_at, record
    from unnest($11::uuid[], $12::uuid[], $13::bigint[], $14::text[], $15::text[], $16::boolean[], $17::timestamptz[],
        $18::timestamptz[], $19::text[]) as r(account_id, uid, version, key, role, deleted, created_at, updated_at, record)")),
            get: concat!("-- ", $table, ".get
select uid, version, deleted, record from ", $table, " where account_id = $1 and uid = $2"),
            get_all: concat!("-- ", $table, ".get_all
select k.number, r.uid, r.version, r.deleted, r.record
from unnest($1::uuid[], $2::uuid[]) with ordinality as k(account_id, uid, number)
join ", $table, " r on r.account_id = k.account_id and r.uid = k.uid"),
            find: concat!("-- ", $table, ".find
select r.uid, r.version, r.deleted, r.record
from unnest($2::text[]) with ordinality as k(key, place)
join ", $table, " r on r.account_id = $1 and r.key = k.key and not r.deleted
order by k.place limit 1"),
            find_by_ref: concat!("-- ", $table, ".find_by_ref
select r.uid, r.version, r.deleted, r.record from record_ref f
join ", $table, " r on r.account_id = f.account_id and r.uid = f.uid
where f.account_id = $1 and f.entity = '", $table, "' and f.source = $2 and f.id = $3"),
            copy: concat!("-- ", $table, ".copy
copy ", $table, " (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
from stdin (format binary)"),
            stored: concat!("-- ", $table, ".stored
select uid, version, key, role, deleted, created_at, updated_at, record from ", $table, "
where account_id = $1 and uid = any($2)"),
            count: concat!("-- ", $table, ".count
select count(*) from ", $table, " where account_id = $1"),
            uids: concat!("-- ", $table, ".uids
select uid from ", $table, " where account_id = $1 and uid > $2 order by uid limit $3"),
            erase: concat!("-- ", $table, ".erase
update ", $table, " r set record = k.record, role = case when k.is_own then null else r.role end
from unnest($2::uuid[], $3::bigint[], $4::text[], $5::boolean[]) as k(uid, version, record, is_own)
where r.account_id = $1 and r.uid = k.uid and r.version = k.version"),
        }
    };
}

const CONTACT: Statements = statements!("contact");
const PROJECT: Statements = statements!("project");
const CUSTOM_FIELD: Statements = statements!("custom_field");
const AUDIENCE: Statements = statements!("audience");
const CIRCLE: Statements = statements!("circle");
const NOTE: Statements = statements!("note");
const WORLD: Statements = statements!("world");
const PUSH: Statements = statements!("push_health");
const CONFLICT: Statements = statements!("conflict");

const COMPANY: Statements = statements!("company");

/// The table of a kind of record.
pub(super) const fn table(entity: Entity) -> &'static str {
    statements(entity).table
}

/// The statement that copies rows into a kind's table, with the columns of [`values`].
pub(super) const fn copy(entity: Entity) -> &'static str {
    statements(entity).copy
}

/// The statement that reads the columns of [`values`], without the account, for a list of uids.
pub(super) const fn select_stored(entity: Entity) -> &'static str {
    statements(entity).stored
}

/// The statement that counts an account's rows of a kind.
pub(super) const fn count(entity: Entity) -> &'static str {
    statements(entity).count
}

/// The statement that reads the uids of a kind's rows in order, after one of them.
pub(super) const fn select_uids(entity: Entity) -> &'static str {
    statements(entity).uids
}

/// The statement that replaces the text of rows that still have the version of an event which was erased from.
pub(super) const fn erase(entity: Entity) -> &'static str {
    statements(entity).erase
}

/// The types of the columns that events determine, in the order of [`values`].
pub(super) const TYPES: [Type; 9] = [
    Type::UUID,
    Type::UUID,
    Type::INT8,
    Type::TEXT,
    Type::TEXT,
    Type::BOOL,
    Type::TIMESTAMPTZ,
    Type::TIMESTAMPTZ,
    Type::TEXT,
];

/// The columns of a row that events determine, in the order of the upsert.
pub(super) fn values(row: &Row) -> Params<'_, 9> {
    [
        &row.account.0,
        &row.uid.0,
        &row.version.0,
        &row.key,
        &row.role,
        &row.deleted,
        &row.created_at,
        &row.updated_at,
        &row.record,
    ]
}

/// The loads of one batch: at most two statements per kind of record.
pub(super) struct Loads {
    loads: Vec<Load>,
}

struct Load {
    entity: Entity,
    statement: Statement,
    accounts: Vec<Uuid>,
    by: By,
}

enum By {
    Uid(Vec<Uuid>),
    Key(Vec<String>),
    Ref(Vec<String>, Vec<String>),
}

impl Loads {
    pub(super) async fn prepare(
        client: &Object,
        uids: &[(AccountId, Entity, Uid)],
        keys: &[(AccountId, Entity, String)],
        refs: &[(AccountId, Entity, String, String)],
    ) -> Result<Self, StoreError> {
        let mut loads = Vec::new();
        for entity in Entity::ALL {
            let of = uids.iter().filter(|(_, kind, _)| *kind == entity);
            let of: HashSet<_> = of.map(|(account, _, uid)| (account.0, uid.0)).collect();
            if !of.is_empty() {
                let (accounts, uids) = of.into_iter().unzip();
                let statement = client.prepare_cached(statements(entity).by_uid).await?;
                loads.push(Load { entity, statement, accounts, by: By::Uid(uids) });
            }
            let of = keys.iter().filter(|(_, kind, _)| *kind == entity);
            let of: HashSet<_> = of.map(|(account, _, key)| (account.0, key.clone())).collect();
            if !of.is_empty() {
                let (accounts, keys) = of.into_iter().unzip();
                let statement = client.prepare_cached(statements(entity).by_key).await?;
                loads.push(Load { entity, statement, accounts, by: By::Key(keys) });
            }
            if refs.is_empty() {
                continue;
            }
            let RefKeys { accounts, sources, ids } = RefKeys::of(refs, entity);
            if !ids.is_empty() {
                let statement = client.prepare_cached(statements(entity).by_ref).await?;
                loads.push(Load { entity, statement, accounts, by: By::Ref(sources, ids) });
            }
        }
        Ok(Self { loads })
    }

    pub(super) async fn run(&self, client: &Object) -> Result<Vec<(AccountId, Record)>, StoreError> {
        // `join_all` polls in order, so the statements are sent in order, after the lock.
        let rows = futures_util::future::join_all(self.loads.iter().map(|load| load.run(client))).await;
        let mut records = Vec::new();
        for (load, rows) in self.loads.iter().zip(rows) {
            for row in rows? {
                let account = AccountId(row.get(0));
                let record = record::decode(load.entity, row.get(1))
                    .map_err(|error| StoreError::corrupt(load.entity.name(), "record", account, error))?;
                records.push((account, record));
            }
        }
        Ok(records)
    }
}

impl Load {
    async fn run(&self, client: &Object) -> Result<Vec<PgRow>, tokio_postgres::Error> {
        match &self.by {
            By::Uid(uids) => client.query(&self.statement, &[&self.accounts, uids]).await,
            By::Key(keys) => client.query(&self.statement, &[&self.accounts, keys]).await,
            By::Ref(sources, ids) => client.query(&self.statement, &[&self.accounts, sources, ids]).await,
        }
    }
}

/// The changes of read models of one batch.
pub(super) struct Changes<'a> {
    upserts: Vec<(Entity, Statement, Columns<'a>)>,
    inserts: Option<(&'static str, Columns<'a>)>,
    links: Option<Links>,
    refs: Option<RefChanges>,
    relist: Option<Relist>,
}

#[derive(Default)]
struct Columns<'a> {
    account: Vec<Uuid>,
    uid: Vec<Uuid>,
    version: Vec<i64>,
    key: Vec<Option<&'a str>>,
    role: Vec<Option<&'static str>>,
    deleted: Vec<bool>,
    created_at: Vec<Timestamp>,
    updated_at: Vec<Timestamp>,
    record: Vec<&'a str>,
}

impl<'a> Changes<'a> {
    /// The changes of a batch that appends events. The new rows of the first kind that has any are inserted with the events.
    /// Those of other kinds, of which few batches have any, are upserted like rows that change.
    pub(super) async fn prepare(client: &Object, rows: &'a [Row]) -> Result<Self, StoreError> {
        let inserted = rows.iter().find(|row| row.is_new).map(|row| row.entity);
        Self::inserting(client, rows, inserted).await
    }

    /// All rows are upserted, also those of new records: they may have been written before.
    pub(super) async fn upserting(client: &Object, rows: &'a [Row]) -> Result<Self, StoreError> {
        Self::inserting(client, rows, None).await
    }

    async fn inserting(client: &Object, rows: &'a [Row], inserted: Option<Entity>) -> Result<Self, StoreError> {
        let is_inserted = |row: &Row| row.is_new && Some(row.entity) == inserted;
        let mut upserts = Vec::new();
        for entity in Entity::ALL {
            // Tombstones first, because a record may get the lookup key of one that is deleted in the same batch.
            let of_entity = |deleted: bool| {
                rows.iter().filter(move |row| row.entity == entity && row.deleted == deleted && !is_inserted(row))
            };
            let columns = Columns::of(of_entity(true).chain(of_entity(false)));
            if !columns.uid.is_empty() {
                upserts.push((entity, client.prepare_cached(statements(entity).upsert).await?, columns));
            }
        }
        let columns = || Columns::of(rows.iter().filter(|row| is_inserted(row)));
        let inserts = inserted.map(|entity| (statements(entity).append, columns()));
        let (links, relist) = (Links::prepare(client, rows).await?, Relist::prepare(client, rows).await?);
        let refs = RefChanges::prepare(client, rows).await?;
        Ok(Self { upserts, inserts, links, refs, relist })
    }

    /// Writes the rows that change. Runs before the new rows are inserted, because a new record may get a lookup key that an
    /// older one had.
    pub(super) async fn upsert(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        let upserts =
            self.upserts.iter().map(|(_, statement, columns)| client.execute_raw(statement, columns.parameters()));
        futures_util::future::join_all(upserts).await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    }

    /// Takes the lookup keys that rows give up. Runs before [`Changes::upsert`] where the changes are those of several
    /// batches, so that one record may get a key that another one had.
    pub(super) async fn release_keys(&self, client: &Object) -> Result<(), StoreError> {
        for (entity, _, columns) in &self.upserts {
            let release = client.prepare_cached(statements(*entity).release_keys).await?;
            let Columns { account, uid, key, deleted, .. } = columns;
            client.execute(&release, &[account, uid, key, deleted]).await?;
        }
        Ok(())
    }

    /// The statement that appends the batch's events, and with them inserts rows from these parameters.
    pub(super) fn append(&self) -> (&'static str, Vec<&(dyn ToSql + Sync)>) {
        match &self.inserts {
            Some((statement, columns)) => (statement, columns.parameters().to_vec()),
            None => (APPEND, Vec::new()),
        }
    }

    /// Writes links and listings. Runs after all rows are written.
    pub(super) async fn link(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        let links = async {
            match &self.links {
                Some(links) => links.run(client).await,
                None => Ok(()),
            }
        };
        let relist = async {
            match &self.relist {
                Some(relist) => relist.run(client).await,
                None => Ok(()),
            }
        };
        let refs = async {
            match &self.refs {
                Some(refs) => refs.run(client).await,
                None => Ok(()),
            }
        };
        let (links, relist, refs) = tokio::join!(biased; links, relist, refs);
        links.and(relist).and(refs)
    }
}

impl<'a> Columns<'a> {
    fn of(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.account.push(row.account.0);
            columns.uid.push(row.uid.0);
            columns.version.push(row.version.0);
            columns.key.push(row.key.as_deref());
            columns.role.push(row.role);
            columns.deleted.push(row.deleted);
            columns.created_at.push(row.created_at);
            columns.updated_at.push(row.updated_at);
            columns.record.push(&row.record);
        }
        columns
    }

    fn parameters(&self) -> Params<'_, 9> {
        let Self { account, uid, version, key, role, deleted, created_at, updated_at, record } = self;
        [account, uid, version, key, role, deleted, created_at, updated_at, record]
    }
}

type ReadsOfKind = SharedReads<(AccountId, Uid), Option<StoredRecord>>;

/// Reads of records by uid, per kind.
#[derive(Clone)]
pub(super) struct RecordReads(Arc<[(Entity, ReadsOfKind)]>);

impl RecordReads {
    /// `limit` is the most statements per kind at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self(Entity::ALL.iter().map(|entity| (*entity, SharedReads::new(limit))).collect())
    }

    fn of(&self, entity: Entity) -> Option<&ReadsOfKind> {
        self.0.iter().find(|(kind, _)| *kind == entity).map(|(_, reads)| reads)
    }
}

impl Store {
    /// Returns one record. Deleted records are found by their uid only.
    pub async fn record(
        &self,
        account: AccountId,
        entity: Entity,
        target: &Target,
    ) -> Result<Option<StoredRecord>, StoreError> {
        if let (Target::Uid(uid), Some(reads)) = (target, self.record_reads.of(entity)) {
            let read = async |keys: Vec<(AccountId, Uid)>| self.records(entity, &keys).await.ok();
            if let Some(record) = reads.read((account, *uid), read).await {
                return Ok(record);
            }
            // The shared statement failed, or its caller went away. The error of this caller's own statement is its response.
        }
        let client = self.reader().await?;
        let row = match target {
            Target::Uid(uid) => {
                let get = client.prepare_cached(statements(entity).get).await?;
                client.query_opt(&get, &[&account.0, &uid.0]).await?
            }
            Target::Key(keys) => {
                let find = client.prepare_cached(statements(entity).find).await?;
                client.query_opt(&find, &[&account.0, keys]).await?
            }
            Target::Ref(Ref { source, id }) => {
                let find = client.prepare_cached(statements(entity).find_by_ref).await?;
                client.query_opt(&find, &[&account.0, source, id]).await?
            }
        };
        Ok(row.as_ref().map(stored))
    }

    /// Returns the records of these keys, each at the index of its key; `None` where there is none.
    async fn records(
        &self,
        entity: Entity,
        keys: &[(AccountId, Uid)],
    ) -> Result<Vec<Option<StoredRecord>>, StoreError> {
        let client = self.record_reader().await?;
        if let [(account, uid)] = keys {
            let get = client.prepare_cached(statements(entity).get).await?;
            return Ok(vec![client.query_opt(&get, &[&account.0, &uid.0]).await?.as_ref().map(stored)]);
        }
        let get = client.prepare_cached(statements(entity).get_all).await?;
        let (accounts, uids): (Vec<Uuid>, Vec<Uuid>) = keys.iter().map(|(account, uid)| (account.0, uid.0)).unzip();
        let mut records = vec![None; keys.len()];
        for row in client.query(&get, &[&accounts, &uids]).await? {
            // PostgreSQL numbers the keys from 1.
            let number: usize = columns::integer::<i64, _>(&row, entity.name(), "number", &"a record")?;
            if let Some(record) = number.checked_sub(1).and_then(|index| records.get_mut(index)) {
                *record = Some(stored(&row));
            }
        }
        Ok(records)
    }

    /// Returns the live records with these uids.
    pub async fn live_records(
        &self,
        account: AccountId,
        entity: Entity,
        uids: &[Uuid],
    ) -> Result<Vec<Record>, StoreError> {
        let mut records = self.records_of(account, entity, uids).await?;
        records.retain(|record| !record.deleted);
        Ok(records)
    }

    /// Returns the records with these uids, tombstones included.
    pub async fn records_of(
        &self,
        account: AccountId,
        entity: Entity,
        uids: &[Uuid],
    ) -> Result<Vec<Record>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(statements(entity).by_uid).await?;
        let accounts = vec![account.0; uids.len()];
        let mut records = Vec::with_capacity(uids.len());
        for row in client.query(&statement, &[&accounts, &uids]).await? {
            let record = record::decode(entity, row.get(1))
                .map_err(|error| StoreError::corrupt(entity.name(), "record", account, error))?;
            records.push(record);
        }
        Ok(records)
    }
}

/// Returns the record of a row with the columns `uid`, `version`, `deleted` and `record`.
pub(super) fn stored(row: &PgRow) -> StoredRecord {
    StoredRecord {
        uid: Uid(row.get("uid")),
        version: Seq(row.get("version")),
        deleted: row.get("deleted"),
        record: row.get("record"),
    }
}
