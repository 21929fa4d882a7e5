//! Custom fields, marketing audiences and the dashboard over HTTP.

use serde_json::json;
use unificus::domain::user::UserRole;

use super::support::Console;

#[tokio::test]
async fn a_custom_field_is_added_changed_and_archived_with_errors_beside_its_fields() {
    let console = Console::start().await;
    let api = &console.service.client;
    let (admin, member) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::Member).await);
    let path = "/console/custom-fields";
    let field = |kind: &'static str, values: &'static str| {
        [("name", "Hue"), ("entity", "company"), ("type", kind), ("allowed_values", values), ("visibility", "public")]
    };
    member.post(path, &field("text", "")).await.expect(404);
    let refused = admin.post(path, &field("dropdown", "")).await;
    refused.expect(422);
    assert!(
        refused.between("id=\"error-allowed_values\"", "</p>").contains("Is required for a dropdown"),
        "{}",
        refused.text
    );
    assert!(refused.text.contains("value=\"Hue\""), "what was typed stays");
    admin.post(path, &field("dropdown", "Red\r\nGreen\r\n\r\n")).await.expect(303);
    let again = admin.post(path, &field("dropdown", "Red")).await;
    again.expect(422);
    assert!(again.text.contains("id=\"error-name\""));

    let uid = api.get("/fields").await.expect(200)[0]["uid"].as_str().unwrap().to_owned();
    let dialog = admin.get(&format!("{path}?dialog=change&field={uid}")).await;
    let version = dialog.hidden("version").unwrap();
    assert!(dialog.between("<textarea", "</textarea>").ends_with("Red\nGreen"), "{}", dialog.text);
    let change = [
        ("version", &*version),
        ("name", "Shade"),
        ("allowed_values", "Red\nBlue"),
        ("visibility", "private"),
        ("description", ""),
    ];
    admin.post(&format!("{path}/{uid}"), &change).await.expect(303);
    let changed = &api.get("/fields").await.expect(200)[0].clone();
    assert_eq!(changed["name"], "Shade");
    assert_eq!((&changed["allowed_values"], &changed["visibility"]), (&json!(["Red", "Blue"]), &json!("private")));
    let stale = admin.post(&format!("{path}/{uid}"), &change).await;
    stale.expect(422);
    assert!(stale.text.contains("changed by somebody else"), "{}", stale.text);

    let stranger = console.as_stranger().await;
    stranger.post(&format!("{path}/{uid}"), &change).await.expect(404);
    stranger.post(&format!("{path}/{uid}/archive"), &[]).await;
    assert!(!stranger.get(path).await.text.contains("Shade"));
    assert_eq!(api.get("/fields").await.expect(200).as_array().unwrap().len(), 1);
    admin.post(&format!("{path}/{uid}/archive"), &[]).await.expect(303);
    assert!(admin.get(path).await.text.contains("No custom fields yet"));
    assert!(admin.get(&format!("{path}?state=archived")).await.text.contains("Shade"));
    let actions: Vec<String> = console.audited().await.into_iter().map(|(_, action)| action).collect();
    for action in ["field.add", "field.change", "field.archive"] {
        assert_eq!(actions.iter().filter(|other| *other == action).count(), 1, "{action} in {actions:?}");
    }
}

#[tokio::test]
async fn an_audience_gets_the_next_number_or_a_chosen_one() {
    let console = Console::start().await;
    let admin = console.as_role(UserRole::Admin).await;
    let path = "/console/audiences";
    assert!(admin.get(path).await.text.contains("No audiences yet"));
    admin.post(path, &[("name", "News"), ("id", "")]).await.expect(303);
    admin.post(path, &[("name", "Offers"), ("id", "7")]).await.expect(303);
    admin.post(path, &[("name", "Events"), ("id", "")]).await.expect(303);
    let page = admin.get(path).await;
    for (number, name) in [(1, "News"), (7, "Offers"), (8, "Events")] {
        let line = format!("data-label=\"Name\">{name}</th><td data-label=\"ID\">{number}</td>");
        assert!(page.text.contains(&line), "{line} in {}", page.text);
    }
    for (fields, error) in [
        ([("name", ""), ("id", "9")], "error-name"),
        ([("name", "Other"), ("id", "7")], "error-id"),
        ([("name", "Other"), ("id", "0")], "error-id"),
        ([("name", "Other"), ("id", "x")], "error-id"),
    ] {
        let refused = admin.post(path, &fields).await;
        refused.expect(422);
        assert!(refused.text.contains(&format!("id=\"{error}\"")), "{fields:?}: {}", refused.text);
    }
    let added = console.audited().await.into_iter().filter(|(_, action)| action == "audience.add").count();
    assert_eq!(added, 3);
}

#[tokio::test]
async fn the_dashboard_has_the_accounts_numbers_and_what_a_role_may_know() {
    let console = Console::start().await;
    let api = &console.service.client;
    let (admin, member) = (console.as_role(UserRole::Admin).await, console.as_role(UserRole::Member).await);
    assert_eq!(admin.get("/console").await.header("location"), "/console/dashboard");
    let page = admin.get("/console/dashboard").await;
    assert!(page.text.contains("First steps") && page.text.contains("0 events in the last 24 hours"), "{}", page.text);
    for number in 0..3 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let page = admin.get("/console/dashboard").await;
    assert!(
        page.text.contains("3 events in the last 24 hours") && page.text.contains("calls used this month"),
        "{}",
        page.text
    );
    let figure = page.between("<a href=\"/console/contacts\">Contacts</a>", "</div>");
    assert!(figure.contains("<strong>3</strong>"), "{figure}");
    assert!(page.text.contains("No two systems disagree"));
    let page = member.get("/console/dashboard").await;
    page.expect(200);
    for hidden in ["calls used this month", "Push Endpoints", "First steps", "/console/integrations"] {
        assert!(!page.text.contains(hidden), "{hidden}");
    }
    let stranger = console.as_stranger().await.get("/console/dashboard").await;
    assert!(stranger.text.contains("0 events in the last 24 hours"));
}
