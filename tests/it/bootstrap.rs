//! A client reads the lists, then follows the changes from where they were read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use unificus::contract::Cursor;

use crate::support::client::lead;
use crate::support::{Client, Service, until};

/// A list, the kind of its records in the feed, and whether a record belongs to it.
struct Source {
    list: &'static str,
    entity: &'static str,
    has: fn(&Value) -> bool,
}

const SOURCES: [Source; 4] = [
    Source { list: "/contacts?limit=100", entity: "contact", has: |_| true },
    Source { list: "/companies?idle=true&limit=100", entity: "company", has: |_| true },
    Source { list: "/projects?limit=100", entity: "project", has: |_| true },
    Source {
        list: "/contacts?q=even&limit=100",
        entity: "contact",
        has: |record| record["email"].as_str().is_some_and(|email| email.contains("even")),
    },
];

/// A client's copy of the records of a source: the version of each, and of each that was deleted.
struct Copy {
    source: &'static Source,
    versions: BTreeMap<String, (i64, bool)>,
    cursor: String,
}

impl Copy {
    /// Reads the list, and keeps the position of its first page.
    async fn bootstrap(api: &Client, source: &'static Source) -> Self {
        let (listed, first) = walk(api, source.list).await;
        let versions = listed.into_iter().map(|(uid, version)| (uid, (version, true))).collect();
        Self { source, versions, cursor: first }
    }

    /// Applies a page of changes; returns whether there are more.
    async fn follow(&mut self, api: &Client) -> bool {
        let Self { source: Source { entity, has, .. }, versions, cursor } = self;
        let page = api.get(&format!("/changes?limit=500&entity={entity}&after={cursor}")).await;
        for event in page.expect(200).as_array().unwrap() {
            let record = &event["data"]["record"];
            let (uid, version) = (record["uid"].as_str().unwrap().to_owned(), record["version"].as_i64().unwrap());
            if versions.get(&uid).is_none_or(|(mine, _)| *mine < version) {
                versions.insert(uid, (version, has(record) && record["deleted"] == json!(false)));
            }
        }
        page.json["meta"]["cursor"].as_str().unwrap().clone_into(cursor);
        page.json["meta"]["has_more"] == json!(true)
    }

    fn live(&self) -> BTreeMap<String, i64> {
        let live = self.versions.iter().filter(|(_, (_, live))| *live);
        live.map(|(uid, (version, _))| (uid.clone(), *version)).collect()
    }
}

/// Follows `nextPage`. Returns the versions of all records and the position of the first page.
async fn walk(api: &Client, path: &str) -> (BTreeMap<String, i64>, String) {
    let (mut path, mut versions, mut first) = (path.to_owned(), BTreeMap::new(), None);
    loop {
        let page = api.get(&path).await;
        for record in page.expect(200).as_array().unwrap() {
            versions.insert(record["uid"].as_str().unwrap().to_owned(), record["version"].as_i64().unwrap());
        }
        let meta = &page.json["meta"];
        first.get_or_insert_with(|| meta["as_of"].as_str().unwrap().to_owned());
        let Some(next) = meta["pagination"]["nextPage"].as_str() else { return (versions, first.unwrap()) };
        path = next.split_once("/secure-api").unwrap().1.to_owned();
    }
}

/// The records of a kind that a writer has in the account at a time.
const RECORDS: usize = 40;

