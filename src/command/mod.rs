//! Writing: commands wait in lanes, a lane's writer executes them in batches, a batch is one transaction.
//!
//! A command belongs to one account and an account to one lane. A lane executes one batch at a time: the commands that
//! arrive during a commit form the next batch (group commit without a timer). The lane owns the transaction and a caller
//! only awaits its reply, so a client that disconnects cancels nothing. Several replicas may write one account at the same
//! time; the lock on the account's head orders them. While another transaction holds that lock the account is blocked: its
//! commands wait apart, in their order, and the lane continues with the other accounts.
//!
//! Guarantees: an account's `seq` has no gap and no duplicate; the events, read-model changes and idempotency record of a
//! command commit together or not at all; a command that fails leaves the other commands of its batch unharmed; a caller
//! gets a result only after the commit. Knows nothing of HTTP, nor of who reads the log.

mod audit_note;
mod batch;
mod blocked;
mod lane;
mod lane_gauges;
mod preview;
mod queue;
#[cfg(test)]
mod tests;
mod working_set;

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

pub use audit_note::AuditNote;
pub use batch::IDEMPOTENCY_TTL;
pub use lane::{Lanes, Writer};
pub use lane_gauges::LaneGauges;
pub use preview::Preview;

use crate::clock::{self, Clock};
use crate::contract::outcome::Done;
use crate::domain::{AccountId, Command, FieldConflict, Refusal};
use crate::store::Store;
use crate::store::batch::HeadLock;

/// A command with its sender.
#[derive(Debug, Clone)]
pub struct CommandEnvelope {
    /// The account that the command changes.
    pub account: AccountId,
    /// The command itself.
    pub command: Command,
    /// The origin of the API key that sent the command; every event of the command carries it.
    pub origin: Arc<str>,
    /// Present where the request had an idempotency key.
    pub idempotency: Option<Idempotency>,
    /// W3C Trace Context, copied into the events.
    pub traceparent: Option<String>,
    /// The command's share of a batch's byte limit: the length of the request's body.
    pub bytes: usize,
    /// The command's id, as its sender calls it; copied into the events.
    pub causation: Option<String>,
    /// The request's id, likewise.
    pub correlation: Option<String>,
    /// Whether a command that another origin's change keeps from being executed as a whole counts as refused.
    pub is_atomic: bool,
    /// Further commands: all of them are executed, or none is.
    pub then: Vec<AtomicStep>,
    /// The audit row that is written with the events. A command that changes nothing writes none.
    pub audit: Option<AuditNote>,
}

/// A further command of an envelope.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the envelope")]
pub struct AtomicStep {
    pub command: Command,
    pub idempotency: Option<Idempotency>,
    pub causation: Option<String>,
}

impl CommandEnvelope {
    /// An envelope of a command alone, without any request.
    #[must_use]
    pub fn new(account: AccountId, origin: Arc<str>, command: Command) -> Self {
        Self {
            account,
            command,
            origin,
            idempotency: None,
            traceparent: None,
            bytes: 0,
            causation: None,
            correlation: None,
            is_atomic: false,
            then: Vec::new(),
            audit: None,
        }
    }

    /// The commands, in their order.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Command, Option<&Idempotency>, Option<&str>)> {
        let first = (&self.command, self.idempotency.as_ref(), self.causation.as_deref());
        let then = self.then.iter().map(|step| (&step.command, step.idempotency.as_ref(), step.causation.as_deref()));
        std::iter::once(first).chain(then)
    }
}

/// A client's idempotency key with a hash of the request that it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key as it is stored: the client's key, scoped to the origin that sent it.
    pub key: String,
    /// The key as releases before scoping stored it. Only looked up, so that a write that such a release executed is not
    /// executed again. Needless 24 hours after the last of those releases ended.
    pub unscoped_key: String,
    /// SHA-256 of method, path, query, condition and body.
    pub request_hash: [u8; 32],
}

/// Separates a request's key from the index of one of its commands. No header contains it.
const OF_INDEX: char = '\u{1}';
/// Separates the origin from an operation's id in a stored key, likewise.
const OF_OPERATION: char = '\u{3}';

