//! One batch of commands: decided one after the other, written together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::working_set::{DecisionContext, Defect, WorkingSet};
use super::{BatchReply, CommandEnvelope, CommandResult, Failure, Reply, missing_reply};
use crate::clock::{self, Clock};
use crate::contract::EncodedEvent;
use crate::contract::outcome::{CommandOutcome, Disposition, Done};
use crate::domain::{AccountId, Entity, EventType, Reads, Refusal, Timestamp, Uid, decide, refuse_too_large};
use crate::store::batch::{Append, CommitError, HeadLock, LoadRequest, LoadedState};
use crate::store::idempotency::IdempotencyRecord;
use crate::store::{Store, StoreError};

/// The age at which an idempotency record expires.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_hours(24);

/// The time for which a batch with transient errors is retried, and for which a command of a blocked account waits. After
/// it the caller gets a failure.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5);

/// The replies of a batch, one per command in the order of the commands, and the events that it committed.
pub(super) struct BatchResult {
    pub(super) replies: Vec<BatchReply>,
    pub(super) events: Vec<EncodedEvent>,
}

/// A batch whose commands are decided.
pub(super) struct Decided {
    pub(super) append: Append,
    /// One per command.
    replies: Vec<PendingReply>,
}

/// A reply before the commit.
enum PendingReply {
    Ready(Reply),
    /// The command was executed by an earlier request: its event holds the reply.
    Replay(AccountId, Done),
    /// Another transaction holds the lock on the account.
    Blocked,
}

/// A batch that is not committed, or maybe.
enum BatchError {
    /// Another transaction holds the lock on an account; nothing was written.
    Blocked,
    /// Nothing was written.
    NotWritten(NotWritten),
    /// It is unknown whether the batch was committed.
    Unknown(Box<UnknownCommit>),
}

/// The reason why nothing of a batch was written.
#[derive(Debug, thiserror::Error)]
enum NotWritten {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Defect(#[from] Defect),
}

struct UnknownCommit {
    decided: Decided,
    /// The batch's first event. A batch is one transaction, so this event is in the log exactly if all of the batch is.
    first: EncodedEvent,
    error: StoreError,
}

impl NotWritten {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Defect(_) => false,
        }
    }

    /// The error for the log, without personal data.
    fn report(&self) -> String {
        match self {
            Self::Store(error) => error.report(),
            Self::Defect(defect) => defect.report(),
        }
    }

    fn failure(&self) -> Failure {
        if self.is_transient() { Failure::Unavailable } else { Failure::Broken }
    }
}

/// Executes commands. Transient errors are retried for up to [`MAX_WAIT`]. When the database refuses the data or an event
/// has no JSON, the batch is split until the command at fault stands alone. A batch whose commit is unknown is neither
/// retried nor split, because that could write it twice.
pub(super) async fn execute(
    store: &Store,
    clock: &Clock,
    mut lock: HeadLock,
    commands: &[&CommandEnvelope],
) -> BatchResult {
    let began = clock::instant();
    let mut retries: u32 = 0;
    loop {
        let error = match attempt(store, clock, lock, commands).await {
            Ok(result) => return result,
            Err(BatchError::Blocked) if lock == HeadLock::Brief => {
                lock = HeadLock::Skip;
                continue;
            }
            Err(BatchError::Blocked) => return blocked(commands),
            Err(BatchError::Unknown(unknown)) => match is_committed(store, &unknown.first, unknown.error).await {
                Ok(true) => return settle(store, unknown.decided).await,
                Ok(false) => StoreError::Unavailable("the transaction was not committed".into()).into(),
                Err(error) => return fail_unknown(unknown.decided, &error),
            },
            Err(BatchError::NotWritten(error)) => error,
        };
        if error.is_transient() && began.elapsed() < MAX_WAIT {
            if retries == 0 {
                tracing::warn!(error = %error, commands = commands.len(), "writing a batch failed; will retry");
            }
            tokio::time::sleep(pause(retries)).await;
            retries += 1;
            continue;
        }
        if error.is_transient() || commands.len() <= 1 {
            return fail(commands, &error);
        }
        return split(store, clock, lock, commands).await;
    }
}

/// The pause before a retry: 10 ms that double up to 160 ms, times a random factor between 0.5 and 1.5.
fn pause(retries: u32) -> Duration {
    Duration::from_millis(10 << retries.min(4)).mul_f64(0.5 + rand::random::<f64>())
}

