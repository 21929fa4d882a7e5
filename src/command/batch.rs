//! One batch of commands: decided one after the other, written together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::audit_note::audit_row;
use super::working_set::{DecisionContext, Defect, WorkingSet};
use super::{BatchReply, CommandEnvelope, CommandResult, Failure, Idempotency, Reply, missing_reply};
use crate::clock::{self, Clock};
use crate::contract::EncodedEvent;
use crate::contract::outcome::{CommandOutcome, Disposition, Done, SyncOutcome};
use crate::domain::sync::break_loops;
use crate::domain::{
    AccountId, Command, Entity, EventType, FieldConflict, FieldPolicy, Reads, Refusal, SyncPolicy, Timestamp, Uid,
    decide, refuse_too_large,
};
use crate::store::batch::{Append, Batch, CommitError, HeadLock, LoadRequest, LoadedState};
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

/// The result of deciding the commands of a batch.
pub(super) enum Deciding {
    Done(Decided),
    /// Decisions asked for records that are not loaded, by these uids and lookup keys. All must be decided again.
    Needs(Vec<(AccountId, Entity, Uid)>, Vec<(AccountId, Entity, String)>),
}

/// A reply before the commit.
enum PendingReply {
    Ready(Reply),
    /// The commands were executed by an earlier request: their events hold the reply.
    Replay(AccountId, Vec<SyncOutcome>),
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
pub(super) enum NotWritten {
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
    let mut request = load_request(commands);
    let opened = store.open_batch(&request, lock).await;
    let (transaction, loaded) = opened
        .map_err(|error| if error.is_locked() { BatchError::Blocked } else { BatchError::NotWritten(error.into()) })?;
    // On an error the transaction is dropped, which rolls it back.
    let decided = decide_loading(&transaction, clock, lock, commands, &mut request, loaded, |_, _| {}).await;
    let decided = decided.map_err(BatchError::NotWritten)?;
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

/// Decides commands, and loads what the decisions ask for until they ask for no more. `prepare` may change what was loaded.
pub(super) async fn decide_loading(
    transaction: &Batch,
    clock: &Clock,
    lock: HeadLock,
    commands: &[&CommandEnvelope],
    request: &mut LoadRequest,
    mut loaded: LoadedState,
    prepare: impl Fn(&LoadRequest, &mut LoadedState),
) -> Result<Decided, NotWritten> {
    loop {
        prepare(request, &mut loaded);
        // The time is read after the locks are acquired, so that it is later than the time of every earlier event.
        match decide_all(commands, request, loaded, lock, clock.now())? {
            Deciding::Done(decided) => return Ok(decided),
            Deciding::Needs(uids, keys) => {
                request.uids.extend(uids);
                request.keys.extend(keys);
                loaded = transaction.reload(request).await?;
            }
        }
    }
}

/// The result of a committed batch.
pub(super) async fn settle(store: &Store, decided: Decided) -> BatchResult {
    let replies = decided.replies.into_iter().map(|pending| async move {
        match pending {
            PendingReply::Ready(reply) => BatchReply::Reply(reply),
            PendingReply::Replay(account, outcomes) => BatchReply::Reply(replay(store, account, outcomes).await),
            PendingReply::Blocked => BatchReply::Blocked,
        }
    });
    let replies = futures_util::future::join_all(replies).await;
    BatchResult { replies, events: decided.append.events }
}

pub(super) fn load_request(commands: &[&CommandEnvelope]) -> LoadRequest {
    let mut request = LoadRequest { idempotency_ttl: IDEMPOTENCY_TTL, ..LoadRequest::default() };
    for envelope in commands {
        let account = envelope.account;
        let mut reads = Reads::default();
        envelope.steps().for_each(|(command, ..)| reads.append(command.reads()));
        let Reads { uids, keys, refs, policy } = reads;
        request.accounts.push(account);
        request.uids.extend(uids.into_iter().map(|(entity, uid)| (account, entity, uid)));
        request.keys.extend(keys.into_iter().map(|(entity, key)| (account, entity, key)));
        request.refs.extend(refs.into_iter().map(|(entity, source, id)| (account, entity, source, id)));
        if policy {
            request.policies.insert(account);
        }
        let idempotency = envelope.steps().filter_map(|(_, idempotency, _)| idempotency);
        let keys = idempotency.flat_map(|idempotency| [&idempotency.key, &idempotency.unscoped_key]);
        request.idempotency_keys.extend(keys.map(|key| (account, key.clone())));
    }
    request.accounts.sort_unstable();
    request.accounts.dedup();
    request
}

/// Decides the commands one after the other; a later one sees the effects of an earlier one.
pub(super) fn decide_all(
    commands: &[&CommandEnvelope],
    request: &LoadRequest,
    loaded: LoadedState,
    lock: HeadLock,
    at: Timestamp,
) -> Result<Deciding, Defect> {
    let mut policies: BTreeMap<AccountId, SyncPolicy> = loaded.policies.into_iter().collect();
    let mut sets: BTreeMap<AccountId, WorkingSet> = loaded
        .heads
        .into_iter()
        .map(|head| {
            let policy = policies.remove(&head.account).unwrap_or_default();
            (head.account, WorkingSet::new(head, policy))
        })
        .collect();
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
                let (reply, outcomes) = decide_steps(envelope, set, at, &mut append.events)?;
                for ((_, idempotency, _), outcome) in envelope.steps().zip(outcomes) {
                    let Some(idempotency) = idempotency else { continue };
                    let record = idempotency_record(envelope.account, idempotency, outcome);
                    stored.insert((envelope.account, record.key.clone()), record.clone());
                    append.idempotency_records.push(record);
                }
                append.audits.extend(audit_row(envelope, &reply, at));
                PendingReply::Ready(reply)
            }
        };
        replies.push(pending);
    }
    let (mut uids, mut keys) = (Vec::new(), Vec::new());
    for (account, set) in &sets {
        let (unloaded_uids, unloaded_keys) = set.unloaded();
        uids.extend(unloaded_uids.into_iter().map(|(entity, uid)| (*account, entity, uid)));
        keys.extend(unloaded_keys.into_iter().map(|(entity, key)| (*account, entity, key)));
    }
    uids.retain(|uid| !request.uids.contains(uid));
    keys.retain(|key| !request.keys.contains(key));
    if !uids.is_empty() || !keys.is_empty() {
        return Ok(Deciding::Needs(uids, keys));
    }
    append.heads = sets.values().filter_map(WorkingSet::moved_head).collect();
    append.rows = sets.into_values().flat_map(WorkingSet::into_rows).collect();
    Ok(Deciding::Done(Decided { append, replies }))
}

