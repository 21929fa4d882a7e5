//! The limit of Postgres: a bare client inserts rows like the service's into tables like the service's, which are in a
//! schema of their own: per transaction 100 events, 100 contacts and 100 references.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use time::OffsetDateTime;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::batch::{CONNECTIONS, OPERATIONS};
use crate::database::connect;

/// With the settings of the service's tables that `LIKE` leaves out.
const TABLES: &str = "DROP SCHEMA IF EXISTS unificus_limit CASCADE; CREATE SCHEMA unificus_limit;
CREATE TABLE unificus_limit.event (LIKE public.event INCLUDING ALL);
CREATE TABLE unificus_limit.contact (LIKE public.contact INCLUDING ALL) WITH (toast_tuple_target = 8160);
CREATE TABLE unificus_limit.record_ref (LIKE public.record_ref INCLUDING ALL)";
const DROP: &str = "DROP SCHEMA unificus_limit CASCADE";
const EVENT: &str = "SELECT body FROM event WHERE account_id = $1 ORDER BY seq LIMIT 1";
const CONTACT: &str = "SELECT key, role, record FROM contact WHERE account_id = $1 LIMIT 1";

const EVENTS: &str = "INSERT INTO unificus_limit.event (account_id, seq, uid, type, at, origin, body)
SELECT $1, seq, uid, 'crm.contact.created', $4, 'limit', body FROM unnest($2::bigint[], $3::uuid[], $5::text[]) AS e(seq, uid, body)";
const CONTACTS: &str = "INSERT INTO unificus_limit.contact
(account_id, uid, version, key, role, deleted, created_at, updated_at, record)
SELECT $1, uid, version, key, $7, false, $5, $5, record
FROM unnest($2::bigint[], $3::uuid[], $4::text[], $6::text[]) AS r(version, uid, key, record)
ON CONFLICT (account_id, uid) DO UPDATE SET version = excluded.version, key = excluded.key, role = excluded.role,
deleted = excluded.deleted, updated_at = excluded.updated_at, record = excluded.record";
const REFS: &str = "INSERT INTO unificus_limit.record_ref (account_id, entity, source, id, uid)
SELECT $1, 'contact', 'limit', id, uid FROM unnest($2::text[], $3::uuid[]) AS f(id, uid)";

/// A row of the service, whose bytes every row has.
struct Sample {
    event: String,
    key: String,
    role: Option<String>,
    record: String,
}

pub(crate) struct Bare {
    url: String,
    admin: Client,
    account: Uuid,
    sample: Arc<Sample>,
    next: Arc<AtomicI64>,
}

impl Bare {
    /// Creates the tables. The account has a contact.
    pub(crate) async fn new(url: &str, account: &str) -> Result<Self> {
        let admin = connect(url).await?;
        admin.batch_execute(TABLES).await.context("creating unificus_limit")?;
        let account: Uuid = account.parse().context("a public id")?;
        let event = admin.query_one(EVENT, &[&account]).await.context("reading an event")?.try_get(0)?;
        let contact = admin.query_one(CONTACT, &[&account]).await.context("reading a contact")?;
        let (key, role, record) = (contact.try_get(0)?, contact.try_get(1)?, contact.try_get(2)?);
        let sample = Arc::new(Sample { event, key, role, record });
        Ok(Self { url: url.to_owned(), admin, account, sample, next: Arc::default() })
    }

    /// Records per second on all connections.
    pub(crate) async fn per_second(&self, length: Duration) -> Result<f64> {
        let (from, mut tasks) = (self.next.load(Ordering::Relaxed), JoinSet::new());
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(connect(&self.url).await?);
        }
        let began = Instant::now();
        for client in clients {
            let (account, sample, next) = (self.account, Arc::clone(&self.sample), Arc::clone(&self.next));
            tasks.spawn(async move {
                let statements = Statements::prepare(&client).await?;
                while began.elapsed() < length {
                    statements.write(&client, account, &sample, &next).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(written) = tasks.join_next().await {
            written.context("a connection's task ended in a panic")??;
        }
        Ok((self.next.load(Ordering::Relaxed) - from) as f64 / began.elapsed().as_secs_f64())
    }

    pub(crate) async fn finish(self) -> Result<()> {
        self.admin.batch_execute(DROP).await.context("dropping unificus_limit")
    }
}

struct Statements {
    events: tokio_postgres::Statement,
    contacts: tokio_postgres::Statement,
    refs: tokio_postgres::Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Result<Self> {
        let (events, contacts) = (client.prepare(EVENTS).await?, client.prepare(CONTACTS).await?);
        Ok(Self { events, contacts, refs: client.prepare(REFS).await? })
    }

    /// Writes one transaction, in one round trip.
    async fn write(&self, client: &Client, account: Uuid, sample: &Sample, next: &AtomicI64) -> Result<()> {
        let operations = i64::try_from(OPERATIONS)?;
        let first = next.fetch_add(operations, Ordering::Relaxed);
        let seqs: Vec<i64> = (first + 1..=first + operations).collect();
        let uids: Vec<Uuid> = seqs.iter().map(|_| Uuid::now_v7()).collect();
        let at = OffsetDateTime::now_utc();
        let bodies = vec![sample.event.as_str(); seqs.len()];
        let records = vec![sample.record.as_str(); seqs.len()];
        let start = sample.key.len().saturating_sub(10);
        let keys: Vec<String> =
            seqs.iter().map(|seq| format!("{}{seq:010}", sample.key.get(..start).unwrap_or_default())).collect();
        let ids: Vec<String> = seqs.iter().map(i64::to_string).collect();
        let events: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [&account, &seqs, &uids, &at, &bodies];
        let contacts: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
            [&account, &seqs, &uids, &keys, &at, &records, &sample.role];
        let refs: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&account, &ids, &uids];
        let (begun, appended, written, linked, committed) = tokio::join!(
            biased;
            client.batch_execute("BEGIN"),
            client.execute(&self.events, &events),
            client.execute(&self.contacts, &contacts),
            client.execute(&self.refs, &refs),
            client.batch_execute("COMMIT"),
        );
        let rows = appended.and(written).and(linked).map(drop);
        begun.and(rows).and(committed).context("writing rows")
    }
}
