//! One batch of commands: decided one after the other, written together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::working_set::{DecisionContext, WorkingSet};
use super::{CommandEnvelope, CommandResult, Failure, Reply};
use crate::clock::{self, Clock};
use crate::contract::EncodedEvent;
use crate::contract::outcome::{CommandOutcome, Disposition, Done};
use crate::domain::{AccountId, EventType, Reads, Refusal, Timestamp, decide, refuse_too_large};
use crate::store::batch::{self, Append, CommitError, HeadLock, LoadRequest, LoadedState};
use crate::store::{Store, StoreError};

/// How long a stored answer is remembered.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_hours(24);

/// For so long a batch that met a transient trouble is repeated, and a blocked account's command waits, before its caller
/// is answered that it was not carried out.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a batch did: an answer for each order, in their order, and the events that it committed.
pub(super) struct BatchResult {
    /// `None` where another transaction holds the lock on the account: nothing was done, and the order is to go again. So it
    /// is for all orders of an account or for none of them.
    pub(super) answers: Vec<Option<Reply>>,
    pub(super) events: Vec<EncodedEvent>,
}

/// Decided, and maybe written.
struct Decided {
    append: Append,
    /// For each order its answer, or that it must be made from the event of a stored one.
    answers: Vec<PendingReply>,
}

enum PendingReply {
    Ready(Reply),
    Replay(AccountId, Done),
    /// Another transaction holds the lock on the account.
    Blocked,
}

/// A batch that was not written.
enum BatchError {
    /// Another transaction holds the lock on an account; nothing was written.
    Blocked,
    /// Nothing was written.
    Store(StoreError),
    /// It is not known whether it was.
    Unknown(Box<Decided>, StoreError),
}

/// Carries orders out. Transient trouble is met with patience; where the database refuses the data, the batch is
/// split until the one command that it refuses stands alone. A batch of which it cannot be found out whether it was
/// committed is neither repeated nor split, since that might write it twice.
pub(super) async fn execute(
    store: &Store,
    clock: &Clock,
    mut lock: HeadLock,
    orders: &[&CommandEnvelope],
) -> BatchResult {
    let began = clock::instant();
    let mut repeated: u32 = 0;
    loop {
        let trouble = match attempt(store, clock, lock, orders).await {
            Ok(carried) => return carried,
            Err(BatchError::Blocked) if lock == HeadLock::Brief => {
                lock = HeadLock::Skip;
                continue;
            }
            Err(BatchError::Blocked) => return blocked(orders),
            Err(BatchError::Unknown(decided, error)) => match find_out(store, &decided.append, error).await {
                Ok(true) => return settle(store, *decided).await,
                Ok(false) => StoreError::Unavailable("the transaction was not carried out".into()),
                Err(error) => return give_up_unknown(*decided, &error),
            },
            Err(BatchError::Store(error)) => error,
        };
        let patient = trouble.is_transient() && began.elapsed() < PATIENCE;
        if patient {
            if repeated == 0 {
                tracing::warn!(error = %trouble, commands = orders.len(), "batch not written, will be repeated");
            }
            let pause = Duration::from_millis(10 << repeated.min(4)).mul_f64(0.5 + rand::random::<f64>());
            repeated += 1;
            tokio::time::sleep(pause).await;
            continue;
        }
        if trouble.is_transient() || orders.len() <= 1 {
            return give_up(orders, &trouble);
        }
        return split(store, clock, lock, orders).await;
    }
}

/// Carries out one half after the other. Orders of an account that the first half found blocked are not tried in the
/// second, since they would go before those in the first.
async fn split(store: &Store, clock: &Clock, lock: HeadLock, orders: &[&CommandEnvelope]) -> BatchResult {
    let (left, right) = orders.split_at(orders.len() / 2);
    let mut carried = Box::pin(execute(store, clock, lock, left)).await;
    let unanswered = left.iter().zip(&carried.answers).filter(|(_, answer)| answer.is_none());
    let blocked: BTreeSet<AccountId> = unanswered.map(|(order, _)| order.account).collect();
    let free: Vec<&CommandEnvelope> = right.iter().copied().filter(|order| !blocked.contains(&order.account)).collect();
    if free.is_empty() {
        carried.answers.extend(right.iter().map(|_| None));
        return carried;
    }
    let rest = Box::pin(execute(store, clock, lock, &free)).await;
    let mut answers = rest.answers.into_iter();
    let answer =
        |order: &&CommandEnvelope| if blocked.contains(&order.account) { None } else { answers.next().flatten() };
    carried.answers.extend(right.iter().map(answer));
    carried.events.extend(rest.events);
    carried
}

