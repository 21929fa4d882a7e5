//! Writing the shadow: rows by COPY while it has no indexes, later by the statements of the service.

use std::collections::BTreeMap;
use std::error::Error;
use std::pin::pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use deadpool_postgres::Object;
use futures_util::SinkExt as _;
use tokio_postgres::types::{IsNull, ToSql, Type};
use uuid::Uuid;

use super::{Session, tables};
use crate::domain::{AccountId, Entity, Record, Seq, Uid};
use crate::store::live::Live;
use crate::store::records;
use crate::store::row::Row;
use crate::store::{Params, StoreError};

/// A table's buffered rows are sent when they have this number of bytes.
const BUFFER: usize = 1 << 20;
/// The beginning of data in PostgreSQL's binary format of COPY: signature, flags, length of the header's extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: i16 = -1;

const COPY_LINKS: &str = "-- contact_company.copy
copy contact_company (account_id, company_uid, contact_uid) from stdin (format binary)";
const LINK_TYPES: [Type; 3] = [Type::UUID, Type::UUID, Type::UUID];

const COPY_REFS: &str = "-- record_ref.copy
copy record_ref (account_id, entity, source, id, uid) from stdin (format binary)";
const REF_TYPES: [Type; 5] = [Type::UUID, Type::TEXT, Type::TEXT, Type::TEXT, Type::UUID];

const ADD_HEADS: &str = "-- rebuild.add_heads
insert into head (account_id, seq, epoch, live)
select account_id, seq, 1, live::json from unnest($1::uuid[], $2::bigint[], $3::text[]) as h(account_id, seq, live)";

const ADVANCE_HEADS: &str = "-- rebuild.advance_heads
update head set seq = h.seq, live = h.live::json
from unnest($1::uuid[], $2::bigint[], $3::text[]) as h(account_id, seq, live)
where head.account_id = h.account_id";

const REMOVE_PARTIAL: &str = "-- rebuild.remove_partial
delete from {table} r where not exists (select from head h where h.account_id = r.account_id)";

/// How far an account is in the shadow.
#[derive(Debug, Clone)]
pub(crate) struct ShadowHead {
    pub(crate) account: AccountId,
    pub(crate) seq: Seq,
    pub(crate) live: Live,
}

/// A session that writes the shadow.
pub(crate) struct ShadowBatch {
    session: Session,
    records: BTreeMap<Entity, Buffer>,
    links: Buffer,
    refs: Buffer,
}

/// Rows in PostgreSQL's binary format of COPY.
#[derive(Default)]
struct Buffer(BytesMut);

impl Buffer {
    fn push(&mut self, values: &[&(dyn ToSql + Sync)], types: &[Type]) -> Result<(), StoreError> {
        if self.0.is_empty() {
            self.0.put_slice(SIGNATURE);
        }
        self.encode(values, types).map_err(StoreError::Unavailable)
    }

    fn encode(&mut self, values: &[&(dyn ToSql + Sync)], types: &[Type]) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.0.put_i16(i16::try_from(values.len())?);
        for (value, of_type) in values.iter().zip(types) {
            let start = self.0.len();
            self.0.put_i32(-1);
            if matches!(value.to_sql_checked(of_type, &mut self.0)?, IsNull::No) {
                let length = i32::try_from(self.0.len() - start - size_of::<i32>())?;
                self.0
                    .get_mut(start..start + size_of::<i32>())
                    .ok_or("the buffer has no room for a length")?
                    .copy_from_slice(&length.to_be_bytes());
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.0.len() >= BUFFER
    }

    fn take(&mut self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        self.0.put_i16(TRAILER);
        Some(self.0.split().freeze())
    }
}

impl ShadowBatch {
    pub(super) fn new(session: Session) -> Self {
        Self { session, records: BTreeMap::new(), links: Buffer::default(), refs: Buffer::default() }
    }

    pub(super) fn client(&self) -> Result<&Object, StoreError> {
        self.session.client()
    }

