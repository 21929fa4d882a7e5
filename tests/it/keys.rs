//! Secret keys: expiry, permissions, and storage.

use std::os::unix::fs::PermissionsExt as _;

use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use time::macros::datetime;
use unificus::clock::Clock;
use unificus::config::{self, Config};
use unificus::domain::AccountId;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;
use unificus::store::keys::Added;
use uuid::Uuid;

use crate::support::client::{Reply, lead};
use crate::support::process::Process;
use crate::support::program::{Dir, failure_text, lines, stop, unificus, unificus_with_input};
use crate::support::{Client, LONG, Service, until};

/// Two master keys, as the configuration has them.
const MASTERS: [&str; 2] =
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];

/// Enforces the limits, with a burst limit that a test never reaches.
fn enforced(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 100_000, ..config::Quota::default() };
}

fn by() -> By<'static> {
    By::new("test", Clock::system().now())
}

/// Adds a key to the account of the service's client; returns its id, and a client that has it.
async fn add(service: &Service, terms: Terms) -> (Uuid, Client) {
    let account = service.client.account;
    let secret = SecretKey::make("unificus");
    let key = keys::prepare(account, &secret, terms, &MasterKeys::new(&[]));
    assert_eq!(service.store.add_key(account, &key, by()).await.unwrap(), Added::Done);
    (key.key_id, service.client.as_caller(account, secret.text()))
}

