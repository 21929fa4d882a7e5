//! Batches of one lane in turn, without a pause of the database between them.
//!
//! Where enough commands wait when a batch is decided, the next batch is taken at once, and its first statements are sent
//! behind COMMIT on the same connection. The server executes them as soon as it has committed; meanwhile this process replies to
//! the callers of the committed batch. Both batches of an account are decided in turn, and the second one is loaded after
//! the commit of the first, so that it sees its rows.
//!
//! Nothing of the next batch is decided before the one before is committed. Where that fails, the next batch goes back into
//! the queue, and the failed one is retried, split or looked up alone.

use tokio::sync::oneshot;
use tracing::{Instrument as _, Span};

use super::Pending;
use super::batch::{self, BatchError, BatchResult, Decided, LoadedBatch};
use super::lane::{Writer, commands};
use crate::store::StoreError;
use crate::store::batch::{Batch, HeadLock, LoadedState};

/// The next batch, and its state where the one before was committed.
type Next = (Vec<Pending>, Result<Option<(Batch, LoadedState)>, StoreError>);

impl Writer {
    /// Executes a batch, and the batches that wait behind it.
    pub(super) async fn execute_in_turn(&self, mut batch: Vec<Pending>) {
        let mut span = self.begin(&batch);
        let mut opened = batch::open(&self.store, HeadLock::Brief, &commands(&batch)).instrument(span.clone()).await;
        loop {
            let decided = opened.and_then(|opened| span.in_scope(|| opened.decide(&self.clock, &commands(&batch))));
            let (transaction, decided) = match decided {
                Ok(decided) => decided,
                Err(error) => return self.resume(batch, span, Err(error)).await,
            };
            let next = if decided.is_settled() { self.take_next(batch.len()) } else { Vec::new() };
            if next.is_empty() {
                return self.commit(batch, span, transaction, decided).await;
            }
            let next_span = self.begin(&next);
            let Some((next, loaded)) = self.commit_and_open(batch, span, transaction, decided, next).await else {
                return;
            };
            opened = match loaded {
                Ok(Some((transaction, loaded))) => {
                    let loaded = LoadedBatch { transaction, loaded, lock: HeadLock::Brief };
                    loaded.load_later_reads(&commands(&next)).instrument(next_span.clone()).await
                }
                Ok(None) => Err(StoreError::Unavailable("the batch before was not committed".into()).into()),
                Err(error) => Err(error.into()),
            };
            (batch, span) = (next, next_span);
        }
    }

    /// The commands that wait, unless they are too few: then they wait for the commit and become more meanwhile, because
    /// each transaction has a cost of its own.
    fn take_next(&self, before: usize) -> Vec<Pending> {
        let mut queue = self.lane.queue();
        let enough = self.config.next_batch_commands.max(before / 2);
        if queue.len() < enough { Vec::new() } else { self.take(&mut queue) }
    }

    /// Commits the last batch of the turn.
    async fn commit(&self, batch: Vec<Pending>, span: Span, transaction: Batch, decided: Decided) {
        let committed = transaction.commit(&decided.append).instrument(span.clone()).await;
        let attempted = match committed {
            Ok(()) => Ok(batch::settle(&self.store, decided).instrument(span.clone()).await),
            Err(error) => Err(decided.not_committed(error)),
        };
        self.resume(batch, span, attempted).await;
    }

    /// Commits a batch and opens the next one. Replies to the callers of the first as soon as it is committed. Returns
    /// `None` where it was not: then both are ended or back in the queue.
    async fn commit_and_open(
        &self,
        batch: Vec<Pending>,
        span: Span,
        transaction: Batch,
        decided: Decided,
        next: Vec<Pending>,
    ) -> Option<Next> {
        let Decided { append, replies } = decided;
        let request = batch::load_request(&commands(&next));
        let (committed, received) = oneshot::channel();
        let open = transaction.commit_and_open(&append, &request, committed).instrument(span.clone());
        let end = async {
            match received.await {
                Ok(Ok(())) => {
                    let events = append.events.clone();
                    self.end(batch, BatchResult { replies: batch::ready(replies), events });
                    None
                }
                Ok(Err(error)) => Some((batch, replies, Some(error))),
                // Nothing was sent.
                Err(_) => Some((batch, replies, None)),
            }
        };
        let (loaded, failed) = tokio::join!(open, end);
        let Some((batch, replies, error)) = failed else { return Some((next, loaded)) };
        // The next batch may have commands of the same accounts, which must not overtake.
        self.lane.queue().restore(next);
        let decided = Decided { append, replies };
        let error = match (error, loaded) {
            (Some(error), _) => decided.not_committed(error),
            (None, Err(error)) => BatchError::from(error),
            (None, Ok(_)) => StoreError::Unavailable("the batch was not sent".into()).into(),
        };
        self.resume(batch, span, Err(error)).await;
        None
    }

    /// Ends a batch after its first attempt.
    async fn resume(&self, batch: Vec<Pending>, span: Span, attempted: Result<BatchResult, BatchError>) {
        let commands = commands(&batch);
        let resumed = batch::resume(&self.store, &self.clock, HeadLock::Brief, &commands, attempted);
        let result = resumed.instrument(span).await;
        self.end(batch, result);
    }
}
