//! Links that work once: the first set-up and password resets.

use time::Duration;
use unificus::clock::Clock;
use unificus::domain::user::UserRole;
use unificus::store::audit::By;

use super::support::{Console, PASSWORD};
use crate::support::Client;
use crate::support::program::serve_logged;
use crate::support::servers::Servers;

#[tokio::test]
async fn a_reset_link_works_once_and_for_an_hour_and_ends_every_session() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Member).await;
    let store = &console.service.store;
    let user = store.user_of_email(console.account(), "member@example.org").await.unwrap().unwrap();
    let by = By::new("test", Clock::system().now());
    let (first, second) =
        (console.users.password_link(&user, by).await.unwrap(), console.users.password_link(&user, by).await.unwrap());
    let now = Clock::system().now();
    console.service.env.set_stored_now(now + Duration::minutes(61)).await;
    console.visitor().get(&format!("/console/link/{}", first.text())).await.expect(422);
    console.service.env.set_stored_now(now + Duration::minutes(59)).await;
    let visitor = console.visitor();
    let path = format!("/console/link/{}", first.text());
    visitor.get(&path).await.expect(200);
    visitor.post(&path, &[("password", "another password")]).await.expect(303);
    web.get("/console/profile").await.expect(303);
    let replay = console.visitor();
    replay.get("/console/sign-in").await;
    replay.post(&path, &[("password", "attackers password")]).await.expect(422);
    // The user's other links end with it.
    replay.post(&format!("/console/link/{}", second.text()), &[("password", "attackers password")]).await.expect(422);
    let old = console.visitor();
    old.get("/console/sign-in").await;
    old.post("/console/sign-in", &[("email", "member@example.org"), ("password", PASSWORD)]).await.expect(422);
}

#[tokio::test]
async fn of_several_uses_of_a_link_at_once_one_chooses_the_password() {
    let console = Console::start().await;
    console.as_role(UserRole::Member).await;
    let store = &console.service.store;
    let user = store.user_of_email(console.account(), "member@example.org").await.unwrap().unwrap();
    let by = By::new("test", Clock::system().now());
    for round in 0..5 {
        let link = console.users.password_link(&user, by).await.unwrap();
        let path = format!("/console/link/{}", link.text());
        let passwords: Vec<String> = (0..4).map(|number| format!("password {round} of {number}")).collect();
        let uses = passwords.iter().map(async |password| {
            let web = console.visitor();
            web.get(&path).await.expect(200);
            web.post(&path, &[("password", password)]).await.status
        });
        let statuses = futures_util::future::join_all(uses).await;
        assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [303, 422].contains(status)), "{statuses:?}");
        let winner = statuses.iter().position(|status| *status == 303).unwrap();
        let web = console.visitor();
        web.get("/console/sign-in").await;
        let fields = [("email", "member@example.org"), ("password", &*passwords[winner])];
        web.post("/console/sign-in", &fields).await.expect(303);
    }
    let chosen = console.audited().await.iter().filter(|(_, action)| action == "user.password").count();
    assert_eq!(chosen, 1 + 5, "the invitation and one of each round");
}

#[tokio::test]
async fn a_token_of_one_purpose_works_for_no_other() {
    let console = Console::start().await;
    let other = console.service.other_client().await;
    console.as_role(UserRole::Member).await;
    console.add_user(other.account, "member@example.org", UserRole::Member).await;
    let store = &console.service.store;
    let user = store.user_of_email(console.account(), "member@example.org").await.unwrap().unwrap();
    let reset = console.users.password_link(&user, By::new("test", Clock::system().now())).await.unwrap().text();
    let web = console.visitor();
    web.get("/console/sign-in").await;
    // Of a link to a password: it is no step of signing in, and no session.
    for path in ["/console/sign-in/account", "/console/sign-in/code"] {
        web.post(path, &[("token", &reset), ("code", "000000")]).await.expect(422);
    }
    web.cookies.lock().unwrap().insert("__Host-session".to_owned(), reset.clone());
    web.get("/console/profile").await.expect(303);
    web.cookies.lock().unwrap().remove("__Host-session");
    // Of the choice of an account: it chooses no password.
    web.get("/console/sign-in").await;
    let choice = web.post("/console/sign-in", &[("email", "member@example.org"), ("password", PASSWORD)]).await;
    let step = choice.expect(200).hidden("token").unwrap();
    web.get(&format!("/console/link/{step}")).await.expect(422);
    web.post(&format!("/console/link/{step}"), &[("password", "attackers password")]).await.expect(422);
    web.post("/console/sign-in/code", &[("token", &step), ("code", "000000")]).await.expect(422);
    web.cookies.lock().unwrap().insert("__Host-session".to_owned(), step);
    web.get("/console/profile").await.expect(303);
    // The link still works, because nothing used it up.
    console.visitor().get(&format!("/console/link/{reset}")).await.expect(200);
}

#[tokio::test]
async fn the_first_start_logs_a_link_that_makes_the_first_account_and_later_ones_log_none() {
    let env = Servers::get().env().await;
    let (child, base, mut log) = serve_logged(&env, &[]).await;
    let entry = log.next("first start: open the link to set up the console; it works once, for a day").await;
    let link = entry["fields"]["link"].as_str().unwrap().to_owned();
    let root = base.trim_end_matches("/secure-api");
    let web = super::support::Web::at(root);
    let path = link.strip_prefix(root).unwrap();
    web.get(path).await.expect(200);
    let fields = [("name", "Acme"), ("email", "ann@example.org"), ("password", "short")];
    web.post(path, &fields).await.expect(422);
    let fields = [("name", "Acme"), ("email", "ann@example.org"), ("password", PASSWORD)];
    web.post(path, &fields).await.expect(303);
    assert!(web.get("/console/team").await.expect(200).text.contains("ann@example.org"));
    super::support::Web::at(root).get(path).await.expect(422);
    let account = web.get("/console/integrations/secure-api").await;
    let public_id = account.between("<dt>Public ID</dt><dd><code>", "<").to_owned();
    let client = Client::new(&base, unificus::domain::AccountId(public_id.parse().unwrap()), "wrong");
    client.get("/contacts").await.expect(401);
    drop(child);
}
