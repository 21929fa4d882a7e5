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
    let connector = Connector::new(loopback(), Arc::new(move |_| boxed(Ok(here.clone()))), tls, connect_timeout);
    Client::connecting(connector, loopback(), "Unificus/1").expect("a client")
}

#[tokio::test]
async fn a_trusted_certificate_for_the_name_delivers() {
    let identity = identity("receiver.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let port = tls_peer(identity, Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!((attempt.outcome, attempt.status), (Outcome::Delivered, Some(204)), "{:?}", attempt.error);
}

#[tokio::test]
async fn an_untrusted_certificate_is_a_failure_of_tls() {
    let client = client_trusting(&[], LONG);
    let port = tls_peer(identity("receiver.test"), Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, Outcome::Failed(Reason::Tls));
    let error = attempt.error.expect("an error");
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_failure_of_tls() {
    let identity = identity("another.test");
    let client = client_trusting(std::slice::from_ref(&identity.0), LONG);
    let port = tls_peer(identity, Arc::new(NoClientAuth)).await;
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, Outcome::Failed(Reason::Tls));
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
    assert_eq!(attempt.outcome, Outcome::Failed(Reason::Tls), "{:?}", attempt.error);
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_a_failure_of_tls() {
    let client = client_trusting(&[], LONG);
    for bytes in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), b""] {
        let url = peer_that_says(bytes).await.replace("http://", "https://");
        let attempt = send(&client, &url, LONG).await;
        assert_eq!(attempt.outcome, Outcome::Failed(Reason::Tls), "{:?}", attempt.error);
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_runs_into_the_connect_timeout() {
    let client = client_trusting(&[], DEADLINE);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let attempt = send(&client, &format!("https://receiver.test:{port}/hook"), LONG).await;
    assert_eq!(attempt.outcome, Outcome::Failed(Reason::Timeout));
    assert_eq!(attempt.error.as_deref(), Some("no connection within 300ms"));
    assert!((DEADLINE..LONG / 10).contains(&attempt.elapsed), "{:?}", attempt.elapsed);
}
