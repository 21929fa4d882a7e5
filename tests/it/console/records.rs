//! Contacts, companies and projects over HTTP: search and pages, other accounts, texts that would be markup, earlier states,
//! restoring, files.

use std::fmt::Write as _;

use serde_json::json;
use unificus::domain::user::UserRole;
use unificus::store::console::audit_list::AuditFilter;

use super::support::{Console, Page, Web, sign_in};
use crate::support::Client;
use crate::support::browser::with_browser;

/// The paths of the records that a page links to, in their order.
fn listed(page: &Page, list: &str) -> Vec<String> {
    let links = page.text.split("class=\"record-link\" href=\"").skip(1);
    let paths = links.map(|rest| rest.split_once('"').unwrap().0.to_owned());
    paths.inspect(|path| assert!(path.starts_with(list), "{path}")).collect()
}

/// The address of the link to the next or the previous page.
fn page_link(page: &Page, rel: &str) -> Option<String> {
    let (before, _) = page.text.split_once(&format!("\" rel=\"{rel}\""))?;
    Some(before.rsplit_once("href=\"")?.1.replace("&amp;", "&"))
}

async fn contact(api: &Client, first: &str, last: &str, email: &str, role: &str) -> String {
    let body = json!({"role": role, "first_name": first, "last_name": last, "email": email});
    let created = api.post("/contact", body).await;
    created.expect(201);
    created.uid()
}

/// Sends a file with the choices of the form of an import.
async fn import(web: &Web, list: &str, mode: &str, fields: &[(&str, &str)], file: &str) -> Page {
    let form = web.get(&format!("/console/{list}/import")).await;
    let action = form.between("class=\"import\" method=\"post\" action=\"", "\"").replace("&amp;", "&");
    let mut body = String::new();
    for (name, value) in [&[("mode", mode), ("origin", "crm")], fields].concat() {
        write!(body, "--line\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    body.push_str("--line\r\ncontent-disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n");
    write!(body, "content-type: text/csv\r\n\r\n{file}\r\n--line--\r\n").unwrap();
    let kind = ("content-type", "multipart/form-data; boundary=line");
    web.send(hyper::Method::POST, &action, &[kind], body).await
}

#[tokio::test]
async fn every_contact_is_on_exactly_one_page_in_both_directions() {
    let console = Console::start().await;
    let api = &console.service.client;
    let mut created = Vec::new();
    for number in 0..60 {
        let (first, email) = (format!("P{number}"), format!("p{:02}@example.org", 59 - number));
        // Every third has no email, so that a list by email ends with those.
        let email = if number % 3 == 0 { String::new() } else { email };
        created.push(format!("/console/contacts/{}", contact(api, &first, "Lee", &email, "Lead").await));
    }
    let web = console.as_role(UserRole::Member).await;
    for order in ["newest", "oldest", "a-z"] {
        let mut page = web.get(&format!("/console/contacts?order={order}")).await;
        let mut pages = vec![listed(&page, "/console/contacts/")];
        assert!(page_link(&page, "prev").is_none());
        assert!(page.text.contains("25 of 60 contacts"), "{}", page.text);
        while let Some(next) = page_link(&page, "next") {
            page = web.get(&next).await;
            pages.push(listed(page.expect(200), "/console/contacts/"));
        }
        let all = pages.concat();
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 10], "{order}");
        match order {
            "newest" => assert!(all.iter().eq(created.iter().rev())),
            "oldest" => assert_eq!(all, created),
            _ => {
                let with_email = created.iter().enumerate().rev().filter(|(number, _)| number % 3 != 0);
                let without = created.iter().enumerate().filter(|(number, _)| number % 3 == 0);
                assert!(all.iter().eq(with_email.chain(without).map(|(_, path)| path)), "{all:?}");
            }
        }
        for expected in pages.iter().rev().skip(1) {
            page = web.get(&page_link(&page, "prev").unwrap()).await;
            assert_eq!(&listed(&page, "/console/contacts/"), expected, "{order}");
        }
    }
}

