//! Logs: structured, and without personal data or secrets.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::push_delivery::endpoint_at;
use crate::support::process::kill;
use crate::support::program::{Dir, command_of};
use crate::support::servers::{MASTER, Servers};
use crate::support::service::account_on;
use crate::support::{Client, LONG, Receiver, until};

const FIRST: &str = "Zebedee";
const LAST: &str = "Quillfeather";
const EMAIL: &str = "zebedee.quillfeather@private.example";
const PHONE: &str = "+15550123987";
const NOTE: &str = "prefers marzipan";
const COMPANY: &str = "Quillfeather Holdings";
const HEADER: &str = "header-of-great-value";
const BODY: &str = "the receiver's own words";
/// A key that nobody has.
const WRONG: &str = "wrong-secret-of-a-stranger";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_busy_run_has_no_personal_data_and_no_secret() {
    let env = Servers::get().env().await;
    let directory = Dir::new("logs");
    let file = directory.path().join("log");
    let masters = format!("{:?}", [String::from(MASTER)]);
    let mut settings = env.settings();
    settings.extend([
        ("UNIFICUS_SECRETS__MASTER_KEYS", masters.as_str()),
        ("UNIFICUS_PUSH__ALLOW_HTTP", "true"),
        ("UNIFICUS_PUSH__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]"),
        // Everything that the service itself logs.
        ("UNIFICUS_LOG__FILTER", "info,unificus=trace"),
    ]);
    let mut serve = command_of(&["serve"], &settings);
    let mut process = serve.stderr(std::fs::File::create(&file).unwrap()).spawn().unwrap();
    let log = || std::fs::read_to_string(&file).unwrap();
    let serving = || entries(&log()).into_iter().find(|entry| entry["fields"]["message"] == "serving");
    until("the service serves", async || serving().is_some()).await;
    let address = serving().unwrap()["fields"]["address"].as_str().unwrap().to_owned();

    let mut config = env.config();
    config.commands.lanes = 1;
    let metrics = unificus::metrics::Metrics::new().unwrap();
    let store = unificus::store::Store::new(&config.database, 1, metrics).unwrap();
    let (account, secret) = account_on(&store, "pinnacle").await;
    let (small, small_secret) = account_on(&store, "free-trial").await;
    let client = Client::new(&format!("http://{address}/secure-api"), account, &secret);
    keep_busy(&client, &client.as_caller(small, &small_secret)).await;

    kill(process.id().unwrap(), Signal::SIGTERM);
    tokio::time::timeout(LONG, process.wait()).await.expect("the service does not end").unwrap();
    let log = log();
    assert!(entries(&log).len() > 100, "the run was not busy: {log}");
    assert!(log.contains("delivery failed"), "no delivery failed: {log}");
    for private in
        [FIRST, LAST, EMAIL, "private.example", PHONE, NOTE, COMPANY, HEADER, BODY, WRONG, &secret, &small_secret]
    {
        let line = log.lines().find(|line| line.to_lowercase().contains(&private.to_lowercase()));
        assert_eq!(line, None, "{private} is logged");
    }
    assert!(!log.contains(&String::from(MASTER)) && !log.contains("whsec_"), "a secret is logged");
}

/// Every line is JSON with these members.
fn entries(log: &str) -> Vec<Value> {
    let entry = |line: &str| {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for member in ["timestamp", "level", "target", "fields"] {
            assert!(entry.get(member).is_some(), "no {member}: {line}");
        }
        entry
    };
    // The last line may be half written.
    log.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(entry).collect()
}

async fn keep_busy(client: &Client, small: &Client) {
    let receiver = Receiver::start().await;
    receiver.respond_with_body(503, BODY);
    endpoint_at(client, &receiver.url(), json!({"from": "start", "headers": {"X-Own": HEADER}})).await;
    let contact = json!({"role": "Lead", "first_name": FIRST, "last_name": LAST, "email": EMAIL, "phone": PHONE,
        "company_name": COMPANY, "notes": NOTE});
    client.post("/contact", contact.clone()).await;
    client.post("/contact", json!({"role": "Lead", "first_name": FIRST, "last_name": LAST, "email": EMAIL})).await;
    client.contact(EMAIL).await;
    // Refused ones: a duplicate, wrong values, no JSON, a stranger's key.
    client.post("/contact", contact).await;
    client.post("/contact", json!({"role": LAST, "first_name": [FIRST], "email": PHONE})).await;
    client.send(hyper::Method::POST, "/contact", &[], &format!("{{\"email\": \"{EMAIL}\", {NOTE}")).await;
    client.as_caller(client.account, WRONG).get("/contacts").await;
    for path in ["/contact/", "/contacts?search=", "/company/", "/nothing/"] {
        for value in [EMAIL, LAST, "Quillfeather%20Holdings"] {
            client.get(&format!("{path}{value}")).await;
        }
    }
    client.put(&format!("/contact/{EMAIL}"), json!({"first_name": LAST, "phone": PHONE})).await;
    client.delete(&format!("/contact/{EMAIL}")).await;
    for _ in 0..90 {
        small.get(&format!("/contact/{EMAIL}")).await;
    }
    receiver.wait_for(3, LONG).await;
}
