//! Names of receivers to addresses, where a name server may be silent.
//!
//! The system's resolver holds a thread until it gives up, long after the attempt's deadline. So lookups
//! are bounded in number, and of one name there is one at a time, whose answer all that ask meanwhile share: an account's
//! names hold no more threads than it has endpoints.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lookups under way at most: a part of the threads that tokio has for what blocks, which are 512.
const MOST: usize = 128;

/// Resolves a name, and blocks. A value, so that a test can choose the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The system's resolver.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|host| Ok((host, 0).to_socket_addrs()?.collect()))
}

/// An error that all waiters of one lookup share.
type LookupResult = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// Looks names up. Cloning shares it.
#[derive(Clone)]
pub(super) struct Lookups {
    lookup: Lookup,
    threads: Arc<Semaphore>,
    under_way: Arc<Mutex<HashMap<String, Shared<BoxFuture<'static, LookupResult>>>>>,
}

/// A lookup that has a thread; dropped when that is free again.
struct UnderWay {
    lookups: Lookups,
    name: String,
    _thread: OwnedSemaphorePermit,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.lookups.lock().remove(&self.name);
    }
}

impl Lookups {
    pub(super) fn new(lookup: Lookup) -> Self {
        Self::bounded(lookup, MOST)
    }

    fn bounded(lookup: Lookup, limit: usize) -> Self {
        Self { lookup, threads: Arc::new(Semaphore::new(limit)), under_way: Arc::default() }
    }

    /// The addresses of a name. Dropped, it gives the answer up, but not the thread.
    pub(super) async fn find(self, name: String) -> io::Result<Vec<SocketAddr>> {
        let under_way = self.lock().get(&name).cloned();
        let addresses = if let Some(addresses) = under_way {
            addresses
        } else {
            let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(io::Error::other)?;
            self.start(name, thread)
        };
        addresses.await.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// Starts a lookup, where nobody did while a thread was waited for.
    fn start(&self, name: String, thread: OwnedSemaphorePermit) -> Shared<BoxFuture<'static, LookupResult>> {
        let mut under_way = self.lock();
        if let Some(addresses) = under_way.get(&name) {
            return addresses.clone();
        }
        let this = UnderWay { lookups: self.clone(), name: name.clone(), _thread: thread };
        let addresses = tokio::task::spawn_blocking(move || (this.lookups.lookup)(&this.name).map_err(Arc::new));
        let addresses =
            addresses.map(|addresses| addresses.unwrap_or_else(|error| Err(Arc::new(io::Error::other(error)))));
        let addresses = addresses.boxed().shared();
        under_way.insert(name, addresses.clone());
        addresses
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Shared<BoxFuture<'static, LookupResult>>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::future::{join, join_all};

    use super::*;

    /// A name server that answers when the test says so, and records the names of its requests.
    struct Server {
        answer: mpsc::SyncSender<()>,
        requested: mpsc::Receiver<String>,
        lookups: Lookups,
    }

    impl Server {
        fn bounded(limit: usize) -> Self {
            let ((answer, wait), (ask, requested)) = (mpsc::sync_channel::<()>(8), mpsc::sync_channel(8));
            let wait = Mutex::new(wait);
            let lookup = move |name: &str| {
                ask.send(name.to_owned()).map_err(io::Error::other)?;
                wait.lock().unwrap().recv().map_err(io::Error::other)?;
                Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
            };
            Self { answer, requested, lookups: Lookups::bounded(Arc::new(lookup), limit) }
        }

        fn find(&self, name: &str) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + use<> {
            self.lookups.clone().find(name.to_owned())
        }
    }

    #[tokio::test]
    async fn of_a_name_there_is_one_lookup_at_a_time() {
        let server = Server::bounded(8);
        let answer = async { server.answer.send(()).unwrap() };
        let (addresses, ()) = join(join_all((0..3).map(|_| server.find("a.test"))), answer).await;
        assert!(addresses.iter().all(|addresses| addresses.as_ref().unwrap().len() == 1));
        assert_eq!(server.requested.try_iter().collect::<Vec<_>>(), ["a.test"]);

        server.answer.send(()).unwrap();
        server.find("a.test").await.unwrap();
        assert_eq!(server.requested.try_iter().count(), 1, "the answer is not kept");
    }

    #[tokio::test]
    async fn lookups_are_bounded_though_nobody_waits_for_them_any_more() {
        let server = Server::bounded(2);
        for name in ["a.test", "b.test"] {
            assert!(server.find(name).now_or_never().is_none());
            assert_eq!(server.requested.recv().unwrap(), name);
        }
        let mut third = Box::pin(server.find("c.test"));
        assert!((&mut third).now_or_never().is_none());
        assert!(server.find("a.test").now_or_never().is_none());
        assert_eq!(server.lookups.threads.available_permits(), 0);
        assert_eq!(server.lookups.lock().len(), 2, "it waits, and asks for none twice");

        server.answer.send(()).unwrap();
        server.answer.send(()).unwrap();
        server.answer.send(()).unwrap();
        third.await.unwrap();
        assert_eq!(server.requested.recv().unwrap(), "c.test");
    }

    #[tokio::test]
    async fn all_who_wait_are_told_of_an_error() {
        let lookup = |_: &str| Err(io::Error::new(io::ErrorKind::TimedOut, "nobody knows"));
        let lookups = Lookups::bounded(Arc::new(lookup), 1);
        let addresses = join_all((0..2).map(|_| lookups.clone().find("a.test".to_owned()))).await;
        for error in addresses.into_iter().map(Result::unwrap_err) {
            assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::TimedOut, "nobody knows"));
        }
        assert!(lookups.lock().is_empty() && lookups.threads.available_permits() == 1);
    }
}