#[tokio::test]
async fn contacts_are_searched_and_filtered_and_an_empty_list_says_what_to_do_next() {
    let console = Console::start().await;
    let (admin, member) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::Member).await);
    let empty = admin.get("/console/contacts").await;
    assert!(empty.text.contains("No contacts yet") && empty.text.contains("href=\"/console/contacts/import\""));
    assert!(
        !empty.text.contains("Export CSV") && !empty.text.contains("type=\"search\""),
        "there is nothing to search"
    );
    let empty = member.get("/console/contacts").await;
    assert!(empty.text.contains("No contacts yet") && !empty.text.contains("/console/contacts/import"));

    let api = &console.service.client;
    let ann = contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    let bob = contact(api, "Bob", "Stone", "bob@example.org", "Client").await;
    let company = api.post("/company", json!({"name": "Acme", "role": "Client"})).await.uid();
    api.put(&format!("/contact/{bob}"), json!({"tags": ["vip"], "company": "Acme"})).await.expect(200);
    let [ann, bob] = [ann, bob].map(|uid| format!("/console/contacts/{uid}"));
    for (query, expected) in [
        ("q=berg", vec![&ann]),
        ("q=BOB%40example", vec![&bob]),
        ("role=Client", vec![&bob]),
        ("tag=vip", vec![&bob]),
        (&format!("company={company}"), vec![&bob]),
        ("q=example", vec![&bob, &ann]),
        ("q=example&role=Lead", vec![&ann]),
        ("q=nobody", vec![]),
        ("q=%25", vec![]),
    ] {
        let page = admin.get(&format!("/console/contacts?{query}")).await;
        assert_eq!(listed(page.expect(200), "/console/contacts/").iter().collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(page.text.contains("No contacts found"), expected.is_empty(), "{query}");
    }
    let page = admin.get("/console/contacts?q=&role=Nonsense&after=nonsense&order=odd").await;
    assert_eq!(listed(page.expect(200), "/console/contacts/").len(), 2, "what cannot be read is left out");
    let page = admin.get("/console/companies?q=ac").await;
    assert_eq!(listed(&page, "/console/companies/"), [format!("/console/companies/{company}")]);
    assert!(admin.get("/console/projects").await.text.contains("No projects yet"));
}

#[tokio::test]
async fn a_record_of_another_account_is_no_page() {
    let console = Console::start().await;
    let api = &console.service.client;
    let uid = contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    api.put(&format!("/contact/{uid}"), json!({"title": "Chief"})).await.expect(200);
    let other = console.service.other_client().await;
    for number in 0..5 {
        other.contact(&format!("other{number}@example.org")).await.expect(201);
    }
    let stranger = console.as_stranger().await;
    for path in ["", "?at=1", "?at=2", "?version=1", "?from=1", "?dialog=restore"] {
        let page = stranger.get(&format!("/console/contacts/{uid}{path}")).await;
        page.expect(404);
        assert!(!page.text.contains("Berg"), "{path}");
    }
    stranger.post(&format!("/console/contacts/{uid}/restore"), &[]).await.expect(404);
    assert!(!stranger.get("/console/contacts?q=berg").await.text.contains("Berg"));
    for path in ["nonsense", "00000000-0000-0000-0000-000000000000"] {
        stranger.get(&format!("/console/contacts/{path}")).await.expect(404);
    }
    // A contact is no company.
    console.as_role(UserRole::Admin).await.get(&format!("/console/companies/{uid}")).await.expect(404);
}

#[tokio::test]
async fn a_record_is_shown_as_it_was_and_its_history_field_by_field() {
    let console = Console::start().await;
    let api = &console.service.client;
    api.contact("first@example.org").await.expect(201);
    let uid = contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    for title in ["Clerk", "Chief"] {
        api.put(&format!("/contact/{uid}"), json!({"title": title})).await.expect(200);
    }
    let path = format!("/console/contacts/{uid}");
    let web = console.as_role(UserRole::Member).await;
    let attributes = |page: &Page| page.between("class=\"attributes\"", "</dl>").to_owned();

    let now = web.get(&path).await;
    assert!(attributes(&now).contains("Chief") && !attributes(&now).contains("Clerk"));
    let timeline = now.between("class=\"timeline\"", "</ol>");
    let changed = timeline.split("timeline-entry").nth(1).unwrap();
    assert!(changed.contains("<del><span class=\"text\">Clerk</span></del>"), "{changed}");
    assert!(
        changed.contains("<ins><span class=\"text\">Chief</span></ins>") && changed.contains(">test<"),
        "{changed}"
    );

    for (query, expected) in
        [("?at=3", Some("Clerk")), ("?version=2", Some("Clerk")), ("?at=2", None), ("?version=1", None)]
    {
        let then = web.get(&format!("{path}{query}")).await;
        let number = if expected.is_some() { 2 } else { 1 };
        assert!(then.text.contains(&format!("change {number} of 3, ")), "{query}: {}", then.text);
        let attributes = attributes(&then);
        assert!(attributes.contains("Berg") && !attributes.contains("Chief"), "{query}: {attributes}");
        assert_eq!(attributes.contains("Clerk"), expected.is_some(), "{query}: {attributes}");
    }
    let before = web.get(&format!("{path}?at=1")).await;
    assert!(before.text.contains("it did not exist yet"));
    assert!(!before.text.contains("first@example.org"), "the event at that position is of another record");
    for query in ["?at=99", "?at=4", "?version=3"] {
        assert!(attributes(&web.get(&format!("{path}{query}")).await).contains("Chief"), "{query}");
    }
    let range = now.between("type=\"range\"", ">");
    assert!(range.contains("min=\"1\" max=\"3\"") && range.contains("value=\"3\""), "{range}");
}

