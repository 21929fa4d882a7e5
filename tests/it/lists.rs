//! Lists: filters, orders, pages.

use std::collections::BTreeSet;

use proptest::prelude::{Just, Strategy as _, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use unificus::domain::{Entity, Uid};
use unificus::store::lists::{List, Position, Start};
use uuid::Uuid;

use crate::support::client::{Reply, lead};
use crate::support::{Client, Service};

/// The emails of a list, those without one as `-`.
fn emails(response: &Reply) -> Vec<String> {
    let rows = response.expect(200).as_array().unwrap();
    rows.iter().map(|row| row["email"].as_str().unwrap_or("-").split('@').next().unwrap().to_owned()).collect()
}

fn pagination(response: &Reply) -> &Value {
    &response.json["meta"]["pagination"]
}

/// Follows `nextPage` from `path` to the end.
async fn walk(api: &Client, path: &str) -> Vec<Reply> {
    let mut pages = vec![api.get(path).await];
    while let Some(next) = pagination(pages.last().unwrap())["nextPage"].as_str() {
        let next = next.strip_prefix(&*api.base).unwrap().to_owned();
        pages.push(api.get(&next).await);
    }
    pages
}

async fn people(api: &Client) {
    let person = |email: Value, role: &str, first: &str, last: &str, more: Value| {
        let mut body = json!({"email": email, "role": role, "first_name": first, "last_name": last});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let acme = json!({"name": "Acme & Co", "create_company_if_not_exists": true});
    let blue = json!({"name": "Blue", "create_company_if_not_exists": true});
    for body in [
        person(json!("ann@a.org"), "Lead", "Ann", "Öz", json!({"tags": ["red", "trade fair"], "company": acme})),
        person(json!("bob@b.org"), "Client", "Bob", "Lee", json!({"phone": "+31 20 555", "company": blue})),
        person(json!("cyd@c.org"), "Prospect", "cyd", "lee", json!({"work_email": "Office@Big.example"})),
        person(Value::Null, "Lead", "Dan", "Ray", json!({"tags": ["trade"], "title": "red \"R\""})),
        person(Value::Null, "Lead", "Eve", "Öz", json!({"background_info": "Bob Lee knows her"})),
    ] {
        api.post("/contact", body).await.expect(201);
    }
    api.put("/contact/cyd@c.org", json!({"company": acme})).await.expect(200);
}

#[tokio::test]
async fn each_filter_returns_and_counts_its_matches() {
    let service = Service::start().await;
    let api = &service.client;
    people(api).await;
    let acme = api.get("/company/Acme+%26+Co").await.uid();

    for (query, expected) in [
        ("", "ann bob cyd - -"),
        ("email=BOB@b.org", "bob"),
        ("email=bob", ""),
        ("role=lEAD", "ann - -"),
        ("role=Client", "bob"),
        ("tag=red", "ann"),
        ("tag=trade", "-"),
        ("tag=trade+fair", "ann"),
        ("tag=Red", ""),
        ("tags=red", "ann"),
        ("tags=trade+fair&tag=", "ann"),
        ("tag=trade&tags=red", "-"),
        ("company=acme+%26+co", "ann cyd"),
        ("company=Nobody", ""),
        (&format!("company={acme}"), "ann cyd"),
        (&format!("company={}", Uuid::nil()), ""),
        ("q=LEE", "bob cyd"),
        ("q=bob+lee", "bob"),
        ("q=%C3%B6Z", "ann -"),
        ("q=office%40big", "cyd"),
        ("q=20+555", "bob"),
        ("q=red", ""),
        ("q=%25", ""),
        ("q=%22", ""),
        ("role=Lead&tag=red&q=a&company=Acme+%26+Co&email=ann@a.org&updatedMin=2020-01-01T00:00:00Z", "ann"),
        ("updatedMin=2999-01-01T00:00:00Z", ""),
        ("createdMin=2020-01-01T00:00:00+00:00&createdMax=2999-01-01T00:00:00Z", "ann bob cyd - -"),
        ("createdMax=2020-01-01T00:00:00Z", ""),
        ("email=&role=&tag=&company=&q=&orderBy=&unknown=x&name=x", "ann bob cyd - -"),
    ] {
        let listed = api.get(&format!("/contacts?{query}")).await;
        assert_eq!(emails(&listed).join(" "), expected, "{query}");
        assert_eq!(pagination(&listed)["totalItems"], emails(&listed).len(), "{query}");
    }

    // A deleted company has no members.
    api.delete("/company/Blue").await.expect(200);
    assert_eq!(emails(&api.get("/contacts?company=Blue").await), [""; 0]);
    assert_eq!(emails(&api.get("/contacts?role=client").await), ["bob"], "its contact is listed still");
}

#[tokio::test]
async fn times_of_creation_are_exclusive_bounds_and_those_of_changes_inclusive() {
    let service = Service::start().await;
    let api = &service.client;
    let at = |response: Reply, field: &str| response.json["data"][field].as_str().unwrap().to_owned();
    let created = at(api.contact("ann@example.org").await, "created");
    let updated = at(api.put("/contact/ann@example.org", json!({"title": "Dr"})).await, "updated");
    let total = async |query: String| pagination(&api.get(&format!("/contacts?{query}")).await)["totalItems"].clone();

    // A plus that was not escaped arrives as a space.
    assert_eq!(total(format!("createdMin={created}")).await, 0);
    assert_eq!(total(format!("createdMax={created}")).await, 0);
    assert_eq!(total(format!("updatedMin={updated}")).await, 1, "inclusive");
    let before = created.replace(':', "%3A").replace("+00", "%2B01");
    assert_eq!(total(format!("createdMin={before}")).await, 1, "an hour earlier");
    let before = updated.replace("+00", "+01");
    assert_eq!(total(format!("updatedMin={before}")).await, 1);
}

#[tokio::test]
async fn companies_have_filters_of_their_own() {
    let service = Service::start().await;
    let api = &service.client;
    people(api).await;
    api.put("/company/Blue", json!({"tags": ["big"]})).await.expect(200);
    api.post("/company", json!({"name": "Bluebell", "tags": ["big"]})).await.expect(201);

    for (query, expected) in [
        ("", "Acme & Co,Blue"),
        ("q=BLU", "Blue"),
        ("q=%26", "Acme & Co"),
        ("tag=big", "Blue"),
        ("role=lead", "Acme & Co"),
        ("role=client", "Blue"),
        ("orderBy=-name", "Blue,Acme & Co"),
        ("email=x&company=y", "Acme & Co,Blue"),
    ] {
        let listed = api.get(&format!("/companies?{query}")).await;
        let names: Vec<&str> =
            listed.expect(200).as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
        assert_eq!(names.join(","), expected, "{query}");
        assert_eq!(pagination(&listed)["totalItems"], names.len(), "{query}");
    }
}

#[tokio::test]
async fn all_bad_parameters_are_named_at_once() {
    let service = Service::start().await;
    let api = &service.client;
    let pointers = async |list: &str, query: &str| {
        let refused = api.get(&format!("/{list}?{query}")).await;
        refused.expect(422);
        let errors = refused.json["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let all = [
        ("page", "0"),
        ("limit", "501"),
        ("createdMin", "2020-01-01"),
        ("createdMax", "yesterday"),
        ("updatedMin", "2020-01-01T00:00:00"),
        ("orderBy", "shoe_size"),
        ("email", "%00"),
        ("role", "Boss"),
        ("tag", "%00"),
        ("company", "%00"),
    ];
    let long = "x".repeat(256);
    let all: Vec<(&str, &str)> = all.into_iter().chain([("q", long.as_str())]).collect();
    for (name, value) in &all {
        let expected = BTreeSet::from([format!("#/{name}")]);
        assert_eq!(pointers("contacts", &format!("{name}={value}")).await, expected);
    }
    let together: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let expected: BTreeSet<String> = all.iter().map(|(name, _)| format!("#/{name}")).collect();
    assert_eq!(pointers("contacts", &together.join("&")).await, expected);

    for bad in ["page=-1", "page=1.5", "page=2147483648", "limit=0", "limit=x"] {
        assert_eq!(pointers("contacts", bad).await.len(), 1, "{bad}");
    }
    for bad in ["-", "--name", "Email", "Name", "refs", "field_seq"] {
        assert_eq!(pointers("contacts", &format!("orderBy={bad}")).await, BTreeSet::from(["#/orderBy".to_owned()]));
    }
    let same = "createdMin=2020-01-01T01:00:00%2B01:00&createdMax=2020-01-01T00:00:00Z";
    assert_eq!(pointers("contacts", same).await, BTreeSet::from(["#/createdMin".to_owned()]));
    assert_eq!(pointers("companies", "orderBy=email").await, BTreeSet::from(["#/orderBy".to_owned()]));
}

#[tokio::test]
async fn every_sort_order_is_complete_in_pages_of_any_size_and_in_reverse() {
    let service = Service::start().await;
    let api = &service.client;
    people(api).await;
    api.contact("zoe@z.org").await.expect(201);
    api.put("/contact/ann@a.org", json!({"title": "Dr", "address": {"city": "Ulm"}})).await.expect(200);

    for (order, expected) in [
        ("created", "ann bob cyd - - zoe"),
        ("uid", "ann bob cyd - - zoe"),
        ("email", "ann bob cyd zoe - -"),
        ("version", "bob - - cyd zoe ann"),
        ("updated", ""),
        // Dr, red, and then four records without a title.
        ("title", "ann - bob cyd - zoe"),
        // Lee, lee, Lee, Öz, Öz, Ray: case-insensitive, ties by uid, non-ASCII last.
        ("last_name", "bob cyd zoe - ann -"),
        // Ann Lee, Bob Lee, cyd lee, Dan Ray, Ann Öz, Eve Öz.
        ("name", "zoe bob cyd - ann -"),
        ("role", "bob ann - - zoe cyd"),
        ("tags", ""),
        ("full_address", "ann bob cyd - - zoe"),
        ("companies", ""),
    ] {
        let whole = api.get(&format!("/contacts?orderBy={order}")).await;
        let uids = |pages: &[Reply]| -> Vec<String> {
            let rows = pages.iter().flat_map(|page| page.expect(200).as_array().unwrap());
            rows.map(|row| row["uid"].as_str().unwrap().to_owned()).collect()
        };
        if !expected.is_empty() {
            assert_eq!(emails(&whole).join(" "), expected, "{order}");
        }
        let forwards = uids(&[whole]);
        assert_eq!(forwards.iter().collect::<BTreeSet<_>>().len(), 6, "{order}");
        let backwards: Vec<String> = forwards.iter().rev().cloned().collect();
        for limit in 1..=6 {
            let pages = walk(api, &format!("/contacts?orderBy={order}&limit={limit}")).await;
            assert_eq!(uids(&pages), forwards, "{order}, {limit} on a page");
            let pages = walk(api, &format!("/contacts?orderBy=-{order}&limit={limit}")).await;
            assert_eq!(uids(&pages), backwards, "-{order}, {limit} on a page");
        }
        // A page that is requested directly, without a walk, is the same.
        let jumped = api.as_caller(api.account, &api.secret);
        let third = jumped.get(&format!("/contacts?orderBy=%20{order}&limit=2&page=3&jump=1")).await;
        assert_eq!(uids(&[third]), forwards[4..]);
    }
}

#[tokio::test]
async fn other_kinds_have_the_same_lists() {
    let service = Service::start().await;
    let api = &service.client;
    for (id, name) in [(10, "B"), (9, "C"), (100, "a")] {
        service.audience(id, name).await;
        api.post("/project", json!({"name": format!("Build {name}"), "status": "x"})).await.expect(201);
        api.post("/fields", json!({"entity": "contact", "type": "text", "name": name})).await.expect(201);
    }
    for (path, field, expected) in [
        ("/audiences?orderBy=id", "id", "9 10 100"),
        ("/audiences?orderBy=-id", "id", "100 10 9"),
        ("/audiences?orderBy=name&q=x", "id", "100 10 9"),
        ("/projects", "name", "Build B Build C Build a"),
        ("/projects?orderBy=name", "name", "Build a Build B Build C"),
        ("/projects?q=D%20b&role=nobody&email=%00", "name", "Build B"),
        ("/fields?orderBy=-name", "name", "C B a"),
        ("/worlds", "name", ""),
    ] {
        let listed = api.get(path).await;
        let rows = listed.expect(200).as_array().unwrap();
        let shown: Vec<String> = rows.iter().map(|row| row[field].to_string().replace('"', "")).collect();
        assert_eq!(shown.join(" "), expected, "{path}");
        assert_eq!(pagination(&listed)["totalItems"], rows.len(), "{path}");
    }
    api.get("/projects?orderBy=email").await.expect(422);
}

#[tokio::test]
async fn every_list_can_be_ordered_by_every_field() {
    let service = Service::start().await;
    let api = &service.client;
    people(api).await;
    service.audience(1, "News").await;
    api.post("/project", json!({"name": "Build"})).await.expect(201);
    api.post("/fields", json!({"entity": "contact", "type": "text", "name": "colour"})).await.expect(201);

    for (path, entity, all) in [
        ("/contacts", Entity::Contact, 5),
        ("/companies", Entity::Company, 2),
        ("/projects", Entity::Project, 1),
        ("/audiences", Entity::Audience, 1),
        ("/fields", Entity::CustomField, 1),
    ] {
        let fields = entity.fields().iter().map(|field| field.name());
        for field in fields.chain(["uid", "created", "updated", "version"]) {
            for direction in ["", "-"] {
                let pages = walk(api, &format!("{path}?limit=1&orderBy={direction}{field}")).await;
                assert_eq!(pages.len(), all, "{path} by {direction}{field}");
            }
        }
    }
}

#[tokio::test]
async fn a_walk_sees_each_record_once_while_others_come_and_go() {
    let service = Service::start().await;
    let api = &service.client;
    // An email and a last name that sort before all others, for lists that have these fields.
    for (order, before) in [
        ("", None),
        ("email", Some(("a", "Lee"))),
        ("-email", Some(("z", "Lee"))),
        ("last_name", Some(("x", "A"))),
        ("name", Some(("x", "A"))),
    ] {
        let api = service.other_client().await;
        let mut expected: Vec<String> = (10..40).map(|number| format!("p{number}")).collect();
        for email in &expected {
            api.contact(&format!("{email}@example.org")).await.expect(201);
        }
        let mut seen = Vec::new();
        let mut path = format!("/contacts?orderBy={order}&limit=5");
        for round in 0.. {
            let page = api.get(&path).await;
            seen.extend(emails(&page));
            for gone in &seen[seen.len() - 2..] {
                api.delete(&format!("/contact/{gone}@example.org")).await.expect(200);
            }
            if let Some((email, last_name)) = before {
                let mut body = lead(&format!("{email}{round}@example.org"));
                body["last_name"] = json!(last_name);
                api.post("/contact", body).await.expect(201);
            }
            let Some(next) = pagination(&page)["nextPage"].as_str() else { break };
            path = next.strip_prefix(&*api.base).unwrap().to_owned();
        }
        if order == "-email" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "ordered by {order:?}");
    }

    // Records that are added behind the walk's cursor are listed, also after the walk had reached the end.
    for number in 0..4 {
        api.contact(&format!("a{number}@example.org")).await.expect(201);
    }
    assert_eq!(emails(&api.get("/contacts?limit=2").await), ["a0", "a1"]);
    let second = api.get("/contacts?limit=2&page=2").await;
    assert_eq!((emails(&second).join(" "), &pagination(&second)["nextPage"]), ("a2 a3".to_owned(), &Value::Null));
    assert_eq!(emails(&api.get("/contacts?limit=2&page=3").await), [""; 0]);
    api.delete("/contact/a0@example.org").await.expect(200);
    api.contact("a4@example.org").await.expect(201);
    assert_eq!(emails(&api.get("/contacts?limit=2&page=3").await), ["a4"]);
    assert_eq!(emails(&api.get("/contacts?limit=2&page=4").await), [""; 0]);
}

#[tokio::test]
async fn a_filtered_walk_recounts_only_records_written_since() {
    let service = Service::start().await;
    let api = &service.client;
    for number in 0..6 {
        api.contact(&format!("a{number}@example.org")).await.expect(201);
    }
    let total = |page: &Reply| pagination(page)["totalItems"].clone();
    assert_eq!(total(&api.get("/contacts?limit=2&role=lead").await), 6);
    assert_eq!(total(&api.get("/contacts?limit=2&role=lead&page=2").await), 6);
    api.delete("/contact/a5@example.org").await.expect(200);
    let third = api.get("/contacts?limit=2&role=lead&page=3").await;
    assert_eq!((total(&third), emails(&third)), (json!(5), vec!["a4".to_owned()]));
}

#[tokio::test]
async fn links_keep_the_other_parameters() {
    let service = Service::start().await;
    let api = &service.client;
    for number in 0..3 {
        api.contact(&format!("a{number}@example.org")).await.expect(201);
    }
    let query = "q=a%26b%3D&email=&limit=1&orderBy=-email&createdMin=2020-01-01T00:00:00+00:00&x=%2B";
    let empty = api.get(&format!("/contacts?{query}&page=7")).await;
    let link = "q=a%26b%3D&email=&limit=1&orderBy=-email&createdMin=2020-01-01T00%3A00%3A00+00%3A00&x=%2B&page=1";
    let expected = json!({"pageSize": 1, "totalPages": 0, "totalItems": 0, "currentPageNumber": 7,
        "previousPage": format!("{}/contacts?{link}", api.base), "nextPage": null});
    assert_eq!((empty.expect(200), pagination(&empty)), (&json!([]), &expected));

    let middle = api.get("/contacts?page=2&limit=1&q=ann").await;
    assert_eq!(pagination(&middle)["previousPage"], format!("{}/contacts?limit=1&q=ann&page=1", api.base));
    let next = pagination(&middle)["nextPage"].as_str().unwrap();
    let (link, after) = next.split_once("&after=").unwrap();
    assert_eq!(link, format!("{}/contacts?limit=1&q=ann&page=3", api.base));
    let again = api.get(&format!("/contacts?after={after}&limit=1&page=2&q=ann")).await;
    let previous = format!("{}/contacts?limit=1&q=ann&page=2", api.base);
    assert_eq!(pagination(&again)["previousPage"], previous, "a number alone");
    let beyond = api.get("/contacts?page=2147483647&limit=500").await;
    assert_eq!(beyond.expect(200), &json!([]));
    assert_eq!(pagination(&beyond)["previousPage"], format!("{}/contacts?limit=500&page=1", api.base));
}

/// Inserts a hundred thousand contacts by SQL; every tenth has no email.
const FILL: &str = "
    insert into contact (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
    select $1, lpad(to_hex(n), 32, '0')::uuid, n,
        case when n % 10 > 0 then 'p' || lpad(n::text, 6, '0') || '@example.org' end, 'Lead', false, now(), now(),
        '{\"background_info\":\"' || repeat(md5(n::text), 30) || '\"}'
    from generate_series(1, 100000) as n";

#[tokio::test]
async fn page_5000_touches_no_more_of_the_database_than_page_1() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    sql.execute(FILL, &[&api.account.0]).await.unwrap();
    sql.execute("update head set live = '{\"contact\": 100000}' where account_id = $1", &[&api.account.0])
        .await
        .unwrap();
    sql.batch_execute("vacuum analyze").await.unwrap();

    let last = service.client.get("/contacts?limit=20&page=5000&orderBy=uid").await;
    assert_eq!(pagination(&last)["totalPages"], 5000);
    for order in ["uid", "-uid", "email", "-email"] {
        let first = List { limit: 20, ..list(order, Start::Offset(0)) };
        // The last row of page 4,998, so that two pages follow.
        let rows = service.store.page(api.account, &List { limit: 1, ..list(order, Start::Offset(99_959)) }).await;
        let jumped = list(order, Start::Offset(99_960));
        let late = list(order, Start::After(rows.unwrap().end.unwrap()));
        let same = service.store.page(api.account, &late).await.unwrap();
        assert_eq!(same, service.store.page(api.account, &jumped).await.unwrap(), "{order}");

        let buffers = async |list: &List| buffers(&sql, &service, list).await;
        let (first, late, jumped) = (buffers(&first).await, buffers(&late).await, buffers(&jumped).await);
        println!("{order}: page 1 {first} buffers, page 4,999 {late} by walking, {jumped} by jumping");
        assert!(late <= 8 * first, "{order}: page 1 {first} buffers, page 4,999 {late}");
        assert!(late * 20 < jumped, "{order}: page 4,999 {late} buffers, {jumped} by its number");
    }
}

fn list(order: &str, start: Start) -> List {
    use unificus::store::lists::{Sort, SortOrder};
    let by = if order.ends_with("uid") { Sort::Uid } else { Sort::Key };
    let order = SortOrder { by, descending: order.starts_with('-') };
    List { order, start, ..List::first(Entity::Contact, 20) }
}

/// The number of database pages that the statement of a page reads.
async fn buffers(sql: &tokio_postgres::Client, service: &Service, list: &List) -> u64 {
    let text = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), |text| format!("'{text}'"));
    let (offset, value, uid) = match &list.start {
        Start::Offset(offset) => (*offset, None, None),
        Start::After(Position { value, uid: Uid(uid) }) => (0, value.as_deref(), Some(uid.to_string())),
    };
    let prepare = format!(
        "prepare page(uuid, bigint, bigint, text, uuid, bigint, timestamptz, timestamptz, timestamptz, text, text, text,
            text, text, text, text, text, text, bigint, integer) as {}",
        list.statement(None)
    );
    sql.batch_execute(&prepare).await.unwrap();
    let explain = format!(
        "explain (analyze, buffers, format json) execute page('{}', {}, {offset}, {}, {}, {} 'contact', null, null)",
        service.client.account,
        list.limit + 1,
        text(value),
        text(uid.as_deref()),
        "null, ".repeat(12),
    );
    let plan: Value = sql.query_one(&explain, &[]).await.unwrap().get(0);
    sql.batch_execute("deallocate page").await.unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap()
}

