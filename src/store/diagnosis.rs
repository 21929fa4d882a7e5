//! The state of the server and of the service's role in it, for `/readyz` and `unificus doctor`. Reads nothing of accounts.

use std::collections::BTreeMap;

use tokio_postgres::NoTls;

use super::{ADMIT_CONNECTIONS, RECORD_CONNECTIONS, Store, StoreError};
use crate::config::Config;

const SERVER: &str = "-- doctor.server
select current_setting('server_version_num')::integer as version_number, current_setting('server_version') as version,
    current_user::text as role, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls,
    pg_encoding_to_char(d.encoding)::text as encoding, pg_database_size(d.oid) as bytes,
    case when pg_has_role(current_user, 'pg_read_all_settings', 'member') then current_setting('data_directory') end
        as directory
from pg_roles r, pg_database d where r.rolname = current_user and d.datname = current_database()";

const SETTINGS: &str = "-- doctor.settings
select name, setting from pg_settings where name = any($1)";

const EXTENSIONS: &str = "-- doctor.extensions
select e.name from unnest($1::text[]) as e(name)
where not exists (select from pg_available_extensions a where a.name = e.name)";

/// Partitions are left out: they are used through their table. The exceptions are those of `deploy/postgres/rights.sql`.
const PRIVILEGES: &str = "-- doctor.privileges
select c.relname::text as name, string_agg(p.name, ', ' order by p.place) as missing
from pg_class c cross join unnest(array['select', 'insert', 'update', 'delete']) with ordinality as p(name, place)
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and not has_table_privilege(c.oid, p.name)
    and not (c.relname = 'event' and p.name = 'delete')
    and not (c.relname = 'audit' and p.name in ('update', 'delete'))
    and not (c.relname = 'refinery_schema_history' and p.name <> 'select')
group by c.relname order by c.relname";

/// With the functions of `deploy/postgres/roles.sql` the service makes partitions by them alone; see `attempts.rs`.
const PARTITIONS: &str = "-- doctor.partitions
select case when f.adds is null then pg_has_role(c.relowner, 'usage')
    else coalesce(has_function_privilege(f.adds, 'execute') and has_function_privilege(f.drops, 'execute'), false) end
from pg_class c, (select to_regprocedure('push_attempt_add_day(date)')::oid as adds,
    to_regprocedure('push_attempt_drop_day(text)')::oid as drops) f
where c.oid = 'public.push_attempt'::regclass";

/// A failure is over with the next file that was archived.
const ARCHIVER: &str = "-- doctor.archiver
select current_setting('archive_mode') <> 'off' as is_on,
    case when last_failed_time > coalesce(last_archived_time, '-infinity') then last_failed_wal end as failing
from pg_stat_archiver";

/// A role without `pg_monitor` sees the transactions of its own sessions alone.
const SESSIONS: &str = "-- doctor.sessions
select count(*) filter (where backend_type = 'client backend') as connections,
    max(extract(epoch from clock_timestamp() - xact_start)::float8)
        filter (where datname = current_database() and pid <> pg_backend_pid()) as oldest_seconds
from pg_stat_activity";

const MEMBERS: &str = "-- doctor.members
select count(*) from owner_lease where expires_at > clock_timestamp()";

/// A standby that has replayed everything does not lag, however old the last transaction is.
const STANDBY: &str = "-- doctor.standby
select pg_is_in_recovery() as is_standby,
    case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
        else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp())::float8 end as lag_seconds";

/// The state of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerDiagnosis {
    /// Such as 150008 for 15.8.
    pub version_number: i32,
    /// As the server writes it.
    pub version: String,
    /// The role of the service's sessions.
    pub role: String,
    /// Attributes of the role that the service does not need.
    pub surplus_rights: Vec<&'static str>,
    /// The encoding of the database.
    pub encoding: String,
    /// The size of the database.
    pub bytes: i64,
    /// The server's data directory, where the role may read it.
    pub directory: Option<String>,
    /// The settings that were asked for, as sessions of the service have them.
    pub settings: BTreeMap<String, String>,
    /// Extensions that the server cannot create.
    pub missing_extensions: Vec<String>,
    /// Open connections of all clients.
    pub connections: i64,
    /// Whether the server archives its write-ahead log.
    pub is_archiving: bool,
    /// The file of the log that could not be archived, where that failed most recently.
    pub unarchived: Option<String>,
    /// The age of the oldest transaction that the role may see, in seconds.
    pub oldest_transaction_s: Option<f64>,
}

