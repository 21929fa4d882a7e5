//! Work that several tasks share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// The parts of the work that no task has taken. Clones share them.
pub(crate) struct WorkQueue<T>(Arc<Mutex<VecDeque<T>>>);

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> WorkQueue<T> {
    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Runs `work` in several tasks until the queue is empty. The first error ends all of them.
pub(crate) async fn in_parallel<T, E, F>(
    tasks: usize,
    parts: impl IntoIterator<Item = T>,
    work: impl Fn(WorkQueue<T>) -> F,
) -> Result<(), E>
where
    E: Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    let parts: VecDeque<T> = parts.into_iter().collect();
    let tasks = tasks.min(parts.len());
    let queue = WorkQueue(Arc::new(Mutex::new(parts)));
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(work(queue.clone()));
    }
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(result) => result?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    Ok(())
}
