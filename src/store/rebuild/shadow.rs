//! The shadow: creation, indexes, what remains of a run that was killed, removal.

use deadpool_postgres::Pool;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{AUTOVACUUM, ERASURES, HEADS, PATIENT, SHADOW, Session, ShadowBatch, ShadowHead, Swap, tables};
use crate::domain::{AccountId, Seq};
use crate::store::migrate::MIGRATION_LOCK;
use crate::store::{Store, StoreError, pool, with};

/// Held by the one rebuild that runs.
const RUN_LOCK: i64 = 0x756e_6966_7265_6275;
/// Shared by the sessions of a run. A new run waits for it, because a session outlives its process while it executes.
const SESSION_LOCK: i64 = RUN_LOCK + 1;

/// The session of a killed run holds the lock until the server has noticed its end.
const WAIT_BRIEFLY: &str = "set lock_timeout = '2s'";
const WAIT: &str = "set lock_timeout = '60s'";

const LOCK: &str = "-- rebuild.lock
select pg_advisory_lock($1)";

const UNLOCK: &str = "-- rebuild.unlock
select pg_advisory_unlock($1)";

const LOCK_SHARED: &str = "-- rebuild.lock_shared
select pg_advisory_lock_shared($1)";

const LIVE_SCHEMA: &str = "-- rebuild.live_schema
select quote_ident(current_schema())";

const EXISTS: &str = "-- rebuild.exists
select to_regclass($1) is not null";

const RUN: &str = "-- rebuild.run
select scope, build from run";

/// The number of times that logs were restored. Rows of a lost timeline are not continued.
const RESTORES: &str = "-- rebuild.restores
select coalesce(sum(epoch - 1), 0)::bigint from {live}.head";

/// The schema's version. Tables of another version are not continued.
const SCHEMA_VERSION: &str = "-- rebuild.schema_version
select coalesce(max(version), 0)::bigint from {live}.refinery_schema_history";

const MAKE_RUN: &str = "-- rebuild.make_run
create table run (scope text not null, build text not null)";

const START_RUN: &str = "-- rebuild.start_run
insert into run (scope, build) values ($1, $2)";

const HEADS_KEY: &str = "-- rebuild.heads_key
alter table head add primary key (account_id)";

/// The storage parameters of a table but for one; an empty text where it has no other.
const STORAGE: &str = "-- rebuild.storage
select array_to_string(array(
    select option from unnest(reloptions) as option where split_part(option, '=', 1) <> $2), ', ')
from pg_class where oid = $1::text::regclass";

const GRANTS: &str = "-- rebuild.grants
select format('grant %s on %I.%I to %s', a.privilege_type, $1::text, c.relname,
    case a.grantee when 0 then 'public' else a.grantee::regrole::text end)
from pg_class c cross join lateral aclexplode(c.relacl) a
where c.oid = $2::text::regclass and a.grantee <> c.relowner";

const INDEXES: &str = "-- rebuild.indexes
select t.relname::text, pg_get_indexdef(i.indexrelid), quote_ident(x.relname), k.conname is not null
from pg_index i join pg_class t on t.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
    left join pg_constraint k on k.conindid = i.indexrelid and k.contype = 'p'
where t.oid = any($1::text[]::regclass[]) and i.indisvalid order by k.conname is null, t.relname, x.relname";

const SIZE: &str = "-- rebuild.size
select sum(pg_total_relation_size(t))::bigint from unnest($1::text[]::regclass[]) as t";

const SHADOW_HEADS: &str = "-- rebuild.shadow_heads
select account_id, seq, live::text from head where $1::uuid[] is null or account_id = any($1)";

const LIST: &str = "-- rebuild.list_companies
update company r set listed = true
where not r.deleted and not r.listed and (r.kept or exists (
    select from contact_company l where l.account_id = r.account_id and l.company_uid = r.uid))";

const COUNT_LISTED: &str = "-- rebuild.count_listed
update head h set listed_companies = n.listed
from (select account_id, count(*) as listed from company where listed group by account_id) as n
where h.account_id = n.account_id and h.listed_companies <> n.listed";

/// The accounts that a rebuild is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    /// Sorted, each once.
    Accounts(Vec<AccountId>),
}

impl Scope {
    pub(crate) fn accounts(&self) -> Option<&[AccountId]> {
        match self {
            Self::All => None,
            Self::Accounts(accounts) => Some(accounts),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::All => "all".to_owned(),
            Self::Accounts(accounts) => accounts.iter().map(AccountId::to_string).collect::<Vec<_>>().join(" "),
        }
    }
}

