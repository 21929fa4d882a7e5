use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use super::*;

fn url_by_name(receiver: &Receiver) -> String {
    format!("http://receiver.test:{}/hook", receiver.addr().port())
}

fn permitting_nothing() -> Arc<AddressPolicy> {
    Arc::new(AddressPolicy { allow_http: true, allow: Vec::new() })
}

#[tokio::test]
async fn connections_are_used_again() {
    let receiver = Receiver::start().await;
    let client = client();
    for _ in 0..3 {
        send(&client, &receiver.url(), LONG).await;
    }
    assert_eq!(receiver.received().len(), 3);
    assert_eq!(receiver.connections(), receiver::Connections { accepted: 1, open: 1 });
}

/// More than the window of one endpoint: several endpoints of one receiver share its connections.
#[tokio::test]
async fn a_receiver_gets_no_more_connections_than_there_were_attempts_at_once() {
    let receiver = Receiver::start().await;
    let client = client();
    let url = receiver.url();
    for _ in 0..4 {
        let attempts = futures_util::future::join_all((0..300).map(|_| send(&client, &url, LONG))).await;
        assert!(attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Delivered));
    }
    assert_eq!(receiver.received().len(), 1_200);
    assert_eq!(receiver.connections(), receiver::Connections { accepted: 300, open: 300 });
}

#[tokio::test]
async fn a_body_that_was_read_whole_leaves_the_connection_for_the_next_attempt() {
    let receiver = Receiver::start().await;
    let client = client();
    for length in [0, 1, 5_000, attempt::READ_LIMIT - 1] {
        receiver.respond_with_body(200, vec![b'a'; length]);
        let attempt = send(&client, &receiver.url(), LONG).await;
        assert_eq!((attempt.outcome, attempt.bytes_read), (AttemptOutcome::Delivered, length));
    }
    assert_eq!(receiver.connections(), receiver::Connections { accepted: 1, open: 1 });
}

#[tokio::test]
async fn connections_that_are_idle_for_long_are_closed() {
    let receiver = Receiver::start().await;
    let client = client();
    send(&client, &receiver.url(), LONG).await;
    client.pool.close_idle(LONG);
    assert_eq!(receiver.connections(), receiver::Connections { accepted: 1, open: 1 });
    client.pool.close_idle(Duration::ZERO);
    receiver.wait_for_open(0, LONG).await;
    assert_eq!(send(&client, &receiver.url(), LONG).await.outcome, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn an_old_connection_is_not_kept() {
    let receiver = Receiver::start().await;
    let client = client().with_connections(Duration::ZERO, 1_024);
    for _ in 0..3 {
        assert_eq!(send(&client, &receiver.url(), LONG).await.outcome, AttemptOutcome::Delivered);
    }
    receiver.wait_for_open(0, LONG).await;
    assert_eq!(receiver.connections().accepted, 3);
}

#[tokio::test]
async fn beyond_the_limit_of_all_hosts_the_connection_that_is_idle_the_longest_is_closed() {
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let client = client().with_connections(LONG, 2);
    for receiver in &receivers {
        send(&client, &receiver.url(), LONG).await;
    }
    receivers[0].wait_for_open(0, LONG).await;
    for receiver in &receivers[1..] {
        send(&client, &receiver.url(), LONG).await;
        assert_eq!(receiver.connections(), receiver::Connections { accepted: 1, open: 1 });
    }
    // One receiver with more attempts at once than are kept.
    let url = receivers[0].url();
    let attempts = futures_util::future::join_all((0..50).map(|_| send(&client, &url, LONG))).await;
    assert!(attempts.iter().all(|attempt| attempt.outcome == AttemptOutcome::Delivered));
    receivers[0].wait_for_open(2, LONG).await;
    for receiver in &receivers[1..] {
        receiver.wait_for_open(0, LONG).await;
    }
}

/// A receiver that says nothing of it closes the connection after its answer.
#[tokio::test]
async fn a_connection_that_the_receiver_closed_costs_no_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let client = client();
    for _ in 0..3 {
        let answer = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            take_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a reader");
        };
        let (attempt, ()) = tokio::join!(send(&client, &url, LONG), answer);
        assert_eq!(attempt.outcome, AttemptOutcome::Delivered, "{:?}", attempt.error);
    }
}

#[tokio::test]
async fn giving_an_attempt_up_closes_its_connection() {
    let receiver = Receiver::start().await;
    receiver.hang();
    let client = client();
    let url = receiver.url();
    tokio::select! {
        attempt = send(&client, &url, LONG) => panic!("it hangs: {attempt:?}"),
        arrived = receiver.wait_for(1, LONG) => assert_eq!(arrived.len(), 1),
    }
    receiver.wait_for_open(0, LONG).await;
    receiver.recover();
    assert_eq!(send(&client, &url, LONG).await.outcome, AttemptOutcome::Delivered);
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let receiver = Receiver::start().await;
    let url = receiver.url();
    receiver.stop().await;
    let attempt = send(&client(), &url, LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Connect));
    let error = attempt.error.expect("an error");
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn a_name_without_address_is_a_failure_to_connect() {
    let unknown = || io::Error::other("failed to lookup address information: Name or service not known");
    let client = client_looking_up(Arc::new(move |_| Err(unknown())));
    let attempt = send(&client, "http://receiver.test/hook", LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Connect));
    assert_eq!(attempt.error.as_deref(), Some(NO_ADDRESS));
    let detail = attempt.no_address.expect("more for the operator");
    assert!(detail.contains("Name or service not known"), "{detail}");
    let empty = send(&client_resolving(Vec::new), "http://receiver.test/hook", LONG).await;
    assert_eq!(empty.outcome, AttemptOutcome::Failed(Reason::Connect));
}

