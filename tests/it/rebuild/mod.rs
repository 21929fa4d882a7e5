//! `unificus verify` finds every difference between the log and what is derived from it, and `unificus rebuild` mends it.

mod histories;
mod running;
mod wrong;

use std::process::Output;

use serde_json::{Value, json};
use tokio_postgres::Client as Sql;
use unificus::clock::{Clock, fresh_uid};
use unificus::command::{CommandEnvelope, execute};
use unificus::domain::{self, named};
use unificus::store::audit::By;

use crate::support::client::lead;
use crate::support::program::unificus;
use crate::support::servers::TestEnv;
use crate::support::{Client, LONG, Service};

/// Every table that is derived from logs, with the columns that tell its rows apart.
const TABLES: &[(&str, &str)] = &[
    ("contact", "uid"),
    ("company", "uid"),
    ("project", "uid"),
    ("custom_field", "uid"),
    ("audience", "uid"),
    ("circle", "uid"),
    ("note", "uid"),
    ("world", "uid"),
    ("push_health", "uid"),
    ("conflict", "uid"),
    ("record_ref", "entity, source, id"),
    ("contact_company", "company_uid, contact_uid"),
    ("head", "seq"),
];

async fn run(env: &TestEnv, arguments: &str) -> Output {
    unificus(arguments, &[("UNIFICUS_DATABASE__URL", env.database.as_str())]).await
}

/// The lines of JSON that a run printed, without those of its progress.
fn results(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let lines =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    lines.filter(|line| line["phase"].is_null()).collect()
}

/// Asserts that everything equals the log.
pub(crate) async fn equal(env: &TestEnv, when: &str) {
    let output = run(env, "verify --json").await;
    assert_eq!(output.status.code(), Some(0), "{when}: {output:?}");
    assert_eq!(results(&output).last().unwrap()["unsound"], 0, "{when}");
}

async fn rebuilt(env: &TestEnv, arguments: &str) -> Value {
    let output = run(env, &format!("rebuild --json{arguments}")).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    results(&output).pop().unwrap()
}

/// All rows of the derived tables, column by column.
async fn dump(sql: &Sql) -> Vec<(&'static str, Option<String>)> {
    let mut dump = Vec::new();
    for (table, order) in TABLES {
        let rows = format!("select string_agg(t::text, E'\\n' order by account_id, {order}) from {table} t");
        dump.push((*table, sql.query_one(&rows, &[]).await.unwrap().get(0)));
    }
    dump
}

/// Whether tables of a run that did not end are there.
async fn is_left(sql: &Sql) -> bool {
    sql.query_one("select to_regnamespace('unificus_rebuild') is not null", &[]).await.unwrap().get(0)
}

fn operator() -> By<'static> {
    By::new("test", Clock::system().now())
}

/// A history with every kind of record, with links, tombstones, a kept company and searched contacts.
async fn history(service: &Service, api: &Client) {
    for number in 0..6 {
        let mut body = lead(&format!("p{number}@example.org"));
        body["company"] = json!({"name": format!("Company {}", number % 3), "create_company_if_not_exists": true});
        api.post("/contact", body).await.expect(201);
    }
    api.put("/contact/p1@example.org", json!({"email": "New@Example.org", "tags": ["x"], "company": null}))
        .await
        .expect(200);
    api.put("/company/Company+0", json!({"name": "Renamed ÖÄ", "address": {"city": "Leeds"}})).await.expect(200);
    api.delete("/contact/p2@example.org").await.expect(200);
    api.delete("/company/Company+2").await.expect(200);
    api.post("/company", json!({"name": "Kept"})).await.expect(201);
    api.post("/project", json!({"name": "Roof"})).await.expect(201);
    api.post("/fields", json!({"entity": "contact", "type": "text", "name": "Colour"})).await.expect(201);
    let related = json!({"role": "Lead", "first_name": "Zoe", "last_name": "Zed", "email": "z@example.org",
        "circles": {"add": ["Friends"]}, "notes": [{"title": "Call", "note": "Rang", "date": "2026-11-24"}]});
    api.post("/contact", related).await.expect(201);
    let account = api.account;
    for create in
        [named::CreateNamed::audience(fresh_uid(), 7, "News"), named::CreateNamed::world(fresh_uid(), "Europe")]
    {
        let envelope = CommandEnvelope {
            bytes: 100,
            ..CommandEnvelope::new(account, "operator".into(), domain::Command::CreateNamed(create.unwrap()))
        };
        Box::pin(execute(&service.store, &Clock::system(), envelope)).await.unwrap();
    }
    assert!(service.store.keep_company(account, "kept", true, operator()).await.unwrap());
    api.get("/contacts?q=zed").await.expect(200);
    // The indexer of the service completes the texts of the account, which the search requested.
    let sql = service.env.sql().await;
    let indexed = "select 1 from search_cursor c join head h using (account_id)
        where account_id = $1 and c.backfilled is null and c.seq = h.seq";
    let complete = async {
        while sql.query_opt(indexed, &[&account.0]).await.unwrap().is_none() {
            api.get("/contacts?q=zed").await.expect(200);
            service.store.request_index(account);
            service.store.index_contacts(account).await.unwrap();
        }
    };
    tokio::time::timeout(LONG, complete).await.expect("the texts are not indexed");
}

trait WithoutStdout {
    fn without_stdout(self) -> Self;
}

impl WithoutStdout for Output {
    /// A rebuild says how much space it takes before it fails.
    fn without_stdout(mut self) -> Self {
        self.stdout.clear();
        self
    }
}
