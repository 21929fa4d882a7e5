//! The index of contacts' texts: `q` finds by it the same contacts as a full scan, for less work.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio_postgres::Client as Sql;
use unificus::domain::{Entity, Seq};
use unificus::store::lists::{List, ListFilter};

use crate::support::{Client, LONG, Service};

const SEARCHES: &[&str] = &[
    "lee", "LEE", "n l", "%", "_", "\\", "a_b", "100%", "\\'", "öz", "+31 20", "@b.org", "zz", "e", "ee", "\"",
    "ann lee",
];

/// The account's contacts as the test knows them: email, and the texts that are searched.
type People = BTreeMap<String, Vec<String>>;

async fn write(api: &Client, people: &mut People, email: &str, first: &str, last: &str, phone: &str) {
    let path = format!("/contact/{email}");
    let fields = json!({"first_name": first, "last_name": last, "phone": phone, "background_info": "lee zz 100%"});
    if people.contains_key(email) {
        api.put(&path, fields).await.expect(200);
    } else {
        let mut body = json!({"role": "Lead", "email": email});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        api.post("/contact", body).await.expect(201);
    }
    let texts = [format!("{first} {last}"), email.to_owned(), phone.to_owned()];
    people.insert(email.to_owned(), texts.map(|text| text.to_lowercase()).to_vec());
}

async fn searches_are_exact(api: &Client, people: &People, when: &str) {
    for text in SEARCHES {
        let query: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let page = api.get(&format!("/contacts?limit=500&orderBy=email&q={query}")).await;
        let matches: Vec<&str> =
            page.expect(200).as_array().unwrap().iter().map(|row| row["email"].as_str().unwrap()).collect();
        let has = |texts: &&Vec<String>| texts.iter().any(|within| within.contains(&text.to_lowercase()));
        let expected: Vec<&str> =
            people.iter().filter(|(_, texts)| has(texts)).map(|(email, _)| email.as_str()).collect();
        assert_eq!(matches, expected, "{text:?} {when}");
        assert_eq!(page.json["meta"]["pagination"]["totalItems"], expected.len(), "{text:?} {when}");
    }
}

/// The number of events that the account's index lacks; `None` while it cannot be used.
async fn index_lag(sql: &Sql, api: &Client) -> Option<i64> {
    let state = "select h.seq - c.seq from head h join search_cursor c on c.account_id = h.account_id
        where h.account_id = $1 and c.backfilled is null";
    sql.query_opt(state, &[&api.account.0]).await.unwrap().map(|row| row.get(0))
}

async fn until(sql: &Sql, api: &Client, condition: impl Fn(Option<i64>) -> bool) {
    let met = async {
        while !condition(index_lag(sql, api).await) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, met).await.expect("the index is not brought forward");
}

#[tokio::test]
async fn the_index_finds_the_same_as_a_full_scan() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    let mut people = People::new();
    for (email, first, last, phone) in [
        ("ann@a.org", "Ann", "Lee", "+31 20 555"),
        ("bob@b.org", "Bob", "100%", "+31 30 555"),
        ("cyd@b.org", "Cyd", "a_b", ""),
        ("dan@d.org", "Dan\\'s", "Öz", ""),
        ("eve@e.org", "Eve", "axb \"E\"", "1"),
    ] {
        write(api, &mut people, email, first, last, phone).await;
    }
    assert_eq!(index_lag(&sql, api).await, None, "no search was sent");
    searches_are_exact(api, &people, "without an index").await;
    until(&sql, api, |index_lag| index_lag.is_some()).await;
    searches_are_exact(api, &people, "by the index").await;

    write(api, &mut people, "ann@a.org", "Anna", "Zz", "").await;
    write(api, &mut people, "fay@b.org", "Fay", "Lee", "").await;
    api.delete("/contact/bob@b.org").await.expect(200);
    people.remove("bob@b.org");
    assert!(index_lag(&sql, api).await.unwrap() >= 3);
    searches_are_exact(api, &people, "by the index and what was written since").await;

    for number in 0..300 {
        write(api, &mut people, "eve@e.org", "Eve", &format!("Lee {number}"), "").await;
    }
    searches_are_exact(api, &people, "by a stale index").await;
    until(&sql, api, |index_lag| index_lag == Some(0)).await;
    searches_are_exact(api, &people, "by an index that was brought forward").await;
    let texts = "select count(*) from contact_search where account_id = $1";
    let texts: i64 = sql.query_one(texts, &[&api.account.0]).await.unwrap().get(0);
    assert_eq!(texts, i64::try_from(people.len()).unwrap(), "deleted contacts are removed");
}

