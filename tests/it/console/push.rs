//! Integrations → Push Endpoints over HTTP: every action, its audit, and what a receiver or another account cannot do.

use serde_json::json;
use unificus::domain::user::UserRole;
use unificus::store::console::audit_list::AuditFilter;
use uuid::Uuid;

use super::support::{Console, Page, Web, axe, sign_in};
use crate::push_delivery::{endpoint, settled, until};
use crate::support::browser::with_browser;
use crate::support::{LONG, Receiver};

pub(crate) const LIST: &str = "/console/integrations/push";

fn fresh() -> String {
    unificus::clock::fresh_uid().to_string()
}

/// Adds an endpoint by the form; returns its id with the page that shows its secret.
async fn add(web: &Web, url: &str, more: &[(&str, &str)]) -> (String, Page) {
    let request = fresh();
    let page = web.post(LIST, &[&[("url", url), ("request", &*request)], more].concat()).await;
    let id = page.expect(200).between(&format!("{LIST}/"), "/").to_owned();
    (id, page)
}

/// Waits until the page of an endpoint has a text.
async fn until_page(web: &Web, path: &str, text: &str) -> Page {
    until(text, async || web.get(path).await.text.contains(text)).await;
    web.get(path).await
}

#[tokio::test]
async fn an_endpoint_is_added_changed_paused_rotated_and_deleted() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let web = console.as_role(UserRole::Admin).await;
    let empty = web.get(LIST).await;
    assert!(empty.text.contains("No endpoints yet") && empty.text.contains("A webhook is"), "{}", empty.text);
    assert!(empty.text.contains("standardwebhooks"), "there is an example to copy");

    let fields =
        [("url", &*receiver.url()), ("description", "Shop"), ("request", &*fresh())].map(|(a, b)| (a, b.to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = web.post(LIST, &fields).await;
    let secret = format!("whsec_{}", page.expect(200).between("<code>whsec_", "<"));
    let again = web.post(LIST, &fields).await;
    assert!(again.expect(200).text.contains(&secret), "a form that is sent twice makes one endpoint");
    let endpoints = console.service.client.get("/push/endpoints").await;
    let endpoints = endpoints.expect(200).as_array().unwrap().clone();
    assert_eq!((endpoints.len(), &endpoints[0]["description"]), (1, &json!("Shop")));
    let here = format!("{LIST}/{}", endpoints[0]["id"].as_str().unwrap());
    let list = web.get(LIST).await;
    assert!(list.text.contains("Shop") && list.text.contains(">live<"), "{}", list.text);
    assert!(!list.text.contains(&secret) && !web.get(&here).await.text.contains(&secret), "the secret is shown once");

    let edit = web.get(&format!("{here}/edit")).await;
    assert!(edit.expect(200).text.contains(&receiver.url()));
    let changed = [
        ("url", &*receiver.url()),
        ("events", "contact.*"),
        ("mode", "batch"),
        ("max_batch", "7"),
        ("headers", "X-Shop: 1"),
    ]
    .map(|(a, b)| (a, b.to_owned()));
    let changed: Vec<(&str, &str)> = changed.iter().map(|(name, value)| (*name, value.as_str())).collect();
    web.post(&here, &changed).await.expect(303);
    let stored = console.service.client.get("/push/endpoints").await.expect(200)[0].clone();
    assert_eq!(
        (&stored["mode"], &stored["max_batch"], &stored["events"]),
        (&json!("batch"), &json!(7), &json!(["contact.*"]))
    );
    assert_eq!(stored["headers"], json!({"x-shop": "********"}));

    web.post(&format!("{here}/pause"), &[]).await.expect(303);
    assert!(web.get(LIST).await.text.contains(">paused<"));
    web.post(&format!("{here}/resume"), &[]).await.expect(303);
    let rotated = web.post(&format!("{here}/rotate"), &[("overlap_s", "3600"), ("request", &fresh())]).await;
    assert_ne!(format!("whsec_{}", rotated.expect(200).between("<code>whsec_", "<")), secret);
    let dialog = web.get(&format!("{here}?dialog=delete")).await;
    // The change left out its description, so that it is named by its address.
    assert!(dialog.text.contains(&format!("Delete “{}”?", receiver.url())), "{}", dialog.text);
    web.post(&format!("{here}/delete"), &[]).await.expect(303);
    assert!(web.get(LIST).await.text.contains("The endpoint was deleted."));
    web.get(&here).await.expect(404);

    let entries = console.service.store.audit_entries(console.account(), &AuditFilter::default(), 100).await.unwrap();
    for action in ["push.create", "push.update", "push.pause", "push.resume", "push.rotate", "push.delete"] {
        let entry = entries.iter().find(|entry| entry.action == action).unwrap_or_else(|| panic!("no {action}"));
        assert_eq!(entry.actor, "admin@example.org", "{action}");
        assert!(entry.address.is_some(), "{action} has no address");
    }
}

#[tokio::test]
async fn settings_that_cannot_be_saved_are_explained_beside_their_fields() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    for (fields, words) in [
        (vec![("url", "")], "Enter the URL that requests are sent to."),
        (vec![("url", "https://169.254.169.254/")], "because it is no public one: cloud metadata"),
        (vec![("url", "hook")], "Enter a whole URL, such as https://example.com/hook."),
        (vec![("url", "https://u:p@example.com/")], "send credentials as an own header instead"),
        (
            vec![("url", "https://example.com/"), ("more_events", "thing.made")],
            "There is no type of event “thing.made”.",
        ),
        (vec![("url", "https://example.com/"), ("window", "0")], "Must be a whole number from 1 to 256."),
        (vec![("url", "https://example.com/"), ("headers", "Host: x")], "the delivery itself writes it"),
    ] {
        let page = web.post(LIST, &fields).await;
        page.expect(422);
        assert!(page.text.contains(words), "{words} is not in {}", page.text);
        let url = fields[0].1;
        assert!(page.text.contains(&format!("value=\"{url}\"")), "the form keeps what was typed");
    }
    assert_eq!(console.service.client.get("/push/endpoints").await.expect(200), &json!([]));
}

