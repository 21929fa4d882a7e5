//! Metrics and health, as operators see them.

use serde_json::json;
use unificus::clock::Clock;

use crate::support::{LONG, Receiver, Service, stream, until};

async fn text(service: &Service, path: &str) -> (u16, String) {
    let client = service.client.clone();
    let ops = crate::support::Client::new(&format!("http://{}", service.app.metrics_address()), client.account, "");
    let response = ops.get(path).await;
    (response.status, response.text)
}

fn value(metrics: &str, series: &str) -> f64 {
    find(metrics, series).unwrap_or_else(|| panic!("no {series} in\n{metrics}"))
}

/// The value of a series; `None` before its first sample.
fn find(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

/// Appears with the first sweep over the accounts, some time after the start.
const ACCOUNTS: &str = r#"unificus_quota_accounts{band="0-50",tier="pinnacle"}"#;

#[tokio::test]
async fn every_stage_of_one_write_is_measured() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    api.post("/push/endpoints", json!({"url": receiver.url()})).await.expect(201);
    api.contact("ann@example.org").await.expect(201);
    api.contact("ann@example.org").await.expect(422);
    receiver.wait_for(1, LONG).await;
    stream::ids(&service.env, api.account, 1).await;
    // The counters of the last steps may lag behind for a moment.
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(5));
    let metrics = tokio::time::timeout(LONG, async {
        loop {
            let (_, metrics) = text(&service, "/metrics").await;
            let seen = |series: &str| metrics.lines().any(|line| line == format!("{series} 1"));
            let swept = find(&metrics, ACCOUNTS).is_some();
            if swept && seen("unificus_relay_published_total") && seen("unificus_write_to_webhook_seconds_count") {
                return metrics;
            }
            pause.tick().await;
        }
    });
    let metrics = metrics.await.expect("the write is not seen");

    let created = r#"unificus_http_requests_total{method="POST",route="/secure-api/contact",status="201"}"#;
    for (series, expected) in [
        (created, 1.0),
        (r#"unificus_events_appended_total{type="contact.created"}"#, 1.0),
        (r#"unificus_commands_total{entity="contact",outcome="refused"}"#, 1.0),
        ("unificus_write_to_nats_seconds_count", 1.0),
        (r#"unificus_push_attempts_total{outcome="delivered"}"#, 1.0),
        (r#"unificus_quota_calls_total{outcome="counted",tier="pinnacle"}"#, 3.0),
        ("unificus_nats_connected", 1.0),
        ("unificus_jetstream_up", 1.0),
        ("unificus_replicas", 1.0),
        ("unificus_shards_owned", 64.0),
        ("unificus_batch_commands_count", 2.0),
    ] {
        assert!((value(&metrics, series) - expected).abs() < f64::EPSILON, "{series} in\n{metrics}");
    }
    for series in [
        r#"unificus_pool_wait_seconds_count{pool="lanes"}"#,
        r#"unificus_transaction_seconds_count{name="batch.commit"}"#,
        "unificus_command_seconds_count",
        r#"unificus_lane_depth{lane="0"}"#,
        r#"unificus_lane_oldest_command_seconds{lane="0"}"#,
        r#"unificus_push_endpoints{state="delivering"}"#,
        "unificus_push_parked_events",
        "unificus_clock_ahead_seconds",
        "unificus_relay_lag_events",
        "unificus_relay_lag_seconds",
        "unificus_push_lag_events",
        ACCOUNTS,
        "process_resident_memory_bytes",
    ] {
        value(&metrics, series);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_metric_names_an_account_unless_that_is_switched_on() {
    let silent = Service::start().await;
    let showing = Service::configured(|config| config.metrics.top_accounts = true).await;
    for (service, shown) in [(&silent, false), (&showing, true)] {
        let api = &service.client;
        for email in ["ann@example.org", "bob@example.org"] {
            api.contact(email).await.expect(201);
        }
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(50));
        let metrics = tokio::time::timeout(LONG, async {
            loop {
                let (_, metrics) = text(service, "/metrics").await;
                // The sweep over the accounts has processed this one.
                let seen = find(&metrics, ACCOUNTS).is_some_and(|accounts| accounts >= 1.0);
                if seen && metrics.contains(&api.account.to_string()) == shown {
                    return metrics;
                }
                assert!(!seen || shown, "an account is named in\n{metrics}");
                pause.tick().await;
            }
        });
        let metrics = metrics.await.expect("the accounts are not swept");
        let named: Vec<&str> = metrics.lines().filter(|line| line.contains(&api.account.to_string())).collect();
        assert!(named.iter().all(|line| line.starts_with("unificus_quota_")), "{named:?}");
        assert_eq!(named.is_empty(), !shown);
        assert!(!metrics.contains("ann@example.org") && !metrics.contains(&*api.secret));
    }
}

#[tokio::test]
async fn every_metric_has_a_help_text() {
    let service = Service::start().await;
    service.client.get("/contacts").await.expect(200);
    let (_, metrics) = text(&service, "/metrics").await;

    let helps = metrics.lines().filter_map(|line| line.strip_prefix("# HELP unificus_"));
    let texts: Vec<&str> = helps.map(|help| help.split_once(' ').unwrap().1).collect();
    assert!(texts.len() > 10);
    assert!(texts.iter().all(|text| text.ends_with('.')), "{texts:?}");
}

#[tokio::test]
async fn health_reports_whether_requests_can_be_executed() {
    let service = Service::start().await;
    assert_eq!(text(&service, "/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(text(&service, "/readyz").await.0, 200);

    let lifecycle = service.app.lifecycle();
    lifecycle.spawn("broken", async { unreachable!("a bug") });
    lifecycle.failed.cancelled().await;
    let (status, body) = text(&service, "/readyz").await;
    assert!(status == 503 && body.contains("A background task has failed."), "{status} {body}");
    assert_eq!(text(&service, "/livez").await.0, 200);
}

/// The gauges of lanes are read from the lanes, because a writer that waits for PostgreSQL sets nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_waits_for_its_account_ages_in_its_lane() {
    let service = Service::configured(|config| config.commands.lanes = 1).await;
    let oldest = r#"unificus_lane_oldest_command_seconds{lane="0"}"#;
    until("an idle lane has no old command", async || {
        let (_, metrics) = text(&service, "/metrics").await;
        find(&metrics, oldest).is_some_and(|age| age.abs() < f64::EPSILON)
    })
    .await;
    let sql = service.env.sql().await;
    // The first command goes back into its queue, and the second one stays in its batch, which is repeated.
    for (email, lock) in [
        ("ann@example.org", format!("select from head where account_id = '{}' for update", service.client.account)),
        ("bob@example.org", "lock table contact in access exclusive mode".to_owned()),
    ] {
        sql.batch_execute("begin").await.unwrap();
        sql.batch_execute(&lock).await.unwrap();
        let client = service.client.clone();
        let write = tokio::spawn(async move { client.contact(email).await });
        until("the command ages", async || service.gauge(oldest).await > 0.5).await;
        assert!(!write.is_finished(), "{email}");
        sql.batch_execute("rollback").await.unwrap();
        write.await.unwrap().expect(201);
        until("the lane is idle again", async || service.gauge(oldest).await.abs() < f64::EPSILON).await;
    }
    assert!(service.gauge(r#"unificus_lane_commands_total{lane="0"}"#).await >= 2.0);
}

#[tokio::test]
async fn a_wrong_clock_is_shown_for_as_long_as_it_is_wrong() {
    let service = Service::timed(Clock::system_that_is_wrong_by(time::Duration::hours(1)), |_| {}).await;
    // The service's own clock was set to the database's at the start, and stays there.
    until("the lease was renewed", async || service.gauge("unificus_replicas").await >= 1.0).await;
    let ahead = service.gauge("unificus_clock_ahead_seconds").await;
    assert!((ahead - 3_600.0).abs() < 60.0, "{ahead}");
}
