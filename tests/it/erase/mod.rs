//! Erasing a contact: afterwards nothing that is stored, and nothing that a replica can send, names the person.

mod refusals;
mod stages;
mod webhooks;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::push_delivery::endpoint_at;
use crate::streams;
use crate::support::servers::{TestEnv, binaries, directory};
use crate::support::stream;
use crate::support::{Client, LONG, Receiver, Service, until};
use crate::sync::{assert_sound, execute_one, partner, upsert};

const EMAIL: &str = "annabel.private@example.org";
const OLD_EMAIL: &str = "annabel.before@example.org";
const MERGED_EMAIL: &str = "annabel.double@example.org";
const PHONE: &str = "+31 6 5550 1234";
const LOST_PHONE: &str = "+31 6 5550 9876";
const NAME: &str = "Leeuwenhoekstra";
const NOTE: &str = "prefers jasmine tea";

/// Texts that say something about the person.
const PERSONAL: [&str; 7] = [EMAIL, OLD_EMAIL, MERGED_EMAIL, PHONE, LOST_PHONE, NAME, NOTE];

/// Asserts that a text has nothing of the person, as it is or as `pg_dump` shows binary values.
fn assert_clean(label: &str, text: &str) {
    let text = text.to_lowercase();
    for personal in PERSONAL.map(str::to_lowercase) {
        assert!(!text.contains(&personal), "{personal} in {label}");
        assert!(!text.contains(&hexadecimal(&personal)), "{personal} in {label}, in hexadecimal");
    }
}

fn hexadecimal(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The whole database as `pg_dump` writes it.
async fn dump(env: &TestEnv) -> String {
    let program = binaries().postgres_bin.join("pg_dump");
    let output = Command::new(program).arg(&env.superuser).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number of files of the stream, on the NATS server's disk, that have a text. Tests that run beside this one have
/// streams of their own.
fn stream_files_with(env: &TestEnv, text: &str) -> usize {
    let mut many = 0;
    let mut folders = vec![(directory("servers").join("nats"), false)];
    while let Some((folder, is_stream)) = folders.pop() {
        // The server removes folders of other streams meanwhile.
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                let is_stream = is_stream || path.file_name().is_some_and(|name| name == env.stream.as_str());
                folders.push((path, is_stream));
            } else if is_stream {
                let bytes = std::fs::read(&path).unwrap_or_default();
                many += usize::from(bytes.windows(text.len()).any(|window| window == text.as_bytes()));
            }
        }
    }
    many
}

/// Erases a contact by its uid, and asserts that it is done.
async fn erase(client: &Client, uid: &str) -> Value {
    let reply = client.post(&format!("/contact/{uid}/erase"), Value::Null).await;
    let erasure = reply.expect(200).clone();
    assert_eq!(erasure["stage"], "done", "{erasure}");
    erasure
}

/// Reads a stream of the account's changes from its beginning to the event at a position.
async fn streamed(client: &Client, through: usize) -> String {
    let mut stream = streams::open(client, 0).await;
    let mut text = String::new();
    let read = async {
        while text.matches("\nevent: ").count() < through {
            let frame = stream.body_mut().frame().await.unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        }
    };
    tokio::time::timeout(LONG, read).await.expect("all events are streamed");
    text
}

/// A person known to two systems, with everything that other records and clients may have of it. Returns the contact's uid,
/// and that of one that was merged into it.
async fn known_person(service: &Service) -> (String, String) {
    let (erp, shop) = (partner(service, "erp").await, partner(service, "shop").await);
    let mut add = upsert(
        EMAIL,
        json!({
            "role": "Client", "first_name": "Annabel", "last_name": NAME, "email": OLD_EMAIL, "phone": "+31 6 1",
            "company": {"name": "Acme Works", "create_company_if_not_exists": true},
            "notes": [{"title": "Tea", "note": NOTE, "date": "2026-11-24"}],
            "background_info": format!("Call {PHONE}"),
        }),
    );
    add["op_id"] = json!(format!("add {EMAIL}"));
    let added = execute_one(&erp, add).await;
    assert_eq!(added["status"], 201, "{added}");
    let uid = added["uid"].as_str().unwrap().to_owned();
    let headers = [("idempotency-key", &*format!("renamed {EMAIL}"))];
    let body = json!({"email": EMAIL, "phone": PHONE}).to_string();
    let renamed = service.client.send(hyper::Method::PUT, &format!("/contact/{uid}"), &headers, &body).await;
    renamed.expect(200);
    let concurrent =
        json!({"op": "update", "entity": "contact", "uid": uid, "base": added["seq"], "set": {"phone": LOST_PHONE}});
    let concurrent = execute_one(&shop, concurrent).await;
    assert_eq!(concurrent["conflicts"][0]["field"], "phone", "{concurrent}");
    let company = json!({"name": "Bolt", "primaryContact": {"email": EMAIL}});
    service.client.post("/company", company).await.expect(201);
    service.client.post("/project", json!({"name": "House", "client": uid})).await.expect(201);
    let set = json!({"role": "Lead", "first_name": "A.", "last_name": NAME, "email": MERGED_EMAIL});
    let double = execute_one(&shop, upsert("9", set)).await["uid"].as_str().unwrap().to_owned();
    let merge = json!({"op": "merge", "entity": "contact", "into": uid, "from": [double]});
    assert_eq!(execute_one(&erp, merge).await["status"], 200);
    (uid, double)
}