/// A write to one of a few contacts or companies; about half of them are refused.
#[derive(Debug, Clone)]
enum Write {
    Create(u8, Option<u8>),
    Company(u8, Option<u8>),
    ChangeCompany(u8, Option<u8>),
    Delete(u8),
    DeleteCompany(u8),
}

async fn execute(api: &Client, write: Write) {
    let email = |contact: u8| format!("c{contact}@example.org");
    let name =
        |company: u8| json!({"name": format!("C{company}"), "create_company_if_not_exists": company.is_multiple_of(2)});
    match write {
        Write::Create(contact, company) => {
            let mut body = lead(&email(contact));
            body["company"] = company.map_or(Value::Null, name);
            api.post("/contact", body).await
        }
        Write::Company(company, contact) => {
            let primary = contact.map(|contact| json!({"email": email(contact)}));
            api.post("/company", json!({"name": format!("C{company}"), "primaryContact": primary})).await
        }
        Write::ChangeCompany(contact, company) => {
            let company = company.map_or(Value::Null, name);
            api.put(&format!("/contact/{}", email(contact)), json!({"company": company})).await
        }
        Write::Delete(contact) => api.delete(&format!("/contact/{}", email(contact))).await,
        Write::DeleteCompany(company) => api.delete(&format!("/company/C{company}")).await,
    };
}

