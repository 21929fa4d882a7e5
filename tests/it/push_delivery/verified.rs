//! Deliveries in the hands of the libraries that receivers use: Standard Webhooks and CloudEvents, in Python.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;
use unificus::config::program_path;

use super::endpoint;
use crate::support::receiver::Received;
use crate::support::servers::directory;
use crate::support::{LONG, Receiver, Service};

/// A delivery in the format of `tests/verify_webhooks.py`.
pub(super) fn line(received: &Received, secret: &Value) -> Value {
    let headers: serde_json::Map<String, Value> =
        received.headers.iter().map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap()))).collect();
    json!({"secret": secret, "headers": headers, "body": String::from_utf8(received.body.to_vec()).unwrap()})
}

pub(super) async fn verify(name: &str, deliveries: &[Value]) -> Output {
    let (_, data_home) = program_path();
    let python = data_home.join("unificus/python/bin/python");
    assert!(python.exists(), "Python's environment is missing: run deploy/setup.sh tests");
    let file = directory(name);
    let lines: Vec<String> = deliveries.iter().map(Value::to_string).collect();
    std::fs::write(
        &file,
        lines.join(
            "
",
        ),
    )
    .unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_webhooks.py");
    let output = Command::new(python).arg(script).arg(&file).kill_on_drop(true).output().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    output
}

/// The error that the script reports.
#[track_caller]
fn failure_text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn deliveries_are_verified_and_read_by_the_libraries_of_standard_webhooks_and_cloudevents() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({})).await;
    let name =
        json!({"role": "Lead", "first_name": "Zoë 👩‍💻", "last_name": "</script>\u{2028}", "email": "zoe@example.org"});
    let zoe = service.client.post("/contact", name).await.uid();
    service.client.put(&format!("/contact/{zoe}"), json!({"title": "\"Dr\" \\"})).await.expect(200);
    service.client.post("/company", json!({"name": "Äcme"})).await.expect(201);
    let received = receiver.wait_for(3, LONG).await;
    let deliveries: Vec<Value> = received.iter().map(|one| line(one, &made["secret"])).collect();

    let verified = verify("webhooks", &deliveries).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let printed: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(printed, json!({"deliveries": 3, "events": 3}));

    let mut forged = deliveries[0].clone();
    forged["body"] = json!(forged["body"].as_str().unwrap().replace("zoe@", "eve@"));
    assert!(failure_text(&verify("forged", &[forged]).await).contains("No matching signature"));
    let mut replayed = deliveries[0].clone();
    replayed["headers"]["webhook-id"] = deliveries[1]["headers"]["webhook-id"].clone();
    assert!(failure_text(&verify("replayed", &[replayed]).await).contains("No matching signature"));
}