fn remaining(response: &Reply) -> u64 {
    let (_, month) = response.header("ratelimit").split_once("\"month\";r=").unwrap();
    month.split(';').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_deleted_key_fails_on_its_next_call_in_every_replica() {
    let service = Service::configured(enforced).await;
    let (replica, there) = service.replica_configured(enforced).await;
    let (id, here) = add(&service, Terms::named("partner")).await;
    let there = there.as_caller(here.account, &here.secret);
    for client in [&here, &there] {
        client.get("/contacts").await.expect(200);
    }

    assert!(service.store.delete_key(here.account, id, by()).await.unwrap());

    for client in [&here, &there] {
        client.get("/contacts").await.expect(401);
        client.contact("late@example.org").await.expect(401);
        client.get("/usage").await.expect(401);
    }
    replica.stop().await.unwrap();
    let own = service.client.get("/contacts").await;
    assert_eq!(own.expect(200), &json!([]), "nothing was written");
    assert_eq!(remaining(&own), 20_000 - 3, "the refused calls were refunded");
    assert!(!service.store.delete_key(here.account, id, by()).await.unwrap(), "it was deleted already");
}

#[tokio::test]
async fn a_new_key_works_at_once_where_its_account_is_cached() {
    let service = Service::start().await;
    service.client.get("/contacts").await.expect(200);
    let (_, client) = add(&service, Terms::named("partner")).await;

    client.contact("ann@example.org").await.expect(201);

    let origin = &service.client.changes().await[0]["origin"];
    assert_eq!(origin, "partner");
}

#[tokio::test]
async fn a_key_expires_on_time() {
    let expires = datetime!(2026-11-24 12:00 UTC);
    let service = Service::configured(enforced).await;
    service.env.set_stored_now(expires - time::Duration::hours(1)).await;
    let (_, client) = add(&service, Terms { expires_at: Some(expires), ..Terms::named("short") }).await;
    client.get("/contacts").await.expect(200);

    service.env.set_stored_now(expires).await;

    // A lookup is cached for one second.
    until("the key's end", async || client.get("/contacts").await.status == 401).await;
    service.client.get("/contacts").await.expect(200);
}

#[tokio::test]
async fn key_expiry_follows_the_databases_clock_and_not_the_replicas() {
    let now = Clock::system().now();
    let ahead = Service::timed(Clock::manual(now + time::Duration::hours(25)), enforced).await;
    let (_, valid) = add(&ahead, Terms { expires_at: Some(now + time::Duration::HOUR), ..Terms::named("valid") }).await;
    valid.get("/contacts").await.expect(200);

    let behind = Service::timed(Clock::manual(now - time::Duration::hours(25)), enforced).await;
    let (_, over) = add(&behind, Terms { expires_at: Some(now - time::Duration::HOUR), ..Terms::named("over") }).await;
    over.get("/contacts").await.expect(401);
}

#[tokio::test]
async fn a_read_only_key_reads_and_writes_nothing() {
    let service = Service::configured(enforced).await;
    let uid = service.client.contact("ann@example.org").await.uid();
    let (_, client) = add(&service, Terms { read_only: true, ..Terms::named("reader") }).await;
    let path = format!("/contact/{uid}");
    let before = remaining(&client.get(&path).await);

    let body = lead("bob@example.org").to_string();
    for (method, path, body) in [
        (Method::POST, "/contact", body.as_str()),
        (Method::POST, "/contact", "no JSON"),
        (Method::PUT, path.as_str(), r#"{"phone":"1"}"#),
        (Method::DELETE, path.as_str(), ""),
        (Method::POST, "/push/endpoints", r#"{"url":"http://127.0.0.1:9/"}"#),
    ] {
        let refused = client.send(method.clone(), path, &[], body).await;
        refused.expect(403);
        assert_eq!(
            (&refused.json["status"], &refused.json["success"]),
            (&json!(403), &json!(false)),
            "{method} {path}"
        );
        assert!(refused.json["message"].as_str().unwrap().contains("read only"), "{}", refused.text);
    }

    let after = client.get(&path).await;
    after.expect(200);
    assert_eq!(remaining(&after), before - 6, "a refused write counts");
    assert_eq!(service.client.changes().await.len(), 1);
    assert_eq!(client.get("/push/endpoints").await.expect(200), &json!([]));
}

/// Returns 503 while the database is down, because the lookup needs it.
#[tokio::test]
async fn a_mistyped_key_is_refused_without_the_database() {
    let service = Service::start().await;
    let real = SecretKey::make("unificus");
    let mut mistyped = real.text().to_owned();
    let last = if mistyped.pop() == Some('0') { '1' } else { '0' };
    mistyped.push(last);
    service.env.disconnect_database().await;

    // No entry is cached for an account that has sent no request.
    let call =
        async |secret: &str| service.client.as_caller(AccountId(Uuid::nil()), secret).get("/contacts").await.status;
    assert_eq!(call(real.text()).await, 503);
    assert_eq!(call("a-key-from-elsewhere").await, 503);
    assert_eq!(call(&mistyped).await, 401);
    assert_eq!(call("short").await, 401);
    assert_eq!(call(&"x".repeat(256)).await, 401);
}

#[tokio::test]
async fn an_imported_key_is_stored_verbatim() {
    let service = Service::start().await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let account = service.client.account;
    let import = async |text: &str| {
        let arguments = format!("key add {account} moved --secret-stdin --origin legacy --json");
        unificus_with_input(&arguments, &settings, text).await
    };

    for text in ["12345678", "q+/=!\"#~' secret".replace(' ', "_").as_str(), &"x".repeat(255)] {
        let added = lines(&import(&format!("{text}\n")).await).remove(0);
        assert_eq!((&added["origin"], added.get("secret_key")), (&json!("legacy"), None));
        let email = format!("{}@example.org", text.len());
        service.client.as_caller(account, text).contact(&email).await.expect(201);
    }
    assert_eq!(service.client.changes().await[0]["origin"], "legacy");

    let mistyped = format!("unificus_live_{}", "0".repeat(36));
    for (text, reason) in [
        ("1234567", "8 to 255"),
        ("two words", "8 to 255"),
        (&"x".repeat(256), "8 to 255"),
        ("12345678", "already"),
        (mistyped.as_str(), "checksum"),
    ] {
        let error_text = failure_text(&import(text).await);
        assert!(error_text.contains(reason), "{text}: {error_text}");
    }
}

#[tokio::test]
async fn a_stored_key_is_shown_again_under_every_master_key_and_for_its_own_account_only() {
    let service = Service::start().await;
    let sql = service.env.sql().await;
    let database = service.env.database.clone();
    let run = async |arguments: &str, masters: &[&str]| {
        let masters = format!("{masters:?}");
        let settings = [("UNIFICUS_DATABASE__URL", database.as_str()), ("UNIFICUS_SECRETS__MASTER_KEYS", &masters)];
        unificus(arguments, &settings).await
    };
    let [old, new] = MASTERS;
    let mine = service.client.account;
    let other = service.other_client().await.account;
    let [mine, other] = [mine, other].map(|account| account.to_string());
    let [key, foreign] = [&mine, &other].map(|account| format!("key add {account} kept --json"));
    let key = lines(&run(&key, &[old]).await).remove(0);
    let foreign = lines(&run(&foreign, &[old]).await).remove(0);
    let id = |key: &Value| key["key_id"].as_str().unwrap().to_owned();
    let reveal = format!("key reveal {mine} {} --json", id(&key));

    for masters in [[old].as_slice(), &[new, old], &[old, new]] {
        let shown = lines(&run(&reveal, masters).await).remove(0);
        assert_eq!(shown["secret_key"], key["secret_key"]);
    }
    for masters in [[new].as_slice(), &[]] {
        assert!(failure_text(&run(&reveal, masters).await).contains("master_keys"));
    }
    // No table of the database has it in clear.
    let stored: String = sql.query_one("select string_agg(k::text, ' ') from account_key k", &[]).await.unwrap().get(0);
    assert!(!stored.contains(key["secret_key"].as_str().unwrap()));

    // A secret that was sealed for one account and moved to another's key cannot be opened.
    let moved = "update account_key k set sealed = f.sealed from account_key f \
                 where k.key_id::text = $1 and f.key_id::text = $2";
    assert_eq!(sql.execute(moved, &[&id(&foreign), &id(&key)]).await.unwrap(), 1);
    let theirs = format!("key reveal {other} {}", id(&foreign));
    assert!(failure_text(&run(&theirs, &[old]).await).contains("master_keys"));
    let unknown = format!("key reveal {other} {}", id(&key));
    assert!(failure_text(&run(&unknown, &[old]).await).contains("has no key"));

    let looks = "select count(*) from audit where action = 'key.reveal'";
    let looks: i64 = sql.query_one(looks, &[]).await.unwrap().get(0);
    assert_eq!(looks, 6, "each reveal of a sealed key is audited");
}

#[tokio::test]
async fn a_development_machine_has_its_own_master_key() {
    let dir = Dir::new("master-key");
    let (mut process, environment) = Process::start(dir.path()).await;
    let file = dir.path().join("data/master.key");
    let master = std::fs::read_to_string(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    process.signal(Signal::SIGKILL);
    process.ended().await;
    let (process, _) = Process::start(dir.path()).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), master, "the file is created once");

    let masters = format!("{:?}", [master.as_str()]);
    let settings =
        [("UNIFICUS_DATABASE__URL", environment.database.as_str()), ("UNIFICUS_SECRETS__MASTER_KEYS", &masters)];
    let account = environment.client.account;
    let listed = lines(&unificus(&format!("key list {account} --json"), &settings).await).remove(0);
    let reveal = format!("key reveal {account} {} --json", listed["key_id"].as_str().unwrap());
    let shown = lines(&unificus(&reveal, &settings).await).remove(0);
    assert_eq!(shown["secret_key"], json!(&*environment.client.secret));
    stop(process).await;
}

#[tokio::test]
async fn keys_are_shown_once_without_a_master_key_or_by_the_accounts_setting() {
    let service = Service::start().await;
    let masters = format!("{:?}", [MASTERS[0]]);
    let without = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let with = [without[0], ("UNIFICUS_SECRETS__MASTER_KEYS", masters.as_str())];
    let account = service.client.account.to_string();
    let kept = async || {
        let listed = lines(&unificus(&format!("key list {account} --json"), &without).await);
        // The client's own key comes first.
        listed.iter().skip(1).map(|key| key["revealable"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    let run = async |arguments: &str, settings: &[(&str, &str)]| lines(&unificus(arguments, settings).await).remove(0);

    run(&format!("key add {account} unsealed --json"), &without).await;
    let sealed = run(&format!("key add {account} sealed --json"), &with).await;
    assert_eq!(kept().await, [false, true]);

    let set = run(&format!("account show-once {account} on --json"), &with).await;
    assert_eq!(set, json!({"public_id": account, "show_once": true}));
    run(&format!("key add {account} once --json"), &with).await;
    assert_eq!(kept().await, [false, false, false], "stored secrets are removed");
    let reveal = format!("key reveal {account} {}", sealed["key_id"].as_str().unwrap());
    assert!(failure_text(&unificus(&reveal, &with).await).contains("shown once"));
    let client = service.client.as_caller(service.client.account, sealed["secret_key"].as_str().unwrap());
    client.get("/contacts").await.expect(200);

    run(&format!("account show-once {account} off --json"), &with).await;
    run(&format!("key add {account} again --json"), &with).await;
    assert_eq!(kept().await, [false, false, false, true]);
}

#[tokio::test]
async fn keys_are_managed_from_the_command_line_and_every_change_is_audited() {
    let service = Service::configured(enforced).await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let account = service.client.account;
    let run = async |arguments: &str| lines(&unificus(arguments, &settings).await);
    let terms = "--origin crm --expires 2999-01-01T01:00:00+01:00 --read-only";

    let added = run(&format!("key add {account} partner {terms} --json")).await.remove(0);
    let secret = added["secret_key"].as_str().unwrap();
    assert!(secret.starts_with("unificus_live_") && secret.len() == "unificus_live_".len() + 36, "{secret}");
    let client = service.client.as_caller(account, secret);
    client.get("/contacts").await.expect(200);
    client.contact("ann@example.org").await.expect(403);
    let listed = run(&format!("key list {account} --json")).await.remove(1);
    for (member, expected) in [
        ("key_id", added["key_id"].clone()),
        ("name", json!("partner")),
        ("origin", json!("crm")),
        ("expires_at", json!("2999-01-01T00:00:00+00:00")),
        ("read_only", json!(true)),
        ("revealable", json!(false)),
    ] {
        assert_eq!(listed[member], expected, "{member}");
    }
    assert_eq!(listed.get("secret_key"), None);

    let delete = format!("key delete {account} {} --json", added["key_id"].as_str().unwrap());
    assert_eq!(run(&delete).await[0]["deleted"], json!(true));
    client.get("/contacts").await.expect(401);
    assert_eq!(run(&format!("key list {account} --json")).await.len(), 1);
    assert!(failure_text(&unificus(&delete, &settings).await).contains("has no key"));

    for (arguments, reason) in [
        (format!("key add {} partner", Uuid::nil()), "no account"),
        (format!("key add {account} partner --expires 2020-01-01T00:00:00Z"), "expired"),
    ] {
        assert!(failure_text(&unificus(&arguments, &settings).await).contains(reason), "{arguments}");
    }

    run(&format!("account behavior {account} succeed --json")).await;
    run(&format!("account show-once {account} on --json")).await;
    let audit = "select action from audit where account_id = $1 order by at, audit_id";
    let actions = service.env.sql().await.query(audit, &[&account.0]).await.unwrap();
    let actions: Vec<String> = actions.iter().map(|row| row.get(0)).collect();
    assert_eq!(actions, ["account.create", "key.add", "key.delete", "account.on_missing", "account.show_once"]);
}

#[tokio::test]
async fn a_missing_record_is_a_failure_or_a_success_by_the_accounts_setting() {
    let service = Service::configured(enforced).await;
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let client = &service.client;
    let deleted = client.contact("gone@example.org").await.uid();
    client.delete(&format!("/contact/{deleted}")).await.expect(200);
    let requests = [
        (Method::GET, "/contact/nobody@example.org".to_owned(), ""),
        (Method::PUT, "/contact/nobody@example.org".to_owned(), r#"{"phone":"1"}"#),
        (Method::DELETE, "/contact/nobody@example.org".to_owned(), ""),
        (Method::GET, format!("/company/{}", Uuid::nil()), ""),
        (Method::PUT, "/company/Nothing+Ltd".to_owned(), r#"{"phone":"1"}"#),
        (Method::DELETE, "/company/Nothing+Ltd".to_owned(), ""),
        (Method::GET, format!("/contact/{deleted}"), ""),
    ];
    let set = async |setting: &str| {
        let set = format!("account behavior {} {setting} --json", client.account);
        let response = json!({"public_id": client.account.to_string(), "behavior": setting});
        assert_eq!(lines(&unificus(&set, &settings).await), [response]);
    };
    let fails = async || {
        for (method, path, body) in &requests {
            let response = client.send(method.clone(), path, &[], body).await;
            assert!(matches!(response.status, 404 | 410), "{method} {path}: {}", response.text);
        }
    };

    fails().await;
    set("succeed").await;
    for (method, path, body) in &requests {
        let response = client.send(method.clone(), path, &[], body).await;
        assert_eq!(response.expect(200), &Value::Null, "{method} {path}");
        assert_eq!(response.json["success"], json!(true));
        let entity = if path.starts_with("/contact") { "contact" } else { "company" };
        let message = format!("No matching {entity} was found; nothing was changed.");
        assert_eq!(response.json["message"], json!(message), "{method} {path}");
    }
    client.put("/contact/nobody@example.org", json!({"website": "no scheme"})).await.expect(422);
    set("fail").await;
    fails().await;
    assert_eq!(client.changes().await.len(), 2, "nothing was written");
}

#[tokio::test]
async fn the_last_use_of_a_key_is_written_once_by_the_databases_clock() {
    let service = Service::configured(enforced).await;
    let now = datetime!(2026-11-24 12:00:30 UTC);
    service.env.set_stored_now(now).await;
    let sql = service.env.sql().await;
    let trail = "create table trail (key_id uuid, at timestamptz);
        create function follow() returns trigger language plpgsql
            as $$ begin insert into trail values (new.key_id, new.last_used_at); return new; end $$;
        create trigger follow after update on account_key for each row execute function follow()";
    sql.batch_execute(trail).await.unwrap();
    let (other_id, other) = add(&service, Terms::named("other")).await;

    service.client.get("/contacts").await.expect(200);
    rows(&sql, "select from trail", 1).await;
    service.client.get("/contacts").await.expect(200);
    other.get("/contacts").await.expect(200);

    let trail = rows(&sql, "select at, key_id from trail order by at", 2).await;
    assert_eq!(trail.len(), 2, "of the second use within a minute nothing is written");
    assert_eq!(trail.iter().filter(|row| row.get::<_, Uuid>(1) == other_id).count(), 1);
    for row in trail {
        let at: time::OffsetDateTime = row.get(0);
        assert!(at <= now && now - at < LONG, "{at}");
    }
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let list = format!("key list {} --json", service.client.account);
    let listed = lines(&unificus(&list, &settings).await).remove(0);
    assert!(listed["last_used_at"].as_str().unwrap().starts_with("2026-11-24T12:00:"), "{listed}");
}

#[tokio::test]
async fn a_use_that_cannot_be_written_fails_no_call_and_is_written_later() {
    let service = Service::configured(enforced).await;
    let sql = service.env.sql().await;
    let refuse = "alter table account_key add constraint never check (last_used_at is null)";
    sql.batch_execute(refuse).await.unwrap();

    for _ in 0..3 {
        service.client.get("/contacts").await.expect(200);
    }

    sql.batch_execute("alter table account_key drop constraint never").await.unwrap();
    rows(&sql, "select from account_key where last_used_at is not null", 1).await;
}

/// Waits until a query returns this many rows.
async fn rows(sql: &tokio_postgres::Client, query: &str, enough: usize) -> Vec<tokio_postgres::Row> {
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(5));
    let reached = async {
        loop {
            let rows = sql.query(query, &[]).await.unwrap();
            if rows.len() >= enough {
                return rows;
            }
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{query}: not {enough} rows"))
}
