//! Integrations → Sync over HTTP and in a browser: origins, consumers, rules, conflicts, undo.

use serde_json::{Value, json};
use unificus::domain::user::UserRole;
use unificus::store::console::audit_list::AuditFilter;

use super::support::{Console, Page, Web, axe, sign_in};
use crate::push_delivery::until;
use crate::support::Client;
use crate::support::browser::with_browser;
use crate::support::client::lead;
use crate::sync::{assert_sound, execute, execute_one, partner, upsert};

const HERE: &str = "/console/integrations/sync";

/// A conflict: the shop changed the first name after the erp had read it. Returns its path and the contact's uid.
async fn conflict(console: &Console, value: &str) -> (String, String) {
    let (erp, shop) = (partner(&console.service, "erp").await, partner(&console.service, "shop").await);
    let created = execute_one(&erp, upsert("17", lead("ann@x.org"))).await;
    let (uid, base) = (created["uid"].clone(), created["seq"].clone());
    execute_one(&shop, json!({"op": "update", "entity": "contact", "uid": uid, "set": {"first_name": value}})).await;
    let set = json!({"first_name": "Anna"});
    execute_one(&erp, json!({"op": "update", "entity": "contact", "uid": uid, "base": base, "set": set})).await;
    let open = console.service.client.get("/sync/conflicts?status=open").await.expect(200)[0].clone();
    let path = format!("{HERE}/conflicts/{}/resolve", open["uid"].as_str().unwrap());
    (path, uid.as_str().unwrap().to_owned())
}

async fn first_name(console: &Console, uid: &str) -> Value {
    console.service.client.get(&format!("/contact/{uid}")).await.expect(200)["first_name"].clone()
}

#[tokio::test]
async fn origins_and_references_are_counted() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let empty = web.get(HERE).await;
    assert!(
        empty.text.contains("No writes in this range") && empty.text.contains("No references yet"),
        "{}",
        empty.text
    );
    let (erp, shop) = (partner(&console.service, "erp").await, partner(&console.service, "shop & co").await);
    for id in ["1", "2", "3"] {
        execute_one(&erp, upsert(id, lead(&format!("{id}@x.org")))).await;
    }
    let made = execute_one(&shop, upsert("a", lead("a@x.org"))).await;
    execute_one(&shop, json!({"op": "delete", "entity": "contact", "uid": made["uid"]})).await;
    for days in ["", "?days=1", "?days=30", "?days=nothing"] {
        let page = web.get(&format!("{HERE}{days}")).await;
        let erp = page.expect(200).between("data-label=\"Origin\">erp</th>", "</tr>");
        assert!(erp.contains("<span>3</span>") && erp.contains("data-label=\"Created\">3<"), "{erp}");
        let shop = page.between("data-label=\"Origin\">shop &amp; co</th>", "</tr>");
        assert!(shop.contains("data-label=\"Deleted\">1<") && shop.contains("undo?origin=shop+%26+co"), "{shop}");
        let references = page.between("data-label=\"System\">erp</th>", "</tr>");
        assert!(references.contains("data-label=\"Contacts\">3<"), "{references}");
    }
    let stranger = console.as_stranger().await;
    assert!(!stranger.get(HERE).await.text.contains("shop &amp; co"));
}

#[tokio::test]
async fn consumers_are_added_and_deleted_with_their_audit() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let create = format!("{HERE}/consumers");
    let wrong = web.post(&create, &[("name", "Not a name")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("error-name"), "{}", wrong.text);
    web.post(&create, &[("name", "shop"), ("entity", "contact"), ("from", "start")]).await.expect(303);
    let twice = web.post(&create, &[("name", "shop")]).await;
    assert!(twice.status == 422 && twice.text.contains("Must not be the name of another consumer"), "{}", twice.text);
    let page = web.get(HERE).await;
    assert!(page.text.contains("Copy the durable of shop") && page.text.contains("contact.*"), "{}", page.text);
    assert!(page.text.contains("…_shop</code>"), "the end of its name tells it from others: {}", page.text);
    console.service.client.contact("ann@x.org").await.expect(201);
    until("it has something to read", async || web.get(HERE).await.text.contains(">not read yet<")).await;

    let stranger = console.as_stranger().await;
    stranger.post(&format!("{create}/shop/delete"), &[]).await.expect(404);
    assert!(!stranger.get(HERE).await.text.contains("Copy the durable of shop"));
    let dialog = web.get(&format!("{HERE}?dialog=delete-consumer&name=shop")).await;
    assert!(dialog.text.contains("Delete the consumer “shop”?"));
    web.post(&format!("{create}/shop/delete"), &[]).await.expect(303);
    assert!(web.get(HERE).await.text.contains("No consumers yet"));
    let audited = console.audited().await;
    for action in ["consumer.create", "consumer.delete"] {
        assert!(audited.contains(&("admin@example.org".into(), action.into())), "{action}");
    }
}

