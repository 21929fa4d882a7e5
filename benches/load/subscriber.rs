//! A plain NATS subscriber, on its own thread so that the generator's work does not delay its timestamps.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;
use unificus::broker::connect_options;

use crate::accounts::Account;
use crate::arrivals::Arrivals;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Receives until it is stopped.
pub(crate) struct Reader {
    pub(crate) arrivals: Arc<Arrivals>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<()>>,
}

impl Reader {
    /// Runs `serve` on a thread with its own runtime. `serve` gets the collection of arrivals, a channel to report that it
    /// is ready, and a signal to stop.
    pub(crate) async fn start<T, F>(
        name: &str,
        arrivals: Arc<Arrivals>,
        serve: impl FnOnce(Arc<Arrivals>, oneshot::Sender<T>, oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> Result<(Self, T)>
    where
        T: Send + 'static,
        F: Future<Output = Result<()>>,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let into = Arc::clone(&arrivals);
        let body = move || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.context("creating a reader's runtime")?.block_on(serve(into, ready, stopped))
        };
        let thread = Builder::new().name(name.to_owned()).spawn(body).context("starting a reader's thread")?;
        match timeout(TIMEOUT, is_ready).await {
            Ok(Ok(value)) => Ok((Self { arrivals, stop, thread }, value)),
            Ok(Err(_)) => Err(join(thread).err().unwrap_or_else(|| anyhow!("the {name} ended before it was ready"))),
            Err(_) => Err(anyhow!("the {name} is not ready after {} s", TIMEOUT.as_secs())),
        }
    }

    pub(crate) fn stop(self) -> Result<()> {
        // A reader that has already ended gives the reason in its result.
        let _ = self.stop.send(());
        join(self.thread)
    }
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a reader's thread ended in a panic"))?
}

/// Subscribes to all events of each of the accounts.
pub(crate) async fn start(nats_url: &str, accounts: &[Account]) -> Result<Reader> {
    let url = nats_url.to_owned();
    let subjects: Vec<String> = accounts.iter().map(|account| format!("crm.v1.{}.evt.>", account.public_id)).collect();
    let serve = async move |arrivals: Arc<Arrivals>, ready: oneshot::Sender<()>, mut stopped: oneshot::Receiver<()>| {
        let client = connect_options(&url).connect(&url).await.context("connecting to NATS")?;
        let mut subscriptions = Vec::with_capacity(subjects.len());
        for subject in subjects {
            subscriptions.push(client.subscribe(subject).await.context("subscribing")?);
        }
        // The server has processed all subscriptions when it has answered a request that was sent after them.
        client.flush().await.context("waiting for NATS to accept the subscriptions")?;
        let mut messages = futures_util::stream::select_all(subscriptions);
        let _ = ready.send(());
        loop {
            tokio::select! {
                Some(message) = messages.next() => arrivals.take(&message.payload),
                _ = &mut stopped => return Ok(()),
            }
        }
    };
    let (reader, ()) = Reader::start("subscriber", Arc::default(), serve).await?;
    Ok(reader)
}
