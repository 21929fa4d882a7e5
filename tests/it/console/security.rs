//! Attacks: forged forms, open redirects, texts that would be markup, and the headers of every page.

use hyper::Method;
use serde_json::json;
use unificus::clock::Clock;
use unificus::console::table;
use unificus::domain::user::UserRole;
use unificus::store::audit::By;
use unificus::store::brands::NewBrand;

use super::support::{Console, PASSWORD};

#[tokio::test]
async fn a_form_without_the_sessions_own_token_changes_nothing() {
    let console = Console::start().await;
    let (own, other) = (console.as_role(UserRole::SuperAdmin).await, console.as_stranger().await);
    own.get("/console/profile").await;
    other.get("/console/profile").await;
    let path = "/console/integrations/secure-api/behavior";
    let behavior = ("behavior", "succeed");
    let token = own.csrf();
    own.post_with(path, &[behavior], &[]).await.expect(403);
    own.post_with(path, &[behavior, ("csrf", "")], &[]).await.expect(403);
    own.post_with(path, &[behavior, ("csrf", &other.csrf())], &[]).await.expect(403);
    own.post_with(path, &[behavior], &[("x-csrf-token", &other.csrf())]).await.expect(403);
    for elsewhere in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        own.post_with(path, &[behavior, ("csrf", &token)], &[elsewhere]).await.expect(403);
    }
    assert!(!console.audited().await.iter().any(|(_, action)| action == "account.on_missing"));
    own.post_with(path, &[behavior], &[("x-csrf-token", &token), ("sec-fetch-site", "same-origin")]).await.expect(303);
    // The token of signing in is bound to the browser too.
    let (one, two) = (console.visitor(), console.visitor());
    one.get("/console/sign-in").await;
    two.get("/console/sign-in").await;
    let fields = [("email", "super_admin@example.org"), ("password", PASSWORD), ("csrf", &*one.csrf())];
    two.post_with("/console/sign-in", &fields, &[]).await.expect(403);
}

#[tokio::test]
async fn no_route_that_changes_something_takes_the_token_of_another_session() {
    let console = Console::start().await;
    let (own, other) = (console.as_role(UserRole::SuperAdmin).await, console.as_stranger().await);
    own.get("/console/profile").await;
    let (token, visitor) = (own.csrf(), console.visitor());
    visitor.get("/console/sign-in").await;
    other.get("/console/profile").await;
    let before = console.audited().await;
    for route in table().into_iter().filter(|route| route.method == Method::POST) {
        let part = |part: &str| {
            if part.starts_with('{') { "0190a1b2-0000-7000-8000-000000000000".to_owned() } else { part.to_owned() }
        };
        let path = route.path.split('/').map(part).collect::<Vec<_>>().join("/");
        for forged in [other.csrf(), visitor.csrf(), String::new(), "0".repeat(token.len())] {
            let label = format!("{path} with {forged:?}");
            let status = own.post_with(&path, &[("csrf", &forged)], &[]).await.status;
            assert_eq!(status, 403, "{label} as a field");
            let status = own.post_with(&path, &[], &[("x-csrf-token", &forged)]).await.status;
            assert_eq!(status, 403, "{label} as a header");
            let status = own.post_with(&format!("{path}?csrf={forged}"), &[], &[]).await.status;
            assert_eq!(status, 403, "{label} in the address");
        }
        // A method that is none of the route's reaches no handler.
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let status = own.send(method.clone(), &path, &[("x-csrf-token", &token)], String::new()).await.status;
            assert!(status == 404 || status == 405, "{method} {path}: {status}");
        }
    }
    assert_eq!(console.audited().await, before);
    own.get("/console/team").await.expect(200);
}

#[tokio::test]
async fn no_address_outside_the_console_is_redirected_to() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/console/../..//evil.example",
        "javascript:alert(1)",
    ] {
        let web = console.visitor();
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let form = web.get(&format!("/console/sign-in?next={query}")).await;
        assert_eq!(form.hidden("next").unwrap(), "/console", "{next}");
        let fields = [("email", "ann@example.org"), ("password", PASSWORD), ("next", next)];
        let reply = web.post("/console/sign-in", &fields).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/console"), "{next}");
        let reply = web.post("/console/theme", &[("theme", "dark"), ("back", next)]).await;
        assert_eq!(reply.header("location"), "/console", "{next}");
        let reply = web.post("/console/menu", &[("menu", "collapsed"), ("back", next)]).await;
        assert_eq!(reply.header("location"), "/console", "{next}");
    }
    // A host that anybody may write into a request is in no redirect.
    let web = console.visitor().with_header("host", "evil.example").with_header("x-forwarded-host", "evil.example");
    for path in ["/console", "/console/audit", "/console/sign-in", "/console/integrations"] {
        let location = web.get(path).await.header("location").to_owned();
        assert!(
            !location.contains("evil") && (location.is_empty() || location.starts_with("/console")),
            "{path}: {location}"
        );
    }
}

#[tokio::test]
async fn texts_of_people_are_shown_as_texts() {
    const MARKUP: &str = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>";
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    let path = "/console/integrations/secure-api/keys";
    let added = web.post(path, &[("name", MARKUP), ("origin", MARKUP)]).await;
    let by = By::new(MARKUP, Clock::system().now());
    let brand = NewBrand { name: Some(MARKUP.chars().take(60).collect()), ..NewBrand::default() };
    console.service.store.set_brand(console.account(), &brand, by).await.unwrap();
    let odd = console.visitor();
    odd.get("/console/sign-in").await;
    let query: String = url::form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    let pages = [
        added,
        odd.post("/console/sign-in", &[("email", MARKUP), ("password", "x"), ("next", MARKUP)]).await,
        web.get("/console/integrations/secure-api").await,
        web.get("/console/branding").await,
        web.get("/console/audit").await,
        web.get(&format!("/console/audit?actor={query}&kind={query}")).await,
        web.get("/console/profile").await,
        web.post("/console/team/invite", &[("email", MARKUP)]).await,
        web.post(
            "/console/branding",
            &[("name", MARKUP), ("color", MARKUP), ("hosts", MARKUP), ("support_url", "javascript:alert(1)")],
        )
        .await,
    ];
    for page in pages {
        assert!(!page.text.contains("<img src=x") && !page.text.contains("<script>alert"), "{}", page.text);
        assert!(!page.text.contains("href=\"javascript:"), "{}", page.text);
    }
}

#[tokio::test]
async fn every_page_has_a_strict_policy_and_is_in_no_cache() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    for path in [
        "/console",
        "/console/sign-in",
        "/console/profile",
        "/console/integrations/secure-api",
        "/console/nowhere",
        "/console/team/nowhere",
    ] {
        let page = web.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), value, "{path} {name}");
        }
        assert!(
            !page.text.contains(" style=") && !page.text.contains("<style") && !page.text.contains(" onclick="),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_form_has_a_bound_and_an_unknown_page_is_a_page() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/profile").await;
    let long = "x".repeat(300 << 10);
    let path = "/console/integrations/secure-api/keys";
    web.post(path, &[("name", &long)]).await.expect(413);
    let fields = json!({"name": long}).to_string();
    web.send(Method::POST, path, &[("x-csrf-token", &web.csrf())], fields).await.expect(413);
    let unknown = web.get("/console/nowhere").await;
    assert!(unknown.status == 404 && unknown.header("content-type").starts_with("text/html"), "{}", unknown.text);
    let api = web.get("/nowhere").await;
    assert_eq!(api.header("content-type"), "application/problem+json");
}