#[tokio::test]
async fn an_endpoint_of_another_account_is_not_there() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let made = endpoint(&console.service, &receiver, json!({})).await;
    let id = made["id"].as_str().unwrap();
    let stranger = console.as_stranger().await;
    for path in ["", "/edit", "/live", &format!("/attempts/{}", fresh()), "?dialog=delete"] {
        stranger.get(&format!("{LIST}/{id}{path}")).await.expect(404);
    }
    for action in
        ["", "/rotate", "/test", "/pause", "/resume", "/delete", "/replay", "/parked/retry", "/parked/1/retry"]
    {
        let fields = [("url", "https://example.com/"), ("overlap_s", "0"), ("by", "event"), ("from", "1")];
        stranger.post(&format!("{LIST}/{id}{action}"), &fields).await.expect(404);
    }
    assert!(!stranger.get(LIST).await.text.contains(id));
    assert_eq!(console.service.client.get("/push/endpoints").await.expect(200)[0], made_without_secret(made));
    assert_eq!(receiver.received().len(), 0);
}

fn made_without_secret(mut made: serde_json::Value) -> serde_json::Value {
    made.as_object_mut().unwrap().remove("secret");
    made["through_seq"] = json!(0);
    made
}

#[tokio::test]
async fn texts_of_receivers_and_owners_are_shown_and_never_interpreted() {
    const SCRIPT: &str = "<script>alert('answer')</script>";
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let web = console.as_role(UserRole::Admin).await;
    receiver.respond_with_body(500, SCRIPT);
    let (id, _) = add(&web, &receiver.url(), &[("description", "<img src=x onerror=alert(1)>")]).await;
    let here = format!("{LIST}/{id}");
    web.post(&format!("{here}/test"), &[]).await.expect(303);
    let failed = web.get(&here).await;
    assert!(failed.text.contains("did not accept the test event: refused, 500"), "{}", failed.text);
    console.service.client.contact("\"><script>alert(2)</script>@example.org").await;
    console
        .service
        .client
        .post("/contact", json!({"role": "Lead", "first_name": SCRIPT, "last_name": "Lee", "email": "ann@x.org"}))
        .await
        .expect(201);
    let page = until_page(&web, &here, "Event 1").await;
    let attempts: Vec<&str> = page.text.split("/attempts/").skip(1).filter_map(|rest| rest.get(..36)).collect();
    let mut answers = 0;
    for attempt in attempts {
        for headers in [&[][..], &[("hx-request", "true")][..]] {
            let shown =
                web.send(hyper::Method::GET, &format!("{here}/attempts/{attempt}"), headers, String::new()).await;
            shown.expect(200);
            assert!(!shown.text.contains("<script>alert") && !shown.text.contains("<img src=x"), "{}", shown.text);
            answers += usize::from(shown.text.contains("&lt;script&gt;alert('answer')&lt;/script&gt;"));
            assert_eq!(shown.text.contains("<html"), headers.is_empty(), "htmx gets the part alone");
        }
    }
    assert!(answers >= 2, "the answer is shown");
    for path in [LIST, &here, &format!("{here}/edit"), &format!("{LIST}?dialog=delete&id={id}")] {
        let page = web.get(path).await;
        assert!(!page.text.contains("<script>alert") && !page.text.contains("<img src=x"), "{path}");
    }
}

