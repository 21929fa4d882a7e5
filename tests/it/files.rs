//! `unificus import` and `unificus export`: records in files of comma-separated values.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::program::{Dir, failure_text, lines, unificus_of};
use crate::support::{Client, Service};

/// Runs a command on the account's database; returns the JSON of its report.
async fn report(service: &Service, client: &Client, command: &[&str]) -> Value {
    let mut arguments = command.to_vec();
    let account = client.account.to_string();
    arguments.extend(["--account", &account, "--json"]);
    let output = unificus_of(&arguments, &[("UNIFICUS_DATABASE__URL", service.env.database.as_str())]).await;
    let printed: Vec<Value> = lines(&output).into_iter().filter(|line| line["phase"].is_null()).collect();
    let [report] = &printed[..] else { panic!("not one report: {printed:?}") };
    report.clone()
}

/// Imports a file, first as a dry run. Asserts that the dry run writes nothing and has the report of the import.
async fn import(service: &Service, client: &Client, file: &Path, more: &[&str]) -> Value {
    let import = ["import", more[0], file.to_str().unwrap()];
    let before = client.changes().await.len();
    let mut dry = report(service, client, &[&import, &more[1..], &["--dry-run"]].concat()).await;
    assert_eq!(client.changes().await.len(), before, "a dry run writes nothing");
    let report = report(service, client, &[&import[..], &more[1..]].concat()).await;
    for member in ["dry_run", "seconds", "per_second"] {
        dry[member] = report[member].clone();
    }
    assert_eq!(dry, report, "the dry run reports what the import does");
    report
}

fn file(dir: &Dir, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn counts(report: &Value) -> [u64; 6] {
    ["created", "updated", "unchanged", "would_duplicate", "conflicts", "refused"]
        .map(|name| report[name].as_u64().unwrap())
}

/// The noted lines with their results.
fn noted(report: &Value) -> Vec<(u64, &str)> {
    let noted = report["noted"].as_array().unwrap();
    noted.iter().map(|noted| (noted["line"].as_u64().unwrap(), noted["result"].as_str().unwrap())).collect()
}

/// All records of a list of at most one page.
async fn all(client: &Client, list: &str) -> Vec<Value> {
    client.get(&format!("/{list}?limit=500&idle=true")).await.expect(200).as_array().unwrap().clone()
}

async fn total(client: &Client, list: &str) -> i64 {
    let page = client.get(&format!("/{list}?limit=1&idle=true")).await;
    page.json["meta"]["pagination"]["totalItems"].as_i64().unwrap_or_else(|| panic!("no total: {}", page.text))
}

/// All contacts or companies by their email or name, without what differs between accounts.
async fn records(client: &Client, list: &str, key: &str) -> BTreeMap<String, Value> {
    let mut records = BTreeMap::new();
    for mut record in all(client, list).await {
        let members = record.as_object_mut().unwrap();
        for own in ["uid", "created", "updated", "version", "refs", "field_seq", "origins", "primaryContact"] {
            members.remove(own);
        }
        for list in ["companies", "circles"] {
            for link in members.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                *link = link["name"].clone();
            }
        }
        records.insert(record[key].as_str().unwrap().to_owned(), record);
    }
    records
}

#[tokio::test]
async fn each_line_creates_a_record_or_changes_the_one_that_it_matches() {
    let service = Service::start().await;
    let (client, dir) = (&service.client, Dir::new("files-match"));
    let first = file(
        &dir,
        "first.csv",
        "\u{feff}id;E-Mail;First;Last;Firm;Notes to self\r\n\
         1;ann@example.org;Ann;Lee;\"Acme, Inc.\";x\r\n\
         2;bob@example.org;Bob;\"O\"\"Hara; jr\";;\r\n\
         3;ann@example.org;Ann;Again;;\r\n\
         4;no mail;Cid;X;;\r\n\
         5;only-two\r\n\
         2;bob@example.org;Bob;Changed;;\r\n",
    );
    let options = [
        "contacts",
        "--delimiter",
        ";",
        "--match",
        "none",
        "--ref-column",
        "id",
        "--set",
        "role=Lead",
        "--map",
        "E-Mail=email,First=first_name,Last=last_name,Firm=company",
    ];
    let report = import(&service, client, &first, &options).await;
    assert_eq!(counts(&report), [2, 1, 0, 1, 0, 2], "{report}");
    assert_eq!(noted(&report), [(4, "duplicate"), (5, "refused"), (6, "refused")], "{report}");
    assert_eq!(report["noted"][0]["reason"], "email: A contact with this email already exists.");
    assert_eq!(report["ignored_columns"], json!(["Notes to self"]));
    let contacts = records(client, "contacts", "email").await;
    assert_eq!(contacts["ann@example.org"]["companies"], json!(["Acme, Inc."]));
    assert_eq!(contacts["bob@example.org"]["last_name"], "Changed");
    let event = &client.changes().await[0];
    assert_eq!(event["origin"], "import", "{event}");

    // The same people from another system, by email.
    let second =
        file(&dir, "second.csv", "email,first_name,last_name,phone\nANN@example.org,Ann,Lee,1\nbob@example.org,,,\n");
    let report = import(&service, client, &second, &["contacts", "--origin", "other"]).await;
    assert_eq!(counts(&report), [0, 1, 1, 0, 0, 0], "{report}");
    assert_eq!(
        records(client, "contacts", "email").await["bob@example.org"]["last_name"],
        "Changed",
        "empty cells keep"
    );
    let report = import(&service, client, &second, &["contacts", "--origin", "other", "--empty", "clear"]).await;
    assert_eq!(counts(&report), [0, 1, 1, 0, 0, 0], "{report}");
    assert_eq!(records(client, "contacts", "email").await["bob@example.org"]["last_name"], "", "or are cleared");
    crate::rebuild::equal(&service.env, "after the imports").await;
}