/// Executes one half after the other. Accounts that the first half found blocked are left out of the second half, because
/// their later commands would overtake their earlier ones.
async fn split(store: &Store, clock: &Clock, lock: HeadLock, commands: &[&CommandEnvelope]) -> BatchResult {
    let (left, right) = commands.split_at(commands.len() / 2);
    let mut result = Box::pin(execute(store, clock, lock, left)).await;
    let replies = left.iter().zip(&result.replies);
    let blocked: BTreeSet<AccountId> =
        replies.filter(|(_, reply)| matches!(reply, BatchReply::Blocked)).map(|(command, _)| command.account).collect();
    let free: Vec<&CommandEnvelope> =
        right.iter().copied().filter(|command| !blocked.contains(&command.account)).collect();
    let mut rest = Vec::new().into_iter();
    if !free.is_empty() {
        let second = Box::pin(execute(store, clock, lock, &free)).await;
        rest = second.replies.into_iter();
        result.events.extend(second.events);
    }
    result.replies.extend(right.iter().map(|command| {
        if blocked.contains(&command.account) {
            BatchReply::Blocked
        } else {
            rest.next().unwrap_or_else(|| BatchReply::Reply(missing_reply()))
        }
    }));
    result
}

async fn attempt(
    store: &Store,
    clock: &Clock,
    lock: HeadLock,
    commands: &[&CommandEnvelope],
) -> Result<BatchResult, BatchError> {
    let opened = store.open_batch(&load_request(commands), lock).await;
    let (transaction, mut loaded) = opened
        .map_err(|error| if error.is_locked() { BatchError::Blocked } else { BatchError::NotWritten(error.into()) })?;
    let later = later_reads(commands, &loaded);
    if !later.is_empty() {
        let records = transaction.load_more(&later).await;
        loaded.records.extend(records.map_err(|error| BatchError::NotWritten(error.into()))?);
    }
    // The time is read after the locks are acquired, so that it is later than the time of every earlier event.
    let decided = decide_all(commands, loaded, lock, clock.now());
    // On an error the transaction is dropped, which rolls it back.
    let decided = decided.map_err(|defect| BatchError::NotWritten(defect.into()))?;
    match transaction.commit(&decided.append).await {
        Ok(()) => Ok(settle(store, decided).await),
        Err(CommitError::RolledBack(error)) => Err(BatchError::NotWritten(error.into())),
        Err(CommitError::Unknown(error)) => match decided.append.events.first().cloned() {
            Some(first) => Err(BatchError::Unknown(Box::new(UnknownCommit { decided, first, error }))),
            // A retry of a batch without events doubles nothing.
            None => Err(BatchError::NotWritten(error.into())),
        },
    }
}

/// The result of a committed batch.
async fn settle(store: &Store, decided: Decided) -> BatchResult {
    let replies = decided.replies.into_iter().map(|pending| async move {
        match pending {
            PendingReply::Ready(reply) => BatchReply::Reply(reply),
            PendingReply::Replay(account, done) => BatchReply::Reply(replay(store, account, done).await),
            PendingReply::Blocked => BatchReply::Blocked,
        }
    });
    let replies = futures_util::future::join_all(replies).await;
    BatchResult { replies, events: decided.append.events }
}

fn load_request(commands: &[&CommandEnvelope]) -> LoadRequest {
    let mut request = LoadRequest { idempotency_ttl: IDEMPOTENCY_TTL, ..LoadRequest::default() };
    for envelope in commands {
        let account = envelope.account;
        let Reads { uids, keys } = envelope.command.reads();
        request.accounts.push(account);
        request.uids.extend(uids.into_iter().map(|(entity, uid)| (account, entity, uid)));
        request.keys.extend(keys.into_iter().map(|(entity, key)| (account, entity, key)));
        let keys = envelope.idempotency.iter().flat_map(|idempotency| [&idempotency.key, &idempotency.unscoped_key]);
        request.idempotency_keys.extend(keys.map(|key| (account, key.clone())));
    }
    request.accounts.sort_unstable();
    request.accounts.dedup();
    request
}