#[tokio::test]
async fn after_an_erasure_the_person_is_nowhere() {
    let service = Service::start().await;
    let (app, other) = service.replica().await;
    let (receiver, failing) = (Receiver::start().await, Receiver::start().await);
    receiver.respond_with_body(200, format!("stored {EMAIL} {PHONE}"));
    failing.respond_with_body(500, format!("no room for {EMAIL} {NAME}"));
    let mut endpoints = Vec::new();
    for receiver in [&receiver, &failing] {
        let made = endpoint_at(&service.client, &receiver.url(), json!({})).await;
        endpoints.push(made["id"].as_str().unwrap().to_owned());
    }
    let (uid, double) = known_person(&service).await;
    other.get(&format!("/contacts?q={NAME}")).await.expect(200);
    until("every copy is there", async || {
        let dump = dump(&service.env).await;
        let texts = service.env.sql().await.query_one("select count(*) from contact_search", &[]).await.unwrap();
        let responses = ["stored", "no room for"].map(|text| dump.contains(&hexadecimal(text)));
        texts.get::<_, i64>(0) > 0 && responses == [true, true] && stream_files_with(&service.env, EMAIL) > 0
    })
    .await;
    let written = service.client.changes().await.len();
    let before = stream::read(&service.env, service.client.account, written).await;
    assert!(before.iter().any(|(_, body)| body.contains(LOST_PHONE)), "the stream has all of it");

    // From now on they name the person no more.
    receiver.respond_with(200);
    failing.respond_with(500);

    let erasure = erase(&other, &uid).await;

    assert_eq!(erasure["merged"], json!([double]), "{erasure}");
    assert_clean("the database", &dump(&service.env).await);
    for personal in PERSONAL {
        assert_eq!(stream_files_with(&service.env, personal), 0, "{personal} in the stream's files");
    }
    for client in [&service.client, &other] {
        let log = client.changes().await;
        assert!(log.iter().any(|event| event["type"] == "crm.contact.erased" && event["subject"] == uid));
        assert_clean("the feed", &json!(log).to_string());
        assert_clean("the stream of changes", &streamed(client, log.len()).await);
        assert_clean("the history", &client.get(&format!("/contact/{uid}/history")).await.text);
        for path in ["/contacts", "/companies?idle=1", "/projects", "/sync/conflicts", "/contacts?at=9"] {
            assert_clean(path, &client.get(path).await.text);
        }
        for path in [format!("/contact/{uid}"), format!("/contact/{uid}?at=4"), format!("/contact/{double}")] {
            let gone = client.get(&path).await;
            assert_eq!(gone.status, 410, "{path}: {}", gone.text);
            assert_clean(&path, &gone.text);
        }
        for endpoint in &endpoints {
            let attempts = client.get(&format!("/push/endpoints/{endpoint}/attempts?limit=100")).await;
            assert!(!attempts.expect(200).as_array().unwrap().is_empty());
            assert_clean("the attempts", &attempts.text);
        }
        let progress = client.get(&format!("/contact/{uid}/erase")).await;
        assert_eq!(progress.expect(200)["stage"], "done");
    }
    let listed = service.client.get("/companies").await;
    assert_eq!(listed.expect(200).as_array().unwrap().len(), 0, "no contact belongs to a company: {}", listed.text);
    assert_sound(&service).await;
    // Partners that knew the contact do not make it again, and the account goes on.
    let erp = partner(&service, "erp").await;
    let again = execute_one(&erp, upsert(EMAIL, json!({"role": "Lead", "first_name": "A", "last_name": ""}))).await;
    assert_eq!(again["status"], 410, "{again}");
    service.client.contact("bob@example.org").await.expect(201);
    let log = service.client.changes().await;
    let remaining = log.iter().filter(|event| event["data"]["record"]["erased"] != json!(true)).count();
    assert!(remaining > 5, "events of other records stay");
    app.stop().await.unwrap();
}
