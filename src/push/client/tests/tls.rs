use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::TlsAcceptor;

use super::*;

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A certificate for this name alone, and its key.
fn identity(name: &str) -> Identity {
    let made = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let key = made.signing_key.serialize_der().try_into().expect("a key");
    (made.cert.der().clone(), key)
}

fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn trust(certs: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for cert in certs {
        roots.add(cert.clone()).expect("a root");
    }
    roots
}

/// How an HTTP/2 peer answers.
#[derive(Clone, Copy)]
enum Answers {
    Empty,
    Flood,
    Never,
}

/// Requests that an HTTP/2 peer has received.
#[derive(Default)]
struct Seen {
    connections: usize,
    requests: Vec<(hyper::Version, Option<HeaderValue>)>,
}

/// Starts a TLS peer that offers HTTP/2 alone and responds as the test says. Returns its port and the requests.
async fn http2_peer((cert, key): Identity, answers: Arc<Mutex<Answers>>) -> (u16, Arc<Mutex<Seen>>) {
    let versions = ServerConfig::builder_with_provider(ring()).with_safe_default_protocol_versions();
    let config = versions.expect("versions").with_no_client_auth().with_single_cert(vec![cert], key);
    let mut config = config.expect("an identity");
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let seen = Arc::<Mutex<Seen>>::default();
    let sees = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            sees.lock().expect("seen").connections += 1;
            let (sees, answers) = (Arc::clone(&sees), Arc::clone(&answers));
            let service = service_fn(move |request: Request<Incoming>| {
                let id = request.headers().get(WEBHOOK_ID).cloned();
                sees.lock().expect("seen").requests.push((request.version(), id));
                let answer = *answers.lock().expect("answers");
                async move { say(answer).await }
            });
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    (port, seen)
}

async fn say(answer: Answers) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    static WATER: [u8; 16 * 1024] = [b'~'; 16 * 1024];
    let waves = || futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&WATER))));
    Ok(Response::new(match answer {
        Answers::Empty => Full::default().boxed(),
        Answers::Flood => StreamBody::new(waves()).boxed(),
        Answers::Never => std::future::pending().await,
    }))
}

/// A TLS peer with this identity that answers 204 to whom it accepts. Gives its port.
async fn tls_peer((cert, key): Identity, clients: Arc<dyn ClientCertVerifier>) -> u16 {
    let versions = ServerConfig::builder_with_provider(ring()).with_safe_default_protocol_versions();
    let config = versions.expect("versions").with_client_cert_verifier(clients).with_single_cert(vec![cert], key);
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("an identity")));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            take_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("a reader");
        }
    });
    port
}

/// A client that trusts these certificates and for which every name is 127.0.0.1.
fn client_trusting(certs: &[CertificateDer<'static>], connect_timeout: Duration) -> Client {
    let tls = tls_builder().expect("TLS").with_root_certificates(trust(certs)).with_no_client_auth();
    let here = vec!["127.0.0.1:0".parse().expect("an address")];
    let connector = Connector::new(loopback(), Arc::new(move |_| Ok(here.clone())), tls, connect_timeout);
    Client::connecting(connector, loopback(), "Unificus/1", NO_ADDRESS_AFTER).expect("a client")
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_delivers() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let port = tls_peer(identity, Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Delivered, Some(204)), "{:?}", attempt.error);
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_many_deliveries_share_a_connection() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let (port, seen) = http2_peer(identity, Arc::new(Mutex::new(Answers::Empty))).await;
    let url = format!("https://receiver.test:{port}/hook");
    send(&client, &url, LONG).await;
    for attempt in futures_util::future::join_all((0..8).map(|_| send(&client, &url, LONG))).await {
        assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Delivered, Some(200)), "{:?}", attempt.error);
    }
    let seen = seen.lock().expect("seen");
    assert_eq!((seen.connections, seen.requests.len()), (1, 9));
    assert!(seen.requests.iter().all(|(version, id)| *version == hyper::Version::HTTP_2 && id.is_some()));
}

/// An attempt on a connection that has ended says so late: another attempt has shared a new connection by then.
#[tokio::test]
async fn a_discarded_connection_of_http_2_leaves_a_newer_one_shared() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let (port, seen) = http2_peer(identity, Arc::new(Mutex::new(Answers::Empty))).await;
    let text = format!("https://receiver.test:{port}/hook");
    let url = EndpointUrl::parse(&text).expect("a URL");
    let open = async || client.connect(&url).await.unwrap_or_else(|failure| panic!("{}", failure.error));
    let first = open().await;
    let also_first = client.pool.take(url.origin()).expect("a share");
    client.pool.discard(url.origin(), also_first);
    assert!(client.pool.take(url.origin()).is_none(), "it is not shared any longer");
    let second = open().await;
    client.pool.discard(url.origin(), first);
    assert!(client.pool.take(url.origin()).is_some(), "the second one is");
    drop(second);
    assert_eq!(send(&client, &text, LONG).await.outcome, AttemptOutcome::Delivered);
    assert_eq!(seen.lock().expect("seen").connections, 2);
}