async fn attempt(
    store: &Store,
    clock: &Clock,
    lock: HeadLock,
    orders: &[&CommandEnvelope],
) -> Result<BatchResult, BatchError> {
    let opened = store.open_batch(&wanted(orders), lock).await;
    let blocked_or = |error: StoreError| if error.is_locked() { BatchError::Blocked } else { BatchError::Store(error) };
    let (transaction, found) = opened.map_err(blocked_or)?;
    // Now that the locks are held, whoever wrote before has an earlier time.
    let decided = decide_all(orders, found, lock, clock.now());
    match transaction.commit(&decided.append).await {
        Ok(()) => Ok(settle(store, decided).await),
        // Without events there is no effect that could be doubled by repeating it.
        Err(CommitError::Unknown(error)) if !decided.append.events.is_empty() => {
            Err(BatchError::Unknown(Box::new(decided), error))
        }
        Err(CommitError::Unknown(error) | CommitError::RolledBack(error)) => Err(BatchError::Store(error)),
    }
}

/// The answers of what is committed.
async fn settle(store: &Store, decided: Decided) -> BatchResult {
    let answers = decided.answers.into_iter().map(|pending| async move {
        match pending {
            PendingReply::Ready(answer) => Some(answer),
            PendingReply::Replay(account, done) => Some(replay(store, account, done).await),
            PendingReply::Blocked => None,
        }
    });
    let answers = futures_util::future::join_all(answers).await;
    BatchResult { answers, events: decided.append.events }
}

fn wanted(orders: &[&CommandEnvelope]) -> LoadRequest {
    let mut wanted = LoadRequest { remembered: IDEMPOTENCY_TTL, ..LoadRequest::default() };
    for order in orders {
        let account = order.account;
        let Reads { uids, keys } = order.command.reads();
        wanted.accounts.push(account);
        wanted.uids.extend(uids.into_iter().map(|(entity, uid)| (account, entity, uid)));
        wanted.keys.extend(keys.into_iter().map(|(entity, key)| (account, entity, key)));
        let keys = order.idempotency.iter().flat_map(|idempotency| [&idempotency.key, &idempotency.unscoped_key]);
        wanted.answers.extend(keys.map(|key| (account, key.clone())));
    }
    wanted.accounts.sort_unstable();
    wanted.accounts.dedup();
    wanted
}

fn decide_all(orders: &[&CommandEnvelope], found: LoadedState, lock: HeadLock, at: Timestamp) -> Decided {
    let mut sets: BTreeMap<AccountId, WorkingSet> =
        found.heads.into_iter().map(|head| (head.account, WorkingSet::new(head))).collect();
    for (account, record) in found.records {
        if let Some(set) = sets.get_mut(&account) {
            set.put(record);
        }
    }
    let mut stored: BTreeMap<(AccountId, String), batch::IdempotencyRecord> =
        found.answers.into_iter().map(|answer| ((answer.account, answer.key.clone()), answer)).collect();
    let mut append = Append::default();
    let mut answers = Vec::with_capacity(orders.len());
    for order in orders {
        let known = order.idempotency.as_ref().and_then(|idempotency| {
            if let Some(answer) = stored.get(&(order.account, idempotency.key.clone())) {
                return Some(lookup(answer, idempotency.request_hash));
            }
            // Another request under the unscoped key may be of another origin: then it says nothing of this one.
            let answer = stored.get(&(order.account, idempotency.unscoped_key.clone()))?;
            let is_same = answer.request_hash == idempotency.request_hash;
            is_same.then(|| lookup(answer, idempotency.request_hash))
        });
        let pending = match (known, sets.get_mut(&order.account)) {
            // An account that does not exist is found out by a batch that waits.
            (_, None) if lock == HeadLock::Skip => PendingReply::Blocked,
            (_, None) => PendingReply::Ready(Err(Failure::NoAccount)),
            (Some(pending), _) => pending,
            (None, Some(set)) => {
                let (answer, outcome) = decide_one(order, set, at, &mut append.events);
                if let Some(answer) = remember(order, outcome) {
                    stored.insert((order.account, answer.key.clone()), answer.clone());
                    append.answers.push(answer);
                }
                PendingReply::Ready(answer)
            }
        };
        answers.push(pending);
    }
    append.heads = sets.values().filter_map(WorkingSet::moved_head).collect();
    append.rows = sets.into_values().flat_map(WorkingSet::into_rows).collect();
    Decided { append, answers }
}

