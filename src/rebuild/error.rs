//! The ways in which a rebuild ends early.

use super::log::Damage;
use crate::domain::AccountId;
use crate::store::StoreError;
use crate::store::rebuild::SwapError;

/// How often the tables' locks are tried.
pub(super) const ATTEMPTS: usize = 30;

/// A rebuild that did not end. The live read models are as they were, except those of accounts that were swapped one by one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebuildError {
    /// Rows that are computed from it would be wrong.
    #[error("the log of account {account} is damaged at position {}: {}", damage.seq, damage.field)]
    Damaged { account: AccountId, damage: Box<Damage> },
    #[error("another process rebuilds this database")]
    AnotherRuns,
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    #[error("a contact was erased meanwhile, so that the new tables may still show it; run it again")]
    Erased,
    #[error("the service writes faster than the rebuild reads; run it again when the load is lower")]
    Overtaken,
    #[error(
        "a table of the read models was in use at each of {ATTEMPTS} attempts to replace it; end long transactions and run it again"
    )]
    TableInUse(#[source] SwapError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RebuildError {
    pub(super) fn damaged(account: AccountId, damage: Damage) -> Self {
        Self::Damaged { account, damage: Box::new(damage) }
    }
}