#[tokio::test]
async fn rules_are_set_for_the_account_and_for_fields() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let policy = async || console.service.client.get("/sync/policy").await.expect(200).clone();
    web.post(&format!("{HERE}/rules"), &[("default", "existing_wins")]).await.expect(303);
    let fields = format!("{HERE}/rules/fields");
    web.post(&fields, &[("field", "contact.phone"), ("rule", "reject")]).await.expect(303);
    let owned = [("field", "contact.email"), ("rule", "system_of_record"), ("origin", "erp")];
    web.post(&fields, &owned).await.expect(303);
    let expected = json!({"default": "existing_wins",
        "fields": {"contact.email": {"system_of_record": "erp"}, "contact.phone": "reject"}});
    assert_eq!(policy().await, expected);
    partner(&console.service, "till").await;
    let page = web.get(&format!("{HERE}/rules")).await;
    assert!(page.text.contains("<option value=\"till\">"), "every origin may be the system of record: {}", page.text);
    assert!(page.text.contains("Only “erp” changes it") && page.text.contains("Contact: Phone"), "{}", page.text);

    web.post(&format!("{HERE}/rules"), &[("default", "first_wins")]).await.expect(422);
    web.post(&fields, &[("field", "note.title"), ("rule", "reject")]).await.expect(422);
    let nobody = web.post(&fields, &[("field", "contact.title"), ("rule", "system_of_record"), ("origin", "")]).await;
    assert!(nobody.status == 422 && nobody.text.contains("Choose the system whose values count"), "{}", nobody.text);
    assert_eq!(policy().await, expected);
    web.post(&format!("{fields}/remove"), &[("field", "contact.phone")]).await.expect(303);
    assert_eq!(policy().await["fields"], json!({"contact.email": {"system_of_record": "erp"}}));
    let set = console.audited().await.iter().filter(|(_, action)| action == "sync_policy.set").count();
    assert_eq!(set, 4);
}