#[tokio::test]
async fn a_long_history_is_read_page_by_page_and_any_of_its_states_is_shown() {
    let console = Console::start().await;
    let api = &console.service.client;
    let uid = contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    for number in 2..=120 {
        api.put(&format!("/contact/{uid}"), json!({"title": format!("title-{number}-")})).await.expect(200);
    }
    let web = console.as_role(UserRole::Member).await;
    let path = format!("/console/contacts/{uid}");
    let then = web.get(&format!("{path}?at=10")).await;
    assert!(then.between("class=\"attributes\"", "</dl>").contains("title-10-"), "beyond the page of the history");
    let mut page = web.get(&path).await;
    let mut entries = 0;
    loop {
        entries += page.text.matches("class=\"timeline-entry\"").count();
        let Some((before, _)) = page.text.split_once("<span>Older</span>") else { break };
        let next = before.rsplit_once("href=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        page = web.get(&next).await;
    }
    assert_eq!(entries, 120);
    let first = web.get(&format!("{path}?from=70&version=1")).await;
    assert!(
        first.between("class=\"attributes\"", "</dl>").contains("title-21-"),
        "the slider counts the page's own versions"
    );
}

#[tokio::test]
async fn a_deleted_contact_is_restored_with_its_author_in_the_audit_and_in_the_history() {
    let console = Console::start().await;
    let api = &console.service.client;
    let uid = contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    api.delete(&format!("/contact/{uid}")).await.expect(200);
    let (admin, member) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::Member).await);
    let (path, restore) = (format!("/console/contacts/{uid}"), format!("/console/contacts/{uid}/restore"));

    assert!(listed(&admin.get("/console/contacts").await, "/").is_empty());
    let empty = admin.get("/console/contacts").await;
    assert!(empty.text.contains("value=\"deleted\""), "deleted contacts are looked for in a list without others");
    let deleted = admin.get("/console/contacts?state=deleted").await;
    assert_eq!(listed(&deleted, "/"), [path.as_str()]);
    let page = member.get(&path).await;
    assert!(page.text.contains("is deleted") && !page.text.contains("?dialog=restore"));
    member.post(&restore, &[]).await.expect(404);
    api.get(&format!("/contact/{uid}")).await.expect(410);

    let dialog = admin.get(&format!("{path}?dialog=restore")).await;
    assert!(dialog.between("<dialog", "</dialog>").contains("Restore “Ann Berg”?"));
    for _ in 0..2 {
        admin.post(&restore, &[]).await.expect(303);
    }
    assert_eq!(api.get(&format!("/contact/{uid}")).await.expect(200)["first_name"], "Ann");
    let audited = console.audited().await;
    let restored = audited.iter().filter(|(_, action)| action == "contact.restore");
    assert_eq!(restored.collect::<Vec<_>>(), [&("admin@example.org".to_owned(), "contact.restore".to_owned())], "once");
    let entries = console.service.store.audit_entries(console.account(), &AuditFilter::default(), 100).await.unwrap();
    let entry = entries.iter().find(|entry| entry.action == "contact.restore").unwrap();
    let detail: serde_json::Value = serde_json::from_str(&entry.detail).unwrap();
    assert_eq!(detail, json!({"record": uid, "version": 3}));
    assert!(entry.address.is_some());

    let page = member.get(&path).await;
    let newest = page.between("class=\"timeline\"", "</li>");
    assert!(
        newest.contains("Restored") && newest.contains(">console<") && newest.contains("admin@example.org"),
        "{newest}"
    );
    let event = &api.changes().await[2];
    assert!(!event.to_string().contains("admin@example.org"), "partners read no address of a person: {event}");
}