/// An endpoint's owner could otherwise ask for one name after the other and learn which of them the operator's network has.
#[tokio::test]
async fn of_a_name_without_a_usable_address_nothing_tells_why() {
    let unknown = || io::Error::other("failed to lookup address information: Name or service not known");
    let clients = [
        client_looking_up(Arc::new(move |_| Err(unknown()))),
        client_resolving(Vec::new),
        client_resolving(|| vec!["10.0.0.1"]),
        client_resolving(|| vec!["127.0.0.1", "10.0.0.1"]),
    ];
    let mut shown = Vec::new();
    for client in &clients {
        let attempt = send(client, "http://internal.test/hook", LONG).await;
        assert!(attempt.elapsed >= NO_ADDRESS_AFTER, "it is not told before, whatever was found: {attempt:?}");
        shown.push((attempt.outcome.shown(), attempt.outcome.is_unreachable(), attempt.status, attempt.error));
    }
    shown.dedup();
    assert_eq!(shown, [("connect", true, None, Some(NO_ADDRESS.to_owned()))]);
    let quick = send(&clients[2], "http://internal.test/hook", NO_ADDRESS_AFTER / 2).await;
    assert_eq!(quick.error.as_deref(), Some(NO_ADDRESS), "an attempt's own timeout may be shorter");
}

#[tokio::test]
async fn the_deadline_covers_resolving() {
    let (silent, wait) = mpsc::sync_channel::<()>(1);
    let wait = Mutex::new(wait);
    let client = client_looking_up(Arc::new(move |_| {
        wait.lock().expect("a lock").recv().map_err(io::Error::other)?;
        Ok(Vec::new())
    }));
    let attempt = send(&client, "http://receiver.test/hook", DEADLINE).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Timeout));
    assert!((DEADLINE..LONG / 10).contains(&attempt.elapsed), "{:?}", attempt.elapsed);
    drop(silent);
}

#[tokio::test]
async fn a_forbidden_address_in_the_url_is_refused_at_each_attempt() {
    let receiver = Receiver::start().await;
    let client = client_under(permitting_nothing());
    let mapped = format!("http://[::ffff:127.0.0.1]:{}/", receiver.addr().port());
    let decimal = format!("http://2130706433:{}/", receiver.addr().port());
    for url in [receiver.url(), mapped, decimal] {
        let attempt = send(&client, &url, LONG).await;
        assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Refused), "{url}");
    }
    assert_eq!(receiver.connections().accepted, 0);
}

#[tokio::test]
async fn the_system_resolver_is_held_to_the_policy() {
    let receiver = Receiver::start().await;
    let client = client_under(permitting_nothing());
    let attempt = send(&client, &format!("http://localhost:{}/", receiver.addr().port()), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Refused));
    assert_eq!(attempt.error.as_deref(), Some(NO_ADDRESS));
    let detail = attempt.no_address.expect("more for the operator");
    assert!(detail.contains("loopback"), "{detail}");
    assert_eq!(receiver.connections().accepted, 0);
}

#[tokio::test]
async fn one_forbidden_address_among_permitted_ones_refuses_the_name() {
    let receiver = Receiver::start().await;
    for addrs in [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "::ffff:127.0.0.1"]] {
        let client = client_resolving(move || addrs.to_vec());
        let attempt = send(&client, &url_by_name(&receiver), LONG).await;
        assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Refused), "{addrs:?}");
    }
    assert_eq!(receiver.connections().accepted, 0);
}

/// DNS rebinding: the name was good when the endpoint was saved and at the first delivery; then it means
/// another of this machine's addresses.
#[tokio::test]
async fn a_name_that_changes_its_meaning_is_refused_on_the_address_used() {
    let receiver = Receiver::start().await;
    receiver.respond_with_headers(200, &[("connection", "close")]);
    let lookups = AtomicUsize::new(0);
    let client = client_resolving(move || match lookups.fetch_add(1, Ordering::Relaxed) {
        0 => vec!["127.0.0.1"],
        _ => vec!["127.0.0.2"],
    });
    let first = send(&client, &url_by_name(&receiver), LONG).await;
    assert_eq!(first.outcome, AttemptOutcome::Delivered);
    receiver.wait_for_open(0, LONG).await;
    let second = send(&client, &url_by_name(&receiver), LONG).await;
    assert_eq!(second.outcome, AttemptOutcome::Failed(Reason::Refused));
    assert_eq!(second.error.as_deref(), Some(NO_ADDRESS));
    let detail = "the name has no usable address: the host's address is refused: loopback (RFC 1122 §3.2.1.3)";
    assert_eq!(second.no_address.as_deref(), Some(detail));
    assert_eq!(receiver.connections().accepted, 1);
}