/// The records that the commands need once the others are loaded. Few commands need any, so that they are worth a round trip
/// of their own.
fn later_reads(commands: &[&CommandEnvelope], loaded: &LoadedState) -> Vec<(AccountId, Entity, Uid)> {
    let of_command = |envelope: &&CommandEnvelope| {
        let account = envelope.account;
        let own = loaded.records.iter().filter(|(owner, _)| *owner == account).map(|(_, record)| record);
        let reads = envelope.command.later_reads(own);
        reads.into_iter().map(move |(entity, uid)| (account, entity, uid))
    };
    commands.iter().flat_map(of_command).collect()
}

/// Decides the commands one after the other; a later one sees the effects of an earlier one.
pub(super) fn decide_all(
    commands: &[&CommandEnvelope],
    loaded: LoadedState,
    lock: HeadLock,
    at: Timestamp,
) -> Result<Decided, Defect> {
    let mut sets: BTreeMap<AccountId, WorkingSet> =
        loaded.heads.into_iter().map(|head| (head.account, WorkingSet::new(head))).collect();
    for (account, record) in loaded.records {
        // Records of an account whose head was skipped are of no use: its commands are blocked.
        if let Some(set) = sets.get_mut(&account) {
            set.put(record);
        }
    }
    let mut stored: BTreeMap<(AccountId, String), IdempotencyRecord> =
        loaded.idempotency_records.into_iter().map(|record| ((record.account, record.key.clone()), record)).collect();
    let mut append = Append::default();
    let mut replies = Vec::with_capacity(commands.len());
    for envelope in commands {
        let pending = match (stored_reply(&stored, envelope), sets.get_mut(&envelope.account)) {
            // Without a lock on the head it is unknown whether the account exists; a batch that waits for the lock tells.
            (_, None) if lock == HeadLock::Skip => PendingReply::Blocked,
            (_, None) => PendingReply::Ready(Err(Failure::NoAccount)),
            (Some(pending), _) => pending,
            (None, Some(set)) => {
                let (reply, outcome) = decide_one(envelope, set, at, &mut append.events)?;
                if let Some(record) = idempotency_record(envelope, outcome) {
                    stored.insert((envelope.account, record.key.clone()), record.clone());
                    append.idempotency_records.push(record);
                }
                PendingReply::Ready(reply)
            }
        };
        replies.push(pending);
    }
    append.heads = sets.values().filter_map(WorkingSet::moved_head).collect();
    append.rows = sets.into_values().flat_map(WorkingSet::into_rows).collect();
    Ok(Decided { append, replies })
}

/// The reply of an earlier request with the same idempotency key.
fn stored_reply(
    stored: &BTreeMap<(AccountId, String), IdempotencyRecord>,
    envelope: &CommandEnvelope,
) -> Option<PendingReply> {
    let idempotency = envelope.idempotency.as_ref()?;
    if let Some(record) = stored.get(&(envelope.account, idempotency.key.clone())) {
        return Some(lookup(record, idempotency.request_hash));
    }
    // Another request under the unscoped key may be of another origin, so that it is no misuse of the key.
    let record = stored.get(&(envelope.account, idempotency.unscoped_key.clone()))?;
    let is_same = record.request_hash == idempotency.request_hash;
    is_same.then(|| lookup(record, idempotency.request_hash))
}

fn decide_one(
    envelope: &CommandEnvelope,
    set: &mut WorkingSet,
    at: Timestamp,
    events: &mut Vec<EncodedEvent>,
) -> Result<(Reply, CommandOutcome), Defect> {
    let decided = decide(envelope.command.clone(), set).and_then(|decision| {
        refuse_too_large(set, &decision)?;
        Ok(decision)
    });
    let decision = match decided {
        Ok(decision) => decision,
        Err(refusal) => {
            let reply = Err(Failure::Refused { refusal: refusal.clone(), replayed: false });
            return Ok((reply, CommandOutcome::Refused(refusal)));
        }
    };
    let (entity, uid) = decision.subject;
    let own = decision.new_events.iter().find(|new_event| (new_event.entity, new_event.uid) == (entity, uid));
    let disposition = disposition(own.map(|new_event| new_event.event_type), !decision.new_events.is_empty());
    let context = DecisionContext { at, origin: &envelope.origin, traceparent: envelope.traceparent.as_deref() };
    let (version, record) = set.apply(decision, &context, events)?;
    let done = Done { entity, uid, version, disposition };
    Ok((Ok(CommandResult { done, record, replayed: false }), CommandOutcome::Done(done)))
}

