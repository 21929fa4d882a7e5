//! The session that owns shards.
//!
//! Ownership of a shard is an advisory lock of one connection, and every cursor of a shard is written through the same
//! connection. So only the session that holds the lock can write a cursor: when the session ends, its locks are released
//! and its writes fail. A paused process keeps its session until its lease (`lease`) expires and another replica ends the
//! session, before that replica takes the locks. The session does not wait for the disk, because a lost cursor write only
//! repeats work from an earlier position. It knows nothing of how events are published or delivered.

mod cursors;
mod erasures;
pub(super) mod lease;

use tokio_postgres::{Client, NoTls};
use tokio_util::sync::CancellationToken;

pub(crate) use self::cursors::RelayMove;
use self::cursors::Statements;
use self::lease::Membership;
use super::{LANE_SETTINGS, SESSION_SETTINGS, Store, StoreError};

/// The session. Dropping it gives up every shard.
pub struct ShardOwner {
    pub(in crate::store) client: Client,
    membership: Membership,
    statements: Statements,
    ended: CancellationToken,
}

impl Store {
    /// Opens a session and joins the members. The returned future drives the connection and ends with it.
    pub async fn open_owner(&self) -> Result<(ShardOwner, impl Future<Output = ()> + Send + 'static), StoreError> {
        let mut config = self.config.clone();
        let settings = format!("-c synchronous_commit=off {LANE_SETTINGS} {SESSION_SETTINGS}");
        config.application_name("unificus owner").options(settings);
        let (client, connection) = config.connect(NoTls).await?;
        let ended = CancellationToken::new();
        let end = ended.clone();
        let drive = async move {
            tokio::select! {
                broken = connection => if let Err(error) = broken {
                    tracing::warn!(error = %error, "owner session failed");
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
