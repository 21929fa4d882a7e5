//! The client against receivers that misbehave in every way we know of, with short deadlines.

// The receiver of the integration tests; it takes `instant` from here.
#[path = "../../../../tests/it/support/receiver.rs"]
mod receiver;

mod answers;
mod connections;
mod tls;

use std::net::SocketAddr;

use time::macros::datetime;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use self::receiver::Receiver;
use super::lookups::Lookup;
use super::*;
use crate::push::outcome::{AttemptOutcome, NO_ADDRESS, Reason};

const DEADLINE: Duration = Duration::from_millis(300);
/// When an attempt at a name without a usable address ends.
const NO_ADDRESS_AFTER: Duration = Duration::from_millis(200);
/// Longer than anything takes that is not to run into its deadline.
const LONG: Duration = Duration::from_secs(30);

fn loopback() -> Arc<AddressPolicy> {
    Arc::new(AddressPolicy { allow_http: true, allow: vec!["127.0.0.1/32".parse().expect("a net")] })
}

/// A client that may talk to 127.0.0.1 and trusts no certificate.
fn client() -> Client {
    client_under(loopback())
}

fn client_under(policy: Arc<AddressPolicy>) -> Client {
    Client::with_roots(policy, "Unificus/1", RootCertStore::empty()).expect("a client")
}

/// A client for which every name resolves to what `lookup` says.
fn client_resolving(lookup: impl Fn() -> Vec<&'static str> + Send + Sync + 'static) -> Client {
    client_looking_up(Arc::new(move |_| {
        let addrs = lookup().into_iter().map(|addr| SocketAddr::new(addr.parse().expect("an address"), 0));
        Ok(addrs.collect())
    }))
}

fn client_looking_up(lookup: Lookup) -> Client {
    let tls = tls_builder().expect("TLS").with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let connector = Connector::new(loopback(), lookup, tls, LONG);
    Client::connecting(connector, loopback(), "Unificus/1", NO_ADDRESS_AFTER).expect("a client")
}

async fn send(client: &Client, url: &str, timeout: Duration) -> Attempt {
    send_with(client, url, timeout, &[]).await
}

async fn send_with(client: &Client, url: &str, timeout: Duration, headers: &[(HeaderName, HeaderValue)]) -> Attempt {
    let url = EndpointUrl::parse(url).expect("a URL");
    let delivery = DeliveryRequest {
        user_agent: None,
        url: &url,
        headers,
        webhook_id: "0190163d-8694-739b-aea5-966c26f8ad91",
        timestamp: 1_614_265_330,
        signature: "v1,c2lnbmF0dXJl",
        content_type: "application/cloudevents+json",
        body: Bytes::from_static(b"{\"specversion\":\"1.0\"}"),
        timeout,
        now: datetime!(1994-11-06 08:49:37 UTC),
    };
    client.send(delivery).await
}

/// A peer that takes one request and answers with these bytes and a close, whatever they are.
async fn peer_that_says(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        take_request(&mut stream).await;
        // The client may have seen enough before all is written.
        let _seen_enough = stream.write_all(&bytes).await;
    });
    url
}

/// Reads to the end of the body that [`send`] sends, or of the first record of a TLS handshake.
async fn take_request(stream: &mut (impl AsyncRead + Unpin)) {
    let mut request = Vec::new();
    while !request.ends_with(b"1.0\"}") && !request.starts_with(&[0x16]) {
        assert_ne!(stream.read_buf(&mut request).await.expect("a request"), 0);
    }
}
