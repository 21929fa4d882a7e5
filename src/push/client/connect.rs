//! From a URL to a connection: name, addresses, every one of them checked, TCP, TLS, all within one timeout.
//!
//! The check stands between resolving and dialling: the addresses that it passed are those that are dialled, so
//! there is no moment in which the name could come to mean something else. It does not see a URL whose host is
//! an address, because hyper-util asks no resolver then; the client checks those before each attempt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures_util::future::BoxFuture;
use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower::{Service, ServiceExt as _};

use super::connection::Io;
use super::lookups::{Lookup, Lookups};
use crate::push::address::AddressPolicy;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A name that leads to no address that may be dialled: there is none, it is forbidden, or nobody said in time. Which of
/// these is for the operator alone: an endpoint's owner would otherwise find out which names the operator's own network has.
#[derive(Debug, thiserror::Error)]
#[error("the name has no usable address")]
pub(super) struct NoAddress(#[source] BoxError);

/// The name server has not answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer of the name server within {0:?}")]
struct Silent(Duration);

/// The time that a name lookup may take: less than connecting may, so that a silent name server and a silent address are
/// distinguished.
const LOOKUP: Duration = Duration::from_secs(3);

/// No TCP connection: the name was not resolved, was refused, or nobody listens. Setting it apart from what
/// follows tells a TLS handshake that failed from a host that is not there.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Unreached(BoxError);

/// The connector's timeout has passed.
#[derive(Debug, thiserror::Error)]
#[error("no connection within {0:?}")]
pub(super) struct Late(Duration);

/// The connector of the HTTP client.
pub(super) struct Connector {
    https: HttpsConnector<Dialler>,
    timeout: Duration,
}

impl Connector {
    /// `timeout` is for a name, a TCP and a TLS handshake together.
    pub(super) fn new(policy: Arc<AddressPolicy>, lookup: Lookup, tls: ClientConfig, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(CheckedResolver { policy, lookups: Lookups::new(lookup) });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // hyper-util divides this among the addresses of a name, so that a dead one leaves time for the next.
        tcp.set_connect_timeout(Some(timeout));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        Self { https: https.wrap_connector(Dialler(tcp)), timeout }
    }

    /// Opens a connection to a URL's host. Dropping the future gives it up.
    pub(super) async fn connect(&self, uri: &Uri) -> Result<Io, BoxError> {
        let connected = tokio::time::timeout(self.timeout, self.https.clone().oneshot(uri.clone()));
        connected.await.map_err(|_| Late(self.timeout))?
    }
}

#[derive(Clone)]
struct Dialler(HttpConnector<CheckedResolver>);

impl Service<Uri> for Dialler {
    type Response = TokioIo<TcpStream>;
    type Error = Unreached;
    type Future = BoxFuture<'static, Result<Self::Response, Unreached>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unreached>> {
        self.0.poll_ready(cx).map_err(|error| Unreached(error.into()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialled = self.0.call(uri);
        Box::pin(async move { dialled.await.map_err(|error| Unreached(error.into())) })
    }
}

/// A resolver that passes all addresses of a name or none: one forbidden address among public ones is either
/// an attack or a mistake, and which of them would be dialled is chance.
#[derive(Clone)]
struct CheckedResolver {
    policy: Arc<AddressPolicy>,
    lookups: Lookups,
}

impl Service<Name> for CheckedResolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let lookup = self.lookups.clone().find(name.as_str().to_owned());
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let usable = async {
                let addrs = tokio::time::timeout(LOOKUP, lookup).await.map_err(|_| Silent(LOOKUP))??;
                if addrs.is_empty() {
                    return Err("there is none".into());
                }
                addrs.iter().try_for_each(|addr| policy.check_addr(addr.ip()))?;
                Ok::<_, BoxError>(addrs.into_iter())
            };
            usable.await.map_err(|error| NoAddress(error).into())
        })
    }
}
