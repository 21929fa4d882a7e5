use super::*;

#[tokio::test]
async fn the_request_is_what_was_signed_and_the_endpoints_own_headers() {
    let receiver = Receiver::start().await;
    let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let own = [
        header("x-tenant", "7"),
        header("x-tenant", "8"),
        header("traceparent", "00-1-2-01"),
        header("authorization", "Bearer b"),
        header("webhook-id", "forged"),
        header("webhook-extra", "forged"),
        header("host", "forged"),
        header("content-length", "3"),
        header("transfer-encoding", "chunked"),
        header("connection", "close"),
        header("user-agent", "forged"),
        header("content-type", "text/plain"),
    ];
    let attempt = send_with(&client(), &receiver.url(), LONG, &own).await;
    assert_eq!((attempt.outcome, attempt.status, attempt.error), (AttemptOutcome::Delivered, Some(200), None));

    let arrived = receiver.wait_for(1, LONG).await;
    let [request] = arrived.as_slice() else { panic!("one request, not {}", arrived.len()) };
    let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
    let mut headers = headers.collect::<Vec<_>>();
    headers.sort_unstable();
    let host = receiver.addr().to_string();
    let expected = [
        ("authorization", "Bearer b"),
        ("content-length", "21"),
        ("content-type", "application/cloudevents+json"),
        ("host", &host),
        ("traceparent", "00-1-2-01"),
        ("user-agent", "Unificus/1"),
        ("webhook-id", "0190163d-8694-739b-aea5-966c26f8ad91"),
        ("webhook-signature", "v1,c2lnbmF0dXJl"),
        ("webhook-timestamp", "1614265330"),
        ("x-tenant", "7"),
        ("x-tenant", "8"),
    ];
    assert_eq!(headers, expected);
    assert_eq!(request.body, "{\"specversion\":\"1.0\"}");
    assert_eq!(request.status, Some(200));
    assert_eq!(receiver.counts().get("0190163d-8694-739b-aea5-966c26f8ad91"), Some(&1));
}

#[tokio::test]
async fn the_status_is_the_outcome() {
    let receiver = Receiver::start().await;
    let client = client();
    for (status, outcome) in [
        (200, AttemptOutcome::Delivered),
        (204, AttemptOutcome::Delivered),
        (302, AttemptOutcome::Failed(Reason::Status)),
        (410, AttemptOutcome::Gone),
        (429, AttemptOutcome::Throttled { after: None }),
        (500, AttemptOutcome::Failed(Reason::Status)),
        (503, AttemptOutcome::Throttled { after: None }),
    ] {
        receiver.respond_with(status);
        let attempt = send(&client, &receiver.url(), LONG).await;
        assert_eq!((attempt.outcome, attempt.status, attempt.error), (outcome, Some(status), None));
    }
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    let receiver = Receiver::start().await;
    for (value, seconds) in [("120", 120), ("Sun, 06 Nov 1994 08:50:00 GMT", 23), ("86400", 36_000)] {
        let after = Some(Duration::from_secs(seconds));
        receiver.respond_with_headers(429, &[("retry-after", value)]);
        let attempt = send(&client(), &receiver.url(), LONG).await;
        assert_eq!((attempt.outcome, attempt.retry_after), (AttemptOutcome::Throttled { after }, after), "{value}");
    }
    receiver.respond_with_headers(500, &[("retry-after", "120")]);
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::Status));
    assert_eq!(attempt.retry_after, Some(Duration::from_mins(2)));
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_not_followed() {
    let (receiver, elsewhere) = (Receiver::start().await, Receiver::start().await);
    receiver.redirect(&elsewhere.url());
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Failed(Reason::Status), Some(302)));
    assert_eq!(elsewhere.connections().accepted, 0);
}

#[tokio::test]
async fn four_kib_of_the_body_are_kept() {
    let receiver = Receiver::start().await;
    let mut body = vec![b'a'; KEEP_LIMIT];
    body.extend([b'b'; 6000]);
    receiver.respond_with_body(500, body);
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!((attempt.body, attempt.bytes_read), (Bytes::from(vec![b'a'; 4096]), 10_096));
    receiver.respond_with_body(500, "no");
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!((attempt.body, attempt.bytes_read), (Bytes::from("no"), 2));
    assert_eq!(receiver.connections().accepted, 2, "each client has one connection of its own");
}