#[tokio::test]
async fn a_dry_run_sees_the_lines_before_it_also_of_earlier_transactions() {
    let service = Service::start().await;
    let (client, dir) = (&service.client, Dir::new("files-dry"));
    // 1,300 lines of 650 contacts, so that a contact's second line is in another transaction than its first.
    let line = |number: usize| format!("c{}@example.org,Ann,{},Lead\n", number % 650, number / 650 % 2 * (number % 2));
    let text: String = (0..1_300).map(line).collect();
    let path = file(&dir, "dry.csv", format!("email,first_name,last_name,role\n{text}"));
    let report = import(&service, client, &path, &["contacts"]).await;
    assert_eq!(counts(&report), [650, 325, 325, 0, 0, 0], "{report}");
    assert_eq!((&report["exact"], &report["replayed"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn an_import_that_was_killed_continues_and_makes_no_duplicate() {
    let service = Service::start().await;
    let (client, dir) = (&service.client, Dir::new("files-killed"));
    // Leads without email, which nothing but their lines tells apart.
    let text = (0..6_000).map(|number| format!("Ann,{number},Lead")).collect::<Vec<_>>().join("\n");
    let path = file(&dir, "leads.csv", format!("first_name,last_name,role\n{text}"));
    let account = client.account.to_string();
    let arguments =
        ["import", "contacts", path.to_str().unwrap(), "--match", "none", "--account", account.as_str(), "--json"];
    let settings = [("UNIFICUS_DATABASE__URL", service.env.database.as_str())];
    let mut child = crate::support::program::command_of(&arguments, &settings).spawn().unwrap();
    crate::support::until("some lines are imported", async || total(client, "contacts").await > 0).await;
    child.kill().await.unwrap();
    let before = total(client, "contacts").await;

    let report = report(&service, client, &arguments[..5]).await;
    assert_eq!(report["created"], 6_000, "{report}");
    let replayed = report["replayed"].as_i64().unwrap();
    assert!(replayed >= before && replayed < 6_000, "{before} of 6000 lines were executed before: {report}");
    assert_eq!(total(client, "contacts").await, 6_000);
    assert_eq!(client.changes().await.len(), 6_000);
}

#[tokio::test]
async fn an_exported_file_gives_equal_records_in_another_account() {
    let service = Service::start().await;
    let (from, to, dir) = (&service.client, service.other_client().await, Dir::new("files-round"));
    for client in [from, &to] {
        for (entity, kind, name) in [
            ("contact", "multi_select", "Sizes, shoes"),
            ("contact", "currency", "Budget"),
            ("company", "checkbox", "VIP"),
        ] {
            let allowed = if kind == "multi_select" { json!(["S, M", "L", "[x]"]) } else { Value::Null };
            let body = json!({"entity": entity, "type": kind, "name": name, "allowed_values": allowed});
            client.post("/fields", body).await.expect(201);
        }
    }
    let fields: BTreeMap<String, String> = all(from, "fields")
        .await
        .iter()
        .map(|field| (field["name"].as_str().unwrap().to_owned(), field["uid"].as_str().unwrap().to_owned()))
        .collect();
    let company = json!({"name": "Acme, \"Inc.\"", "category": "A, b", "tags": ["one, two", "[three]"],
        "phone": "+31 20", "website": "https://example.org/", "custom_fields": {&fields["VIP"]: true}});
    from.post("/company", company).await.expect(201);
    let contact = json!({"role": "Client", "first_name": "=HYPERLINK(\"x\")", "last_name": "", "email": "ann@example.org",
        "title": "'+quoted", "phone": "+31 20", "background_info": "two\nlines, \"quoted\"\r\nand more",
        "tags": ["-1+1", "b"], "address": {"address_line_1": "@here", "city": "Delft", "zip": "0123"},
        "company": {"name": "Acme, \"Inc.\""}, "circles": {"add": ["Friends, old", "New"]},
        "custom_fields": {&fields["Sizes, shoes"]: ["S, M", "[x]"], &fields["Budget"]: {"amount": 12.5, "currency": "EUR"}}});
    let uid = from.post("/contact", contact).await.expect(201)["uid"].as_str().unwrap().to_owned();
    let second = json!({"company": {"name": "[B]", "create_company_if_not_exists": true}});
    from.put(&format!("/contact/{uid}"), second).await.expect(200);
    from.contact("bob@example.org").await.expect(201);

    for (list, key) in [("companies", "name"), ("contacts", "email")] {
        let path = dir.path().join(format!("{list}.csv"));
        let exported = report(&service, from, &["export", list, path.to_str().unwrap()]).await;
        assert_eq!(exported["records"], total(from, list).await);
        let report = import(&service, &to, &path, &[list]).await;
        assert_eq!((&report["refused"], &report["created"]), (&json!(0), &exported["records"]), "{report}");
        let (mut before, mut after) = (records(from, list, key).await, records(&to, list, key).await);
        for records in [&mut before, &mut after] {
            records.values_mut().for_each(without_uids);
        }
        assert_eq!(before, after);
        let again = dir.path().join("again.csv");
        report_of_export(&service, &to, list, &again).await;
        let columns = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap();
            text.lines().next().unwrap().to_owned()
        };
        assert_eq!(columns(&path), columns(&again));
    }
    let exported = std::fs::read_to_string(dir.path().join("contacts.csv")).unwrap();
    assert!(exported.contains("\"'=HYPERLINK(\"\"x\"\")\""), "no cell is a formula: {exported}");
}

async fn report_of_export(service: &Service, client: &Client, list: &str, path: &Path) {
    report(service, client, &["export", list, path.to_str().unwrap()]).await;
}

/// Custom fields have other UUIDs in another account: only their values are compared.
fn without_uids(record: &mut Value) {
    for (name, values) in record.as_object_mut().unwrap() {
        if let Some(values) = values.as_object_mut().filter(|_| name.ends_with("custom_fields")) {
            let mut texts: Vec<String> = values.values().map(Value::to_string).collect();
            texts.sort();
            *values = texts.into_iter().map(|text| (text, Value::Null)).collect();
        }
    }
}

#[tokio::test]
async fn a_file_with_versions_conflicts_with_what_others_changed_since() {
    let service = Service::start().await;
    let (client, dir) = (&service.client, Dir::new("files-base"));
    let uid = client.contact("ann@example.org").await.uid();
    let path = dir.path().join("contacts.csv");
    report_of_export(&service, client, "contacts", &path).await;
    client.put(&format!("/contact/{uid}"), json!({"phone": "2"})).await.expect(200);
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = file(&dir, "edited.csv", text.replace("ann@example.org", "ann2@example.org"));
    let same = ["contacts", "--map", "uid=uid,version=base", "--set", "phone=3"];
    let report = import(&service, client, &edited, &same).await;
    assert_eq!(counts(&report), [0, 1, 0, 0, 1, 0], "{report}");
    assert_eq!(report["noted"][0]["reason"], "Another origin has other values: phone (the file's value stays).");
    assert_eq!(all(client, "sync/conflicts").await.len(), 1);
    let contact = client.get(&format!("/contact/{uid}")).await.expect(200).clone();
    assert_eq!((&contact["email"], &contact["phone"]), (&json!("ann2@example.org"), &json!("3")));
}

#[tokio::test]
async fn a_wrong_file_or_mapping_is_refused_with_the_reason() {
    let service = Service::start().await;
    let dir = Dir::new("files-wrong");
    let account = service.client.account.to_string();
    let utf16 = file(&dir, "utf16.csv", b"\xff\xfee\0m\0");
    let good = file(&dir, "good.csv", "email,first_name,last_name,role\na@example.org,A,B,Lead\n");
    let twice = file(&dir, "twice.csv", "email,Email\n");
    let cases: [(&Path, &[&str], &str); 7] = [
        (&utf16, &[], "UTF-16"),
        (&twice, &[], "two columns \"Email\""),
        (Path::new("/dev/null"), &[], "no regular file"),
        (&good, &["--map", "mail=email"], "The file has no column \"mail\""),
        (&good, &["--map", "email=e-mail"], "\"e-mail\" is no attribute. There are: role,"),
        (&good, &["--ref-column", "id"], "The file has no column \"id\""),
        (&good, &["--match", "name"], "Contacts are matched by email or none."),
    ];
    for (path, more, expected) in cases {
        let arguments = [&["import", "contacts", path.to_str().unwrap(), "--account", &account][..], more].concat();
        let output = unificus_of(&arguments, &[("UNIFICUS_DATABASE__URL", service.env.database.as_str())]).await;
        let text = failure_text(&output);
        assert!(text.contains(expected), "{more:?}: {text}");
    }
    let nobody = uuid::Uuid::nil().to_string();
    let arguments = ["import", "contacts", good.to_str().unwrap(), "--account", &nobody];
    let output = unificus_of(&arguments, &[("UNIFICUS_DATABASE__URL", service.env.database.as_str())]).await;
    assert!(failure_text(&output).contains("there is no account"));
    assert_eq!(service.client.changes().await.len(), 0);
}
