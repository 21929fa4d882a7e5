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
