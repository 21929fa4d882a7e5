//! Platform Branding: what it changes is what partners see, and the word of the product is nowhere on a branded host.

use hyper::Method;
use unificus::domain::user::UserRole;

use super::support::{Console, Web};

async fn upload(web: &Web, bytes: &str) -> super::support::Page {
    web.get("/console/branding").await;
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"logo\"; filename=\"logo.svg\"\r\nContent-Type: image/svg+xml\r\n\r\n{bytes}\r\n--x--\r\n"
    );
    let path = format!("/console/branding/logo?csrf={}", web.csrf());
    web.send(Method::POST, &path, &[("content-type", "multipart/form-data; boundary=x")], body).await
}

#[tokio::test]
async fn a_brand_is_shown_on_the_console_and_in_the_live_documentation() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/branding").await.expect(200);
    let fields = [
        ("name", "Acme & Co"),
        ("color", "#7a1fa2"),
        ("support_url", "https://acme.example/help"),
        ("hosts", "api.acme.example\nwww.acme.example"),
    ];
    web.post("/console/branding", &fields).await.expect(303);
    let page = web.get("/console/profile").await;
    assert!(
        page.text.contains("Acme &amp; Co") && page.text.contains("/console/brand/style/7a1fa2.css"),
        "{}",
        page.text
    );
    assert!(page.text.contains("https://acme.example/help"));
    let docs = web.send(Method::GET, "/secure-api/swagger", &[("host", "api.acme.example")], String::new()).await;
    assert!(docs.text.contains("Acme &amp; Co") && !docs.text.contains("Unificus"), "{}", docs.text);

    let wrong = [("name", " "), ("color", "red"), ("support_url", "ftp://x"), ("hosts", "http://a")];
    let page = web.post("/console/branding", &wrong).await;
    for error in ["error-name", "error-color", "error-support_url", "error-hosts"] {
        assert!(page.expect(422).text.contains(error), "{error}: {}", page.text);
    }
    let stranger = console.as_stranger().await;
    let taken = stranger
        .post("/console/branding", &[("name", "Other"), ("color", "#000000"), ("hosts", "api.acme.example")])
        .await;
    assert!(taken.expect(422).text.contains("api.acme.example belongs to another account."));

    web.post("/console/branding/clear", &[]).await.expect(303);
    assert!(web.get("/console/profile").await.text.contains("Unificus"));
}

#[tokio::test]
async fn a_logo_is_stored_without_what_could_run_and_served_to_its_own_account() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\" onload=\"alert(1)\"><script>alert(2)</script>\
               <a href=\"javascript:alert(3)\"><circle cx=\"4\" cy=\"4\" r=\"4\" fill=\"#f00\" onclick=\"alert(4)\"/></a>\
               <image href=\"https://evil.example/track.png\"/><foreignObject><body/></foreignObject></svg>";
    upload(&web, svg).await.expect(303);
    let page = web.get("/console/profile").await;
    let address = format!("/console/brand/logo/{}", page.between("src=\"/console/brand/logo/", "\""));
    let logo = web.get(&address).await;
    assert_eq!(logo.header("content-type"), "image/svg+xml");
    assert!(logo.header("content-security-policy").contains("sandbox"));
    for word in ["script", "alert", "onload", "onclick", "href", "evil", "foreignObject"] {
        assert!(!logo.expect(200).text.contains(word), "{word}: {}", logo.text);
    }
    assert!(logo.text.contains("<circle") && logo.text.contains("fill=\"#f00\""), "{}", logo.text);
    console.as_stranger().await.get(&address).await.expect(404);
    console.visitor().get(&address).await.expect(404);

    let wrong = upload(&web, "GIF89a").await;
    assert!(wrong.expect(422).text.contains("a logo is an SVG or a PNG"), "{}", wrong.text);
    upload(&web, &format!("<svg>{}</svg>", " ".repeat(300 << 10))).await.expect(422);
    web.post("/console/branding/logo/remove", &[]).await.expect(303);
    assert!(!web.get("/console/profile").await.text.contains("/console/brand/logo/"));
}

#[tokio::test]
async fn a_branded_host_shows_its_brand_alone_and_signs_in_its_own_users_alone() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/branding").await;
    let fields = [("name", "Acme"), ("color", "#7a1fa2"), ("hosts", "console.acme.example")];
    web.post("/console/branding", &fields).await.expect(303);
    console.as_stranger().await;
    let host = [("host", "console.acme.example")];
    let visitor = console.visitor();
    for path in [
        "/console/sign-in",
        "/console/forgot",
        "/console/link/x",
        "/console/nowhere",
        "/secure-api/swagger",
        "/nowhere",
    ] {
        let page = visitor.send(Method::GET, path, &host, String::new()).await;
        let headers = format!("{:?}", page.headers);
        assert!(
            !page.text.to_lowercase().contains("unificus") && !headers.to_lowercase().contains("unificus"),
            "{path}: {headers} {}",
            page.text
        );
    }
    let csrf = visitor.csrf();
    let sign_in = async |email: &str| {
        let fields = [("email", email), ("password", super::support::PASSWORD), ("csrf", &*csrf)];
        visitor.post_with("/console/sign-in", &fields, &host).await.status
    };
    assert_eq!(sign_in("stranger@example.org").await, 422);
    assert_eq!(sign_in("super_admin@example.org").await, 303);
    for path in
        ["/console/profile", "/console/integrations/secure-api", "/console/branding", "/console/team", "/console/audit"]
    {
        let page = visitor.send(Method::GET, path, &host, String::new()).await;
        let text = page.expect(200).text.replace("unificus_live_", "");
        assert!(!text.to_lowercase().contains("unificus"), "{path}: {text}");
    }
}
