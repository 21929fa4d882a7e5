//! Compares everything that is derived from a log with it.
//!
//! An account is compared in steps. Each step is a short transaction with one snapshot: the head, the next page of the log
//! and the live rows of the records whose last event is on the page. A record that is written meanwhile has a later last
//! event, and is compared when the walk arrives there. The last step reaches the head of its own snapshot, and compares the
//! counts in it. So no transaction holds a snapshot for long, and writes cause no false alarm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::difference::{Difference, compare};
use super::log::{Damage, Depth, LogIndex, headless, missing};
use super::progress::RunProgress;
use super::workers::{WorkQueue, in_parallel};
use crate::domain::reference::Ref;
use crate::domain::{AccountId, Entity, Seq, Uid};
use crate::store::rebuild::{LogReader, LogReaders, StoredHead};
use crate::store::row::Row;
use crate::store::{Store, StoreError};

/// The events that one step compares.
const PAGE: i64 = 2_000;
/// The events that one step adds to the index.
const INDEX_PAGE: i64 = 50_000;
/// The keys of a table that are read at once in search of a surplus one.
const KEYS_PAGE: i64 = 10_000;

/// The first thing that is wrong with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The log itself: nothing can be rebuilt from it.
    Damage(Damage),
    /// A read model.
    Difference(Difference),
}

/// An account with a finding.
#[derive(Debug, Clone)]
pub(crate) struct AccountReport {
    pub(crate) account: AccountId,
    pub(crate) finding: Finding,
}

/// The result for all accounts.
#[derive(Debug, Clone, Default)]
pub(crate) struct VerifyReport {
    pub(crate) accounts: u64,
    pub(crate) events: u64,
    /// In the order of their ids.
    pub(crate) unsound: Vec<AccountReport>,
}

/// Verifies these accounts, or all of them, by this number of connections.
pub(crate) async fn verify(
    store: &Store,
    only: Option<&[AccountId]>,
    connections: usize,
    progress: &Arc<RunProgress>,
) -> Result<VerifyReport, StoreError> {
    let readers = store.log_readers(connections)?;
    let mut heads = readers.reader().await?.heads(only).await?;
    progress.begin("verify", heads.iter().filter_map(|(_, head)| *head).map(|head| head.since(Seq::ZERO)).sum());
    // The longest logs first, so that no connection is left with one at the end.
    heads.sort_by_key(|(_, head)| std::cmp::Reverse(*head));
    let accounts = heads.into_iter().map(|(account, _)| account);
    let report = Arc::new(Mutex::new(VerifyReport::default()));
    let work = |queue| verify_accounts(readers.clone(), queue, Arc::clone(progress), Arc::clone(&report));
    in_parallel(connections, accounts, work).await?;
    let mut report = std::mem::take(&mut *report.lock().unwrap_or_else(PoisonError::into_inner));
    report.unsound.sort_by_key(|unsound| unsound.account);
    Ok(report)
}

async fn verify_accounts(
    readers: LogReaders,
    queue: WorkQueue<AccountId>,
    progress: Arc<RunProgress>,
    report: Arc<Mutex<VerifyReport>>,
) -> Result<(), StoreError> {
    let reader = readers.reader().await?;
    while let Some(account) = queue.next() {
        let mut walk = Walk { reader: &reader, index: LogIndex::new(account) };
        let finding = walk.finish(&progress).await?;
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        report.accounts += 1;
        report.events += walk.index.walked().since(Seq::ZERO);
        report.unsound.extend(finding.map(|finding| AccountReport { account, finding }));
    }
    Ok(())
}

/// The walk along one log.
struct Walk<'a> {
    reader: &'a LogReader,
    index: LogIndex,
}

enum Step {
    More,
    Equal,
    Unsound(Finding),
}

impl From<Damage> for Step {
    fn from(damage: Damage) -> Self {
        Self::Unsound(Finding::Damage(damage))
    }
}

impl From<Difference> for Step {
    fn from(difference: Difference) -> Self {
        Self::Unsound(Finding::Difference(difference))
    }
}

