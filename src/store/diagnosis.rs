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

/// Partitions are left out: they are used through their table.
const PRIVILEGES: &str = "-- doctor.privileges
select c.relname::text as name from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and c.relname <> 'refinery_schema_history'
    and not (has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')
        and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete'))
order by c.relname";

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
    /// The age of the oldest transaction that the role may see, in seconds.
    pub oldest_transaction_s: Option<f64>,
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
                oldest_transaction_s: sessions.get("oldest_seconds"),
            })
        };
        let (diagnosis, _) = tokio::join!(examine, connection);
        diagnosis
    }

    /// Returns the tables that the role may not read or write.
    pub async fn forbidden_tables(&self) -> Result<Vec<String>, StoreError> {
        let client = self.reader().await?;
        Ok(client.query(PRIVILEGES, &[]).await?.iter().map(|row| row.get(0)).collect())
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
