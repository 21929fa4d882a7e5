//! The leases of owner sessions, and the shards that each session holds.
//!
//! A connected session may belong to a process that is paused or swapped out, which keeps its connection and its locks.
//! Therefore each session has a lease, a row that it renews by the database's clock. When a lease has expired, any other
//! session ends the lease's session, which releases its locks, so that it can write no cursor afterwards. Members are
//! counted by a lock of their session, so that members of a version without leases are counted too. A member whose lease
//! has expired is not counted.

use std::time::{Duration, Instant};

use tokio_postgres::{Client, Statement};

use super::ShardOwner;
use crate::clock::{self, Clock};
use crate::store::{StoreError, columns};

/// Classes of our advisory locks: one lock per member, one per shard.
pub(in crate::store) const MEMBER: i32 = 0x756e_0001;
const SHARD: i32 = 0x756e_0002;

const JOIN: &str = "-- owner.join
select pg_advisory_lock_shared($1, pg_backend_pid())";

const MEMBERS: &str = "-- owner.members
select count(distinct l.pid) as members from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.classid::bigint = $1 and d.datname = current_database()
    and not exists (select from owner_lease e where e.backend_pid = l.pid and e.expires_at < clock_timestamp())";

const RENEW: &str = "-- owner_lease.renew
insert into owner_lease (backend_pid, backend_start, expires_at)
select pid, backend_start, clock_timestamp() + make_interval(secs => $1)
from pg_stat_activity where pid = pg_backend_pid()
on conflict (backend_pid, backend_start) do update set expires_at = excluded.expires_at
returning clock_timestamp()";

/// Deletes a lease only after its session has ended, so that a session that does not end at once is ended again.
const END_EXPIRED: &str = "-- owner_lease.end_expired
with expired as (
    select e.backend_pid, e.backend_start, a.pid
    from owner_lease e
    left join pg_stat_activity a on a.pid = e.backend_pid and a.backend_start = e.backend_start
    where e.expires_at < clock_timestamp() and e.backend_pid <> pg_backend_pid()
), forgotten as (
    delete from owner_lease e using expired x
    where x.pid is null and e.backend_pid = x.backend_pid and e.backend_start = x.backend_start
)
select count(*) filter (where pg_terminate_backend(pid)) as ended from expired where pid is not null";

const TRY_LOCK: &str = "-- owner.try_lock
select shard from unnest($2::integer[]) as s(shard) where pg_try_advisory_lock($1, shard) limit $3";

const UNLOCK: &str = "-- owner.unlock
select pg_advisory_unlock($1, shard) from unnest($2::integer[]) as s(shard)";

/// A session's identity as a member.
pub(super) struct Membership {
    members: Statement,
    renew: Statement,
    end_expired: Statement,
    try_lock: Statement,
    unlock: Statement,
}

impl Membership {
    pub(super) async fn join(client: &Client) -> Result<Self, StoreError> {
        client.execute(JOIN, &[&MEMBER]).await?;
        Ok(Self {
            members: client.prepare(MEMBERS).await?,
            renew: client.prepare(RENEW).await?,
            end_expired: client.prepare(END_EXPIRED).await?,
            try_lock: client.prepare(TRY_LOCK).await?,
            unlock: client.prepare(UNLOCK).await?,
        })
    }
}

impl ShardOwner {
    /// Renews the session's lease by the database's clock, and sets our clock by it. Returns the monotonic time of the
    /// request: the lease lasts at least until `lease` after it.
    pub async fn renew(&self, lease: Duration, clock: &Clock) -> Result<Renewed, StoreError> {
        let sent_at = clock::instant();
        let row = self.client.query_one(&self.membership.renew, &[&lease.as_secs_f64()]).await?;
        Ok(Renewed { sent_at, ahead: clock.follow(row.get(0), sent_at) })
    }

    /// Ends the sessions whose lease has expired; returns how many. Has no effect on sessions of another database role.
    pub async fn end_expired(&self) -> Result<u64, StoreError> {
        let row = self.client.query_one(&self.membership.end_expired, &[]).await?;
        columns::count(&row, "owner_lease", "ended", &"all sessions")
    }

    /// Returns the number of live replicas, including this one.
    pub async fn members(&self) -> Result<usize, StoreError> {
        let row = self.client.query_one(&self.membership.members, &[&i64::from(MEMBER)]).await?;
        let members: usize = columns::integer::<i64, _>(&row, "pg_locks", "members", &"all sessions")?;
        // This replica is live, also while its own lease is expired for a moment.
        Ok(members.max(1))
    }

    /// Locks at most `limit` of the shards that no session holds; returns the locked ones. After an error the locks of the
    /// session are not known, and it must end.
    pub async fn try_lock(&self, shards: &[u8], limit: usize) -> Result<Vec<u8>, StoreError> {
        let shards: Vec<i32> = shards.iter().copied().map(i32::from).collect();
        let limit = columns::limit(limit);
        let rows = self.client.query(&self.membership.try_lock, &[&SHARD, &shards, &limit]).await?;
        rows.iter().map(|row| columns::integer::<i32, _>(row, "pg_locks", "shard", &"this session")).collect()
    }

    /// Releases shards. After an error the locks of the session are not known, and it must end.
    pub async fn unlock(&self, shards: &[u8]) -> Result<(), StoreError> {
        let shards: Vec<i32> = shards.iter().copied().map(i32::from).collect();
        self.client.query(&self.membership.unlock, &[&SHARD, &shards]).await?;
        Ok(())
    }
}

/// A lease that was renewed.
#[derive(Debug, Clone, Copy)]
pub struct Renewed {
    /// When the renewal was sent.
    pub sent_at: Instant,
    /// The time by which our clock was ahead of the database's.
    pub ahead: time::Duration,
}
