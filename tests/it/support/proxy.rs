//! A proxy in front of PostgreSQL that can lose responses.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The state of the traffic through the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Normal,
    /// Requests pass, and responses are dropped.
    Mute,
    /// Connections are closed.
    Cut,
}

/// A proxy between a client and a server.
pub(crate) struct Proxy {
    address: String,
    mode: Arc<watch::Sender<Mode>>,
}

impl Proxy {
    /// In front of the server of a database's URL.
    pub(crate) async fn before(database: &str) -> Self {
        let server = authority(database).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mode = Arc::new(watch::Sender::new(Mode::Normal));
        let modes = Arc::clone(&mode);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(pass(client, server, modes.subscribe()));
            }
        });
        Self { address, mode }
    }

    /// The URL of the same database through the proxy.
    pub(crate) fn url(&self, database: &str) -> String {
        database.replacen(authority(database), &self.address, 1)
    }

    /// Drops all responses from now on.
    pub(crate) fn mute(&self) {
        self.mode.send_replace(Mode::Mute);
    }

    /// Closes the existing connections; new ones pass.
    pub(crate) fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
        self.mode.send_replace(Mode::Normal);
    }
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.split('/').next().unwrap();
    rest.rsplit('@').next().unwrap()
}

async fn pass(client: TcpStream, server: TcpStream, mut mode: watch::Receiver<Mode>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let muted = mode.clone();
    // A connection that was muted is closed afterwards.
    let ended = async {
        mode.wait_for(|mode| *mode != Mode::Normal).await.unwrap();
        mode.wait_for(|mode| *mode != Mode::Mute).await.unwrap();
    };
    tokio::select! {
        () = copy(from_client, to_server, None) => {}
        () = copy(from_server, to_client, Some(muted)) => {}
        () = ended => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mode: Option<watch::Receiver<Mode>>) {
    let mut buffer = [0; 8_192];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        if mode.as_ref().is_some_and(|mode| *mode.borrow() != Mode::Normal) {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
