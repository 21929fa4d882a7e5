//! Peers that https deliveries cannot complete with: a handshake that never ends, an untrusted certificate.

use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::LONG;

/// A peer on loopback. It listens until it is dropped, which closes its connections too.
pub(crate) struct TlsPeer {
    port: u16,
    seen: watch::Sender<Seen>,
    listening: JoinHandle<()>,
}

/// The traffic that arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// Bytes of requests after the handshake.
    pub(crate) read: usize,
}

impl TlsPeer {
    /// Accepts connections, reads, and never writes.
    pub(crate) async fn slow() -> Self {
        Self::start(None).await
    }

    /// Presents a self-signed certificate for its address.
    pub(crate) async fn with_wrong_certificate() -> Self {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = made.signing_key.serialize_der().try_into().unwrap();
        let versions = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let config = versions.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        Self::start(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn start(acceptor: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = watch::Sender::<Seen>::default();
        let listening = tokio::spawn(accept(listener, acceptor, seen.clone()));
        Self { port, seen, listening }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn seen(&self) -> Seen {
        *self.seen.borrow()
    }

    /// Waits for this many connections.
    pub(crate) async fn wait_for(&self, connections: usize) {
        let mut seen = self.seen.subscribe();
        let reached = tokio::time::timeout(LONG, seen.wait_for(|seen| seen.connections >= connections)).await.map(drop);
        assert!(reached.is_ok(), "{:?} instead of {connections} connections", self.seen());
    }
}

impl Drop for TlsPeer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, seen: watch::Sender<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.send_modify(|seen| seen.connections += 1);
        connections.spawn(serve(stream, acceptor.clone(), seen.clone()));
    }
}

async fn serve(mut stream: TcpStream, acceptor: Option<TlsAcceptor>, seen: watch::Sender<Seen>) {
    let mut buffer = [0; 4_096];
    match acceptor {
        None => while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {},
        Some(acceptor) => {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                seen.send_modify(|seen| seen.read += read);
            }
        }
    }
}