impl Idempotency {
    /// That of one command of a request with several. The first one has the request's own key.
    #[must_use]
    pub fn at(&self, index: usize) -> Self {
        let at = |key: &str| if index == 0 { key.to_owned() } else { format!("{key}{OF_INDEX}{index}") };
        Self { key: at(&self.key), unscoped_key: at(&self.unscoped_key), request_hash: self.request_hash }
    }

    /// That of an operation with an id, which the sender's origin scopes. `operation` is its text: an equal text is a
    /// repetition.
    #[must_use]
    pub fn of_operation(origin: &str, op_id: &str, operation: &str) -> Self {
        let key = format!("{origin}{OF_OPERATION}{op_id}");
        Self { unscoped_key: key.clone(), key, request_hash: Sha256::digest(operation).into() }
    }
}

/// The result of a command that was executed; its events are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// The record, its version and the kind of change.
    pub done: Done,
    /// The JSON of the whole record after the command, as clients see it.
    pub record: String,
    /// True when this repeats the result of an earlier request with the same idempotency key.
    pub replayed: bool,
    /// The fields that another origin changed concurrently.
    pub conflicts: Vec<FieldConflict>,
    /// The reason why the command did not change its record, or not all of it, although it is logged.
    pub rejection: Option<Refusal>,
    /// The results of the envelope's further commands.
    pub then: Vec<CommandResult>,
}

/// A command that was not executed, or of which the outcome is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The domain rules refused the command.
    #[error("refused")]
    Refused {
        /// The reason.
        refusal: Refusal,
        /// True when this repeats the refusal of an earlier request with the same idempotency key.
        replayed: bool,
    },
    /// One of an envelope's commands was refused, so that none was executed.
    #[error("refused with the other commands of its envelope")]
    StepRefused {
        /// The number of commands before it.
        index: usize,
        /// The reason.
        refusal: Refusal,
    },
    /// The account does not exist, or no longer.
    #[error("there is no such account")]
    NoAccount,
    /// Too many commands wait, or another transaction held the account's lock for too long. Nothing was written.
    #[error("too many commands wait")]
    Full,
    /// The database cannot be reached. It is unknown whether the command was executed; a retry with the same idempotency
    /// key tells.
    #[error("the database cannot be reached")]
    Unavailable,
    /// A defect of this service: an event has no JSON, or the database refused data that the domain rules accept. Nothing
    /// of this command was written.
    #[error("the command cannot be executed because of a defect of the service")]
    Broken,
}

/// Executes one command in a process without lanes. The service's sweep announces its events.
pub async fn execute(store: &Store, clock: &Clock, command: CommandEnvelope) -> Result<CommandResult, Failure> {
    execute_all(store, clock, &[command]).await.pop().unwrap_or_else(missing_reply)
}

/// Executes commands of one account in a process without lanes, in one transaction. Each command succeeds or fails by
/// itself.
pub async fn execute_all(
    store: &Store,
    clock: &Clock,
    commands: &[CommandEnvelope],
) -> Vec<Result<CommandResult, Failure>> {
    let began = clock::instant();
    let commands: Vec<&CommandEnvelope> = commands.iter().collect();
    while began.elapsed() < batch::MAX_WAIT {
        let result = batch::execute(store, clock, HeadLock::Patient, &commands).await;
        let replies = result.replies.into_iter().map(|reply| match reply {
            BatchReply::Reply(reply) => Some(reply),
            BatchReply::Blocked => None,
        });
        // A batch blocks all commands of an account or none of them.
        if let Some(replies) = replies.collect() {
            return replies;
        }
    }
    commands.iter().map(|_| Err(Failure::Full)).collect()
}

type Reply = Result<CommandResult, Failure>;

/// The end of one command in a batch.
enum BatchReply {
    /// The command has ended.
    Reply(Reply),
    /// Another transaction holds the lock on the account: nothing was written and the command must be tried again. A batch
    /// blocks all commands of an account or none of them.
    Blocked,
}

/// A command in a lane and the channel for its reply.
struct Pending {
    envelope: CommandEnvelope,
    arrived: std::time::Instant,
    reply: oneshot::Sender<Reply>,
}

/// The reply to a command for which a batch returned none. A batch replies to every command; if that is ever untrue, the
/// command may have been committed, so that it is neither reported as done nor executed again.
fn missing_reply() -> Reply {
    tracing::error!("executing a batch failed: a command has no reply");
    Err(Failure::Unavailable)
}
