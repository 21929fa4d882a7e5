//! Recording and alert rules.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;

use super::{program, repository, values};
use crate::support::{Client, LONG, Receiver, Service, until};

const ALERTS: &str = include_str!("../../../deploy/prometheus/rules/alerts.yml");
const CASES: &str = include_str!("../../../deploy/prometheus/tests/alerts.yml");
const RUNBOOKS: &str = include_str!("../../../docs/runbooks.md");

#[track_caller]
fn succeeded(output: &Output) {
    let text = [&*output.stdout, &*output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// Runs promtool in the directory of its configuration.
async fn promtool(arguments: &[&str]) -> Output {
    let mut promtool = program("promtool");
    let output = promtool.args(arguments).current_dir(repository("deploy/prometheus")).output();
    tokio::time::timeout(LONG, output).await.expect("promtool does not end").expect("run deploy/setup.sh tests")
}

#[tokio::test]
async fn prometheus_accepts_the_configuration_and_the_rules() {
    succeeded(&promtool(&["check", "config", "prometheus.yml"]).await);
    succeeded(&promtool(&["check", "rules", "rules/recording.yml", "rules/alerts.yml"]).await);
}

#[tokio::test]
async fn each_alert_fires_and_is_quiet_as_its_cases_say() {
    succeeded(&promtool(&["test", "rules", "tests/alerts.yml"]).await);
}

#[test]
fn each_alert_has_a_severity_a_summary_a_runbook_and_both_cases() {
    let alerts = values(ALERTS, "- alert: ");
    assert!(alerts.len() >= 20, "{alerts:?}");
    let headings: BTreeSet<&str> = values(RUNBOOKS, "## ").into_iter().collect();
    let cases: BTreeSet<&str> = values(CASES, "- name: ").into_iter().collect();
    for alert in &alerts {
        assert!(headings.contains(alert), "docs/runbooks.md has no section {alert}");
        for case in ["fires", "is quiet"] {
            assert!(cases.contains(&*format!("{alert} {case}")), "tests/alerts.yml has no case {alert:?} {case}");
        }
        let rule = ALERTS.split("- alert: ").find(|rule| rule.lines().next() == Some(alert)).unwrap();
        let link = format!("runbook_url: docs/runbooks.md#{}\n", alert.to_lowercase());
        assert!(rule.contains(&link), "{alert} does not link its section");
        let severities = ["critical", "warning", "info"].map(|severity| format!("labels: {{severity: {severity}}}\n"));
        assert!(severities.iter().any(|severity| rule.contains(severity)), "{alert} has no severity");
        assert!(rule.contains(" summary: "), "{alert} has no summary");
        let section = RUNBOOKS.split("\n## ").find(|section| section.lines().next() == Some(alert)).unwrap();
        for part in ["**Meaning.**", "**Look at.**", "**Do.**"] {
            assert!(section.contains(part), "the runbook of {alert} has no {part}");
        }
    }
    let named: BTreeSet<&str> = alerts.iter().copied().collect();
    let unknown: Vec<&&str> = headings.iter().filter(|heading| !named.contains(*heading)).collect();
    assert!(unknown.is_empty(), "docs/runbooks.md has sections of no alert: {unknown:?}");
}

#[tokio::test]
async fn promtool_finds_no_fault_in_the_metrics_of_a_service_that_works() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    let endpoint = serde_json::json!({"url": receiver.url(), "from": "start"});
    api.post("/push/endpoints", endpoint).await.expect(201);
    api.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), api.account, "");
    let mut metrics = String::new();
    until("the gauges of all accounts", async || {
        metrics = ops.get("/metrics").await.text;
        ["unificus_quota_accounts{", "unificus_push_endpoints{"].iter().all(|metric| metrics.contains(metric))
    })
    .await;

    let mut promtool = program("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("run deploy/setup.sh tests");
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(LONG, promtool.wait_with_output()).await.expect("promtool does not end").unwrap();
    succeeded(&output);
    let problems = String::from_utf8_lossy(&output.stderr);
    assert!(problems.is_empty(), "{problems}");
}
