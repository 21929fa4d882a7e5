//! The parts that tests share: servers, a service, a client, receivers.

pub(crate) mod browser;
pub(crate) mod client;
pub(crate) mod document;
pub(crate) mod parts;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod receiver_tls;
pub(crate) mod replica;
pub(crate) mod servers;
pub(crate) mod service;
pub(crate) mod stream;

pub(crate) use client::Client;
pub(crate) use parts::Parts;
pub(crate) use receiver::Receiver;
pub(crate) use receiver_tls::TlsPeer;
pub(crate) use replica::Replica;
pub(crate) use service::Service;

use std::time::Duration;

/// For the receiver, which takes the time from its parent module.
pub(crate) use unificus::clock::instant;

/// Waits until a condition holds.
pub(crate) async fn until(label: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(10));
    let waited = async {
        while !holds().await {
            pause.tick().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "{label}: not within the timeout");
}

/// The timeout of every wait. No step takes so long unless it never ends.
pub(crate) const LONG: Duration = Duration::from_mins(1);
