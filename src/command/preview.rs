//! Decides commands without executing them: each chunk is decided in a transaction that is rolled back.
//!
//! Guarantees: nothing is written, and the account's lock is held no longer than for a batch. Later commands see the effects
//! of earlier ones, also of earlier chunks, on the records that the caller wants kept.

use std::collections::{HashMap, HashSet};

use super::batch::{self, NotWritten, decide_loading, load_request, settle};
use super::{BatchReply, CommandEnvelope, CommandResult, Failure, missing_reply};
use crate::clock::{self, Clock};
use crate::contract::record;
use crate::domain::reference::Ref;
use crate::domain::{Entity, Record, Uid};
use crate::store::batch::{HeadLock, LoadRequest, LoadedState};
use crate::store::{Store, StoreError};

/// The most records that are kept.
const MAX_KEPT: usize = 50_000;

/// The records of one kind of one account, as commands that were not executed would have left them.
#[derive(Debug)]
pub struct Preview {
    entity: Entity,
    kept: HashMap<Uid, Record>,
    keys: HashMap<String, Uid>,
    refs: HashMap<Ref, Uid>,
    is_complete: bool,
}

impl Preview {
    /// A preview of commands that change records of this kind.
    #[must_use]
    pub fn new(entity: Entity) -> Self {
        Self { entity, kept: HashMap::new(), keys: HashMap::new(), refs: HashMap::new(), is_complete: true }
    }

    /// False once a record was not kept because there were too many.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Decides commands of one account after the earlier ones. Keeps the changed records that `wants` names.
    pub async fn decide(
        &mut self,
        store: &Store,
        clock: &Clock,
        commands: &[CommandEnvelope],
        wants: impl Fn(&Record) -> bool,
    ) -> Vec<Result<CommandResult, Failure>> {
        let began = clock::instant();
        let envelopes: Vec<&CommandEnvelope> = commands.iter().collect();
        let failure = loop {
            match self.attempt(store, clock, &envelopes, &wants).await {
                Ok(replies) => return replies,
                Err(error) if !error.is_transient() && !error.is_locked() => {
                    tracing::error!(error = error.report(), "deciding a preview failed");
                    break Failure::Broken;
                }
                Err(error) if began.elapsed() >= batch::MAX_WAIT => {
                    tracing::warn!(error = %error, "deciding a preview failed; gave up");
                    break Failure::Unavailable;
                }
                Err(_) => {}
            }
        };
        commands.iter().map(|_| Err(failure.clone())).collect()
    }

    async fn attempt(
        &mut self,
        store: &Store,
        clock: &Clock,
        commands: &[&CommandEnvelope],
        wants: impl Fn(&Record) -> bool,
    ) -> Result<Vec<Result<CommandResult, Failure>>, StoreError> {
        let mut request = load_request(commands);
        let (transaction, loaded) = store.open_batch(&request, HeadLock::Patient).await?;
        let overlay = |request: &LoadRequest, loaded: &mut LoadedState| self.overlay(request, loaded);
        let lock = HeadLock::Patient;
        let decided = match decide_loading(&transaction, clock, lock, commands, &mut request, loaded, overlay).await {
            Ok(decided) => decided,
            Err(NotWritten::Store(error)) => return Err(error),
            Err(NotWritten::Defect(defect)) => {
                tracing::error!(error = defect.report(), "deciding a preview failed");
                return Ok(commands.iter().map(|_| Err(Failure::Broken)).collect());
            }
        };
        transaction.roll_back().await?;
        let entity = self.entity;
        for row in decided.append.rows.iter().filter(|row| row.entity == entity) {
            let record = record::decode(row.entity, &row.record)
                .map_err(|error| StoreError::corrupt(row.entity.name(), "record", row.account, error))?;
            if self.kept.contains_key(&record.uid) || wants(&record) {
                self.keep(record);
            }
        }
        let replies = settle(store, decided).await.replies.into_iter();
        Ok(replies
            .map(|reply| match reply {
                BatchReply::Reply(reply) => reply,
                BatchReply::Blocked => missing_reply(),
            })
            .collect())
    }

    /// Puts the kept records that a request names, and those that were loaded, in the position of the stored ones.
    fn overlay(&self, request: &LoadRequest, loaded: &mut LoadedState) {
        let Some(account) = request.accounts.first().copied() else { return };
        let of_kind = |entity: Entity| entity == self.entity;
        let keys = request.keys.iter().filter(|(_, entity, _)| of_kind(*entity));
        let mut uids: HashSet<Uid> = keys.filter_map(|(_, _, key)| self.keys.get(key).copied()).collect();
        for (_, _, source, id) in request.refs.iter().filter(|(_, entity, ..)| of_kind(*entity)) {
            uids.extend(self.refs.get(&Ref { source: source.clone(), id: id.clone() }));
        }
        uids.extend(request.uids.iter().filter(|(_, entity, _)| of_kind(*entity)).map(|(_, _, uid)| *uid));
        loaded.records.retain(|(_, record)| {
            let is_kept = of_kind(record.entity) && self.kept.contains_key(&record.uid);
            if is_kept {
                uids.insert(record.uid);
            }
            !is_kept
        });
        let mut uids: Vec<Uid> = uids.into_iter().collect();
        uids.sort_unstable();
        loaded.records.extend(uids.iter().filter_map(|uid| Some((account, self.kept.get(uid)?.clone()))));
    }

    fn keep(&mut self, record: Record) {
        if self.kept.len() >= MAX_KEPT && !self.kept.contains_key(&record.uid) {
            self.is_complete = false;
            return;
        }
        if let Some(key) = self.kept.get(&record.uid).and_then(Record::key) {
            self.keys.remove(&key);
        }
        if let Some(key) = record.key() {
            self.keys.insert(key, record.uid);
        }
        self.refs.extend(record.refs.iter().map(|reference| (reference.clone(), record.uid)));
        self.kept.insert(record.uid, record);
    }
}