#[tokio::test]
async fn a_conflict_shows_both_values_as_text_and_is_resolved_by_either() {
    const SCRIPT: &str = "<script>alert('name')</script>";
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    assert!(web.get(&format!("{HERE}/conflicts")).await.text.contains("No open conflicts"));
    let (path, uid) = conflict(&console, SCRIPT).await;
    let page = web.get(&format!("{HERE}/conflicts")).await;
    assert!(
        page.text.contains("Anna") && page.text.contains("&lt;script&gt;alert('name')&lt;/script&gt;"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    assert!(page.text.contains(" from erp") && page.text.contains(" from shop"), "{}", page.text);

    let stranger = console.as_stranger().await;
    stranger.post(&path, &[("take", "lost")]).await.expect(404);
    assert!(!stranger.get(&format!("{HERE}/conflicts")).await.text.contains("Anna"));
    web.post(&path, &[("take", "nothing")]).await.expect(422);
    assert_eq!(first_name(&console, &uid).await, "Anna");
    web.post(&path, &[("take", "lost")]).await.expect(303);
    assert_eq!(first_name(&console, &uid).await, SCRIPT);
    web.post(&path, &[("take", "kept")]).await.expect(303);
    assert!(web.get(&format!("{HERE}/conflicts")).await.text.contains("This conflict was resolved before."));
    let resolved = web.get(&format!("{HERE}/conflicts?status=resolved")).await;
    assert!(resolved.text.contains("Anna") && !resolved.text.contains("Use this value"), "{}", resolved.text);
    assert!(resolved.text.contains("Resolved by admin@example.org"), "{}", resolved.text);
    let audited = console.audited().await;
    assert_eq!(
        audited.iter().filter(|(who, action)| who == "admin@example.org" && action == "sync.resolve").count(),
        1
    );
    let last = console.service.client.changes().await.pop().unwrap();
    assert_eq!((&last["type"], &last["origin"]), (&json!("crm.conflict.resolved"), &json!("console")));
    assert_sound(&console.service).await;
}

#[tokio::test]
async fn another_value_ends_a_conflict_unless_it_is_invalid() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let (path, uid) = conflict(&console, "Annie").await;
    let id = path.split('/').nth(5).unwrap().to_owned();
    let dialog = web.get(&format!("{HERE}/conflicts?dialog=value&id={id}")).await;
    assert!(dialog.text.contains("Write and resolve") && dialog.text.contains("value=\"Anna\""), "{}", dialog.text);
    for value in ["", &"x".repeat(5_000)] {
        let page = web.post(&path, &[("take", "value"), ("value", value)]).await;
        assert!(page.status == 422 && page.text.contains("error-value"), "{}", page.text);
    }
    web.post(&path, &[("take", "value"), ("value", "Annabel")]).await.expect(303);
    assert_eq!(first_name(&console, &uid).await, "Annabel");
}

/// A bad sync of the erp over contacts of the shop, one of which the shop has changed since. Returns the last event before it.
async fn bad_sync(console: &Console, records: usize) -> (Client, usize) {
    let (erp, shop) = (partner(&console.service, "erp").await, partner(&console.service, "shop").await);
    let mut uids = Vec::new();
    for chunk in 0..records.div_ceil(100) {
        let ids = chunk * 100..records.min((chunk + 1) * 100);
        let created =
            execute(&shop, ids.map(|id| upsert(&id.to_string(), lead(&format!("{id}@x.org")))).collect()).await;
        uids.extend(created.into_iter().map(|result| result["uid"].clone()));
    }
    let before = console.service.client.changes().await.len();
    let update = |uid: &Value, set: Value| json!({"op": "update", "entity": "contact", "uid": uid, "set": set});
    for chunk in uids.chunks(100) {
        execute(
            &erp,
            chunk.iter().map(|uid| update(uid, json!({"last_name": "<b>Mixed</b>", "phone": "0"}))).collect(),
        )
        .await;
    }
    execute_one(&erp, upsert("new", lead("new@x.org"))).await;
    execute_one(&shop, update(&uids[1], json!({"phone": "7"}))).await;
    (shop, before)
}

/// Follows an undoing to its result, step by step, as a browser without scripts does.
async fn follow(web: &Web, mut page: Page) -> Page {
    for _ in 0..100 {
        let location = page.expect(303).header("location").to_owned();
        let shown = web.get(&location).await;
        if location.contains("/undo/result") {
            return shown;
        }
        let run = shown.expect(200).hidden("run").unwrap();
        page = web.post(&format!("{HERE}/undo/step"), &[("run", &run)]).await;
    }
    panic!("it does not end");
}

#[tokio::test]
async fn a_bad_sync_is_seen_in_a_dry_run_and_undone() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let (_, before) = bad_sync(&console, 5).await;
    let first = (before + 1).to_string();
    let undo = format!("{HERE}/undo?origin=erp&by=event&from={first}");
    let head = console.service.client.changes().await.len();
    let dry = web.get(&undo).await;
    dry.expect(200);
    let count = |number: usize, words: &str| format!("<strong>{number}</strong> {words}");
    for words in
        [count(5, "get earlier values back"), count(1, "were created and are deleted"), count(1, "keep something")]
    {
        assert!(dry.text.contains(&words), "{words} is not in {}", dry.text);
    }
    assert!(dry.text.contains("&lt;b&gt;Mixed&lt;/b&gt;") && !dry.text.contains("<b>Mixed"), "{}", dry.text);
    assert!(dry.text.contains("shop changed it since"), "{}", dry.text);
    assert_eq!(console.service.client.changes().await.len(), head, "a dry run writes nothing");

    let dialog = web.get(&format!("{undo}&dialog=confirm")).await;
    assert!(
        dialog.text.contains("Undo what “erp” wrote?") && dialog.text.contains("Undo 6 records"),
        "{}",
        dialog.text
    );
    let (from, to) = (dialog.hidden("from").unwrap(), dialog.hidden("to").unwrap());
    assert_eq!((from.as_str(), to.as_str()), (&*before.to_string(), &*head.to_string()));
    let started = web.post(&format!("{HERE}/undo"), &[("origin", "erp"), ("from", &from), ("to", &to)]).await;
    let result = follow(&web, started).await;
    result.expect(200);
    for words in [count(5, "got earlier values back"), count(1, "were deleted"), count(1, "kept something")] {
        assert!(result.text.contains(&words), "{words} is not in {}", result.text);
    }
    assert!(result.text.contains("shop changed it since"), "what stayed is listed: {}", result.text);
    let contact = console.service.client.get("/contact/0@x.org").await.expect(200).clone();
    assert_eq!((&contact["last_name"], &contact["phone"]), (&json!("Lee"), &Value::Null));
    let kept = console.service.client.get("/contact/1@x.org").await.expect(200).clone();
    assert_eq!((&kept["last_name"], &kept["phone"]), (&json!("Lee"), &json!("7")));
    console.service.client.get("/contact/new@x.org").await.expect(404);
    let entries = console.service.store.audit_entries(console.account(), &AuditFilter::default(), 100).await.unwrap();
    let entry = entries.iter().find(|entry| entry.action == "sync.revert").expect("it is in the audit");
    assert!(entry.actor == "admin@example.org" && entry.address.is_some(), "{entry:?}");
    let again = web.get(&undo).await;
    assert!(again.text.contains("Nothing is left to undo."), "{}", again.text);
    assert_sound(&console.service).await;
}

