//! `unificus user`: the people of an account, for operators.

use unificus::domain::user::UserRole;

use super::support::{Console, PASSWORD};
use crate::support::program::{failure_text, lines, unificus};

#[tokio::test]
async fn an_operator_adds_lists_changes_and_resets_users() {
    let console = Console::start().await;
    let account = console.account();
    let settings = [
        ("UNIFICUS_DATABASE__URL", console.service.env.database.as_str()),
        ("UNIFICUS_CONSOLE__URL", "https://console.example.org"),
    ];
    let run = async |arguments: &str| unificus(&format!("user {arguments}"), &settings).await;

    let added = lines(&run(&format!("add {account} Ann@Example.org --json")).await);
    let link = added[0]["link"].as_str().unwrap().strip_prefix("https://console.example.org").unwrap().to_owned();
    let ann = console.visitor();
    ann.get(&link).await.expect(200);
    ann.post(&link, &[("password", PASSWORD)]).await.expect(303);
    ann.get("/console/team").await.expect(200);

    let listed = lines(&run(&format!("list {account} --json")).await);
    assert_eq!(
        (&listed[0]["email"], &listed[0]["role"], &listed[0]["state"]),
        (&"ann@example.org".into(), &"super_admin".into(), &"active".into())
    );
    let refused = failure_text(&run(&format!("role {account} ann@example.org member")).await);
    assert!(refused.contains("no Super Admin"), "{refused}");
    console.add_user(account, "bob@example.org", UserRole::SuperAdmin).await;
    lines(&run(&format!("role {account} ann@example.org member --json")).await);
    ann.get("/console/team").await.expect(404);

    let reset = lines(&run(&format!("reset-password {account} ann@example.org --json")).await);
    assert!(reset[0]["link"].as_str().unwrap().contains("/console/link/"));
    lines(&run(&format!("disable {account} ann@example.org --json")).await);
    ann.get("/console/profile").await.expect(303);
    lines(&run(&format!("enable {account} ann@example.org --json")).await);
    lines(&run(&format!("remove {account} ann@example.org --json")).await);
    let missing = failure_text(&run(&format!("reset-password {account} ann@example.org")).await);
    assert!(missing.contains("has no user ann@example.org"), "{missing}");
    assert!(console.audited().await.contains(&("operator".into(), "user.remove".into())));
}
