//! The audit: who, when and from where, with its filter and its file.

use unificus::domain::user::UserRole;

use super::support::Console;

#[tokio::test]
async fn every_change_of_a_page_is_listed_with_who_when_and_from_where() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.post("/console/integrations/secure-api/keys", &[("name", "=Website")]).await.expect(200);
    web.post("/console/team/invite", &[("email", "bob@example.org"), ("role", "admin")]).await.expect(200);
    let page = web.get("/console/audit").await;
    for words in [
        "Secret Key added",
        "=Website",
        "User invited",
        "bob@example.org",
        "Signed in",
        "127.0.0.1",
        "super_admin@example.org",
    ] {
        assert!(page.expect(200).text.contains(words), "{words}: {}", page.text);
    }
    let log = page.between("<tbody>", "</tbody>");
    assert!(log.contains("role: </span>Admin<") && !log.contains("{&quot;"), "{log}");
    let times = log.matches("<time").count();
    assert!(times > 2 && log.matches(" UTC</time>").count() == times, "exact times: {log}");
    let keys = web.get("/console/audit?kind=key.&actor=super_admin@example.org").await;
    assert!(keys.text.contains("Secret Key added") && !keys.text.contains("User invited"), "{}", keys.text);
    assert!(web.get("/console/audit?kind=%25").await.text.contains("Nothing matches"), "a filter is no pattern");
    assert!(web.get("/console/audit?from=2099-01-01").await.text.contains("Nothing matches"));

    let file = web.get("/console/audit/export?kind=key.").await;
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"audit.csv\"");
    let mut lines = csv::Reader::from_reader(file.text.as_bytes());
    let records: Vec<_> = lines.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0][1], &records[0][2], &records[0][4]), ("super_admin@example.org", "key.add", "127.0.0.1"));
}

#[tokio::test]
async fn a_rare_entry_is_behind_very_many_others_and_the_kinds_are_those_of_every_page() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/contacts/export").await.expect(200);
    let sql = console.service.env.sql().await;
    let many = "insert into audit (account_id, audit_id, at, actor, action, detail)
        select $1, ('ffffffff-ffff-7fff-8000-' || lpad(to_hex(i), 12, '0'))::uuid, now(), 'x', 'key.add', '{}'
        from generate_series(1, 20000) i";
    sql.execute(many, &[&console.account().0]).await.unwrap();
    let page = web.get("/console/audit?kind=contact.").await;
    assert!(page.expect(200).text.contains("Search on") && !page.text.contains("Contacts exported"), "{}", page.text);
    let (before, _) = page.text.split_once("Search on").unwrap();
    let next = before.rsplit_once("href=\"").unwrap().1.split('"').next().unwrap().replace("&amp;", "&");
    let page = web.get(&next).await;
    assert!(page.expect(200).text.contains("Contacts exported") && !page.text.contains("Search on"), "{}", page.text);
    assert!(page.text.contains("Contacts: import, export, restore"), "{}", page.text);
    let file = web.get("/console/audit/export?kind=contact.").await;
    assert_eq!(file.text.lines().count(), 2, "a file has all: {}", file.text);
}

#[tokio::test]
async fn older_entries_are_on_further_pages() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    for _ in 0..30 {
        for behavior in ["fail", "succeed"] {
            web.post("/console/integrations/secure-api/behavior", &[("behavior", behavior)]).await.expect(303);
        }
    }
    let first = web.get("/console/audit?kind=account.").await;
    assert_eq!(first.text.matches("Behavior Settings changed").count(), 50);
    let next = first.between("class=\"pagination\"", "rel=\"next\"").rsplit("href=\"").next().unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&");
    let second = web.get(&next).await;
    assert_eq!(second.text.matches("Behavior Settings changed").count(), 10);
    assert!(!second.text.contains("rel=\"next\"") && second.text.contains("Account created"));
}
