//! Texts that would be markup, in every field of an account that holds a text, looked for on every page.

use hyper::Method;
use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::domain::user::UserRole;
use unificus::store::audit::By;
use unificus::store::brands::NewBrand;

use super::crawl::Crawled;
use super::support::{Console, Page, Web};
use crate::push_delivery::{endpoint, until};
use crate::support::Receiver;
use crate::sync::{execute_one, partner, upsert};

/// Leaves an attribute in either kind of quotes, and then would run.
const MARKUP: &str = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>";

/// The same text where it is shown as one.
const SHOWN: &str = "&quot;'&gt;&lt;img src=x onerror=alert(1)&gt;";

#[track_caller]
fn assert_harmless(path: &str, page: &Page) {
    let kind = page.header("content-type");
    // Other types are never read as markup.
    if kind.starts_with("text/html") || kind.starts_with("text/event-stream") {
        for raw in [
            "<img src=x",
            "<img/src",
            "<svg/onload",
            "<script>alert",
            "\"'>",
            "\"'&gt;",
            "href=\"javascript:",
            "src=\"javascript:",
        ] {
            assert!(!page.text.contains(raw), "{raw} on {path}: {}", page.text);
        }
    }
    assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") || policy.contains("sandbox"), "{path}: {policy}");
}

/// A text that is markup, with a label that tells which field it stands in.
fn hostile(label: &str) -> String {
    format!("{label}{MARKUP}")
}

/// The fields of [`hostile_account`], each of which some page shows.
const LABELS: [&str; 27] = [
    "account",
    "brand",
    "actor",
    "field",
    "description",
    "allowed",
    "audience",
    "key",
    "origin",
    "system",
    "rule",
    "id",
    "first",
    "last",
    "title",
    "tag",
    "company",
    "background",
    "city",
    "circle",
    "kept",
    "lost",
    "project",
    "status",
    "gone",
    "endpoint",
    "answer",
];

