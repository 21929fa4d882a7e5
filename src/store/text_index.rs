//! The index of contacts' texts, which searches by `q` use.
//!
//! It is a read model with a cursor of its own, and is updated only for accounts that are searched, because writing it
//! with the contact would multiply the cost of every create. A search is exact however far behind the index is: contacts
//! with an event after the cursor are read themselves (`lists`). That costs time, so an index that is far behind is not
//! used until it was updated. Replicas of versions without the index may write contacts at the same time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{AccountId, Seq};

/// The index is used while it is at most this number of events behind the log.
const USABLE: i64 = 2_000;
/// The index is updated when it is more than this number of events behind the log.
const STALE: i64 = 200;
/// The number of contacts or events that one step processes.
const STEP: i64 = 2_000;
/// The most accounts that wait to be indexed. A request beyond it is dropped; the next search of the account repeats it.
const MAX_REQUESTS: usize = 10_000;

/// The searched text of a contact's record, as a query of one row with one column `text`.
macro_rules! search_text {
    ($record:literal) => {
        concat!(
            "(select lower(concat_ws(chr(10), f.name_prefix, f.first_name || ' ' || f.last_name, f.email, f.home_email,
                f.work_email, f.phone, f.home_phone, f.work_phone, f.shop_phone)) as text
            from json_to_record(",
            $record,
            "::json) as f(name_prefix text, first_name text, last_name text, email text,
                home_email text, work_email text, phone text, home_phone text, work_phone text, shop_phone text))"
        )
    };
}
pub(super) use search_text;

const STATE: &str = "-- contact_search.state
select c.seq, h.seq, c.backfilled is null
from head h left join search_cursor c on c.account_id = h.account_id where h.account_id = $1";

/// Does not wait for the disk. A crash loses the cursor together with its rows, so the rows are written again.
const RELAX: &str = "-- contact_search.relax
set local synchronous_commit = off";

const OPEN: &str = "-- search_cursor.open
insert into search_cursor (account_id, seq, backfilled)
select account_id, seq, '00000000-0000-0000-0000-000000000000' from head where account_id = $1
on conflict (account_id) do nothing";

/// Skips a cursor that another replica holds, because that replica does the same work.
const LOCK: &str = "-- search_cursor.lock
select seq, backfilled from search_cursor where account_id = $1 for update skip locked";

const BACKFILL: &str = concat!(
    "-- contact_search.backfill
with page as materialized (
    select uid, record, deleted from contact where account_id = $1 and uid > $2 order by uid limit $3
), written as (
    insert into contact_search (account_id, uid, text)
    select $1, p.uid, t.text from page p cross join lateral ",
    search_text!("p.record"),
    " t where not p.deleted
    on conflict (account_id, uid) do update set text = excluded.text where contact_search.text <> excluded.text
)
update search_cursor set backfilled = (select uid from page order by uid desc limit 1)
where account_id = $1 returning true"
);

const CATCH_UP: &str = concat!(
    "-- contact_search.catch_up
with recent as materialized (
    select seq, uid, type from event where account_id = $1 and seq > $2 order by seq limit $3
), changed as materialized (
    select r.uid, r.record, r.deleted
    from (select distinct uid from recent where type like 'contact.%') e
    join contact r on r.account_id = $1 and r.uid = e.uid
), gone as (
    delete from contact_search s using changed c where s.account_id = $1 and s.uid = c.uid and c.deleted
), written as (
    insert into contact_search (account_id, uid, text)
    select $1, c.uid, t.text from changed c cross join lateral ",
    search_text!("c.record"),
    " t where not c.deleted
    on conflict (account_id, uid) do update set text = excluded.text where contact_search.text <> excluded.text
)
update search_cursor set seq = coalesce((select max(seq) from recent), seq)
where account_id = $1 returning (select count(*) from recent) = $3"
);

/// Accounts whose index was requested. Clones share them.
#[derive(Clone, Default)]
pub(super) struct IndexRequests {
    accounts: Arc<Mutex<BTreeSet<AccountId>>>,
    wake: Arc<Notify>,
}

impl IndexRequests {
    fn accounts(&self) -> MutexGuard<'_, BTreeSet<AccountId>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Returns the event up to which the account's index is complete; `None` where the index is not usable. Requests an
    /// update of an index that is missing or behind.
    pub(super) async fn indexed_through(&self, account: AccountId) -> Result<Option<Seq>, StoreError> {
        let client = self.replica_reader().await?;
        let statement = client.prepare_cached(STATE).await?;
        let Some(row) = client.query_opt(&statement, &[&account.0]).await? else { return Ok(None) };
        let (through, head, complete) = (row.get::<_, Option<i64>>(0), row.get::<_, i64>(1), row.get::<_, bool>(2));
        let usable = through.filter(|through| complete && head - through <= USABLE);
        if usable.is_none_or(|through| head - through > STALE) {
            self.request_index(account);
        }
        Ok(usable.map(Seq))
    }

    /// Requests an update of the account's index.
    pub fn request_index(&self, account: AccountId) {
        let mut accounts = self.index_requests.accounts();
        if accounts.len() < MAX_REQUESTS {
            accounts.insert(account);
            drop(accounts);
            self.index_requests.wake.notify_one();
        }
    }

    /// Takes the next account after `after` whose index was requested; starts over at the end.
    #[must_use]
    pub fn next_to_index(&self, after: AccountId) -> Option<AccountId> {
        let mut accounts = self.index_requests.accounts();
        let next = accounts.range(after..).find(|account| **account != after).or_else(|| accounts.first()).copied()?;
        accounts.remove(&next);
        Some(next)
    }

    /// Returns the handle that is notified when an index is requested.
    #[must_use]
    pub fn index_requested(&self) -> Arc<Notify> {
        Arc::clone(&self.index_requests.wake)
    }

    /// Updates the account's index by one step; returns whether more steps are needed.
    pub async fn index_contacts(&self, account: AccountId) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(RELAX).await?;
        transaction.execute(OPEN, &[&account.0]).await?;
        let Some(cursor) = transaction.query_opt(LOCK, &[&account.0]).await? else { return Ok(false) };
        let (seq, backfilled) = (cursor.get::<_, i64>(0), cursor.get::<_, Option<Uuid>>(1));
        let row = match backfilled {
            Some(uid) => transaction.query_one(BACKFILL, &[&account.0, &uid, &STEP]).await?,
            None => transaction.query_one(CATCH_UP, &[&account.0, &seq, &STEP]).await?,
        };
        let more = row.get(0);
        transaction.commit().await?;
        Ok(more)
    }
}

/// Returns a text in its JSON form, with quotes.
pub(super) fn in_json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the longest word of a text in its JSON form, without quotes. The parts of a name are searched as one text, but
/// each member of the record holds only some of its words.
pub(super) fn longest_word_in_json(text: &str) -> String {
    // A text without words gives the empty word, which every record contains.
    let word = text.split_whitespace().max_by_key(|word| word.len()).unwrap_or_default();
    let quoted = in_json(word);
    // JSON quotes every text, so both quotes are there.
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}
