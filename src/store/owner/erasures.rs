//! Erasures as a replica's owner session sees them: each replica confirms by its session that its memory holds nothing of
//! an erased contact any more.

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::ShardOwner;
use crate::domain::{AccountId, Seq, Uid};
use crate::store::StoreError;

const UNCONFIRMED: &str = "-- erasure.unconfirmed
select e.account_id, e.uid, e.through from erasure e join pg_stat_activity a on a.pid = pg_backend_pid()
where e.done_at is null and e.stage = 'memory' and not exists (
    select from erasure_confirmation c where c.account_id = e.account_id and c.uid = e.uid
        and c.backend_pid = a.pid and c.backend_start = a.backend_start)";

const CONFIRM: &str = "-- erasure_confirmation.insert
insert into erasure_confirmation (account_id, uid, backend_pid, backend_start)
select k.account_id, k.uid, a.pid, a.backend_start
from unnest($1::uuid[], $2::uuid[]) as k(account_id, uid), pg_stat_activity a where a.pid = pg_backend_pid()
on conflict do nothing";

/// A contact that the log holds nothing of any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedContact {
    /// Its account.
    pub account: AccountId,
    /// The contact.
    pub uid: Uid,
    /// The position up to which events were changed: copies of them are out of date.
    pub through: Seq,
}

impl ShardOwner {
    /// Returns the erased contacts of which this session has not confirmed that the replica's memory holds nothing.
    pub async fn unconfirmed_erasures(&self) -> Result<Vec<ErasedContact>, StoreError> {
        let erased = self.client.query_typed(UNCONFIRMED, &[]).await?;
        let contact = |row: &tokio_postgres::Row| ErasedContact {
            account: AccountId(row.get(0)),
            uid: Uid(row.get(1)),
            through: Seq(row.get(2)),
        };
        Ok(erased.iter().map(contact).collect())
    }

    /// Records that the replica's memory holds nothing of these contacts.
    pub async fn confirm_erasures(&self, erased: &[ErasedContact]) -> Result<(), StoreError> {
        let (accounts, uids): (Vec<Uuid>, Vec<Uuid>) = erased.iter().map(|one| (one.account.0, one.uid.0)).unzip();
        self.client.query_typed(CONFIRM, &[(&accounts, Type::UUID_ARRAY), (&uids, Type::UUID_ARRAY)]).await?;
        Ok(())
    }
}
