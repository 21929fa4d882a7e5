//! One batch of commands: decided one after the other, written together.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::working_set::{Context, WorkingSet};
use super::{Answer, Failure, Order, Receipt};
use crate::clock::{self, Clock};
use crate::contract::Wire;
use crate::contract::outcome::{Done, Outcome, What};
use crate::domain::{AccountId, Reads, Refusal, Timestamp, Verb, decide, refuse_too_large};
use crate::store::batch::{self, Append, CommitError, Found, HeadLock, Wanted};
use crate::store::{Store, StoreError};

/// How long a stored answer is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// For so long a batch that met a transient trouble is repeated, and a blocked account's command waits, before its caller
/// is answered that it was not carried out.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What a batch did: an answer for each order, in their order, and the events that it committed.
pub(super) struct Carried {
    /// `None` where another transaction holds the lock on the account: nothing was done, and the order is to go again. So it
    /// is for all orders of an account or for none of them.
    pub(super) answers: Vec<Option<Answer>>,
    pub(super) events: Vec<Wire>,
}

/// Decided, and maybe written.
struct Decided {
    append: Append,
    /// For each order its answer, or that it must be made from the event of a stored one.
    answers: Vec<Draft>,
}

enum Draft {
    Ready(Answer),
    Replay(AccountId, Done),
    /// Another transaction holds the lock on the account.
    Blocked,
}