#[tokio::test]
async fn a_restore_that_another_record_stands_in_the_way_of_says_so() {
    let console = Console::start().await;
    let api = &console.service.client;
    let uid = api.contact("ann@example.org").await.uid();
    api.delete(&format!("/contact/{uid}")).await.expect(200);
    api.contact("ann@example.org").await.expect(201);
    let admin = console.as_role(UserRole::Admin).await;
    admin.post(&format!("/console/contacts/{uid}/restore"), &[]).await.expect(303);
    let page = admin.get(&format!("/console/contacts/{uid}")).await;
    assert!(page.between("role=\"alert\"", "</div></div>").contains("could not be restored"), "{}", page.text);
    assert!(!console.audited().await.iter().any(|(_, action)| action == "contact.restore"));
}

#[tokio::test]
async fn texts_of_records_are_shown_as_texts() {
    const MARKUP: &str = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>";
    let console = Console::start().await;
    let api = &console.service.client;
    let field =
        api.post("/fields", json!({"entity": "contact", "type": "text", "name": MARKUP, "description": MARKUP})).await;
    let choice = json!({"entity": "contact", "type": "dropdown", "name": "Choice", "allowed_values": [MARKUP]});
    api.post("/fields", choice).await.expect(201);
    let body = json!({"role": "Lead", "first_name": MARKUP, "last_name": MARKUP, "title": MARKUP, "name_prefix": MARKUP,
        "phone": "+31201234567", "background_info": MARKUP, "tags": [MARKUP],
        "company": {"name": MARKUP, "create_company_if_not_exists": true},
        "address": {"address_line_1": MARKUP, "city": MARKUP}, "circles": {"add": [MARKUP]},
        "custom_fields": {field.uid(): MARKUP}});
    let created = api.post("/contact", body).await;
    created.expect(201);
    let contact = created.uid();
    let company = created.json["data"]["companies"][0]["uid"].as_str().unwrap().to_owned();
    let project = api
        .post("/project", json!({"name": MARKUP, "status": MARKUP, "info_description": MARKUP, "team": [MARKUP]}))
        .await
        .uid();
    api.put(&format!("/contact/{contact}"), json!({"title": "plain", "tags": []})).await.expect(200);
    let web = console.as_role(UserRole::Admin).await;
    let query: String = url::form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    for path in [
        "contacts".to_owned(),
        format!("contacts?q={query}&tag={query}&order={query}&company={query}"),
        format!("contacts/{contact}"),
        format!("contacts/{contact}?at=3"),
        format!("contacts/{contact}?at={query}&from={query}&version={query}"),
        "companies".to_owned(),
        format!("companies/{company}"),
        "projects".to_owned(),
        format!("projects/{project}"),
        "custom-fields".to_owned(),
        format!("custom-fields?dialog=change&field={}", field.uid()),
        "dashboard".to_owned(),
    ] {
        let page = web.get(&format!("/console/{path}")).await;
        page.expect(200);
        assert!(!page.text.contains("<img src=x") && !page.text.contains("<script>alert"), "{path}: {}", page.text);
    }
    let page = web.get(&format!("/console/contacts/{contact}")).await;
    assert!(page.text.contains("&lt;img src=x"));
    let file = format!("role,first_name,last_name,email,{MARKUP}\nNobody,{MARKUP},b,not an email,x\n");
    let report = import(&web, "contacts", "check", &[], &file).await;
    assert!(
        report.text.contains("Refused")
            && !report.text.contains("<img src=x")
            && !report.text.contains("<script>alert")
    );
    let report =
        import(&web, "contacts", "check", &[("origin", MARKUP), ("columns", MARKUP), ("role", MARKUP)], "a,b\n").await;
    report.expect(422);
    assert!(!report.text.contains("<img src=x"), "{}", report.text);
}