#[tokio::test]
async fn an_old_connection_of_http_2_is_not_shared() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG).with_connections(Duration::ZERO, 1_024);
    let (port, seen) = http2_peer(identity, Arc::new(Mutex::new(Answers::Empty))).await;
    for _ in 0..3 {
        let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
        assert_eq!(attempt.outcome, AttemptOutcome::Delivered);
    }
    assert_eq!(seen.lock().expect("seen").connections, 3);
}

#[tokio::test]
async fn a_connection_of_http_2_counts_and_is_closed_when_no_attempt_uses_it() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG).with_connections(LONG, 1);
    let (port, _) = http2_peer(identity, Arc::new(Mutex::new(Answers::Empty))).await;
    let text = format!("https://receiver.test:{port}/hook");
    let url = EndpointUrl::parse(&text).expect("a URL");
    let other = Receiver::start().await;
    assert_eq!(send(&client, &text, LONG).await.outcome, AttemptOutcome::Delivered);
    let used = client.pool.take(url.origin());
    send(&client, &other.url(), LONG).await;
    // The other connection was the only one that no attempt used.
    other.wait_for_open(0, LONG).await;
    assert!(used.is_some() && client.pool.take(url.origin()).is_some());
    drop(used);
    send(&client, &other.url(), LONG).await;
    assert_eq!(other.connections().open, 1);
    assert!(client.pool.take(url.origin()).is_none());
}

#[tokio::test]
async fn over_http_2_too_a_flood_is_read_for_64_kib_and_silence_ends_at_the_deadline() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let answers = Arc::new(Mutex::new(Answers::Flood));
    let (port, seen) = http2_peer(identity, Arc::clone(&answers)).await;
    let url = format!("https://receiver.test:{port}/hook");
    // More of them than the connection's window holds: each gives back what it took.
    for _ in 0..20 {
        let flooded = send(&client, &url, LONG).await;
        assert_eq!(
            (flooded.outcome, flooded.bytes_read),
            (AttemptOutcome::Delivered, attempt::READ_LIMIT),
            "{:?}",
            flooded.error
        );
    }

    *answers.lock().expect("answers") = Answers::Never;
    let silent = send(&client, &url, DEADLINE).await;
    assert_eq!(silent.outcome, AttemptOutcome::Failed(Reason::Timeout));

    *answers.lock().expect("answers") = Answers::Empty;
    assert_eq!(send(&client, &url, LONG).await.outcome, AttemptOutcome::Delivered);
    assert_eq!(seen.lock().expect("seen").connections, 1, "none of them cost the others their connection");
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_failure_of_tls() {
    let client = client_trusting(&[], LONG);
    let port = tls_peer(identity("receiver.test"), Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Tls));
    let error = attempt.error.expect("an error");
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_failure_of_tls() {
    let identity = identity("another.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let port = tls_peer(identity, Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Tls));
    let error = attempt.error.expect("an error");
    assert!(error.contains("not valid for name"), "{error}");
}

/// In TLS 1.3 the handshake is over for the client when the server says so: the alert comes in place of an answer.
#[tokio::test]
async fn a_peer_that_wants_a_client_certificate_is_a_failure_of_tls() {
    let identity = identity("receiver.test");
    let trusted = std::slice::from_ref(&identity.0);
    let client = client_trusting(trusted, LONG);
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(trust(trusted)), ring()).build();
    let port = tls_peer(identity, clients.expect("a verifier")).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Tls), "{:?}", attempt.error);
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_failure_of_tls() {
    let client = client_trusting(&[], LONG);
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b""] {
        let url = peer_that_says(bytes).await.replace("http://", "https://");
        let attempt = send(&client, &url, LONG).await;
        assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Tls), "{:?}", attempt.error);
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_timeout() {
    let client = client_trusting(&[], DEADLINE);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Timeout));
    assert_eq!(attempt.error.as_deref(), Some("no connection within 300ms"));
    assert!((DEADLINE..LONG / 10).contains(&attempt.elapsed), "{:?}", attempt.elapsed);
}