/// The kind of change by the type of the subject's first event. `None` means that the subject has no event of its own;
/// `any` is true when related records have.
fn disposition(event_type: Option<EventType>, any: bool) -> Disposition {
    match event_type {
        None if any => Disposition::Updated,
        None => Disposition::Unchanged,
        Some(EventType::Created | EventType::FieldAdded) => Disposition::Created,
        Some(
            EventType::Updated
            | EventType::WelcomeRequested
            | EventType::Subscribed
            | EventType::FieldChanged
            | EventType::Failing
            | EventType::Disabled
            | EventType::Recovered,
        ) => Disposition::Updated,
        Some(EventType::Deleted | EventType::FieldArchived) => Disposition::Deleted,
    }
}

fn idempotency_record(envelope: &CommandEnvelope, outcome: CommandOutcome) -> Option<IdempotencyRecord> {
    let idempotency = envelope.idempotency.as_ref()?;
    Some(IdempotencyRecord {
        account: envelope.account,
        key: idempotency.key.clone(),
        request_hash: idempotency.request_hash,
        outcome,
    })
}

fn lookup(record: &IdempotencyRecord, request_hash: [u8; 32]) -> PendingReply {
    let reused = || PendingReply::Ready(Err(Failure::Refused { refusal: Refusal::KeyReused, replayed: false }));
    if record.request_hash != request_hash {
        return reused();
    }
    match &record.outcome {
        // Only a request that is no command has a cached response, so the key was used with another request.
        CommandOutcome::CachedResponse(_) => reused(),
        CommandOutcome::Done(done) => PendingReply::Replay(record.account, *done),
        CommandOutcome::Refused(refusal) => {
            PendingReply::Ready(Err(Failure::Refused { refusal: refusal.clone(), replayed: true }))
        }
    }
}

/// Makes the reply again from the event of the earlier request. Called after the commit, because that event may be in this
/// batch.
async fn replay(store: &Store, account: AccountId, done: Done) -> Reply {
    match store.event_record(account, done.version).await {
        Ok(Some(record)) => Ok(CommandResult { done, record, replayed: true }),
        Ok(None) => {
            tracing::error!(%account, seq = done.version.0, "replaying a reply failed: its event is not in the log");
            Err(Failure::Broken)
        }
        Err(error) => Err(NotWritten::Store(error).failure()),
    }
}

/// Asks the database whether a batch was committed, for up to [`MAX_WAIT`]. `first` is the batch's first event.
async fn is_committed(store: &Store, first: &EncodedEvent, mut error: StoreError) -> Result<bool, StoreError> {
    let began = clock::instant();
    while began.elapsed() < MAX_WAIT {
        match store.is_committed(first).await {
            Ok(committed) => return Ok(committed),
            Err(later) => error = later,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(error)
}

/// Replies with the failure to every command of a batch of which nothing was written.
fn fail(commands: &[&CommandEnvelope], error: &NotWritten) -> BatchResult {
    let failure = error.failure();
    if failure == Failure::Broken {
        let account = commands.first().map(|envelope| tracing::field::display(envelope.account));
        tracing::error!(account, error = error.report(), "executing a command failed");
    } else {
        tracing::warn!(error = %error, commands = commands.len(), "writing a batch failed; gave up");
    }
    let replies = commands.iter().map(|_| BatchReply::Reply(Err(failure.clone()))).collect();
    BatchResult { replies, events: Vec::new() }
}

/// Replies to every command of a batch that may be committed or not. If it is, the sweep announces its events.
fn fail_unknown(decided: Decided, error: &StoreError) -> BatchResult {
    let commands = decided.replies.len();
    tracing::error!(error = error.report(), commands, "looking up a batch's commit failed; its outcome is unknown");
    let reply = |pending| match pending {
        PendingReply::Blocked => BatchReply::Blocked,
        PendingReply::Ready(_) | PendingReply::Replay(..) => BatchReply::Reply(Err(Failure::Unavailable)),
    };
    BatchResult { replies: decided.replies.into_iter().map(reply).collect(), events: Vec::new() }
}

fn blocked(commands: &[&CommandEnvelope]) -> BatchResult {
    BatchResult { replies: commands.iter().map(|_| BatchReply::Blocked).collect(), events: Vec::new() }
}
