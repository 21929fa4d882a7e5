//! Records and lists as they were.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use time::Duration;
use unificus::clock::Clock;
use unificus::contract::Cursor;
use unificus::domain::Seq;

use crate::support::{Client, Service};

fn cursor(epoch: i32, seq: i64) -> String {
    Cursor { epoch, seq: Seq(seq) }.to_string()
}

/// The path of a link.
fn local(link: &str) -> String {
    link.split_once("/secure-api").unwrap().1.to_owned()
}

/// Follows a list as it was; returns its records and the number of its pages.
async fn walk(api: &Client, path: &str) -> (Vec<Value>, usize) {
    let (mut path, mut records, mut pages) = (path.to_owned(), Vec::new(), 0);
    loop {
        let page = api.get(&path).await;
        records.extend(page.expect(200).as_array().unwrap().iter().cloned());
        pages += 1;
        let Some(next) = page.json["meta"]["pagination"]["nextPage"].as_str() else { return (records, pages) };
        path = local(next);
    }
}

/// The state of each record after the first `seq` events, from the feed.
fn replayed(events: &[Value], kind: &str, seq: i64) -> BTreeMap<String, Value> {
    let of_kind = |event: &&Value| event["type"].as_str().unwrap().starts_with(&format!("crm.{kind}."));
    let until = events.iter().take(usize::try_from(seq).unwrap()).filter(of_kind);
    until.map(|event| (event["subject"].as_str().unwrap().to_owned(), event["data"]["record"].clone())).collect()
}

async fn some_history(api: &Client) {
    let mut uids = Vec::new();
    for number in 0..7 {
        uids.push(api.contact(&format!("p{number}@example.org")).await.uid());
        for round in 0..3 {
            let uid = &uids[(number * 5 + round * 3) % uids.len()];
            let title = format!("{number}/{round}");
            let changed = api.put(&format!("/contact/{uid}"), json!({"title": title})).await;
            assert!([200, 410].contains(&changed.status), "{}", changed.text);
        }
        if number % 3 == 2 {
            api.delete(&format!("/contact/{}", uids[number - 1])).await.expect(200);
        }
        api.post("/company", json!({"name": format!("Company {number}")})).await.expect(201);
        api.post("/project", json!({"name": format!("Project {number}")})).await.expect(201);
        api.put(&format!("/company/Company%20{}", number / 2), json!({"phone": format!("{number}")})).await.expect(200);
    }
}

#[tokio::test]
async fn at_every_position_lists_and_records_are_what_a_replay_up_to_it_gives() {
    let service = Service::start().await;
    let api = &service.client;
    some_history(api).await;
    let events = api.changes().await;
    let head = i64::try_from(events.len()).unwrap();
    for seq in (0..=head).step_by(2).chain([head]) {
        for (list, kind) in [("contacts", "contact"), ("companies", "company"), ("projects", "project")] {
            let then = replayed(&events, kind, seq);
            let live = then.values().filter(|record| record["deleted"] == json!(false));
            let expected: Vec<(&str, i64)> = live.map(identity).collect();
            let limit = 1 + seq % 4;
            let (listed, _) = walk(api, &format!("/{list}?at={seq}&limit={limit}")).await;
            assert_eq!(listed.iter().map(identity).collect::<Vec<_>>(), expected, "{list} at {seq}");
        }
        let then = replayed(&events, "contact", seq);
        for uid in replayed(&events, "contact", head).keys() {
            let record = api.get(&format!("/contact/{uid}?at={seq}")).await;
            match then.get(uid) {
                None => {
                    record.expect(404);
                }
                Some(expected) if expected["deleted"] == json!(true) => {
                    record.expect(410);
                    assert_eq!(record.json["deleted_seq"], expected["version"], "{uid} at {seq}");
                }
                Some(expected) => {
                    assert_eq!(record.expect(200), expected, "{uid} at {seq}");
                    assert_eq!(record.json["meta"], json!({"at": seq, "as_of": cursor(1, seq)}));
                    assert_eq!(record.header("etag"), format!("\"{}\"", expected["version"]));
                }
            }
        }
    }
}

fn identity(record: &Value) -> (&str, i64) {
    (record["uid"].as_str().unwrap(), record["version"].as_i64().unwrap())
}