/// An index that the shadow is to have.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    table: String,
    create: String,
    name: String,
    is_primary: bool,
}

impl Index {
    pub(crate) fn is_primary(&self) -> bool {
        self.is_primary
    }
}

/// The one rebuild of this database. Others are kept out until it is dropped.
pub(crate) struct Rebuild {
    shadow: Pool,
    /// The schema of the live tables, quoted.
    live: String,
    /// Holds [`RUN_LOCK`].
    owner: Session,
}

impl Store {
    /// Begins a rebuild with at most this number of sessions that write; `None` where another process rebuilds.
    pub(crate) async fn rebuild(&self, sessions: usize) -> Result<Option<Rebuild>, StoreError> {
        let settings = format!("{PATIENT} -c search_path={SHADOW}");
        // Two more: the owner, and one for statements of their own.
        let shadow = pool(with(&self.config, &settings), sessions + 2)?;
        let live = self.writer().await?.query_one(LIVE_SCHEMA, &[]).await?.get(0);
        let owner = shadow.get().await?;
        owner.batch_execute(WAIT_BRIEFLY).await?;
        match owner.query_one(LOCK, &[&RUN_LOCK]).await.map_err(StoreError::from) {
            Err(StoreError::Locked(_)) => return Ok(None),
            locked => locked?,
        };
        owner.batch_execute(WAIT).await?;
        owner.query_one(LOCK, &[&SESSION_LOCK]).await?;
        owner.query_one(UNLOCK, &[&SESSION_LOCK]).await?;
        owner.query_one(LOCK_SHARED, &[&MIGRATION_LOCK]).await?;
        Ok(Some(Rebuild { shadow, live, owner: Session(Some(owner)) }))
    }
}

impl Rebuild {
    /// Returns the bytes that the live tables and their indexes take.
    pub(crate) async fn live_size(&self) -> Result<i64, StoreError> {
        let live: Vec<String> = tables().map(|(table, _)| self.live_name(table)).collect();
        Ok(self.owner.client()?.query_one(SIZE, &[&live]).await?.get(0))
    }

    /// Returns a number that rises with every event that an erasure changes.
    pub(crate) async fn erasures(&self) -> Result<i64, StoreError> {
        Ok(self.owner.client()?.query_one(&ERASURES.replace("{live}", &self.live), &[]).await?.get(0))
    }

    /// Opens the shadow that an earlier run of the same build for the same accounts left; otherwise removes what is left, and
    /// makes an empty one. Returns whether a run continues.
    pub(crate) async fn open(&self, scope: &Scope, build: &str) -> Result<bool, StoreError> {
        let client = self.owner.client()?;
        let restores: i64 = client.query_one(&RESTORES.replace("{live}", &self.live), &[]).await?.get(0);
        let version: i64 = client.query_one(&SCHEMA_VERSION.replace("{live}", &self.live), &[]).await?.get(0);
        let erasures = self.erasures().await?;
        let build = format!("{build}, schema {version}, {restores} restores, {erasures} erased events");
        if client.query_one(EXISTS, &[&format!("{SHADOW}.run")]).await?.get(0) {
            let run = client.query_opt(RUN, &[]).await?;
            if run.is_some_and(|row| row.get::<_, &str>(0) == scope.text() && row.get::<_, &str>(1) == build) {
                return Ok(true);
            }
        }
        self.remove().await?;
        // One transaction, so that a shadow is whole or not there.
        let session = Session(Some(self.shadow.get().await?));
        let client = session.client()?;
        client.batch_execute("begin").await?;
        client.batch_execute(&format!("-- rebuild.create_schema\ncreate schema {SHADOW}")).await?;
        for table in tables().map(|(table, _)| table).chain([HEADS]) {
            // Autovacuum would hold a lock that the swap needs. The swap gives it the live table's setting.
            let storage = client.query_one(STORAGE, &[&self.live_name(table), &AUTOVACUUM]).await?;
            let storage = Some(storage.get::<_, String>(0)).filter(|storage| !storage.is_empty());
            let options: Vec<String> = storage.into_iter().chain([format!("{AUTOVACUUM} = false")]).collect();
            let with = format!(" with ({})", options.join(", "));
            let create = format!(
                "-- rebuild.create_table\ncreate table {SHADOW}.{table} (like {} including defaults including storage \
                 including compression including generated){with}",
                self.live_name(table)
            );
            client.batch_execute(&create).await?;
            for grant in client.query(GRANTS, &[&SHADOW, &self.live_name(table)]).await? {
                client.batch_execute(grant.get(0)).await?;
            }
        }
        client.batch_execute(HEADS_KEY).await?;
        client.batch_execute(MAKE_RUN).await?;
        client.execute(START_RUN, &[&scope.text(), &build]).await?;
        client.batch_execute("commit").await?;
        Ok(false)
    }