impl Walk<'_> {
    async fn finish(&mut self, progress: &RunProgress) -> Result<Option<Finding>, StoreError> {
        loop {
            let before = self.index.walked();
            self.reader.begin_snapshot().await?;
            let step = self.step().await?;
            self.reader.end_snapshot().await?;
            progress.add(self.index.walked().since(before));
            match step {
                Step::More => {}
                Step::Equal => return Ok(None),
                Step::Unsound(finding) => return Ok(Some(finding)),
            }
        }
    }

    async fn step(&mut self) -> Result<Step, StoreError> {
        let account = self.index.account();
        let Some(head) = self.reader.stored_head(account).await? else { return Ok(headless().into()) };
        if let Some((seq, uid)) = self.reader.beyond(account, head.seq).await? {
            let (expected, stored) = (format!("no event after {}", head.seq), format!("event {seq}"));
            return Ok(Damage { seq, record: Some((None, uid)), field: "head.seq", expected, stored }.into());
        }
        let (from, through) = (self.index.indexed(), head.seq.min(Seq(self.index.indexed().0 + INDEX_PAGE)));
        let entries = self.reader.index(account, from, through).await?;
        if let Err(damage) = self.index.extend(&entries, through) {
            return Ok(damage.into());
        }
        if through < head.seq {
            return Ok(Step::More);
        }
        let page_end = head.seq.min(Seq(self.index.walked().0 + PAGE));
        let events = self.reader.events(account, self.index.walked(), page_end).await?;
        let mut expected = Vec::new();
        for event in &events {
            match self.index.walk(event, Depth::Events) {
                Ok(row) => expected.extend(row),
                Err(damage) => return Ok(damage.into()),
            }
        }
        if events.is_empty() && page_end > self.index.walked() {
            return Ok(missing(self.index.walked().next()).into());
        }
        if let Some(difference) = self.compare_records(&head, &expected).await? {
            return Ok(difference.into());
        }
        if self.index.walked() < head.seq { Ok(Step::More) } else { self.compare_totals(&head).await }
    }

    /// Compares the rows, links and searched texts of records whose last events are these.
    async fn compare_records(&self, head: &StoredHead, expected: &[Row]) -> Result<Option<Difference>, StoreError> {
        let account = self.index.account();
        for entity in Entity::ALL {
            let of_entity: Vec<&Row> = expected.iter().filter(|row| row.entity == entity).collect();
            if of_entity.is_empty() {
                continue;
            }
            let uids: Vec<Uuid> = of_entity.iter().map(|row| row.uid.0).collect();
            let stored = self.reader.stored_rows(account, entity, &uids).await?;
            let stored: BTreeMap<Uid, _> = stored.into_iter().map(|stored| (stored.uid, stored)).collect();
            for row in &of_entity {
                let difference = match stored.get(&row.uid) {
                    Some(stored) => compare(row, stored),
                    None => Some(Difference::of_record((entity, row.uid), "row", "a row", "none")),
                };
                if difference.is_some() {
                    return Ok(difference);
                }
            }
            if let Some(difference) = self.compare_refs(entity, &of_entity, &uids).await? {
                return Ok(Some(difference));
            }
            if entity == Entity::Contact
                && let Some(difference) = self.compare_contacts(head, &of_entity, &uids).await?
            {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    async fn compare_refs(
        &self,
        entity: Entity,
        records: &[&Row],
        uids: &[Uuid],
    ) -> Result<Option<Difference>, StoreError> {
        let mut refs: BTreeMap<Uid, Vec<Ref>> = BTreeMap::new();
        for (uid, reference) in self.reader.refs_of(self.index.account(), entity, uids).await? {
            refs.entry(uid).or_default().push(reference);
        }
        for row in records {
            let mut expected = row.refs.clone().unwrap_or_default();
            let mut stored = refs.remove(&row.uid).unwrap_or_default();
            expected.sort_unstable();
            stored.sort_unstable();
            if expected != stored {
                let text = |refs: &[Ref]| {
                    refs.iter().map(|Ref { source, id }| format!("{source}/{id}")).collect::<Vec<_>>().join(" ")
                };
                let (expected, stored) = (text(&expected), text(&stored));
                return Ok(Some(Difference::of_record((entity, row.uid), "record_ref.id", expected, stored)));
            }
        }
        Ok(None)
    }

    async fn compare_contacts(
        &self,
        head: &StoredHead,
        contacts: &[&Row],
        uids: &[Uuid],
    ) -> Result<Option<Difference>, StoreError> {
        let account = self.index.account();
        let mut links: BTreeMap<Uid, Vec<Uid>> = BTreeMap::new();
        for (contact, company) in self.reader.links_of(account, uids).await? {
            links.entry(contact).or_default().push(company);
        }
        for row in contacts {
            let mut expected = row.companies.clone().unwrap_or_default();
            expected.sort_unstable();
            let stored = links.remove(&row.uid).unwrap_or_default();
            if expected != stored {
                let text = |uids: &[Uid]| uids.iter().map(Uid::to_string).collect::<Vec<_>>().join(" ");
                let record = (Entity::Contact, row.uid);
                return Ok(Some(Difference::of_record(
                    record,
                    "contact_company.company_uid",
                    text(&expected),
                    text(&stored),
                )));
            }
        }
        let Some(indexed) = head.indexed else { return Ok(None) };
        let is_indexed =
            |row: &&&Row| row.version <= indexed && head.backfilled.is_none_or(|backfilled| row.uid <= backfilled);
        let uids: Vec<Uuid> = contacts.iter().filter(is_indexed).map(|row| row.uid.0).collect();
        for text in self.reader.texts_of(account, &uids).await? {
            if text.stored != text.expected {
                let shown = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
                let record = (Entity::Contact, text.uid);
                let (expected, stored) = (shown(text.expected), shown(text.stored));
                return Ok(Some(Difference::of_record(record, "contact_search.text", expected, stored)));
            }
        }
        Ok(None)
    }

    /// Compares the counts of a head that the walk has reached, and finds rows that the log does not have.
    async fn compare_totals(&self, head: &StoredHead) -> Result<Step, StoreError> {
        let account = self.index.account();
        let totals = self.reader.totals(account, head).await?;
        if self.index.epoch() > head.epoch {
            let (expected, stored) = (format!("{} or later", self.index.epoch()), head.epoch.to_string());
            return Ok(Damage { seq: head.seq, record: None, field: "head.epoch", expected, stored }.into());
        }
        for entity in Entity::ALL {
            let (expected, stored) =
                (self.index.records(entity), totals.records.get(&entity).copied().unwrap_or_default());
            if expected != stored {
                return Ok(self.surplus_record(entity, expected, stored).await?.into());
            }
        }
        if self.index.links() != totals.links {
            return Ok(self.surplus_link(totals.links).await?.into());
        }
        if self.index.refs() != totals.refs {
            return Ok(self.surplus_ref(totals.refs).await?.into());
        }
        if let Some((company, stored)) = totals.wrong_kept {
            return Ok(Difference::of_record((Entity::Company, company), "kept", !stored, stored).into());
        }
        if let Some((company, stored)) = totals.wrong_listed {
            return Ok(Difference::of_record((Entity::Company, company), "listed", !stored, stored).into());
        }
        if let Some(contact) = totals.extra_text {
            return Ok(Difference::of_record((Entity::Contact, contact), "contact_search.text", "none", "a row").into());
        }
        for entity in Entity::ALL {
            let (expected, stored) = (self.index.live().get(entity), head.live.get(entity));
            if expected != stored {
                return Ok(Difference::of_account(format!("head.live.{}", entity.name()), expected, stored).into());
            }
        }
        if totals.listed != head.listed_companies {
            let (expected, stored) = (totals.listed, head.listed_companies);
            return Ok(Difference::of_account("head.listed_companies", expected, stored).into());
        }
        Ok(Step::Equal)
    }

    /// Finds a row of a read model whose record the log does not have.
    async fn surplus_record(&self, entity: Entity, expected: i64, stored: i64) -> Result<Difference, StoreError> {
        let mut after = Uid(Uuid::nil());
        loop {
            let uids = self.reader.uids_after(self.index.account(), entity, after, KEYS_PAGE).await?;
            let Some(last) = uids.last() else { break };
            after = *last;
            if let Some(surplus) = uids.into_iter().find(|uid| !self.index.has(entity, *uid)) {
                return Ok(Difference::of_record((entity, surplus), "row", "none", "a row"));
            }
        }
        Ok(Difference::of_account(format!("number of {} rows", entity.name()), expected, stored))
    }

    /// Finds an identifier in another system whose record the log does not have.
    async fn surplus_ref(&self, stored: i64) -> Result<Difference, StoreError> {
        let mut after = (String::new(), Ref { source: String::new(), id: String::new() });
        loop {
            let refs = self.reader.refs_after(self.index.account(), (&after.0, &after.1), KEYS_PAGE).await?;
            let Some((entity, reference, _)) = refs.last() else { break };
            after = (entity.clone(), reference.clone());
            for (entity, reference, uid) in refs {
                let known = Entity::from_name(&entity);
                if known.is_none_or(|entity| !self.index.has(entity, uid)) {
                    let shown = format!("{}/{}", reference.source, reference.id);
                    let entity = known.unwrap_or(Entity::Contact);
                    return Ok(Difference::of_record((entity, uid), "record_ref.id", "none", shown));
                }
            }
        }
        Ok(Difference::of_account("number of record_ref rows", self.index.refs(), stored))
    }

    /// Finds a link of a contact that the log does not have. The links of all other contacts were compared.
    async fn surplus_link(&self, stored: i64) -> Result<Difference, StoreError> {
        let mut after = (Uid(Uuid::nil()), Uid(Uuid::nil()));
        loop {
            let links = self.reader.links_after(self.index.account(), after, KEYS_PAGE).await?;
            let Some(last) = links.last() else { break };
            after = *last;
            if let Some((company, contact)) =
                links.into_iter().find(|(_, contact)| !self.index.has(Entity::Contact, *contact))
            {
                let record = (Entity::Contact, contact);
                return Ok(Difference::of_record(record, "contact_company.company_uid", "none", company));
            }
        }
        Ok(Difference::of_account("number of contact_company rows", self.index.links(), stored))
    }
}