#[tokio::test]
async fn a_list_as_it_was_and_the_changes_after_it_are_the_list_as_it_is() {
    let service = Service::start().await;
    let api = &service.client;
    some_history(api).await;
    let page = api.get("/contacts?at=9&limit=500").await;
    let mut copy: BTreeMap<String, Value> = page
        .expect(200)
        .as_array()
        .unwrap()
        .iter()
        .map(|record| (record["uid"].as_str().unwrap().to_owned(), record.clone()))
        .collect();
    let as_of = page.json["meta"]["as_of"].as_str().unwrap();
    for event in
        api.get(&format!("/changes?entity=contact&limit=500&after={as_of}")).await.expect(200).as_array().unwrap()
    {
        copy.insert(event["subject"].as_str().unwrap().to_owned(), event["data"]["record"].clone());
    }
    copy.retain(|_, record| record["deleted"] == json!(false));
    let now = api.get("/contacts?limit=500").await;
    assert_eq!(&json!(copy.into_values().collect::<Vec<_>>()), now.expect(200));
}

#[tokio::test]
async fn a_time_means_the_last_event_at_or_before_it() {
    let start = unificus::domain::Timestamp::from_unix_timestamp(1_800_000_000).unwrap();
    let clock = Clock::manual(start);
    let service = Service::timed(clock.clone(), |_| {}).await;
    let api = &service.client;
    for minute in 0..9 {
        clock.set(start + Duration::minutes(minute));
        api.contact(&format!("p{minute}@example.org")).await.expect(201);
        api.put("/contact/p0@example.org", json!({"title": format!("{minute}")})).await.expect(200);
    }
    let at = async |seconds: i64| {
        let time = start + Duration::seconds(seconds);
        let text = time.format(&time::format_description::well_known::Rfc3339).unwrap();
        api.get(&format!("/contacts?limit=500&at={text}")).await
    };
    for (seconds, expected) in [(-1, 0), (0, 2), (59, 2), (60, 4), (61, 4), (270, 10), (479, 16), (480, 18)] {
        let page = at(seconds).await;
        assert_eq!(page.json["meta"]["at"], expected, "{seconds}: {}", page.text);
        assert_eq!(page.expect(200).as_array().unwrap().len(), expected / 2, "{seconds}");
    }
    let future = at(481).await;
    future.expect(422);
    assert_eq!(future.json["errors"][0]["pointer"], "#/at");
    let title = api.get("/contact/p0@example.org?at=2027-01-15T09:02:30+01:00").await;
    assert_eq!(title.expect(200)["title"], "2");
}

#[tokio::test]
async fn a_position_that_cannot_be_served_is_refused_with_its_reason() {
    let service = Service::start().await;
    let api = &service.client;
    api.contact("ann@example.org").await.expect(201);
    for path in ["/contacts", "/contact/ann@example.org", "/companies", "/projects"] {
        for at in ["2", "99999999999999999999", "yesterday", "2999-01-01T00:00:00Z", "2026-11-24T00:00:00", "-1"] {
            let refused = api.get(&format!("{path}?at={at}")).await;
            assert_eq!((refused.status, &refused.json["errors"][0]["pointer"]), (422, &json!("#/at")), "{path} {at}");
        }
        for void in [cursor(2, 1), cursor(1, 2)] {
            let void = api.get(&format!("{path}?at={void}")).await;
            assert_eq!((void.status, &void.json["type"]), (410, &json!("/problems/resync-required")), "{path}");
        }
    }
    for parameter in ["page=2", "orderBy=created", "q=a", "tag=a", "tags=a", "role=Lead", "email=a", "updatedMin=x"] {
        let refused = api.get(&format!("/contacts?at=1&{parameter}")).await;
        refused.expect(422);
        let name = parameter.split('=').next().unwrap();
        assert_eq!(refused.json["errors"][0]["pointer"], format!("#/{name}"), "{}", refused.text);
    }
    for after in ["x".to_owned(), cursor(1, 1)] {
        api.get(&format!("/contacts?at=1&after={after}")).await.expect(422);
    }
    api.get(&format!("/contact/ann@example.org?at={}", cursor(1, 1))).await.expect(200);
}