fn decide_one(
    order: &CommandEnvelope,
    set: &mut WorkingSet,
    at: Timestamp,
    events: &mut Vec<EncodedEvent>,
) -> (Reply, CommandOutcome) {
    let decided = decide(order.command.clone(), set).and_then(|decision| {
        refuse_too_large(set, &decision)?;
        Ok(decision)
    });
    let decision = match decided {
        Ok(decision) => decision,
        Err(refusal) => {
            let answer = Err(Failure::Refused { refusal: refusal.clone(), replayed: false });
            return (answer, CommandOutcome::Refused(refusal));
        }
    };
    let (entity, uid) = decision.subject;
    let own = decision.new_events.iter().find(|new_event| (new_event.entity, new_event.uid) == (entity, uid));
    let disposition = disposition(own.map(|new_event| new_event.event_type), !decision.new_events.is_empty());
    let context = DecisionContext { at, origin: &order.origin, traceparent: order.traceparent.as_deref() };
    let (version, record) = set.apply(decision, &context, events);
    let done = Done { entity, uid, version, disposition };
    (Ok(CommandResult { done, record, replayed: false }), CommandOutcome::Done(done))
}

/// What was done about the subject: `None` is that nothing happened to itself, though maybe to what belongs to it.
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

fn remember(order: &CommandEnvelope, outcome: CommandOutcome) -> Option<batch::IdempotencyRecord> {
    let idempotency = order.idempotency.as_ref()?;
    Some(batch::IdempotencyRecord {
        account: order.account,
        key: idempotency.key.clone(),
        request_hash: idempotency.request_hash,
        outcome,
    })
}

fn lookup(answer: &batch::IdempotencyRecord, request_hash: [u8; 32]) -> PendingReply {
    let reused = || PendingReply::Ready(Err(Failure::Refused { refusal: Refusal::KeyReused, replayed: false }));
    if answer.request_hash != request_hash {
        return reused();
    }
    match &answer.outcome {
        // Of a request that was no command, and so another one.
        CommandOutcome::CachedResponse(_) => reused(),
        CommandOutcome::Done(done) => PendingReply::Replay(answer.account, *done),
        CommandOutcome::Refused(refusal) => {
            PendingReply::Ready(Err(Failure::Refused { refusal: refusal.clone(), replayed: true }))
        }
    }
}

/// The answer of then, made from the event of then. Called after the commit: the event may be of this very batch.
async fn replay(store: &Store, account: AccountId, done: Done) -> Reply {
    match store.event_record(account, done.version).await {
        Ok(Some(record)) => Ok(CommandResult { done, record, replayed: true }),
        Ok(None) => Err(Failure::Broken),
        Err(error) => Err(failure(&error)),
    }
}

/// Asks whether a batch was committed, until the database answers or patience ends. A batch is one transaction, so its
/// first event speaks for all of it.
async fn find_out(store: &Store, append: &Append, first: StoreError) -> Result<bool, StoreError> {
    let Some(event) = append.events.first() else { return Ok(false) };
    let began = clock::instant();
    let mut trouble = first;
    while began.elapsed() < PATIENCE {
        match store.is_committed(event).await {
            Ok(committed) => return Ok(committed),
            Err(error) => trouble = error,
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(trouble)
}

fn give_up(orders: &[&CommandEnvelope], error: &StoreError) -> BatchResult {
    let failure = failure(error);
    if failure == Failure::Broken {
        tracing::error!(error = error.report(), "the database refused a command that the rules let through");
    } else {
        tracing::warn!(error = %error, commands = orders.len(), "batch given up");
    }
    BatchResult { answers: orders.iter().map(|_| Some(Err(failure.clone()))).collect(), events: Vec::new() }
}

/// The batch may be in the log or not. The sweep finds its events where they are.
fn give_up_unknown(decided: Decided, error: &StoreError) -> BatchResult {
    let commands = decided.answers.len();
    tracing::error!(error = error.report(), commands, "it cannot be found out whether a batch was committed");
    let answer = |pending| match pending {
        PendingReply::Blocked => None,
        PendingReply::Ready(_) | PendingReply::Replay(..) => Some(Err(Failure::Unavailable)),
    };
    BatchResult { answers: decided.answers.into_iter().map(answer).collect(), events: Vec::new() }
}

fn blocked(orders: &[&CommandEnvelope]) -> BatchResult {
    BatchResult { answers: orders.iter().map(|_| None).collect(), events: Vec::new() }
}

fn failure(error: &StoreError) -> Failure {
    if error.is_transient() { Failure::Unavailable } else { Failure::Broken }
}