#[tokio::test]
async fn events_are_replayed_from_an_event_or_a_time_on() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let web = console.as_role(UserRole::Admin).await;
    for index in 0..3 {
        console.service.client.contact(&format!("{index}@x.org")).await.expect(201);
    }
    let (id, _) = add(&web, &receiver.url(), &[]).await;
    let replay = format!("{LIST}/{id}/replay");
    let refused = [
        (vec![("by", "event"), ("from", "9")], "from 1 to 3"),
        (vec![("by", "event"), ("from", "")], "from 1 to 3"),
        (vec![("by", "event"), ("from", "3"), ("to", "2")], "There is no event in this range."),
        (vec![("by", "time"), ("time", "2999-01-01T00:00")], "Choose a time that is over."),
        (vec![("by", "time"), ("time", "soon")], "Choose a time that is over."),
    ];
    for (fields, words) in refused {
        let page = web.post(&replay, &fields).await;
        assert!(page.status == 422 && page.text.contains(words), "{words}: {}", page.text);
    }
    let started = web.post(&replay, &[("by", "event"), ("from", "2")]).await;
    assert_eq!(started.expect(303).header("location"), format!("{LIST}/{id}?replay=1-3"));
    let received = receiver.wait_for(2, LONG).await;
    assert_eq!(crate::push_delivery::seqs(&received), [2, 3]);
    until_page(&web, &format!("{LIST}/{id}?replay=1-3"), "Replay finished: 2 events were sent again.").await;

    let started = web.post(&replay, &[("by", "time"), ("time", "2020-01-01T00:00"), ("to", "1")]).await;
    assert_eq!(started.expect(303).header("location"), format!("{LIST}/{id}?replay=0-1"));
    receiver.wait_for(3, LONG).await;
    assert!(console.audited().await.contains(&("admin@example.org".into(), "push.replay".into())));
}

#[tokio::test]
async fn parked_events_are_sent_again_one_by_one_or_together() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let web = console.as_role(UserRole::Admin).await;
    for index in 0..4 {
        console.service.client.contact(&format!("{index}@x.org")).await.expect(201);
    }
    let (id, _) = add(&web, &receiver.url(), &[]).await;
    let here = format!("{LIST}/{id}");
    assert!(!web.get(&here).await.text.contains("Parked events"));
    // As if the whole schedule, which takes days, had ended for these.
    let sql = console.service.env.sql().await;
    sql.execute(
        "insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
         select account_id, $1, seq, uid, 10, now(), true from event where seq < 4",
        &[&id.parse::<Uuid>().unwrap()],
    )
    .await
    .unwrap();
    let page = web.get(&here).await;
    assert!(page.text.contains("Parked events") && page.text.contains("Retry event 3"), "{}", page.text);
    for path in [LIST, &here] {
        assert!(web.get(path).await.text.contains(">3 parked<"), "{path} says that events wait");
    }
    sql.execute(
        "insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, status,
             duration_ms, bytes, body, uids)
         select account_id, endpoint_id, endpoint_id, now(), 2, 'a:2', 'retry', 'status', 422, 0, 0, '', array[uid]
         from push_retry where seq = 2",
        &[],
    )
    .await
    .unwrap();
    let attempt = web.get(&format!("{here}/attempts/{id}")).await;
    let title = format!("<h1 class=\"break\">contact.created to {}</h1>", receiver.url());
    assert!(attempt.text.contains(&title) && attempt.text.contains("Event 2, sent again"), "{}", attempt.text);
    assert!(attempt.text.contains("/parked/2/retry") && attempt.text.contains("Send again"), "{}", attempt.text);
    web.post(&format!("{here}/parked/2/retry"), &[]).await.expect(303);
    assert_eq!(crate::push_delivery::seqs(&receiver.wait_for(1, LONG).await), [2]);
    settled(&console.service, "the entry is gone", "select count(*) = 2 from push_retry").await;
    web.post(&format!("{here}/parked/2/retry"), &[]).await.expect(303);
    assert!(web.get(&here).await.text.contains("Event 2 is not parked any more."));
    web.post(&format!("{here}/parked/retry"), &[]).await.expect(303);
    assert!(web.get(&here).await.text.contains("2 events will be sent again"));
    let mut seqs = crate::push_delivery::seqs(&receiver.wait_for(3, LONG).await);
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3]);
    settled(&console.service, "no entry is left", "select count(*) = 0 from push_retry").await;
    assert!(console.audited().await.contains(&("admin@example.org".into(), "push.retry_all".into())));
}