#[tokio::test]
async fn after_a_restore_every_position_of_the_lost_log_asks_for_a_resync() {
    let service = Service::start().await;
    let api = &service.client;
    let ann = api.contact("ann@example.org").await.uid();
    api.contact("bob@example.org").await.expect(201);
    api.put(&format!("/contact/{ann}"), json!({"title": "Dr"})).await.expect(200);
    let link = async |path: &str| {
        let page = api.get(path).await;
        local(page.json["meta"]["pagination"]["nextPage"].as_str().unwrap_or_else(|| panic!("{}", page.text)))
    };
    let history = api.get(&format!("/contact/{ann}/history?limit=1")).await;
    let before = [
        link("/contacts?limit=1").await,
        link("/contacts?limit=1&orderBy=email").await,
        link("/contacts?limit=1&at=2").await,
        format!("/contact/{ann}/history?after={}", history.json["meta"]["cursor"].as_str().unwrap()),
        format!("/contact/{ann}?at={}", cursor(1, 2)),
        format!("/contacts?at={}", cursor(1, 2)),
        format!("/changes?after={}", api.get("/contacts").await.json["meta"]["as_of"].as_str().unwrap()),
    ];
    for path in &before {
        api.get(path).await.expect(200);
    }

    let raise = "update head set epoch = epoch + 1 where account_id = $1";
    service.env.sql().await.execute(raise, &[&api.account.0]).await.unwrap();

    for path in &before {
        let void = api.get(path).await;
        assert_eq!((void.status, &void.json["type"]), (410, &json!("/problems/resync-required")), "{path}");
    }
    let (_, pages) = walk(api, "/contacts?limit=1").await;
    assert_eq!(pages, 2, "a new walk is one of the new log");
}

/// Adds events to a log: `more` of each record in `uids`, one record after the other, as copies of its first event.
async fn lengthen(service: &Service, uids: &[(&str, i64)]) {
    let sql = service.env.sql().await;
    for (uid, more) in uids {
        let statement = "with first as (
                select body, seq as first, type, at, origin from event where account_id = $1 and uid = $2::text::uuid
                order by seq limit 1
            ), added as (
                insert into event (account_id, seq, uid, type, at, origin, body)
                select $1, h.seq + n, $2::text::uuid, f.type, f.at, f.origin,
                    replace(replace(replace(replace(f.body,
                        ':' || f.first || '\",\"source\"', ':' || h.seq + n || '\",\"source\"'),
                        lpad(f.first::text, 20, '0'), lpad((h.seq + n)::text, 20, '0')),
                        '\"seq\":' || f.first || ',\"previous_version\":null',
                        '\"seq\":' || h.seq + n || ',\"previous_version\":' || case when n = 1 then f.first else h.seq + n - 1 end),
                        '\"version\":' || f.first || ',', '\"version\":' || h.seq + n || ',')
                from first f, head h, generate_series(1, $3::bigint) n where h.account_id = $1
            ), grown as (
                update head set seq = seq + $3 where account_id = $1 returning seq
            )
            update contact set version = g.seq, record = replace(record, '\"version\":' || version || ',', '\"version\":' || g.seq || ',')
            from grown g where account_id = $1 and uid = $2::text::uuid";
        assert_eq!(sql.execute(statement, &[&service.client.account.0, uid, more]).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn the_state_before_very_many_events_is_served_in_bounded_steps() {
    let service = Service::start().await;
    let api = &service.client;
    let [ann, bob, cyd] = ["ann", "bob", "cyd"].map(|name| format!("{name}@example.org"));
    let (ann, bob, cyd) = (api.contact(&ann).await.uid(), api.contact(&bob).await.uid(), api.contact(&cyd).await.uid());
    // 1, 2, 3: created. Then Cyd up to 20,103, Ann up to 25,103, Bob up to 36,103.
    lengthen(&service, &[(&cyd, 20_100), (&ann, 5_000), (&bob, 11_000)]).await;
    let record = async |uid: &str, at: i64| api.get(&format!("/contact/{uid}?at={at}")).await;

    for (uid, at, version) in [
        (&bob, 36_103, 36_103),
        (&bob, 36_100, 36_100),
        (&bob, 30_000, 30_000),
        (&bob, 25_104, 25_104),
        (&bob, 2, 2),
        (&ann, 20_104, 20_104),
        (&ann, 20_103, 1),
        (&ann, 30_000, 25_103),
        (&cyd, 3, 3),
        (&cyd, 36_103, 20_103),
    ] {
        let then = record(uid, at).await;
        assert_eq!(then.expect(200)["version"], version, "{at}: {}", then.text);
    }
    record(&bob, 1).await.expect(404);
    let too_far = record(&bob, 25_103).await;
    too_far.expect(422);
    assert!(too_far.text.contains("Read its history"), "{}", too_far.text);

    let (listed, pages) = walk(api, "/contacts?at=25103").await;
    let versions: Vec<i64> = listed.iter().map(|record| record["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, [25_103, 2, 20_103]);
    assert!(pages > 1, "a page has a bound of steps");
}