#[tokio::test]
async fn a_receiver_that_floods_is_read_for_64_kib_and_cut_off() {
    let receiver = Receiver::start().await;
    receiver.flood();
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!((attempt.outcome, attempt.status, attempt.error), (AttemptOutcome::Delivered, Some(200), None));
    assert_eq!((attempt.body.len(), attempt.bytes_read), (4096, 65_536));
    assert!(attempt.elapsed < LONG);
    receiver.wait_for_open(0, LONG).await;
}

#[tokio::test]
async fn a_receiver_that_drips_is_cut_off_at_the_deadline() {
    let receiver = Receiver::start().await;
    receiver.drip();
    let attempt = send(&client(), &receiver.url(), DEADLINE).await;
    assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Failed(Reason::Timeout), Some(200)));
    assert_eq!((attempt.body, attempt.bytes_read), (Bytes::from("."), 1));
    assert_eq!(attempt.error.as_deref(), Some("no whole answer within 300ms"));
    assert!((DEADLINE..LONG / 10).contains(&attempt.elapsed), "{:?}", attempt.elapsed);
    receiver.wait_for_open(0, LONG).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_is_cut_off_at_the_deadline() {
    let receiver = Receiver::start().await;
    receiver.hang();
    let attempt = send(&client(), &receiver.url(), DEADLINE).await;
    assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Failed(Reason::Timeout), None));
    assert!((DEADLINE..LONG / 10).contains(&attempt.elapsed), "{:?}", attempt.elapsed);
    assert_eq!(receiver.received().len(), 1);
    receiver.wait_for_open(0, LONG).await;
}

#[tokio::test]
async fn a_receiver_that_resets_has_failed() {
    let receiver = Receiver::start().await;
    receiver.reset();
    let attempt = send(&client(), &receiver.url(), LONG).await;
    assert_eq!((attempt.outcome, attempt.status), (AttemptOutcome::Failed(Reason::Reset), None));
    let error = attempt.error.expect("an error");
    assert!(error.contains("reset"), "{error}");
}

#[tokio::test]
async fn what_is_not_a_whole_answer_is_no_success() {
    let endless_head = [b"HTTP/1.1 200 OK\r\nx: ".as_slice(), &vec![b'y'; 32 * 1024]].concat();
    for (bytes, outcome, status) in [
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), AttemptOutcome::Failed(Reason::BadResponse), None),
        (b"HTTP/1.1 2000 OK\r\n\r\n".to_vec(), AttemptOutcome::Failed(Reason::BadResponse), None),
        (endless_head, AttemptOutcome::Failed(Reason::BadResponse), None),
        (b"".to_vec(), AttemptOutcome::Failed(Reason::Reset), None),
        (b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), AttemptOutcome::Failed(Reason::Reset), None),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".to_vec(),
            AttemptOutcome::Failed(Reason::Reset),
            Some(200),
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            AttemptOutcome::Failed(Reason::BadResponse),
            Some(200),
        ),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 9\r\n\r\nhalf".to_vec(), AttemptOutcome::Gone, Some(410)),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the close".to_vec(), AttemptOutcome::Delivered, Some(200)),
    ] {
        let beginning = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        let attempt = send(&client(), &peer_that_says(bytes).await, LONG).await;
        assert_eq!((attempt.outcome, attempt.status), (outcome, status), "{beginning}: {:?}", attempt.error);
        assert_eq!(attempt.error.is_none(), attempt.outcome == AttemptOutcome::Delivered, "{beginning}");
    }
}

#[tokio::test]
async fn a_header_that_cannot_be_sent_is_a_failure_and_nothing_is_sent() {
    let receiver = Receiver::start().await;
    let url = EndpointUrl::parse(&receiver.url()).expect("a URL");
    let delivery = DeliveryRequest {
        user_agent: None,
        url: &url,
        headers: &[],
        webhook_id: "1\r\nx-injected: 1",
        timestamp: 0,
        signature: "",
        content_type: "text/plain",
        body: Bytes::new(),
        timeout: LONG,
        now: datetime!(1994-11-06 08:49:37 UTC),
    };
    let attempt = client().send(delivery).await;
    assert_eq!(attempt.outcome, AttemptOutcome::Failed(Reason::BadRequest));
    assert_eq!(receiver.connections().accepted, 0);
}