#[tokio::test]
async fn every_account_searches_its_own_contacts() {
    let service = Service::start().await;
    let (api, other, sql) = (&service.client, service.other_client().await, service.env.sql().await);
    let (mut people, mut others) = (People::new(), People::new());
    write(api, &mut people, "ann@a.org", "Ann", "Lee", "").await;
    write(&other, &mut others, "zoe@z.org", "Zoe", "Lee", "").await;
    for _ in 0..2 {
        searches_are_exact(api, &people, "one").await;
        searches_are_exact(&other, &others, "other").await;
        until(&sql, api, |index_lag| index_lag.is_some()).await;
        until(&sql, &other, |index_lag| index_lag.is_some()).await;
    }
}

/// Inserts many contacts by SQL.
const FILL: &str = "
    insert into contact (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
    select $1, lpad(to_hex(n), 32, '0')::uuid, n, 'p' || n || '@example.org', 'Lead', false, now(), now(),
        json_build_object('first_name', 'Name' || n, 'last_name', 'Lee', 'email', 'p' || n || '@example.org',
            'background_info', repeat(md5(n::text), 30))::text
    from generate_series(1, 20000) as n";

#[tokio::test]
async fn a_search_by_the_index_touches_a_hundredth_of_the_pages_of_a_full_scan() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    sql.execute(FILL, &[&api.account.0]).await.unwrap();
    let head = "update head set live = '{\"contact\": 20000}', seq = 20000 where account_id = $1";
    sql.execute(head, &[&api.account.0]).await.unwrap();
    while service.store.index_contacts(api.account).await.unwrap() {}
    sql.batch_execute("vacuum analyze").await.unwrap();

    let filter = ListFilter { text: Some("name12345".to_owned()), ..ListFilter::default() };
    let list = List { filter, ..List::first(Entity::Contact, 20) };
    let (scan, index) = (buffers(&sql, api, &list, None).await, buffers(&sql, api, &list, Some(Seq(20_000))).await);
    println!("{scan} buffers by a full scan, {index} by the index");
    assert!(index * 100 <= scan, "{scan} buffers by a full scan, {index} by the index");

    let page = service.store.page(api.account, &list).await.unwrap();
    assert_eq!((page.counted.total, page.records.len()), (1, 1));
}

/// The number of database pages that the statement of a search reads.
async fn buffers(sql: &Sql, api: &Client, list: &List, indexed: Option<Seq>) -> u64 {
    let prepare = format!(
        "prepare page(uuid, bigint, bigint, text, uuid, bigint, timestamptz, timestamptz, timestamptz, text, text, text,
            text, text, text, text, text, text, bigint, integer, bigint) as {}",
        list.statement(indexed)
    );
    sql.batch_execute(&prepare).await.unwrap();
    let text = list.filter.text.as_deref().unwrap();
    let explain = format!(
        "explain (analyze, buffers, format json) execute page('{}', 21, 0, {} '{text}', '{text}', null, 'contact', null,
            null, {})",
        api.account,
        "null, ".repeat(11),
        indexed.map_or(0, |seq| seq.0),
    );
    let plan: Value = sql.query_one(&explain, &[]).await.unwrap().get(0);
    sql.batch_execute("deallocate page").await.unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap()
}