/// A batch that was not written.
enum Trouble {
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
pub(super) async fn carry_out(store: &Store, clock: &Clock, mut lock: HeadLock, orders: &[&Order]) -> Carried {
    let began = clock::instant();
    let mut repeated: u32 = 0;
    loop {
        let trouble = match attempt(store, clock, lock, orders).await {
            Ok(carried) => return carried,
            Err(Trouble::Blocked) if lock == HeadLock::Brief => {
                lock = HeadLock::Skip;
                continue;
            }
            Err(Trouble::Blocked) => return blocked(orders),
            Err(Trouble::Unknown(decided, error)) => match find_out(store, &decided.append, error).await {
                Ok(true) => return settle(store, *decided).await,
                Ok(false) => StoreError::Unavailable("the transaction was not carried out".into()),
                Err(error) => return give_up_unknown(*decided, &error),
            },
            Err(Trouble::Store(error)) => error,
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
async fn split(store: &Store, clock: &Clock, lock: HeadLock, orders: &[&Order]) -> Carried {
    let (left, right) = orders.split_at(orders.len() / 2);
    let mut carried = Box::pin(carry_out(store, clock, lock, left)).await;
    let unanswered = left.iter().zip(&carried.answers).filter(|(_, answer)| answer.is_none());
    let blocked: BTreeSet<AccountId> = unanswered.map(|(order, _)| order.account).collect();
    let free: Vec<&Order> = right.iter().copied().filter(|order| !blocked.contains(&order.account)).collect();
    if free.is_empty() {
        carried.answers.extend(right.iter().map(|_| None));
        return carried;
    }
    let rest = Box::pin(carry_out(store, clock, lock, &free)).await;
    let mut answers = rest.answers.into_iter();
    let answer = |order: &&Order| if blocked.contains(&order.account) { None } else { answers.next().flatten() };
    carried.answers.extend(right.iter().map(answer));
    carried.events.extend(rest.events);
    carried
}

async fn attempt(store: &Store, clock: &Clock, lock: HeadLock, orders: &[&Order]) -> Result<Carried, Trouble> {
    let opened = store.open_batch(&wanted(orders), lock).await;
    let blocked_or = |error: StoreError| if error.is_locked() { Trouble::Blocked } else { Trouble::Store(error) };
    let (transaction, found) = opened.map_err(blocked_or)?;
    // Now that the locks are held, whoever wrote before has an earlier time.
    let decided = decide_all(orders, found, lock, clock.now());
    match transaction.commit(&decided.append).await {
        Ok(()) => Ok(settle(store, decided).await),
        // Without events there is no effect that could be doubled by repeating it.
        Err(CommitError::Unknown(error)) if !decided.append.events.is_empty() => {
            Err(Trouble::Unknown(Box::new(decided), error))
        }
        Err(CommitError::Unknown(error) | CommitError::RolledBack(error)) => Err(Trouble::Store(error)),
    }
}

/// The answers of what is committed.
async fn settle(store: &Store, decided: Decided) -> Carried {
    let answers = decided.answers.into_iter().map(|draft| async move {
        match draft {
            Draft::Ready(answer) => Some(answer),
            Draft::Replay(account, done) => Some(replay(store, account, done).await),
            Draft::Blocked => None,
        }
    });
    let answers = futures_util::future::join_all(answers).await;
    Carried { answers, events: decided.append.events }
}

fn wanted(orders: &[&Order]) -> Wanted {
    let mut wanted = Wanted { remembered: REMEMBERED, ..Wanted::default() };
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

fn decide_all(orders: &[&Order], found: Found, lock: HeadLock, at: Timestamp) -> Decided {
    let mut sets: BTreeMap<AccountId, WorkingSet> =
        found.heads.into_iter().map(|head| (head.account, WorkingSet::new(head))).collect();
    for (account, record) in found.records {
        if let Some(set) = sets.get_mut(&account) {
            set.put(record);
        }
    }
    let mut stored: BTreeMap<(AccountId, String), batch::Answer> =
        found.answers.into_iter().map(|answer| ((answer.account, answer.key.clone()), answer)).collect();
    let mut append = Append::default();
    let mut answers = Vec::with_capacity(orders.len());
    for order in orders {
        let known = order.idempotency.as_ref().and_then(|idempotency| {
            if let Some(answer) = stored.get(&(order.account, idempotency.key.clone())) {
                return Some(recall(answer, idempotency.request_hash));
            }
            // Another request under the unscoped key may be of another origin: then it says nothing of this one.
            let answer = stored.get(&(order.account, idempotency.unscoped_key.clone()))?;
            let is_same = answer.request_hash == idempotency.request_hash;
            is_same.then(|| recall(answer, idempotency.request_hash))
        });
        let draft = match (known, sets.get_mut(&order.account)) {
            // An account that does not exist is found out by a batch that waits.
            (_, None) if lock == HeadLock::Skip => Draft::Blocked,
            (_, None) => Draft::Ready(Err(Failure::NoAccount)),
            (Some(draft), _) => draft,
            (None, Some(set)) => {
                let (answer, outcome) = decide_one(order, set, at, &mut append.events);
                if let Some(answer) = remember(order, outcome) {
                    stored.insert((order.account, answer.key.clone()), answer.clone());
                    append.answers.push(answer);
                }
                Draft::Ready(answer)
            }
        };
        answers.push(draft);
    }
    append.heads = sets.values().filter_map(WorkingSet::moved_head).collect();
    append.rows = sets.into_values().flat_map(WorkingSet::into_rows).collect();
    Decided { append, answers }
}

fn decide_one(order: &Order, set: &mut WorkingSet, at: Timestamp, events: &mut Vec<Wire>) -> (Answer, Outcome) {
    let decided = decide(order.command.clone(), set).and_then(|decision| {
        refuse_too_large(set, &decision)?;
        Ok(decision)
    });
    let decision = match decided {
        Ok(decision) => decision,
        Err(refusal) => {
            let answer = Err(Failure::Refused { refusal: refusal.clone(), replayed: false });
            return (answer, Outcome::Refused(refusal));
        }
    };
    let (entity, uid) = decision.subject;
    let own = decision.facts.iter().find(|fact| (fact.entity, fact.uid) == (entity, uid));
    let what = what(own.map(|fact| fact.verb), !decision.facts.is_empty());
    let context = Context { at, origin: &order.origin, traceparent: order.traceparent.as_deref() };
    let (version, record) = set.apply(decision, &context, events);
    let done = Done { entity, uid, version, what };
    (Ok(Receipt { done, record, replayed: false }), Outcome::Done(done))
}

/// What was done about the subject: `None` is that nothing happened to itself, though maybe to what belongs to it.
fn what(verb: Option<Verb>, any: bool) -> What {
    match verb {
        None if any => What::Updated,
        None => What::Unchanged,
        Some(Verb::Created | Verb::FieldAdded) => What::Created,
        Some(
            Verb::Updated
            | Verb::WelcomeRequested
            | Verb::Subscribed
            | Verb::FieldChanged
            | Verb::Failing
            | Verb::Disabled
            | Verb::Recovered,
        ) => What::Updated,
        Some(Verb::Deleted | Verb::FieldArchived) => What::Deleted,
    }
}

fn remember(order: &Order, outcome: Outcome) -> Option<batch::Answer> {
    let idempotency = order.idempotency.as_ref()?;
    Some(batch::Answer {
        account: order.account,
        key: idempotency.key.clone(),
        request_hash: idempotency.request_hash,
        outcome,
    })
}

fn recall(answer: &batch::Answer, request_hash: [u8; 32]) -> Draft {
    let reused = || Draft::Ready(Err(Failure::Refused { refusal: Refusal::KeyReused, replayed: false }));
    if answer.request_hash != request_hash {
        return reused();
    }
    match &answer.outcome {
        // Of a request that was no command, and so another one.
        Outcome::Told(_) => reused(),
        Outcome::Done(done) => Draft::Replay(answer.account, *done),
        Outcome::Refused(refusal) => Draft::Ready(Err(Failure::Refused { refusal: refusal.clone(), replayed: true })),
    }
}

/// The answer of then, made from the event of then. Called after the commit: the event may be of this very batch.
async fn replay(store: &Store, account: AccountId, done: Done) -> Answer {
    match store.event_record(account, done.version).await {
        Ok(Some(record)) => Ok(Receipt { done, record, replayed: true }),
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

fn give_up(orders: &[&Order], error: &StoreError) -> Carried {
    let failure = failure(error);
    if failure == Failure::Broken {
        tracing::error!(error = error.report(), "the database refused a command that the rules let through");
    } else {
        tracing::warn!(error = %error, commands = orders.len(), "batch given up");
    }
    Carried { answers: orders.iter().map(|_| Some(Err(failure.clone()))).collect(), events: Vec::new() }
}

/// The batch may be in the log or not. The sweep finds its events where they are.
fn give_up_unknown(decided: Decided, error: &StoreError) -> Carried {
    let commands = decided.answers.len();
    tracing::error!(error = error.report(), commands, "it cannot be found out whether a batch was committed");
    let answer = |draft| match draft {
        Draft::Blocked => None,
        Draft::Ready(_) | Draft::Replay(..) => Some(Err(Failure::Unavailable)),
    };
    Carried { answers: decided.answers.into_iter().map(answer).collect(), events: Vec::new() }
}

fn blocked(orders: &[&Order]) -> Carried {
    Carried { answers: orders.iter().map(|_| None).collect(), events: Vec::new() }
}

fn failure(error: &StoreError) -> Failure {
    if error.is_transient() { Failure::Unavailable } else { Failure::Broken }
}
