//! Reads of single rows that callers share. While as many statements as the limit are under way, further keys wait, and
//! then go together in one statement: at a high rate, most of a row's cost is that of a statement of its own.
//!
//! There is no task: a caller reads for itself and for those that wait. Then the first of those that came meanwhile reads
//! next. A caller that goes away passes its permit on, and those that it read for read by themselves. It knows nothing of SQL.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The most keys of one statement.
const KEYS: usize = 64;

/// Callers that read values of type `V` by keys of type `K`. Clones share the callers.
pub(super) struct SharedReads<K, V> {
    state: Arc<Mutex<State<K, V>>>,
    /// The most statements under way.
    limit: usize,
}

struct State<K, V> {
    waiting: VecDeque<Waiter<K, V>>,
    /// The permits that are given out.
    permits: usize,
}

struct Waiter<K, V> {
    key: K,
    reply: oneshot::Sender<Reply<K, V>>,
}

enum Reply<K, V> {
    Value(V),
    Permit(Permit<K, V>),
}

/// The right to read. Dropping it gives it to the caller that has waited longest, so that it is never lost.
struct Permit<K, V> {
    /// `None` once it is of no use.
    state: Option<Arc<Mutex<State<K, V>>>>,
}

impl<K, V> Clone for SharedReads<K, V> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), limit: self.limit }
    }
}

impl<K, V> SharedReads<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Arc::new(Mutex::new(State { waiting: VecDeque::new(), permits: 0 })), limit }
    }

    /// Returns the value of a key. `read` returns the values of several keys in their order, or `None` where it fails; then
    /// this returns `None` to all of their callers.
    pub(super) async fn read<Reading>(&self, key: K, read: impl FnOnce(Vec<K>) -> Reading) -> Option<V>
    where
        Reading: Future<Output = Option<Vec<V>>>,
        K: Copy,
    {
        let permit = match self.enter(key) {
            Ok(permit) => permit,
            Err(reply) => match reply.await.ok()? {
                Reply::Value(value) => return Some(value),
                Reply::Permit(permit) => permit,
            },
        };
        let (keys, replies): (Vec<K>, Vec<_>) =
            permit.waiters().into_iter().map(|waiter| (waiter.key, waiter.reply)).unzip();
        let values = read(std::iter::once(key).chain(keys).collect()).await;
        // The next statement goes out before this one's callers run.
        drop(permit);
        let mut values = values?.into_iter();
        let own = values.next();
        for (reply, value) in replies.into_iter().zip(values) {
            // The send fails where the caller went away.
            let _unreceived = reply.send(Reply::Value(value));
        }
        own
    }

    /// Takes a permit, or queues the key and returns the receiver of its reply.
    fn enter(&self, key: K) -> Result<Permit<K, V>, oneshot::Receiver<Reply<K, V>>> {
        let mut state = lock(&self.state);
        if state.permits < self.limit {
            state.permits += 1;
            return Ok(Permit { state: Some(Arc::clone(&self.state)) });
        }
        let (reply, receiver) = oneshot::channel();
        state.waiting.push_back(Waiter { key, reply });
        Err(receiver)
    }
}

impl<K, V> Permit<K, V> {
    /// Takes the waiting callers that one statement has room for beside the reader's own key.
    fn waiters(&self) -> Vec<Waiter<K, V>> {
        let Some(state) = &self.state else { return Vec::new() };
        let mut state = lock(state);
        let count = state.waiting.len().min(KEYS - 1);
        let waiters = state.waiting.drain(..count);
        waiters.filter(|waiter| !waiter.reply.is_closed()).collect()
    }
}

impl<K, V> Drop for Permit<K, V> {
    fn drop(&mut self) {
        let Some(shared) = self.state.take() else { return };
        let mut state = lock(&shared);
        while let Some(waiter) = state.waiting.pop_front() {
            let next = Permit { state: Some(Arc::clone(&shared)) };
            match waiter.reply.send(Reply::Permit(next)) {
                Ok(()) => return,
                // That caller went away. Its permit must not pass itself on, because the lock is held here.
                Err(Reply::Permit(mut unused)) => unused.state = None,
                Err(Reply::Value(_)) => {}
            }
        }
        state.permits -= 1;
    }
}

fn lock<K, V>(state: &Mutex<State<K, V>>) -> MutexGuard<'_, State<K, V>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use futures_util::future::join_all;
    use futures_util::poll;
    use tokio::sync::Notify;

    use super::{KEYS, SharedReads};

    /// Returns each key's square.
    fn squares(keys: &[u64]) -> Vec<u64> {
        keys.iter().map(|key| key * key).collect()
    }

    #[tokio::test]
    async fn callers_that_come_during_a_statement_share_the_next_one() {
        let (reads, statements, first) = (SharedReads::new(1), RefCell::new(Vec::new()), Notify::new());
        let read = async |keys: Vec<u64>| {
            statements.borrow_mut().push(keys.len());
            if statements.borrow().len() == 1 {
                first.notified().await;
            }
            Some(squares(&keys))
        };
        let callers = (0..100).map(|key| reads.read(key, read));
        let (values, ()) = tokio::join!(biased; join_all(callers), async { first.notify_one() });
        assert_eq!(values, (0..100).map(|key| Some(key * key)).collect::<Vec<_>>());
        assert_eq!(*statements.borrow(), [1, KEYS, 100 - 1 - KEYS]);
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_passes_its_permit_on_and_fails_only_those_it_read_for() {
        let reads = SharedReads::<u64, u64>::new(1);
        let mut first = Box::pin(reads.read(1, async |_| pending().await));
        assert!(poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(reads.read(2, async |_| pending().await));
        let mut third = Box::pin(reads.read(3, async |keys| Some(squares(&keys))));
        assert!(poll!(second.as_mut()).is_pending() && poll!(third.as_mut()).is_pending());
        drop(first);
        // The second has the permit now and reads for the third.
        assert!(poll!(second.as_mut()).is_pending());
        let mut fourth = Box::pin(reads.read(4, async |keys| Some(squares(&keys))));
        assert!(poll!(fourth.as_mut()).is_pending());
        drop(second);
        assert_eq!(third.await, None);
        assert_eq!(fourth.await, Some(16));
        assert_eq!(reads.read(5, async |keys| Some(squares(&keys))).await, Some(25), "the permit was given back");
    }

    #[tokio::test]
    async fn a_permit_that_nobody_takes_up_is_not_lost() {
        let reads = SharedReads::<u64, u64>::new(1);
        let mut first = Box::pin(reads.read(1, async |_| pending().await));
        assert!(poll!(first.as_mut()).is_pending());
        let mut second = Box::pin(reads.read(2, async |keys| Some(squares(&keys))));
        let mut third = Box::pin(reads.read(3, async |keys| Some(squares(&keys))));
        assert!(poll!(second.as_mut()).is_pending() && poll!(third.as_mut()).is_pending());
        drop(first);
        // The permit is on its way to the second.
        drop(second);
        assert_eq!(third.await, Some(9));
    }

    #[tokio::test]
    async fn a_statement_that_fails_fails_for_all_of_its_callers() {
        let reads = SharedReads::<u64, u64>::new(1);
        let callers = (0..3).map(|key| reads.read(key, async |_| None));
        assert_eq!(join_all(callers).await, [None; 3]);
        assert_eq!(reads.read(4, async |keys| Some(squares(&keys))).await, Some(16));
    }
}
