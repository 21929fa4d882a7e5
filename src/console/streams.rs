//! The number of open streams of each account, which is bounded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::domain::AccountId;

/// Open streams of one account.
const MAX_STREAMS: usize = 50;

/// The open streams of each account.
#[derive(Clone, Default)]
pub(crate) struct StreamCounts(Arc<Mutex<HashMap<AccountId, usize>>>);

impl StreamCounts {
    pub(super) fn start(&self, account: AccountId) -> Option<StreamCount> {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.entry(account).or_default();
        if *count >= MAX_STREAMS {
            return None;
        }
        *count += 1;
        Some(StreamCount { counts: self.clone(), account })
    }
}

/// One open stream; dropping it makes room for another.
pub(super) struct StreamCount {
    counts: StreamCounts,
    account: AccountId,
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.account);
            }
        }
    }
}
