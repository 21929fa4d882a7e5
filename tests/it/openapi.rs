//! The OpenAPI document read by third-party tools: a validator, and schemathesis, which sends requests that the
//! document allows and many that it does not.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;
use unificus::config::program_path;

use crate::support::client::lead;
use crate::support::document::Document;
use crate::support::servers::directory;
use crate::support::{Client, Service};

/// A program of tests/requirements.txt.
fn program(name: &str) -> Command {
    let (_, data_home) = program_path();
    let path = data_home.join("unificus/python/bin").join(name);
    assert!(path.exists(), "{name} is missing: run deploy/setup.sh tests");
    let mut command = Command::new(path);
    command.kill_on_drop(true);
    command
}

/// A temporary directory, removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = directory(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn the_document_is_valid_and_names_the_requested_host() {
    let service = Service::configured(|config| "Acme <CRM>".clone_into(&mut config.brand.name)).await;
    let document = Document::of(&service.client).await;
    assert_eq!(document.0["servers"], json!([{"url": &*service.client.base}]));
    assert_eq!(document.0["info"]["title"], "Acme <CRM> Secure API");
    let scratch = Scratch::new("valid");
    let file = scratch.0.join("openapi.json");
    std::fs::write(&file, document.0.to_string()).unwrap();

    let validated = program("openapi-spec-validator").arg(&file).output().await.unwrap();

    assert!(validated.status.success(), "{}", String::from_utf8_lossy(&validated.stdout));
}

#[tokio::test]
async fn an_accounts_keys_add_its_own_fields_to_the_document() {
    let service = Service::start().await;
    let size = json!({"entity": "contact", "type": "number", "name": "Shoe size"});
    let field = service.client.post("/fields", size).await.uid();
    let own = async |client: &Client| {
        let document = client.get("/swagger/json-file").await;
        assert_eq!(document.status, 200, "{}", document.text);
        let create = &document.json["components"]["schemas"]["ContactCreate"]["properties"]["custom_fields"];
        let reference = create["oneOf"][0]["$ref"].as_str().unwrap().trim_start_matches('#');
        document.json.pointer(reference).unwrap()["properties"][&field]["title"].clone()
    };
    assert_eq!(own(&service.client).await, "Shoe size");
    assert_eq!(own(&service.other_client().await).await, Value::Null);
    assert_eq!(own(&service.client.as_caller(service.client.account, "wrong")).await, Value::Null);
}

/// The checks of schemathesis on every response: no 5xx, and no undocumented status, content type, header or body. Many
/// of its requests are wrong on purpose, and the service accepts some of them, because clients need leniency and a
/// schema cannot express that a name is already taken.
const LENIENT: &str = "negative_data_rejection,positive_data_acceptance,missing_required_header";

/// Runs schemathesis with these keys. Returns the number of its cases, all of which passed.
async fn schemathesis(service: &Service, keys: [&str; 2], scratch: &Path, options: &[&str]) -> u64 {
    // With invalid keys the service would refuse to serve the document, as it refuses every request.
    let (document, report) = (scratch.join("document.json"), scratch.join("report.json"));
    std::fs::write(&document, service.client.get("/swagger/json-file").await.text).unwrap();
    let [id, secret] = keys;
    let run = program("schemathesis")
        .current_dir(scratch)
        .arg("run")
        .arg(&document)
        .args(["--url", &service.client.base])
        .args(["-H", &format!("X-Public-ID: {id}"), "-H", &format!("X-Secret-Key: {secret}")])
        .args(["--seed", "42", "--workers", "1", "--max-examples", "10", "--no-shrink", "--continue-on-failure"])
        .args(["--exclude-checks", LENIENT, "--request-timeout", "20", "--warnings", "off"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .args(options)
        .output()
        .await
        .unwrap();
    let output = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&output));
    let report: Value = serde_json::from_str(&std::fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["operations"]["tested"], report["operations"]["selected"], "{report}");
    report["test_cases"]["generated"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_with_good_keys() {
    // Without the right to create endpoints, because schemathesis would invent addresses that belong to others.
    let service = Service::configured(|config| config.push.endpoints_per_account = 0).await;
    let mut body = lead("ann@example.org");
    body["company"] = json!({"name": "Acme & Co", "create_company_if_not_exists": true});
    service.client.post("/contact", body).await.expect(201);
    let (id, scratch) = (service.client.account.to_string(), Scratch::new("schemathesis"));

    // A stream does not end.
    let options = ["--exclude-path", "/changes/stream"];
    let cases = schemathesis(&service, [&id, &service.client.secret], &scratch.0, &options).await;

    assert!(cases > 2_000, "{cases} cases");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_with_garbage_for_keys() {
    let (service, scratch) = (Service::start().await, Scratch::new("garbage"));
    let id = service.client.account.to_string();

    let options = ["--phases", "coverage,fuzzing"];
    let cases = schemathesis(&service, [&id, "garbage"], &scratch.0, &options).await;

    assert!(cases > 1_000, "{cases} cases");
    assert!(service.client.changes().await.is_empty(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing_in_samples() {
    let (service, scratch) = (Service::start().await, Scratch::new("samples-of-schemathesis"));

    let keys = ["00000000-0000-0000-0000-000000000000", "DummySecretKey"];
    let options = ["--phases", "coverage,fuzzing", "--include-method", "GET", "--exclude-path", "/changes/stream"];
    let cases = schemathesis(&service, keys, &scratch.0, &options).await;

    assert!(cases > 200, "{cases} cases");
}