const COUNTS: &str = "
    select (h.live ->> 'contact')::bigint, (h.live ->> 'company')::bigint, h.listed_companies,
        (select count(*) from contact r where r.account_id = $1 and not deleted),
        (select count(*) from company r where r.account_id = $1 and not deleted),
        (select count(*) from company r where r.account_id = $1 and not deleted and exists (
            select from contact_company l join contact c on c.account_id = $1 and c.uid = l.contact_uid and not c.deleted
            where l.account_id = $1 and l.company_uid = r.uid)),
        (select count(*) from company r where r.account_id = $1 and listed)
    from head h where account_id = $1";

#[test]
fn the_stored_counts_match_the_rows_after_any_writes() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(Service::start());
    let sql = runtime.block_on(service.env.sql());
    let some = || prop_oneof![Just(None), (0_u8..5).prop_map(Some)];
    let write = prop_oneof![
        (0_u8..6, some()).prop_map(|(contact, company)| Write::Create(contact, company)),
        (0_u8..5, some()).prop_map(|(company, contact)| Write::Company(company, contact)),
        (0_u8..6, some()).prop_map(|(contact, company)| Write::ChangeCompany(contact, company)),
        (0_u8..6).prop_map(Write::Delete),
        (0_u8..5).prop_map(Write::DeleteCompany),
    ];
    let writes = proptest::collection::vec(proptest::collection::vec(write, 1..8), 1..12);
    let mut property = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let ran = property.run(&writes, |writes| {
        runtime.block_on(async {
            let api = service.other_client().await;
            for at_once in writes {
                // Writes that are sent at once share a batch.
                futures_util::future::join_all(at_once.into_iter().map(|write| execute(&api, write))).await;
                let row = sql.query_one(COUNTS, &[&api.account.0]).await.unwrap();
                let kept = [0, 1, 2].map(|at| row.get::<_, Option<i64>>(at).unwrap_or(0));
                let counted = [3, 4, 5].map(|at| row.get::<_, i64>(at));
                proptest::prop_assert_eq!(kept, counted);
                proptest::prop_assert_eq!(row.get::<_, i64>(6), counted[2]);
            }
            let total = |response: &Reply| pagination(response)["totalItems"].as_i64().unwrap();
            let row = sql.query_one(COUNTS, &[&api.account.0]).await.unwrap();
            proptest::prop_assert_eq!(total(&api.get("/contacts").await), row.get::<_, i64>(3));
            proptest::prop_assert_eq!(total(&api.get("/companies").await), row.get::<_, i64>(5));
            Ok(())
        })
    });
    ran.unwrap();
    runtime.block_on(recount(&sql));
}

/// For existing accounts the migration computes the same counts that are maintained afterwards.
async fn recount(sql: &tokio_postgres::Client) {
    let all = "select h.account_id, coalesce((live ->> 'contact')::bigint, 0), coalesce((live ->> 'company')::bigint, 0),
        listed_companies, (select array_agg(uid order by uid) from company c where c.account_id = h.account_id and listed)
        from head h order by 1";
    let counts = async || {
        let rows = sql.query(all, &[]).await.unwrap();
        let row = |row: &tokio_postgres::Row| {
            let listed: Option<Vec<Uuid>> = row.get(4);
            (row.get::<_, Uuid>(0), row.get::<_, i64>(1), row.get::<_, i64>(2), row.get::<_, i64>(3), listed)
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    let kept = counts().await;
    assert!(kept.iter().any(|(.., listed)| listed.is_some()));
    sql.batch_execute("alter table head drop live, drop listed_companies; alter table company drop listed")
        .await
        .unwrap();
    sql.batch_execute(include_str!("../../migrations/V5__lists.sql")).await.unwrap();
    assert_eq!(counts().await, kept);
}