/// An account whose texts are hostile. Returns the receiver of its endpoint, and addresses that no page links to.
async fn hostile_account(console: &Console, web: &Web) -> (Receiver, Vec<String>) {
    let (service, account) = (&console.service, console.account());
    let sql = service.env.sql().await;
    let named = "update account set name = $2 where account_id = $1";
    sql.execute(named, &[&account.0, &hostile("account")]).await.unwrap();
    let support_url = Some("https://acme.example/?\"'><img/src=x/onerror=alert(1)>".to_owned());
    let brand = NewBrand { name: Some(hostile("brand")), support_url, ..NewBrand::default() };
    let actor = hostile("actor");
    service.store.set_brand(account, &brand, By::new(&actor, Clock::system().now())).await.unwrap();
    for (path, fields, status) in [
        ("custom-fields", vec![("name", "field"), ("description", "description"), ("allowed_values", "allowed")], 303),
        ("audiences", vec![("name", "audience")], 303),
        ("integrations/secure-api/keys", vec![("name", "key"), ("origin", "origin")], 200),
        ("integrations/sync/rules/fields", vec![("origin", "rule")], 303),
        ("integrations/sync/consumers", vec![], 303),
    ] {
        let plain = [
            ("entity", "contact"),
            ("type", "dropdown"),
            ("visibility", "public"),
            ("field", "contact.title"),
            ("rule", "system_of_record"),
        ];
        let mut fields: Vec<(&str, String)> = fields.into_iter().map(|(name, label)| (name, hostile(label))).collect();
        fields.extend(plain.map(|(name, value)| (name, value.to_owned())));
        if path.ends_with("consumers") {
            fields.push(("name", "shop".to_owned()));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        web.post(&format!("/console/{path}"), &fields).await.expect(status);
    }
    let uid = hostile_records(console).await;
    let receiver = Receiver::start().await;
    receiver.respond_with_body(500, hostile("answer"));
    let settings = json!({"description": hostile("endpoint"), "headers": {"x-shop": "\"'><svg/onload=alert(1)>"}, "url": format!("{}?<img/src=x>", receiver.url())});
    let made = endpoint(service, &receiver, settings).await;
    let id = made["id"].as_str().unwrap();
    web.post(&format!("/console/integrations/push/{id}/test"), &[]).await.expect(303);
    service.client.contact("next@x.org").await.expect(201);
    until("an attempt is logged", async || {
        web.get(&format!("/console/integrations/push/{id}")).await.text.contains("/attempts/")
    })
    .await;
    import(web).await;
    let origin: String = url::form_urlencoded::byte_serialize(hostile("system").as_bytes()).collect();
    let undo = format!("/console/integrations/sync/undo?origin={origin}&by=event&from=1");
    let paths = [
        format!("{undo}&dialog=confirm"),
        undo,
        "/console/contacts?state=deleted".to_owned(),
        format!("/console/contacts/{uid}"),
    ];
    (receiver, paths.to_vec())
}

/// A contact with a company, a conflict and a project, and a deleted contact. Returns the uid of the first.
async fn hostile_records(console: &Console) -> String {
    let service = &console.service;
    let custom = service.client.get("/fields").await.expect(200)[0]["uid"].as_str().unwrap().to_owned();
    service.client.post("/company", json!({"name": hostile("company"), "role": "Lead"})).await.expect(201);
    let (erp, shop) = (partner(service, &hostile("system")).await, partner(service, "shop").await);
    let set = json!({"role": "Lead", "first_name": hostile("first"), "last_name": hostile("last"), "title": hostile("title"),
        "tags": [hostile("tag")], "company": hostile("company"), "custom_fields": {&custom: hostile("allowed")},
        "background_info": hostile("background"), "circles": {"add": [hostile("circle")]},
        "address": {"city": hostile("city")}});
    let made = execute_one(&erp, upsert(&hostile("id"), set)).await;
    assert_eq!(made["status"], 201, "{made}");
    let update = |base: Option<&Value>, label: &str| {
        let set = json!({"first_name": hostile(label)});
        json!({"op": "update", "entity": "contact", "uid": made["uid"], "base": base, "set": set})
    };
    execute_one(&shop, update(None, "lost")).await;
    execute_one(&erp, update(Some(&made["seq"]), "kept")).await;
    let project = json!({"name": hostile("project"), "status": hostile("status"), "client": made["uid"]});
    service.client.post("/project", project).await.expect(201);
    let gone = json!({"role": "Lead", "first_name": hostile("gone"), "last_name": "Lee", "email": "gone@x.org"});
    service.client.post("/contact", gone).await.expect(201);
    service.client.delete("/contact/gone@x.org").await.expect(200);
    made["uid"].as_str().unwrap().to_owned()
}

/// Imports a file whose name, columns and values are markup, and shows its report.
async fn import(web: &Web) {
    for (mode, cell) in [("check", MARKUP), ("run", "Ann")] {
        let quoted = cell.replace('"', "\"\"");
        let file = format!(
            "role,first_name,last_name,\"{}\",email\nLead,\"{quoted}\",Lee,x,{}@x.org\nno role,A,B,c,\"{quoted}\"\n",
            MARKUP.replace('"', "\"\""),
            mode
        );
        let name = MARKUP.replace('"', "%22");
        let body = format!(
            "--line\r\ncontent-disposition: form-data; name=\"mode\"\r\n\r\n{mode}\r\n\
            --line\r\ncontent-disposition: form-data; name=\"origin\"\r\n\r\n{MARKUP}\r\n\
            --line\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{file}\r\n--line--\r\n"
        );
        let form = web.get("/console/contacts/import").await;
        let action = form.between("class=\"import\" method=\"post\" action=\"", "\"").replace("&amp;", "&");
        let kind = ("content-type", "multipart/form-data; boundary=line");
        let report = web.send(Method::POST, &action, &[kind], body).await;
        assert_harmless(&action, report.expect(200));
        assert!(report.text.contains("&lt;script&gt;"), "the report shows the column: {}", report.text);
    }
}

#[tokio::test]
async fn a_text_of_an_account_is_a_text_on_every_page_and_in_every_form() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
    let web = console.visitor().with_header("user-agent", MARKUP);
    web.sign_in("ann@example.org").await;
    let (_receiver, mut starts) = hostile_account(&console, &web).await;
    starts.extend(["/console/dashboard", "/console/components"].map(str::to_owned));
    let crawled = Crawled::of(&web, &starts).await;
    for (path, page) in &crawled.pages {
        assert_harmless(path, page);
    }
    // Otherwise a page that shows none of the texts would count as one that shows them well.
    for label in LABELS {
        let shown = format!("{label}{SHOWN}");
        assert!(crawled.pages.values().any(|page| page.text.contains(&shown)), "no page shows the text of {label}");
    }
    for route in crawled.missed() {
        let is_elsewhere = ["/sign-in", "/forgot", "/link/{token}", "/undo/progress", "/undo/result", "/logo/{tag}"];
        assert!(is_elsewhere.iter().any(|end| route.ends_with(end)), "no link leads to {route}");
    }

    // Values of the address.
    let value: String = url::form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    let names = [
        "q", "tag", "role", "order", "state", "company", "after", "before", "kind", "actor", "from", "until", "to",
        "dialog", "id", "name", "field", "key", "user", "status", "days", "origin", "by", "at", "version", "replay",
        "run", "next", "step",
    ];
    let query = names.map(|name| format!("{name}={value}")).join("&");
    let mut paths: Vec<&str> = crawled.pages.keys().filter_map(|path| path.split('?').next()).collect();
    paths.dedup();
    for path in paths.into_iter().filter(|path| !path.ends_with("/live")) {
        assert_harmless(path, &web.get(&format!("{path}?{query}")).await);
        assert_harmless(path, &web.get(&format!("{path}?q={value}&origin={value}&kind={value}&actor={value}")).await);
    }
    for path in ["/console/sign-in", "/console/forgot", &format!("/console/link/{value}"), &format!("/console/{value}")]
    {
        assert_harmless(path, &console.visitor().get(&format!("{path}?{query}")).await);
    }

    // Values that a form shows again, beside its errors.
    let mut again = 0;
    for form in crawled.forms().into_iter().filter(|form| !form.action.contains("csrf=")) {
        if !form.fields.iter().any(|(_, value)| value.is_none()) {
            continue;
        }
        let typed = form.fields.iter().filter(|(name, _)| name != "csrf");
        let typed = typed.map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or(MARKUP)));
        let page = web.post(&form.action, &typed.collect::<Vec<_>>()).await;
        assert!(page.status < 500, "{form:?}: {}", page.text);
        assert_harmless(&form.action, &page);
        again += usize::from(page.status == 422 && page.text.contains(SHOWN));
    }
    assert!(again >= 4, "only {again} forms showed what was typed");
}
