//! Writing: commands go into lanes, lanes drain into batches, a batch is one transaction.
//!
//! A command belongs to one account, an account to one lane, and a lane carries out one batch at a time: everything
//! that came while the last commit was in flight goes together into the next (group commit without a timer). The lane
//! owns the transaction and a caller only awaits its answer, so a client that goes away cancels nothing. Replicas may
//! write the same account at once; the lock on the account's head orders them. An account whose lock another transaction
//! keeps is blocked: its commands wait by themselves, in their order, and the lane goes on with the others.
//!
//! Guarantees: an account's `seq` has no gap and no duplicate; a command's events, its read-model changes and its
//! stored answer commit together or not at all; a refused command never harms its neighbours in the batch; "committed"
//! is said only of what is committed. It knows nothing of HTTP, and not who reads the log.

mod batch;
mod blocked;
mod lane;
mod queue;
#[cfg(test)]
mod tests;
mod working_set;

use std::sync::Arc;

use tokio::sync::oneshot;

pub use batch::IDEMPOTENCY_TTL;
pub use lane::{Lanes, Writer};

use crate::clock::{self, Clock};
use crate::contract::outcome::Done;
use crate::domain::{AccountId, Command, Refusal};
use crate::store::Store;
use crate::store::batch::HeadLock;

/// A command and who sends it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CommandEnvelope {
    pub account: AccountId,
    pub command: Command,
    /// The origin of the key that it came with.
    pub origin: Arc<str>,
    pub idempotency: Option<Idempotency>,
    /// W3C Trace Context, passed on to the events.
    pub traceparent: Option<String>,
    /// What it weighs in a batch: the length of the body that it came in.
    pub bytes: usize,
}

/// A client's name for a request, and what the request was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// As it is stored: the client's key, scoped to the origin that sent it.
    pub key: String,
    /// As releases before scoping stored it. Looked up only, so that a write that such a release answered is not carried
    /// out again; of no use a day after the last of them ended.
    pub unscoped_key: String,
    /// SHA-256 over method, path, query, condition and body.
    pub request_hash: [u8; 32],
}

/// A command that was carried out; its events are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CommandResult {
    pub done: Done,
    /// The whole record after it, as clients see it.
    pub record: String,
    /// Whether this is the stored answer to an earlier request.
    pub replayed: bool,
}

/// A command that was not carried out, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The rules refused it.
    #[error("refused")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether this is the stored answer to an earlier request.
        replayed: bool,
    },
    /// The account is not, or no longer, there.
    #[error("there is no such account")]
    NoAccount,
    /// Too many commands wait already, or another transaction kept the account's lock for too long; nothing was done.
    #[error("too many commands wait")]
    Full,
    /// The database is away. The command may or may not have been carried out; its idempotency key tells.
    #[error("the database is away")]
    Unavailable,
    /// The database cannot take what the rules let through; nothing was done. A defect of ours.
    #[error("the database refused the command")]
    Broken,
}

/// Carries one order out in a process that has no lanes. The sweep of the service finds what it wrote.
pub async fn execute(store: &Store, clock: &Clock, order: CommandEnvelope) -> Result<CommandResult, Failure> {
    let began = clock::instant();
    while began.elapsed() < batch::PATIENCE {
        let mut carried = batch::execute(store, clock, HeadLock::Patient, &[&order]).await;
        if let Some(answer) = carried.answers.pop().flatten() {
            return answer;
        }
    }
    Err(Failure::Full)
}

type Reply = Result<CommandResult, Failure>;

/// An order in a lane, and where its answer goes.
struct Pending {
    order: CommandEnvelope,
    arrived: std::time::Instant,
    reply: oneshot::Sender<Reply>,
}