#[tokio::test]
async fn nothing_is_undone_that_was_not_confirmed_in_this_session() {
    let console = Console::start().await;
    let (admin, other) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::SuperAdmin).await);
    let (_, before) = bad_sync(&console, 2).await;
    let head = console.service.client.changes().await.len();
    let (from, to) = (before.to_string(), head.to_string());
    let started = admin.post(&format!("{HERE}/undo"), &[("origin", "erp"), ("from", &from), ("to", &to)]).await;
    let progress = started.expect(303).header("location").to_owned();
    let run = admin.get(&progress).await.hidden("run").unwrap();
    other.post(&format!("{HERE}/undo/step"), &[("run", &run)]).await.expect(404);
    assert_eq!(other.get(&progress).await.expect(303).header("location"), format!("{HERE}/undo"));
    for forged in ["", "x", run.get(1..).unwrap(), &format!("{run}A")] {
        admin.post(&format!("{HERE}/undo/step"), &[("run", forged)]).await.expect(404);
    }
    assert_eq!(console.service.client.changes().await.len(), head);
    for (field, value) in [("from", "-1"), ("to", "99999"), ("to", &from), ("origin", "")] {
        let mut fields = vec![("origin", "erp"), ("from", &*from), ("to", &*to)];
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        admin.post(&format!("{HERE}/undo"), &fields).await.expect(422);
    }
    // The stranger's account has neither the origin nor the events.
    let stranger = console.as_stranger().await;
    stranger.post(&format!("{HERE}/undo"), &[("origin", "erp"), ("from", &from), ("to", &to)]).await.expect(422);
    let form = stranger.get(&format!("{HERE}/undo?origin=erp&by=event&from=1")).await;
    assert!(form.status == 422 && !form.text.contains("Mixed"), "{}", form.text);
    assert_eq!(console.service.client.changes().await.len(), head);
}

#[tokio::test]
async fn a_bad_sync_is_undone_and_a_conflict_resolved_in_a_browser() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    let (_, uid) = conflict(&console, "Annie").await;
    bad_sync(&console, 450).await;
    with_browser("console-sync", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.open(&format!("{}/integrations/sync/conflicts", console.url())).await;
        browser
            .find("//div[contains(@class, 'side')][contains(., 'Annie')]//button[contains(., 'Use this value')]")
            .await
            .click()
            .await;
        browser.find("//h2[text() = 'No open conflicts']").await;
        assert_eq!(first_name(&console, &uid).await, "Annie");

        browser.find("//a[text() = 'Overview']").await.click().await;
        browser.find("//a[@aria-label = 'Undo changes of erp']").await.click().await;
        browser.find("//button[text() = 'Show the dry run']").await.click().await;
        browser.find("//li[contains(., 'get earlier values back')]").await;
        browser.find("//a[contains(., 'Undo these changes…')]").await.click().await;
        browser.find("//dialog//button[contains(., 'Undo 45')]").await.click().await;
        browser.find("//p[contains(., 'What “erp” wrote was undone.')]").await;
        browser.find("//td[contains(., 'shop changed it since')]").await;
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
    let contact = console.service.client.get("/contact/399@x.org").await.expect(200).clone();
    assert_eq!(contact["last_name"], "Lee");
}

#[tokio::test]
async fn the_pages_of_sync_break_no_rule_of_accessibility() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
    let web = console.signed_in("ann@example.org").await;
    let (path, _) = conflict(&console, "Annie").await;
    let id = path.split('/').nth(5).unwrap().to_owned();
    let (_, before) = bad_sync(&console, 3).await;
    web.post(&format!("{HERE}/consumers"), &[("name", "shop")]).await.expect(303);
    web.post(&format!("{HERE}/rules/fields"), &[("field", "contact.phone"), ("rule", "reject")]).await.expect(303);
    let undo = format!("/undo?origin=erp&by=event&from={}", before + 1);
    with_browser("console-sync-axe", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        let mut violations = Vec::new();
        for path in [
            "",
            "?dialog=delete-consumer&name=shop",
            "/conflicts",
            &format!("/conflicts?dialog=value&id={id}"),
            "/rules",
            &undo,
            &format!("{undo}&dialog=confirm"),
        ] {
            violations.extend(axe(browser, &format!("{}/integrations/sync{path}", console.url())).await);
        }
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    })
    .await;
}
