//! The session that owns shards.
//!
//! Ownership of a shard is an advisory lock of this one connection, and every cursor of a shard is written through the
//! same connection. So a cursor can only be written by the session that holds the lock at that moment: when the session
//! ends, the locks fall and the writes fail with it. A process that is paused keeps its session; its lease
//! (`lease`) then runs out, and another replica ends the session before it takes the locks. Lost cursor writes
//! are harmless, because work goes on from an earlier position, so this session does not wait for the disk.

mod cursors;
mod lease;

use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

pub use self::cursors::RelayMove;
pub use self::lease::Renewed;

use self::cursors::Statements;
use self::lease::Membership;
use super::{SESSION_SETTINGS, Store, StoreError};

/// The session. Dropping it gives up every shard.
pub struct ShardOwner {
    pub(in crate::store) client: Client,
    membership: Membership,
    statements: Statements,
    ended: CancellationToken,
}

impl Store {
    /// Opens a session and joins the members. The connection is driven by the returned future, which ends with it.
    pub async fn open_owner(&self) -> Result<(ShardOwner, impl Future<Output = ()> + Send + 'static), StoreError> {
        let mut config = self.config.clone();
        config.application_name("unificus owner").options(format!("-c synchronous_commit=off {SESSION_SETTINGS}"));
        let (client, connection) = config.connect(NoTls).await?;
        let ended = CancellationToken::new();
        let end = ended.clone();
        let drive = async move {
            tokio::select! {
                broken = connection => if let Err(error) = broken {
                    tracing::warn!(error = %error, "owner session broke");
                },
                // Dropping the connection closes it, and the server releases the locks of the session.
                () = end.cancelled() => {}
            }
        };
        let mut drive = Box::pin(drive);
        let owner = tokio::select! {
            owner = ShardOwner::join(client, ended) => owner?,
            () = &mut drive => return Err(StoreError::Unavailable("the connection closed at once".into())),
        };
        Ok((owner, drive))
    }
}

impl ShardOwner {
    async fn join(client: Client, ended: CancellationToken) -> Result<Self, StoreError> {
        let membership = Membership::join(&client).await?;
        let statements = Statements::prepare(&client).await?;
        Ok(Self { client, membership, statements, ended })
    }

    /// Whether the session has ended and every lock with it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ended.is_cancelled() || self.client.is_closed()
    }

    /// Ends the session for every user of it, and with it every lock that it holds.
    pub fn end(&self) {
        self.ended.cancel();
    }
}