/// Creates, changes and deletes records until it is stopped. A record is changed seldom, because a later event of it would
/// repair a copy that lacks one.
async fn write(api: Client, writer: usize, stop: Arc<AtomicBool>) {
    let (mut contacts, mut companies, mut projects) = (Vec::new(), Vec::new(), Vec::new());
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        if contacts.len() < RECORDS {
            let kind = if round % 2 == 0 { "even" } else { "odd" };
            contacts.push(api.post("/contact", lead(&format!("{kind}{writer}-{round}@example.org"))).await.uid());
            companies.push(api.post("/company", json!({"name": format!("Company {writer} {round}")})).await.uid());
            projects.push(api.post("/project", json!({"name": format!("Project {writer} {round}")})).await.uid());
        }
        let pick = |list: &[String]| list[round * 7 % list.len()].clone();
        api.put(&format!("/contact/{}", pick(&contacts)), json!({"title": format!("{round}")})).await.expect(200);
        api.put(&format!("/company/{}", pick(&companies)), json!({"phone": format!("{round}")})).await.expect(200);
        api.put(&format!("/project/{}", pick(&projects)), json!({"status": format!("{round}")})).await.expect(200);
        if round % 7 == 6 {
            api.delete(&format!("/contact/{}", contacts.remove(round % contacts.len()))).await.expect(200);
            api.delete(&format!("/company/{}", companies.remove(round % companies.len()))).await.expect(200);
        }
        round += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_the_changes_after_their_first_page_are_the_state_of_the_server_under_writes() {
    let replicas = |config: &mut unificus::config::Config| config.database.read_url = config.database.url.clone();
    let service = Service::configured(replicas).await;
    let (_other, replica) = service.replica_configured(replicas).await;
    let (api, stop) = (&service.client, Arc::new(AtomicBool::new(false)));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let client = if writer == 0 { replica.clone() } else { api.clone() };
        writers.spawn(write(client, writer, Arc::clone(&stop)));
    }
    until("the lists have more than a page", async || walk(api, SOURCES[3].list).await.0.len() > 60).await;

    let mut copies = Vec::new();
    for round in 0..25 {
        let reader = if round % 2 == 0 { api } else { &replica };
        for source in &SOURCES {
            let mut copy = Copy::bootstrap(reader, source).await;
            while copy.follow(reader).await {}
            copies.push(copy);
        }
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }

    let events = api.changes().await;
    for mut copy in copies {
        let seq = copy.cursor.parse::<Cursor>().unwrap().seq.0;
        assert_eq!(copy.live(), replayed(&events, copy.source, seq), "{} up to {seq}", copy.source.list);
        while copy.follow(api).await {}
        assert_eq!(copy.live(), walk(api, copy.source.list).await.0, "{}", copy.source.list);
    }
}

/// The versions of a source's records after the first `seq` events of the log.
fn replayed(events: &[Value], source: &Source, seq: i64) -> BTreeMap<String, i64> {
    let mut versions = BTreeMap::new();
    for event in events.iter().take(usize::try_from(seq).unwrap()) {
        let record = &event["data"]["record"];
        let uid = record["uid"].as_str().unwrap();
        if !event["type"].as_str().unwrap().starts_with(&format!("crm.{}.", source.entity)) {
            continue;
        }
        if record["deleted"] == json!(false) && (source.has)(record) {
            versions.insert(uid.to_owned(), record["version"].as_i64().unwrap());
        } else {
            versions.remove(uid);
        }
    }
    versions
}

#[tokio::test]
async fn every_list_has_the_position_that_it_was_read_at() {
    let service = Service::start().await;
    let api = &service.client;
    api.contact("ann@example.org").await.expect(201);
    api.post("/company", json!({"name": "Idle"})).await.expect(201);
    for list in ["/contacts", "/companies", "/projects", "/fields", "/audiences", "/worlds"] {
        for query in ["", "?page=9", "?limit=1", "?createdMax=2999-01-01T00:00:00Z", "?orderBy=-updated"] {
            let page = api.get(&format!("{list}{query}")).await;
            let as_of = Cursor { epoch: 1, seq: unificus::domain::Seq(2) }.to_string();
            assert_eq!(page.json["meta"]["as_of"], as_of, "{list}{query}: {}", page.text);
        }
    }
    assert_eq!(api.get("/companies").await.expect(200), &json!([]));
    let idle = api.get("/companies?idle=true").await;
    assert_eq!(
        (&idle.expect(200)[0]["name"], &idle.json["meta"]["pagination"]["totalItems"]),
        (&json!("Idle"), &json!(1))
    );
}
