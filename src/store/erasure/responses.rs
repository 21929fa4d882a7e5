//! Erasing from responses: those of webhook receivers, and the stored ones to requests of clients.

use super::{ErasureStage, lock, uuids};
use crate::domain::{AccountId, Uid};
use crate::store::attempts::{ERASE, ERASE_WITHOUT_UIDS, UNHURRIED};
use crate::store::{Store, StoreError};

/// Receivers may have named the person in a response to an event of another record.
const ERASE_TEXTS: &str = "-- erasure.erase_attempts
update push_attempt a set body = '' where a.account_id = $1 and a.body <> '' and exists (
    select from unnest($2::text[]) as t(text) where strpos(lower(encode(a.body, 'escape')), t.text) > 0)";

/// Stored responses hold no record: they are made again from the log. Their keys are clients' free text.
const FORGET: &str = "-- erasure.forget_idempotency_records
delete from idempotency_record i where i.account_id = $1 and exists (
    select from unnest($2::text[]) as t(text) where strpos(lower(concat(i.key, i.outcome::text)), t.text) > 0)";

const ADVANCE: &str = "-- erasure.leave_responses
update erasure set stage = 'stream' where account_id = $1 and uid = $2";

impl Store {
    /// Erases responses about an erased contact. Every replica has confirmed before, so that none writes a response to an
    /// event of before. Returns false where another replica does it.
    pub async fn erase_responses(&self, account: AccountId, uid: Uid) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let Some(erasure) = lock(&transaction, account, uid, ErasureStage::Responses).await? else {
            return Ok(false);
        };
        transaction.batch_execute(UNHURRIED).await?;
        let uids = uuids(erasure.eraser.uids.iter().chain(&erasure.related).copied());
        let through = erasure.through.map_or(i64::MAX, |through| through.0);
        transaction.execute(ERASE, &[&account.0, &uids, &through]).await?;
        transaction.execute(ERASE_WITHOUT_UIDS, &[&account.0, &uids]).await?;
        transaction.execute(ERASE_TEXTS, &[&account.0, &erasure.eraser.texts]).await?;
        transaction.execute(FORGET, &[&account.0, &erasure.eraser.texts]).await?;
        transaction.execute(ADVANCE, &[&account.0, &uid.0]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