#[tokio::test]
async fn a_file_is_checked_then_imported_and_a_repetition_changes_nothing() {
    let console = Console::start().await;
    let api = &console.service.client;
    api.contact("known@example.org").await.expect(201);
    let web = console.as_role(UserRole::Admin).await;
    let file = "first_name;last_name;email;Unknown\nAnn;Berg;ann@example.org;x\nKnown;Lee;known@example.org;y\nBad;Lee;no email;z\n";
    let figure = |page: &Page, name: &str| {
        let (_, rest) =
            page.text.split_once(&format!("<dt>{name}</dt>")).unwrap_or_else(|| panic!("no {name} in {}", page.text));
        rest.split_once("<strong>").unwrap().1.split_once('<').unwrap().0.to_owned()
    };

    let checked = import(&web, "contacts", "check", &[("role", "Lead")], file).await;
    checked.expect(200);
    assert!(checked.text.contains("Nothing was written.") && checked.text.contains("Unknown"), "{}", checked.text);
    assert_eq!(
        [figure(&checked, "Would be created"), figure(&checked, "Would be linked"), figure(&checked, "Refused")],
        ["1", "1", "1"]
    );
    assert!(checked.text.ends_with("</html>"), "the page is whole");
    api.get("/contact/ann@example.org").await.expect(404);
    assert!(!console.audited().await.iter().any(|(_, action)| action == "contact.import"));

    let imported = import(&web, "contacts", "run", &[("role", "Lead")], file).await;
    assert_eq!(
        [figure(&imported, "Created"), figure(&imported, "Linked"), figure(&imported, "Refused")],
        ["1", "1", "1"]
    );
    let ann = api.get("/contact/ann@example.org").await;
    assert_eq!(ann.expect(200)["origins"]["crm"].as_array().unwrap().len(), 4, "{}", ann.text);
    let events = api.changes().await.len();
    let again = import(&web, "contacts", "run", &[("role", "Lead")], file).await;
    assert!(again.text.contains("executed by an earlier import of the same file"), "{}", again.text);
    assert_eq!(api.changes().await.len(), events);
    let imports = console
        .audited()
        .await
        .iter()
        .filter(|(actor, action)| actor == "admin@example.org" && action == "contact.import")
        .count();
    assert_eq!(imports, 4, "the beginning and the end of both");

    let empty = import(&web, "contacts", "check", &[], "").await;
    empty.expect(422);
    assert!(empty.text.contains("Choose a CSV file that is not empty."));
    let single = import(&web, "companies", "check", &[], "name\nAcme\n").await;
    assert_eq!(figure(&single, "Would be created"), "1");
    let odd = import(&web, "contacts", "check", &[("columns", "Surname = last_name")], "a,b\nc,d\n").await;
    assert!(odd.text.contains("The file has no column"), "{}", odd.text);
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let line = format!("Lead,Ann,Lee,{}\n", "x".repeat(1_000));
    let file = format!("role,first_name,last_name,title\n{}", line.repeat((16 << 20) / line.len() + 1));
    let page = import(&web, "contacts", "check", &[], &file).await;
    page.expect(413);
    assert!(page.text.contains("Too large"));
}

#[tokio::test]
async fn an_export_has_the_lists_filter_and_is_imported_without_a_change() {
    let console = Console::start().await;
    let api = &console.service.client;
    contact(api, "Ann", "Berg", "ann@example.org", "Lead").await;
    contact(api, "=1+1", "Stone", "bob@example.org", "Client").await;
    api.post("/project", json!({"name": "Roof", "estimated_value": {"amount": 12.5, "currency": "EUR"}}))
        .await
        .expect(201);
    let (admin, member) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::Member).await);
    member.get("/console/contacts/export").await.expect(404);

    let list = admin.get("/console/contacts?role=Client").await;
    assert!(list.text.contains("href=\"/console/contacts/export?role=Client\""));
    let file = admin.get("/console/contacts/export?role=Client").await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"contacts.csv\"");
    let lines: Vec<&str> = file.text.lines().collect();
    assert_eq!(lines.len(), 2, "{}", file.text);
    assert!(
        lines[0].starts_with("uid,version,role,") && lines[1].contains("'=1+1") && !file.text.contains("ann@"),
        "{}",
        file.text
    );
    assert!(console.audited().await.contains(&("admin@example.org".into(), "contact.export".into())));

    let all = admin.get("/console/contacts/export?order=a-z").await;
    assert_eq!(all.text.lines().count(), 3);
    let events = api.changes().await.len();
    let imported = import(&admin, "contacts", "run", &[], &all.text).await;
    assert!(imported.text.contains("The file was imported."), "{}", imported.text);
    assert_eq!(api.changes().await.len(), events, "an exported file is imported without a change");
    let projects = admin.get("/console/projects/export").await;
    assert!(projects.text.contains("Roof") && projects.text.contains("12.5 EUR"), "{}", projects.text);
}

