//! Signing in and out: sessions, the throttle, the second factor, one address in several accounts.

use time::Duration;
use unificus::clock::Clock;
use unificus::domain::user::UserRole;
use unificus::store::audit::By;
use unificus::users::totp::TotpSecret;

use super::support::{Console, PASSWORD, Web};

const EMAIL: &str = "ann@example.org";

#[tokio::test]
async fn a_user_signs_in_and_returns_to_the_page_that_was_asked_for() {
    let console = Console::start().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    let web = console.visitor();
    let reply = web.get("/console/audit?kind=key.").await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, "/console/sign-in?next=%2Fconsole%2Faudit%3Fkind%3Dkey.")
    );

    let form = web.get(reply.header("location")).await;
    let next = form.hidden("next").unwrap();
    let reply =
        web.post("/console/sign-in", &[("email", " Ann@Example.org"), ("password", PASSWORD), ("next", &next)]).await;
    assert_eq!((reply.status, reply.header("location")), (303, "/console/audit?kind=key."));
    web.get("/console/audit").await.expect(200);
    assert!(console.audited().await.contains(&(EMAIL.into(), "user.sign_in".into())));

    web.post("/console/sign-out", &[]).await.expect(303);
    web.get("/console/audit").await.expect(303);
}

#[tokio::test]
async fn the_cookie_of_a_session_is_safe_and_its_token_is_stored_as_a_hash() {
    let console = Console::start().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    let reply = web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    let cookies: Vec<&str> = reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-session=")).unwrap();
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=1209600"] {
        assert!(session.contains(attribute), "{session}");
    }
    let token = session.strip_prefix("__Host-session=").unwrap().split(';').next().unwrap();
    let rows = console.service.env.sql().await.query("select s::text from console_session s", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].get::<_, String>(0).contains(token));
}

#[tokio::test]
async fn signing_in_renews_the_session_and_a_planted_one_is_worth_nothing() {
    let console = Console::start().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    let visit = web.cookies.lock().unwrap()["__Host-visit"].clone();
    // An attacker's cookie, as another page on the host might have set it.
    web.cookies.lock().unwrap().insert("__Host-session".to_owned(), visit.clone());
    web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.expect(303);
    let session = web.cookies.lock().unwrap()["__Host-session"].clone();
    assert_ne!(session, visit);

    let attacker = console.visitor();
    attacker.cookies.lock().unwrap().insert("__Host-session".to_owned(), visit);
    attacker.get("/console/profile").await.expect(303);

    // A second sign-in of the same browser gets another session too.
    let again = console.signed_in(EMAIL).await;
    assert_ne!(again.cookies.lock().unwrap()["__Host-session"], session);
}

