//! Command ingress: commands of clients by request and reply, on `<root>.<public id>.cmd.<entity>.<operation>`.
//!
//! The rights of a login bound the account in the subject. The key is the one that the server itself names in a header of
//! each command from its account of clients, so that an origin is never the client's choice. A reply means that the command
//! was committed or refused; without one the client sends it again with the same `op_id`. Every command is replied to: one
//! beyond a limit is refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::operations::{OperationCall, Operations};
use super::permit::client_of;
use super::refusal::CommandRefusal;
use crate::broker::{Broker, BrokerError, IncomingCommand};
use crate::domain::AccountId;
use crate::keys::{AuthError, Authenticator, LastUsed, public_id};
use crate::metrics::{GaugeGuard, Metrics};
use crate::quota::{Checked, Denied, QuotaLimiter};

/// Commands that one replica executes at once. A further one is refused.
const MAX_IN_FLIGHT: usize = 512;

/// Commands of one account that one replica executes at once. A further one is refused.
const MAX_PER_ACCOUNT: usize = 64;

/// Receives commands. One per replica.
pub(crate) struct Ingress {
    pub(crate) broker: Broker,
    pub(crate) authenticator: Authenticator,
    pub(crate) limiter: QuotaLimiter,
    pub(crate) last_used: LastUsed,
    /// The account of the server that clients are logged in to.
    pub(crate) clients_account: String,
    /// The largest command, in bytes.
    pub(crate) max_body: usize,
    pub(crate) metrics: Metrics,
    pub(crate) in_flight: InFlightCommands,
}

/// The numbers of commands that are being executed. Cloning shares them.
#[derive(Clone, Default)]
pub(crate) struct InFlightCommands(Arc<Mutex<BTreeMap<AccountId, usize>>>);

/// The right to execute one command.
struct CommandPermit {
    in_flight: InFlightCommands,
    account: AccountId,
}

impl InFlightCommands {
    fn acquire(&self, account: AccountId) -> Option<CommandPermit> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_account = accounts.get(&account).copied().unwrap_or_default();
        if of_account >= MAX_PER_ACCOUNT || accounts.values().sum::<usize>() >= MAX_IN_FLIGHT {
            return None;
        }
        accounts.insert(account, of_account + 1);
        Some(CommandPermit { in_flight: self.clone(), account })
    }
}

impl Drop for CommandPermit {
    fn drop(&mut self) {
        let mut accounts = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = accounts.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

impl Ingress {
    /// Executes commands until `stop`; those that were received are replied to.
    pub(crate) async fn run(
        self: Arc<Self>,
        operations: Operations,
        stop: CancellationToken,
    ) -> Result<(), BrokerError> {
        let inbox = self.broker.commands().await?;
        let commands = stream::unfold(inbox, |mut inbox| async { inbox.next().await.map(|next| (next, inbox)) });
        let commands = commands.take_until(stop.cancelled_owned());
        // Without a limit here, because a command beyond the limits is refused and not left waiting.
        commands
            .for_each_concurrent(None, |command| {
                let (ingress, operations) = (Arc::clone(&self), operations.clone());
                async move { ingress.reply(command, &operations).await }
            })
            .await;
        Ok(())
    }

    async fn reply(&self, command: IncomingCommand, operations: &Operations) {
        let (outcome, body) = match self.execute(&command, operations).await {
            Ok(body) => ("executed", body),
            Err(refusal) => (refusal.outcome(), refusal.body()),
        };
        self.metrics.nats_commands_total.with_label_values(&[outcome]).inc();
        if let Err(error) = self.broker.reply(&command, body).await {
            let (account, error) = (&command.account, format!("{:#}", anyhow::Error::new(error)));
            tracing::warn!(account, error, "reply to a command failed; the client will send it again");
        }
    }

    async fn execute(&self, command: &IncomingCommand, operations: &Operations) -> Result<Bytes, CommandRefusal> {
        let (account, key_id) = self.sender(command).ok_or(CommandRefusal::Unauthorized)?;
        if command.body.len() > self.max_body {
            return Err(CommandRefusal::TooLarge { limit: self.max_body });
        }
        let _permit = self.in_flight.acquire(account).ok_or(CommandRefusal::TooMany)?;
        let _in_flight = GaugeGuard::new(&self.metrics.nats_commands_in_flight);
        let Checked { outcome, revision } = self.limiter.acquire(account).await;
        let key = self.authenticator.caller_by_id(account, key_id, revision).await.map_err(refused)?;
        let mut call = outcome.map_err(CommandRefusal::from)?;
        self.last_used.note(account, key_id);
        if key.read_only {
            return Err(CommandRefusal::ReadOnly);
        }
        // It may be executed even if this replica cannot reply.
        call.keep_if_dropped();
        let operation = OperationCall {
            key,
            entity: command.entity.clone(),
            operation: command.operation.clone(),
            body: command.body.clone(),
            traceparent: command.traceparent.clone(),
        };
        let executed = operations.execute(operation).await;
        if executed.counts {
            // It may have been executed, so the reply must not say that it was refused.
            call.count().await.map_err(|_| CommandRefusal::Unknown)?;
        } else {
            let _status = call.give_back();
        }
        Ok(executed.reply)
    }

    /// The account and key that the server names for the command. The subject's account is the same, because the client may
    /// publish on no other.
    fn sender(&self, command: &IncomingCommand) -> Option<(AccountId, uuid::Uuid)> {
        let client = command.client.as_ref().filter(|client| client.server_account == self.clients_account)?;
        client_of(&client.user).filter(|(account, _)| public_id(&command.account) == Some(*account))
    }
}

fn refused(error: AuthError) -> CommandRefusal {
    match error {
        AuthError::Unauthorized => CommandRefusal::Unauthorized,
        AuthError::NoDatabase => CommandRefusal::Unavailable,
        AuthError::Store(error) => {
            tracing::warn!(error = error.report(), "check key of a command failed");
            CommandRefusal::Unavailable
        }
    }
}

impl From<Denied> for CommandRefusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Month(_) | Denied::Burst(_) => Self::QuotaExceeded,
            Denied::UnknownTier | Denied::Unavailable => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_account_leaves_room_for_the_others_and_a_replica_is_bounded() {
        let in_flight = InFlightCommands::default();
        let account = |number: u128| AccountId(Uuid::from_u128(number));
        let of_one: Vec<_> = std::iter::from_fn(|| in_flight.acquire(account(1))).collect();
        assert_eq!(of_one.len(), MAX_PER_ACCOUNT);
        let of_others: Vec<_> = (2..1_000).filter_map(|number| in_flight.acquire(account(number))).collect();
        assert_eq!(of_others.len(), MAX_IN_FLIGHT - MAX_PER_ACCOUNT);
        drop(of_one);
        assert!(in_flight.acquire(account(1)).is_some());
        drop(of_others);
        assert!(in_flight.0.lock().unwrap().is_empty(), "nothing is kept of an account without commands");
    }
}