    /// Removes the shadow, where there is one.
    pub(crate) async fn remove(&self) -> Result<(), StoreError> {
        let drop = format!(
            "-- rebuild.drop_schema\nset client_min_messages = warning; drop schema if exists {SHADOW} cascade"
        );
        Ok(self.owner.client()?.batch_execute(&drop).await?)
    }

    /// Returns how far accounts are in the shadow: all of them, or these.
    pub(crate) async fn heads(&self, only: Option<&[AccountId]>) -> Result<Vec<ShadowHead>, StoreError> {
        let only: Option<Vec<Uuid>> = only.map(|only| only.iter().map(|account| account.0).collect());
        self.owner.client()?.query(SHADOW_HEADS, &[&only]).await?.iter().map(shadow_head).collect()
    }

    /// Opens a session that writes the shadow.
    pub(crate) async fn batch(&self) -> Result<ShadowBatch, StoreError> {
        Ok(ShadowBatch::new(self.session().await?))
    }

    /// Opens the session that replaces live rows by those of the shadow.
    pub(crate) async fn swap(&self) -> Result<Swap, StoreError> {
        Ok(Swap::new(self.session().await?, self.live.clone()))
    }

    async fn session(&self) -> Result<Session, StoreError> {
        let client = self.shadow.get().await?;
        client.query_one(LOCK_SHARED, &[&SESSION_LOCK]).await?;
        Ok(Session(Some(client)))
    }

    /// Returns the indexes of the live tables, primary keys first.
    pub(crate) async fn indexes(&self) -> Result<Vec<Index>, StoreError> {
        let live: Vec<String> = tables().map(|(table, _)| self.live_name(table)).collect();
        let rows = self.owner.client()?.query(INDEXES, &[&live]).await?;
        let index = |row: &PgRow| {
            let (table, create): (String, String) = (row.get(0), row.get(1));
            let on = format!(" ON {} ", self.live_name(&table));
            let create = create.replacen(&on, &format!(" ON {SHADOW}.{table} "), 1);
            let create = create.replacen("INDEX ", "INDEX IF NOT EXISTS ", 1);
            Index { table, create, name: row.get(2), is_primary: row.get(3) }
        };
        Ok(rows.iter().map(index).collect())
    }

    /// Creates an index of the shadow, where an earlier run has not created it.
    pub(crate) async fn create_index(&self, index: &Index) -> Result<(), StoreError> {
        let session = self.session().await?;
        let client = session.client()?;
        let Index { table, create, name, is_primary } = index;
        client.batch_execute(&format!("-- rebuild.create_index\nset client_min_messages = warning; {create}")).await?;
        if *is_primary {
            let constraint = format!(
                "-- rebuild.primary_key
do $$ begin
    if not exists (select from pg_constraint where conrelid = '{SHADOW}.{table}'::regclass and contype = 'p') then
        alter table {SHADOW}.{table} add constraint {name} primary key using index {name};
    end if;
end $$"
            );
            client.batch_execute(&constraint).await?;
        }
        Ok(())
    }

    /// Sets which companies are listed, and counts them. Needs the primary keys.
    pub(crate) async fn list_companies(&self) -> Result<(), StoreError> {
        let swap = self.swap().await?;
        swap.keep_companies(None).await?;
        let client = self.owner.client()?;
        client.execute(LIST, &[]).await?;
        client.execute(COUNT_LISTED, &[]).await?;
        Ok(())
    }

    /// Gives the planner the statistics of the shadow.
    pub(crate) async fn analyze(&self) -> Result<(), StoreError> {
        let shadow: Vec<String> = tables().map(|(table, _)| format!("{SHADOW}.{table}")).collect();
        let analyze = format!("-- rebuild.analyze\nanalyze {}", shadow.join(", "));
        Ok(self.owner.client()?.batch_execute(&analyze).await?)
    }

    fn live_name(&self, table: &str) -> String {
        format!("{}.{table}", self.live)
    }
}

fn shadow_head(row: &PgRow) -> Result<ShadowHead, StoreError> {
    let account = AccountId(row.get::<_, Uuid>(0));
    let live = serde_json::from_str(row.get(2)).map_err(|error| StoreError::corrupt("head", "live", account, error))?;
    Ok(ShadowHead { account, seq: Seq(row.get(1)), live })
}
