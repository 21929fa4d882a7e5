//! What an endpoint's owner sets, and who else writes it.

use serde_json::{Value, json};

use super::{endpoint_at, until};
use crate::support::Service;

const NOBODY: &str = "http://127.0.0.1:9/";

/// Another writer of the row, in a transaction that ends while a change waits for it.
async fn change_beside(service: &Service, other: &str, change: impl Future<Output = ()>) {
    let sql = service.place.sql().await;
    sql.batch_execute(&format!("begin; update push_endpoint set {other}")).await.unwrap();
    let looking = service.place.sql().await;
    let waits = "select exists(select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')";
    let waited = async {
        until("the change", async || looking.query_one(waits, &[]).await.unwrap().get(0)).await;
        sql.batch_execute("commit").await.unwrap();
    };
    tokio::join!(change, waited);
}

#[tokio::test]
async fn a_change_undoes_nothing_that_was_written_beside_it() {
    let service = Service::start().await;
    let api = &service.client;
    let made = endpoint_at(api, NOBODY, json!({})).await;
    let path = |rest: &str| format!("/push/endpoints/{}{rest}", made["id"].as_str().unwrap());
    let resealed = "secrets = secrets || secrets, secrets_until = secrets_until || secrets_until";
    let put = async {
        api.put(&path(""), json!({"description": "ours"})).await.expect(200);
    };
    change_beside(&service, resealed, put).await;
    let sql = service.place.sql().await;
    let kept =
        async || -> i32 { sql.query_one("select cardinality(secrets) from push_endpoint", &[]).await.unwrap().get(0) };
    assert_eq!(kept().await, 2, "as a rotation of the master key left them");

    let pause = async {
        api.post(&path("/pause"), Value::Null).await.expect(200);
    };
    change_beside(&service, "state = 'disabled'", pause).await;
    let shown = api.get(&path("")).await.expect(200).clone();
    assert_eq!((&shown["state"], &shown["description"]), (&json!("disabled"), &json!("ours")));

    let resume = async {
        api.post(&path("/resume"), Value::Null).await.expect(200);
    };
    change_beside(&service, resealed, resume).await;
    assert_eq!(kept().await, 4);
}

#[tokio::test]
async fn without_a_master_key_no_secret_is_made() {
    let service = Service::start().await;
    let made = endpoint_at(&service.client, NOBODY, json!({})).await;
    let (app, api) = service.replica_configured(|config| config.secrets.master_keys.clear()).await;
    let rotate = format!("/push/endpoints/{}/rotate", made["id"].as_str().unwrap());
    for (path, body) in [("/push/endpoints", json!({"url": NOBODY})), (&*rotate, json!({}))] {
        let refused = api.post(path, body).await;
        refused.expect(503);
        assert!(refused.json["detail"].as_str().unwrap().contains("secrets.master_keys"), "{}", refused.text);
        assert_eq!(refused.json["title"], "No master key");
    }
    let sql = service.place.sql().await;
    let secrets: Vec<Vec<Vec<u8>>> =
        sql.query("select secrets from push_endpoint", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(secrets.len() == 1 && secrets[0].len() == 1, "{secrets:?}");
    app.stop().await.unwrap();
}