#[tokio::test]
async fn a_cookie_is_worth_nothing_after_signing_out_and_on_the_host_of_another_account() {
    let console = Console::start().await;
    let (web, stranger) = (console.as_role(UserRole::SuperAdmin).await, console.as_stranger().await);
    web.get("/console/branding").await;
    let brand = [("name", "Acme"), ("color", "#7a1fa2"), ("hosts", "console.acme.example")];
    web.post("/console/branding", &brand).await.expect(303);
    let cookie = |web: &Web| web.cookies.lock().unwrap()["__Host-session"].clone();
    let replay = |cookie: String, host: &str| {
        let replay = console.visitor().with_header("host", host);
        replay.cookies.lock().unwrap().insert("__Host-session".to_owned(), cookie);
        replay
    };
    replay(cookie(&web), "console.acme.example").get("/console/team").await.expect(200);
    replay(cookie(&stranger), "console.acme.example").get("/console/team").await.expect(303);
    replay(cookie(&stranger), "localhost").get("/console/team").await.expect(200);

    let kept = cookie(&web);
    web.post("/console/sign-out", &[]).await.expect(303);
    replay(kept, "localhost").get("/console/profile").await.expect(303);
    let sql = console.service.env.sql().await;
    let count = "select count(*) from console_session where account_id = $1";
    assert_eq!(sql.query_one(count, &[&console.account().0]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_look_the_same() {
    let console = Console::start().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    let without = |text: &str, email: &str| text.replace(email, "").replace(|sign: char| !sign.is_ascii_graphic(), "");
    let known = web.post("/console/sign-in", &[("email", EMAIL), ("password", "wrong password")]).await;
    let unknown = web.post("/console/sign-in", &[("email", "bob@example.org"), ("password", "wrong password")]).await;
    assert_eq!((known.status, unknown.status), (422, 422));
    assert!(known.text.contains("The email address or the password is not right."));
    assert_eq!(without(&known.text, EMAIL), without(&unknown.text, "bob@example.org"));
}

#[tokio::test]
async fn attempts_are_limited_per_address_and_a_disabled_user_is_refused() {
    let console = Console::start().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    console.add_user(console.account(), "bob@example.org", UserRole::SuperAdmin).await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    for _ in 0..10 {
        web.post("/console/sign-in", &[("email", EMAIL), ("password", "wrong password")]).await.expect(422);
    }
    let reply = web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    assert!(
        reply.status == 429 && reply.text.contains("Too many attempts. Try again in 15 minutes."),
        "{}",
        reply.text
    );
    // Another user of the same network still signs in.
    let bob = console.signed_in("bob@example.org").await;
    // The window passes.
    console.service.env.set_stored_now(Clock::system().now() + Duration::minutes(16)).await;
    web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.expect(303);
    web.get("/console/profile").await.expect(200);

    let users = console.service.store.users(console.account()).await.unwrap();
    let ann = users.iter().find(|user| user.email == EMAIL).unwrap();
    bob.post(&format!("/console/team/{}/disable", ann.user_id), &[]).await.expect(303);
    web.get("/console/profile").await.expect(303);
    let visitor = console.visitor();
    visitor.get("/console/sign-in").await;
    visitor.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.expect(422);
}

#[tokio::test]
async fn attempts_are_limited_per_network_and_per_address_from_everywhere_and_codes_too() {
    let console =
        Console::configured(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    let sql = console.service.env.sql().await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    let attempt = async |email: &str| {
        web.post("/console/sign-in", &[("email", email), ("password", "wrong password")]).await.status
    };
    let change = async |change: &str| {
        sql.execute(change, &[]).await.unwrap();
    };
    assert_eq!(attempt("nobody@example.org").await, 422);
    assert_eq!(attempt("somebody@example.org").await, 422);
    // As if there had been more: the network alone has two.
    change("update sign_in_throttle set attempts = 59 where attempts = 2").await;
    assert_eq!(attempt("else@example.org").await, 422, "the sixtieth");
    assert_eq!(attempt("other@example.org").await, 429);
    web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.expect(429);
    assert!(!web.cookies.lock().unwrap().contains_key("__Host-session"));

    // From elsewhere it is another network, but the same address.
    change("delete from sign_in_throttle").await;
    assert_eq!(attempt(EMAIL).await, 422);
    change("update sign_in_throttle set attempts = 100").await;
    let elsewhere = console.visitor().with_header("x-forwarded-for", "203.0.113.9");
    elsewhere.get("/console/sign-in").await;
    let fields = [("email", EMAIL), ("password", "wrong password")];
    elsewhere.post("/console/sign-in", &fields).await.expect(429);
    elsewhere
        .post("/console/sign-in", &[("email", "bob@example.org"), ("password", "wrong password")])
        .await
        .expect(422);
    change("delete from sign_in_throttle").await;

    let user = console.service.store.user_of_email(console.account(), EMAIL).await.unwrap().unwrap();
    let (secret, now) = (TotpSecret::make(), Clock::system().now());
    let by = By::new("test", now);
    console.users.add_totp((user.account, user.user_id), &secret, &secret.code_at(now), by).await.unwrap();
    let step = web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    let token = step.expect(200).hidden("token").unwrap();
    for _ in 0..10 {
        web.post("/console/sign-in/code", &[("token", &token), ("code", "000000")]).await.expect(422);
    }
    let later = secret.code_at(now + Duration::seconds(30));
    web.post("/console/sign-in/code", &[("token", &token), ("code", &later)]).await.expect(429);

    // A session that was left open does not serve to guess the password.
    let web = console.as_role(UserRole::Member).await;
    let fields = |current: &'static str| [("current", current), ("password", "another password")];
    for _ in 0..10 {
        web.post("/console/profile/password", &fields("wrong password")).await.expect(422);
    }
    let refused = web.post("/console/profile/password", &fields(PASSWORD)).await;
    assert!(refused.expect(422).text.contains("Too many attempts. Try again in 15 minutes."), "{}", refused.text);
    change("delete from sign_in_throttle").await;
    web.post("/console/profile/password", &fields(PASSWORD)).await.expect(303);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_when_it_is_old() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let now = Clock::system().now();
    for hours in [20, 40, 60] {
        console.service.env.set_stored_now(now + Duration::hours(hours)).await;
        web.get("/console/profile").await.expect(200);
    }
    console.service.env.set_stored_now(now + Duration::hours(60 + 25)).await;
    web.get("/console/profile").await.expect(303);

    console.service.env.set_stored_now(now).await;
    let used = console.signed_in("admin@example.org").await;
    let shown = async |hours: i64, status: u16| {
        console.service.env.set_stored_now(now + Duration::hours(hours)).await;
        used.get("/console/profile").await.expect(status);
    };
    for days in 1..=14 {
        shown(days * 23, 200).await;
    }
    shown(14 * 24 - 1, 200).await;
    shown(14 * 24 + 1, 303).await;
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_works_once() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Member).await;
    let page = web.get("/console/profile?step=totp").await;
    let text = page.hidden("secret").unwrap();
    assert!(
        page.text.contains("<svg class=\"qr\"")
            && page.text.contains(&format!("<span>{}</span>", text.get(..4).unwrap()))
    );
    let wrong = web.post("/console/profile/totp", &[("secret", &text), ("code", "000000")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("This code is not right."), "{}", wrong.text);
    assert_eq!(wrong.hidden("secret").unwrap(), text, "the app keeps its key");
    let secret = TotpSecret::parse(&text).unwrap();
    let now = Clock::system().now();
    let current = secret.code_at(now);
    web.post("/console/profile/totp", &[("secret", &text), ("code", &current)]).await.expect(303);

    let other = console.visitor();
    other.get("/console/sign-in").await;
    let step = other.post("/console/sign-in", &[("email", "member@example.org"), ("password", PASSWORD)]).await;
    assert_eq!(step.status, 200, "the password alone makes no session");
    assert!(!other.cookies.lock().unwrap().contains_key("__Host-session"));
    let token = step.hidden("token").unwrap();
    let used = other.post("/console/sign-in/code", &[("token", &token), ("code", &current)]).await;
    assert_eq!(used.status, 422, "the code was used when the factor was turned on");
    let store = &console.service.store;
    let user = store.user_of_email(console.account(), "member@example.org").await.unwrap().unwrap();
    // The step of the code is free again, as it is half a minute later.
    let sql = console.service.env.sql().await;
    sql.execute("update console_user set totp_step = 0 where user_id = $1", &[&user.user_id]).await.unwrap();
    other.post("/console/sign-in/code", &[("token", &token), ("code", &current)]).await.expect(303);
    other.get("/console/profile").await.expect(200);
    let again = console.visitor();
    again.get("/console/sign-in").await;
    again.post("/console/sign-in/code", &[("token", &token), ("code", &current)]).await.expect(422);

    let off = other.post("/console/profile/totp/remove", &[("totp_password", "wrong")]).await;
    assert!(off.status == 422 && off.text.contains("This is not your password."));
    other.post("/console/profile/totp/remove", &[("totp_password", PASSWORD)]).await.expect(303);
    console.signed_in("member@example.org").await;
}

#[tokio::test]
async fn one_address_in_two_accounts_chooses_after_the_password() {
    let console = Console::start().await;
    let other = console.service.other_client().await;
    console.add_user(console.account(), EMAIL, UserRole::Admin).await;
    console.add_user(other.account, EMAIL, UserRole::Admin).await;
    let web = console.visitor();
    web.get("/console/sign-in").await;
    let choice = web.post("/console/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await;
    assert_eq!(choice.status, 200);
    let tokens: Vec<&str> =
        choice.text.split("name=\"token\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(tokens.len(), 2);
    web.post("/console/sign-in/account", &[("token", tokens[1])]).await.expect(303);
    web.get("/console/profile").await.expect(200);
    let again = console.visitor();
    again.get("/console/sign-in").await;
    again.post("/console/sign-in/account", &[("token", tokens[1])]).await.expect(422);
}

#[tokio::test]
async fn a_changed_password_and_signing_out_everywhere_end_the_other_sessions() {
    let console = Console::start().await;
    let here = console.as_role(UserRole::Member).await;
    let there = console.signed_in("member@example.org").await;
    let wrong = here.post("/console/profile/password", &[("current", "wrong"), ("password", "another password")]).await;
    assert!(wrong.status == 422 && wrong.text.contains("This is not your current password."));
    let short = here.post("/console/profile/password", &[("current", PASSWORD), ("password", "short")]).await;
    assert!(short.status == 422 && short.text.contains("Use at least 10 characters."));
    there.get("/console/profile").await.expect(200);
    here.post("/console/profile/password", &[("current", PASSWORD), ("password", "another password")])
        .await
        .expect(303);
    here.get("/console/profile").await.expect(200);
    there.get("/console/profile").await.expect(303);

    let by = By::new("test", Clock::system().now());
    let user = console.service.store.user_of_email(console.account(), "member@example.org").await.unwrap().unwrap();
    console.users.set_password((console.account(), user.user_id), ("member@example.org", PASSWORD), by).await.unwrap();
    let (one, two) = (console.signed_in("member@example.org").await, console.signed_in("member@example.org").await);
    one.post("/console/profile/sessions/end-others", &[]).await.expect(303);
    one.get("/console/profile").await.expect(200);
    two.get("/console/profile").await.expect(303);
}