/// The reply of an earlier request with the same idempotency keys.
fn stored_reply(
    stored: &BTreeMap<(AccountId, String), IdempotencyRecord>,
    envelope: &CommandEnvelope,
) -> Option<PendingReply> {
    let mut replies = envelope.steps().map(|(_, idempotency, _)| stored_step(stored, envelope.account, idempotency?));
    let first = replies.next()?;
    if envelope.then.is_empty() {
        return first;
    }
    // All commands of an envelope were executed by one earlier request, or none was.
    let replies: Vec<Option<PendingReply>> = std::iter::once(first).chain(replies).collect();
    if replies.iter().all(Option::is_none) {
        return None;
    }
    let mut outcomes = Vec::with_capacity(replies.len());
    for (index, reply) in replies.into_iter().enumerate() {
        match reply {
            Some(PendingReply::Replay(_, outcome)) => outcomes.extend(outcome),
            _ => return Some(PendingReply::Ready(Err(Failure::StepRefused { index, refusal: Refusal::KeyReused }))),
        }
    }
    Some(PendingReply::Replay(envelope.account, outcomes))
}

fn stored_step(
    stored: &BTreeMap<(AccountId, String), IdempotencyRecord>,
    account: AccountId,
    idempotency: &Idempotency,
) -> Option<PendingReply> {
    if let Some(record) = stored.get(&(account, idempotency.key.clone())) {
        return Some(lookup(record, idempotency.request_hash));
    }
    // Another request under the unscoped key may be of another origin, so that it is no misuse of the key.
    let record = stored.get(&(account, idempotency.unscoped_key.clone()))?;
    let is_same = record.request_hash == idempotency.request_hash;
    is_same.then(|| lookup(record, idempotency.request_hash))
}

/// Decides the commands of an envelope: all of them, or none.
fn decide_steps(
    envelope: &CommandEnvelope,
    set: &mut WorkingSet,
    at: Timestamp,
    events: &mut Vec<EncodedEvent>,
) -> Result<(Reply, Vec<CommandOutcome>), Defect> {
    if !envelope.is_atomic {
        let (reply, outcome) = decide_one(envelope, &envelope.command, envelope.causation.as_deref(), set, at, events)?;
        return Ok((reply, vec![outcome]));
    }
    let (before, appended) = (set.clone(), events.len());
    let (mut results, mut outcomes) = (Vec::new(), Vec::new());
    for (index, (command, _, causation)) in envelope.steps().enumerate() {
        let (reply, outcome) = decide_one(envelope, command, causation, set, at, events)?;
        let refusal = match reply {
            Ok(CommandResult { rejection: Some(refusal), .. }) | Err(Failure::Refused { refusal, .. }) => refusal,
            Ok(result) => {
                results.push(result);
                outcomes.push(outcome);
                continue;
            }
            Err(failure) => return Ok((Err(failure), Vec::new())),
        };
        set.roll_back(before);
        events.truncate(appended);
        return Ok((Err(Failure::StepRefused { index, refusal }), Vec::new()));
    }
    let mut results = results.into_iter();
    let first = results.next().ok_or(Defect::NoCommand)?;
    Ok((Ok(CommandResult { then: results.collect(), ..first }), outcomes))
}