/// The first page of a list with records; pages on which nothing matched lead to it, as they do by themselves with scripts.
async fn first_match(web: &Web, list: &str) -> (usize, Page) {
    let mut path = list.to_owned();
    for pages in 1..=10 {
        let page = web.get(&path).await;
        let Some((_, rest)) = page.expect(200).text.split_once("<div hx-get=\"") else { return (pages, page) };
        assert!(page.text.contains("Search on"), "{}", page.text);
        path = rest.split_once('"').unwrap().0.replace("&amp;", "&");
    }
    panic!("it does not end");
}

#[tokio::test]
async fn a_word_that_very_many_contacts_have_or_hardly_any_is_found_page_by_page_with_and_without_the_index() {
    const MANY: usize = 5_100;
    let console = Console::start().await;
    let (api, store) = (&console.service.client, &console.service.store);
    let web = console.as_role(UserRole::Admin).await;
    let eve = contact(api, "Eve", "Stone", "eve@example.org", "Lead").await;
    api.put(&format!("/contact/{eve}"), json!({"tags": ["vip"]})).await.expect(200);
    contact(api, "Zoe", "Lee", "", "Lead").await;
    let mut file = "role,first_name,last_name,email\n".to_owned();
    for number in 0..MANY {
        writeln!(file, "Lead,P{number},Lee,p{number}@example.org").unwrap();
    }
    assert!(import(&web, "contacts", "run", &[], &file).await.text.contains("The file was imported."));
    let eve = [format!("/console/contacts/{eve}")];
    let search = async |summary: &str| {
        let page = web.get("/console/contacts?q=lee").await;
        assert!(page.text.contains(summary), "{}", page.text);
        let first = listed(&page, "/console/contacts/");
        let second = listed(&web.get(&page_link(&page, "next").unwrap()).await, "/console/contacts/");
        assert_eq!((first.len(), second.len()), (25, 25));
        let (_, page) = first_match(&web, "/console/contacts?q=stone").await;
        assert_eq!(listed(&page, "/console/contacts/"), eve);
        [first, second].concat()
    };
    let unindexed = search("25 contacts on this page").await;
    // Tags have no index: a page reads 5,000 contacts.
    let (pages, page) = first_match(&web, "/console/contacts?tag=vip").await;
    assert_eq!((pages, listed(&page, "/console/contacts/")), (2, eve.to_vec()));
    assert!(page.text.contains("1 contact on this page") && page_link(&page, "next").is_none(), "{}", page.text);
    // Scripts follow the pages without a match by themselves.
    with_browser("console-search-on", async |browser| {
        sign_in(browser, &console, "admin@example.org").await;
        browser.open(&format!("{}/contacts?tag=vip", console.url())).await;
        browser.find("//a[contains(., 'Eve Stone')]").await;
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
    let (pages, page) = first_match(&web, "/console/contacts?tag=vip&order=oldest").await;
    assert_eq!((pages, listed(&page, "/console/contacts/")), (1, eve.to_vec()));
    let (pages, page) = first_match(&web, "/console/contacts?tag=nothing&order=a-z").await;
    assert_eq!((pages, listed(&page, "/console/contacts/").len()), (3, 0), "the last are those without an email");
    assert!(page.text.contains("No contacts found"), "{}", page.text);

    let sql = console.service.env.sql().await;
    let indexed = "select 1 from search_cursor c join head h using (account_id)
        where account_id = $1 and c.backfilled is null and c.seq = h.seq";
    let complete = async {
        while sql.query_opt(indexed, &[&console.account().0]).await.unwrap().is_none() {
            store.request_index(console.account());
            store.index_contacts(console.account()).await.unwrap();
        }
    };
    tokio::time::timeout(crate::support::LONG, complete).await.expect("the texts are not indexed");
    assert_eq!(search("25 of more than 1,000 contacts").await, unindexed, "the newest first");
    let exported = web.get("/console/contacts/export?q=lee").await;
    assert_eq!(exported.text.lines().count(), MANY + 2);
}