/// A table, and the rights on it that the role lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRights {
    /// The table's name.
    pub table: String,
    /// Such as `update, delete`.
    pub rights: String,
}

/// The state of `database.read_url`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StandbyDiagnosis {
    /// Whether it follows another server.
    pub is_standby: bool,
    /// The age of what it has not replayed yet, in seconds; nothing where it has replayed nothing.
    pub lag_s: Option<f64>,
}

/// The connections of one replica to the primary.
#[must_use]
pub(crate) fn connections_of(config: &Config) -> usize {
    let database = &config.database;
    let pooled = database.read_connections() + database.write_connections() + 2 * config.commands.lane_count();
    pooled + ADMIT_CONNECTIONS + RECORD_CONNECTIONS + 1
}

impl Store {
    /// Checks that the primary responds.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.reader().await?.batch_execute("-- store.ping\nselect").await?)
    }

    /// Returns the state of the server. Unlike other statements it waits for no pool, so that its error is the server's own.
    pub async fn diagnose(&self, settings: &[&str], extensions: &[&str]) -> Result<ServerDiagnosis, StoreError> {
        let (client, connection) = self.config.connect(NoTls).await?;
        let examine = async move {
            let server = client.query_one(SERVER, &[]).await?;
            let surplus_rights = [
                ("rolsuper", "superuser"),
                ("rolcreaterole", "createrole"),
                ("rolcreatedb", "createdb"),
                ("rolreplication", "replication"),
                ("rolbypassrls", "bypassrls"),
            ];
            let surplus_rights = surplus_rights.into_iter().filter(|(column, _)| server.get(*column));
            let set = client.query(SETTINGS, &[&settings]).await?;
            let missing = client.query(EXTENSIONS, &[&extensions]).await?;
            let sessions = client.query_one(SESSIONS, &[]).await?;
            let archiver = client.query_one(ARCHIVER, &[]).await?;
            Ok(ServerDiagnosis {
                version_number: server.get("version_number"),
                version: server.get("version"),
                role: server.get("role"),
                surplus_rights: surplus_rights.map(|(_, right)| right).collect(),
                encoding: server.get("encoding"),
                bytes: server.get("bytes"),
                directory: server.get("directory"),
                settings: set.iter().map(|row| (row.get(0), row.get(1))).collect(),
                missing_extensions: missing.iter().map(|row| row.get(0)).collect(),
                connections: sessions.get("connections"),
                is_archiving: archiver.get("is_on"),
                unarchived: archiver.get("failing"),
                oldest_transaction_s: sessions.get("oldest_seconds"),
            })
        };
        let (diagnosis, _) = tokio::join!(examine, connection);
        diagnosis
    }

    /// Returns the rights on tables that the role lacks.
    pub async fn missing_rights(&self) -> Result<Vec<MissingRights>, StoreError> {
        let rows = self.reader().await?.query(PRIVILEGES, &[]).await?;
        Ok(rows.iter().map(|row| MissingRights { table: row.get("name"), rights: row.get("missing") }).collect())
    }

    /// Whether the role may make and drop partitions of the attempt log.
    pub async fn may_change_partitions(&self) -> Result<bool, StoreError> {
        Ok(self.reader().await?.query_one(PARTITIONS, &[]).await?.get(0))
    }

    /// Returns the number of replicas whose lease is valid.
    pub async fn living_replicas(&self) -> Result<i64, StoreError> {
        Ok(self.reader().await?.query_one(MEMBERS, &[]).await?.get(0))
    }

    /// Returns the state of the server of `database.read_url`.
    pub async fn diagnose_standby(&self) -> Result<StandbyDiagnosis, StoreError> {
        let row = self.replica_reader().await?.query_one(STANDBY, &[]).await?;
        Ok(StandbyDiagnosis { is_standby: row.get("is_standby"), lag_s: row.get("lag_seconds") })
    }
}