    pub(crate) async fn begin(&self) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute("begin").await?)
    }

    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute("commit").await?)
    }

    /// Adds the row of a record that the shadow lacks. Rows are buffered, and each table's buffer is a transaction of its
    /// own, so that none lasts long.
    pub(crate) async fn add(&mut self, row: &Row) -> Result<(), StoreError> {
        let buffer = self.records.entry(row.entity).or_default();
        buffer.push(&records::values(row), &records::TYPES)?;
        if buffer.is_full()
            && let Some(bytes) = buffer.take()
        {
            copy(self.session.client()?, records::copy(row.entity), bytes).await?;
        }
        for company in row.companies.iter().flatten() {
            self.links.push(&[&row.account.0, &company.0, &row.uid.0], &LINK_TYPES)?;
        }
        if self.links.is_full()
            && let Some(bytes) = self.links.take()
        {
            copy(self.session.client()?, COPY_LINKS, bytes).await?;
        }
        for reference in row.refs.iter().flatten() {
            let entity = row.entity.name();
            let values: Params<'_, 5> = [&row.account.0, &entity, &reference.source, &reference.id, &row.uid.0];
            self.refs.push(&values, &REF_TYPES)?;
        }
        if self.refs.is_full()
            && let Some(bytes) = self.refs.take()
        {
            copy(self.session.client()?, COPY_REFS, bytes).await?;
        }
        Ok(())
    }

    /// Sends the buffered rows, which complete these accounts, and then adds the accounts' heads.
    pub(crate) async fn complete(&mut self, heads: &[ShadowHead]) -> Result<(), StoreError> {
        for (entity, buffer) in &mut self.records {
            if let Some(bytes) = buffer.take() {
                copy(self.session.client()?, records::copy(*entity), bytes).await?;
            }
        }
        if let Some(bytes) = self.links.take() {
            copy(self.session.client()?, COPY_LINKS, bytes).await?;
        }
        if let Some(bytes) = self.refs.take() {
            copy(self.session.client()?, COPY_REFS, bytes).await?;
        }
        let client = self.client()?;
        let statement = client.prepare_cached(ADD_HEADS).await?;
        let accounts: Vec<Uuid> = heads.iter().map(|head| head.account.0).collect();
        let seqs: Vec<i64> = heads.iter().map(|head| head.seq.0).collect();
        let live = heads.iter().map(|head| text(head.account, &head.live)).collect::<Result<Vec<_>, _>>()?;
        client.execute(&statement, &[&accounts, &seqs, &live]).await?;
        Ok(())
    }

    /// Removes rows of accounts that a killed run did not complete.
    pub(crate) async fn remove_partial(&self) -> Result<(), StoreError> {
        for (table, _) in tables() {
            self.client()?.batch_execute(&REMOVE_PARTIAL.replace("{table}", table)).await?;
        }
        Ok(())
    }

    /// Returns those of these records that the shadow has.
    pub(crate) async fn load(&self, uids: &[(AccountId, Entity, Uid)]) -> Result<Vec<(AccountId, Record)>, StoreError> {
        let client = self.client()?;
        records::Loads::prepare(client, uids, &[], &[]).await?.run(client).await
    }

    /// Writes rows as the service writes them, and the heads of their accounts.
    pub(crate) async fn write<'a>(
        &self,
        rows: &[Row],
        heads: impl Iterator<Item = &'a ShadowHead>,
    ) -> Result<(), StoreError> {
        let client = self.client()?;
        let changes = records::Changes::upserting(client, rows).await?;
        changes.release_keys(client).await?;
        changes.upsert(client).await?;
        changes.link(client).await?;
        let advance = client.prepare_cached(ADVANCE_HEADS).await?;
        let (mut accounts, mut seqs, mut live) = (Vec::<Uuid>::new(), Vec::new(), Vec::new());
        for head in heads {
            accounts.push(head.account.0);
            seqs.push(head.seq.0);
            live.push(text(head.account, &head.live)?);
        }
        client.execute(&advance, &[&accounts, &seqs, &live]).await?;
        Ok(())
    }
}

fn text(account: AccountId, live: &Live) -> Result<String, StoreError> {
    serde_json::to_string(live).map_err(|error| StoreError::corrupt("head", "live", account, error))
}

async fn copy(client: &Object, statement: &str, bytes: Bytes) -> Result<(), StoreError> {
    let statement = client.prepare_cached(statement).await?;
    let mut sink = pin!(client.copy_in(&statement).await?);
    sink.send(bytes).await?;
    sink.finish().await?;
    Ok(())
}