fn decide_one(
    envelope: &CommandEnvelope,
    command: &Command,
    causation: Option<&str>,
    set: &mut WorkingSet,
    at: Timestamp,
    events: &mut Vec<EncodedEvent>,
) -> Result<(Reply, CommandOutcome), Defect> {
    let decided = decide(command.clone(), set).and_then(|decision| {
        let decision = if command.settles_disputes() { decision } else { break_loops(set, decision, &envelope.origin) };
        refuse_too_large(set, &decision)?;
        Ok(decision)
    });
    let mut decision = match decided {
        Ok(decision) => decision,
        Err(refusal) => {
            let reply = Err(Failure::Refused { refusal: refusal.clone(), replayed: false });
            return Ok((reply, CommandOutcome::Refused(refusal)));
        }
    };
    let (entity, uid) = decision.subject;
    let own = decision.new_events.iter().find(|new_event| (new_event.entity, new_event.uid) == (entity, uid));
    let disposition = disposition(own.map(|new_event| new_event.event_type), !decision.new_events.is_empty());
    let context = DecisionContext {
        at,
        origin: &envelope.origin,
        traceparent: envelope.traceparent.as_deref(),
        causation,
        correlation: envelope.correlation.as_deref(),
    };
    let (conflicts, rejection) = (std::mem::take(&mut decision.conflicts), decision.rejection.take());
    let (version, record) = set.apply(decision, &context, events)?;
    let done = Done { entity, uid, version, disposition };
    let outcome = if conflicts.is_empty() && rejection.is_none() {
        CommandOutcome::Done(done)
    } else {
        let rejected = conflicts.iter().filter(|conflict| !conflict.is_applied);
        let rejected = rejected.map(|conflict| conflict.field.name().to_owned()).collect();
        CommandOutcome::Synced(SyncOutcome { done, rejected, rejection: rejection.clone() })
    };
    Ok((Ok(CommandResult { done, record, replayed: false, conflicts, rejection, then: Vec::new() }), outcome))
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
            | EventType::Recovered
            | EventType::Restored
            | EventType::Opened
            | EventType::Resolved,
        ) => Disposition::Updated,
        Some(EventType::Deleted | EventType::FieldArchived | EventType::Merged | EventType::Erased) => {
            Disposition::Deleted
        }
    }
}

fn idempotency_record(account: AccountId, idempotency: &Idempotency, outcome: CommandOutcome) -> IdempotencyRecord {
    IdempotencyRecord { account, key: idempotency.key.clone(), request_hash: idempotency.request_hash, outcome }
}

fn lookup(record: &IdempotencyRecord, request_hash: [u8; 32]) -> PendingReply {
    let reused = || PendingReply::Ready(Err(Failure::Refused { refusal: Refusal::KeyReused, replayed: false }));
    if record.request_hash != request_hash {
        return reused();
    }
    match &record.outcome {
        // Only a request that is no command has a cached response, so the key was used with another request.
        CommandOutcome::CachedResponse(_) => reused(),
        CommandOutcome::Done(done) => {
            let outcome = SyncOutcome { done: *done, rejected: Vec::new(), rejection: None };
            PendingReply::Replay(record.account, vec![outcome])
        }
        CommandOutcome::Synced(outcome) => PendingReply::Replay(record.account, vec![outcome.clone()]),
        CommandOutcome::Refused(refusal) => {
            PendingReply::Ready(Err(Failure::Refused { refusal: refusal.clone(), replayed: true }))
        }
    }
}

/// Makes the reply again from the events of the earlier request. Called after the commit, because those events may be in
/// this batch.
async fn replay(store: &Store, account: AccountId, outcomes: Vec<SyncOutcome>) -> Reply {
    let mut results = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        results.push(replay_one(store, account, outcome).await?);
    }
    let mut results = results.into_iter();
    let first = results.next().ok_or(Failure::Broken)?;
    Ok(CommandResult { then: results.collect(), ..first })
}

async fn replay_one(store: &Store, account: AccountId, outcome: SyncOutcome) -> Reply {
    let SyncOutcome { done, rejected, rejection } = outcome;
    let result = |record| CommandResult {
        done,
        record,
        replayed: true,
        conflicts: rejected.iter().filter_map(|name| replayed_conflict(done.entity, name)).collect(),
        rejection: rejection.clone(),
        then: Vec::new(),
    };
    match store.event_record(account, done.version).await {
        Ok(Some(record)) => Ok(result(record)),
        Ok(None) => {
            tracing::error!(%account, seq = done.version.0, "replaying a reply failed: its event is not in the log");
            Err(Failure::Broken)
        }
        Err(error) => Err(NotWritten::Store(error).failure()),
    }
}

/// A conflict of an earlier request. Its values are in the conflict log.
fn replayed_conflict(entity: Entity, name: &str) -> Option<FieldConflict> {
    Some(FieldConflict {
        field: entity.field(name)?,
        base: None,
        yours: None,
        theirs: None,
        theirs_origin: None,
        seq: None,
        policy: FieldPolicy::default(),
        is_applied: false,
    })
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