#[tokio::test]
async fn an_endpoint_is_added_fails_is_mended_and_replays_in_a_browser() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let client = &console.service.client;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    client.contact("first@x.org").await.expect(201);
    with_browser("console-push", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.open(&format!("{}/integrations/push", console.url())).await;
        browser.find("//a[contains(., 'Add your first endpoint')]").await.click().await;
        browser.find("//input[@name = 'url']").await.type_in(&receiver.url()).await;
        browser.find("//input[@name = 'description']").await.type_in("Shop").await;
        browser.find("//button[text() = 'Add endpoint']").await.click().await;
        browser.find("//dt[text() = 'Signing secret']/following::code[starts-with(., 'whsec_')]").await;
        browser.find("//a[text() = 'Push Endpoints'][ancestor::p]").await.click().await;
        browser.find("//tr[contains(., 'Shop')]//span[text() = 'live']").await;

        receiver.respond_with(503);
        client.contact("ann@x.org").await.expect(201);
        browser.find("//tr[contains(., 'Shop')]//span[text() = 'failing']").await;
        browser.find("//a[text() = 'Shop']").await.click().await;
        browser.find("//div[@role = 'alert'][contains(., 'Deliveries have failed since')]").await;
        let entry = "//details[contains(., 'asked to wait, 503')]";
        let here = browser.run("return location.href").await;
        until("the attempts are logged", async || {
            browser.open(here.as_str().unwrap()).await;
            browser.run("return document.querySelectorAll('details.attempt').length > 0").await == true
        })
        .await;
        browser.find(&format!("{entry}/summary")).await.click().await;
        browser.find(&format!("{entry}//p[text() = 'Request']/following::pre[contains(., 'ann@x.org')]")).await;

        receiver.recover();
        browser.find("//button[contains(., 'Try now')]").await.click().await;
        browser.find("//div[contains(@class, 'condition')]/span[text() = 'live']").await;
        browser.find("//p[contains(., 'Up to date with event')]").await;

        let before = receiver.accepted().len();
        browser.find("//a[contains(., 'Replay…')]").await.click().await;
        browser.find("//dialog//label[contains(., 'Since an event')]").await.click().await;
        browser.find("//dialog//input[@name = 'from']").await.type_in("1").await;
        browser.find("//dialog//button[text() = 'Replay']").await.click().await;
        browser.find("//p[contains(., 'Replay finished')]").await;
        until("both events came again", async || receiver.accepted().len() >= before + 2).await;
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
}

#[tokio::test]
async fn the_pages_of_an_endpoint_break_no_rule_of_accessibility() {
    let (console, receiver) = (Console::start().await, Receiver::start().await);
    let client = &console.service.client;
    console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
    receiver.respond_with_body(500, "no");
    let id =
        endpoint(&console.service, &receiver, json!({"description": "Shop"})).await["id"].as_str().unwrap().to_owned();
    for index in 0..3 {
        client.contact(&format!("{index}@x.org")).await.expect(201);
    }
    settled(&console.service, "attempts are logged", "select count(*) > 0 from push_attempt").await;
    let sql = console.service.env.sql().await;
    let parked = "insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
        select account_id, $1, seq, uid, 10, now(), true from event where seq = 1 on conflict do nothing";
    sql.execute(parked, &[&id.parse::<Uuid>().unwrap()]).await.unwrap();
    let attempt: Uuid = sql.query_one("select attempt_id from push_attempt limit 1", &[]).await.unwrap().get(0);
    with_browser("console-push-axe", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        let mut violations = Vec::new();
        for path in [
            String::new(),
            format!("?dialog=delete&id={id}"),
            format!("/{id}"),
            format!("/{id}?replay=0-3"),
            format!("/{id}?dialog=replay"),
            format!("/{id}?dialog=rotate"),
            format!("/{id}/edit"),
            format!("/{id}/attempts/{attempt}"),
        ] {
            violations.extend(axe(browser, &format!("{}/integrations/push{path}", console.url())).await);
        }
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    })
    .await;
}
