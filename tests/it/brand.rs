//! The brand of an account: who sees it, and which characters are escaped.

use std::process::{Command, Output};

use hyper::Method;
use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::domain::brand::Color;
use unificus::store::audit::By;
use unificus::store::brands::{NewBrand, SetBrand};

use crate::support::client::Reply;
use crate::support::{Client, Service};

async fn seen_at(client: &Client, host: &str, path: &str) -> Reply {
    client.send(Method::GET, path, &[("host", host)], "").await
}

fn by() -> By<'static> {
    By::new("test", Clock::system().now())
}

#[tokio::test]
async fn a_host_shows_its_accounts_brand_and_any_other_the_installations() {
    let service = Service::configured(|config| {
        config.brand.name = "House".to_owned();
        config.brand.color = "#102030".to_owned();
    })
    .await;
    let api = &service.client;
    let hosts = Some(vec!["api.acme.example".to_owned()]);
    let new = NewBrand {
        name: Some("Acme <b>&amp;".to_owned()),
        color: Some(Color::parse("#ffd400").unwrap()),
        hosts,
        ..NewBrand::default()
    };
    assert_eq!(service.store.set_brand(api.account, &new, by()).await.unwrap(), SetBrand::Done);

    let page = seen_at(api, "API.acme.example:8443", "/swagger").await;
    assert!(page.text.contains("<p class=\"brand\">Acme &lt;b&gt;&amp;amp;</p>"), "{}", page.text);
    assert!(page.text.contains("http://API.acme.example:8443/secure-api"));
    let style = seen_at(api, "api.acme.example", "/swagger/assets/brand.css").await;
    assert_eq!(style.text, ":root { --brand: #ffd400; --on-brand: #000000; }\n");
    for (path, title) in
        [("/swagger/json-file", "Acme <b>&amp; Secure API"), ("/asyncapi.json", "Acme <b>&amp;: events")]
    {
        assert_eq!(seen_at(api, "api.acme.example", path).await.json["info"]["title"], title);
    }

    for other in ["acme.example", "127.0.0.1", "[::1]:80"] {
        assert!(seen_at(api, other, "/swagger").await.text.contains("<p class=\"brand\">House</p>"), "{other}");
        let style = seen_at(api, other, "/swagger/assets/brand.css").await;
        assert_eq!(style.text, ":root { --brand: #102030; --on-brand: #ffffff; }\n");
    }
}

#[tokio::test]
async fn only_a_trusted_proxy_may_set_the_requested_host() {
    let service = Service::start().await;
    let (_trusting, behind_proxy) =
        service.replica_configured(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let new = NewBrand {
        name: Some("Acme".to_owned()),
        hosts: Some(vec!["api.acme.example".to_owned()]),
        ..NewBrand::default()
    };
    service.store.set_brand(service.client.account, &new, by()).await.unwrap();

    let forwarded = [("x-forwarded-host", "api.acme.example"), ("x-forwarded-proto", "https")];
    let believed = behind_proxy.send(Method::GET, "/swagger", &forwarded, "").await.text;
    assert!(
        believed.contains("<p class=\"brand\">Acme</p>") && believed.contains("https://api.acme.example/secure-api")
    );
    let ignored = service.client.send(Method::GET, "/swagger", &forwarded, "").await.text;
    assert!(!ignored.contains("Acme") && !ignored.contains("api.acme.example"));
}

#[tokio::test]
async fn a_page_needs_no_database() {
    let service = Service::configured(|config| config.brand.name = "House".to_owned()).await;
    service.env.sql().await.batch_execute("drop table brand_host").await.unwrap();
    for path in ["/swagger", "/swagger/assets/logo", "/swagger/assets/brand.css", "/asyncapi.json"] {
        assert_eq!(seen_at(&service.client, "api.acme.example", path).await.status, 200, "{path}");
    }
    assert!(
        seen_at(&service.client, "api.acme.example", "/swagger").await.text.contains("<p class=\"brand\">House</p>")
    );
}

#[tokio::test]
async fn a_host_belongs_to_one_account_and_each_change_is_audited() {
    let service = Service::start().await;
    let (mine, other) = (service.client.account, service.other_client().await.account);
    let with_host = |host: &str| NewBrand { hosts: Some(vec![host.to_owned()]), ..NewBrand::default() };
    let set = async |account, new: &NewBrand| service.store.set_brand(account, new, by()).await.unwrap();
    assert_eq!(set(mine, &with_host("a.example")).await, SetBrand::Done);
    assert_eq!(set(other, &with_host("a.example")).await, SetBrand::HostTaken("a.example".to_owned()));
    assert_eq!(service.store.brand(other).await.unwrap(), None, "nothing was changed");

    let brand = service.store.brand(mine).await.unwrap().unwrap();
    assert_eq!((brand.name.as_str(), brand.color, &brand.logo), ("Test", None, &None), "called as its account");
    let yellow = NewBrand { color: Some(Color::parse("#ffd400").unwrap()), ..NewBrand::default() };
    assert_eq!(set(mine, &yellow).await, SetBrand::Done);
    let brand = service.store.brand(mine).await.unwrap().unwrap();
    assert_eq!((brand.color, brand.hosts), (yellow.color, vec!["a.example".to_owned()]), "the host stays");

    assert_eq!(set(mine, &with_host("b.example")).await, SetBrand::Done);
    assert_eq!(set(other, &with_host("a.example")).await, SetBrand::Done, "the host was released");
    assert!(service.store.clear_brand(mine, by()).await.unwrap());
    assert!(!service.store.clear_brand(mine, by()).await.unwrap());
    assert_eq!(service.store.brand_of_host("b.example").await.unwrap(), None);

    let actions = "select action from audit where account_id = $1 and action like 'brand.%' order by audit_id";
    let rows = service.env.sql().await.query(actions, &[&mine.0]).await.unwrap();
    let actions: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(actions, ["brand.set", "brand.set", "brand.set", "brand.clear"]);
}

#[tokio::test]
async fn the_command_line_sets_shows_and_clears() {
    let service = Service::start().await;
    let account = service.client.account.to_string();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_unificus"))
            .args(["brand"])
            .args(arguments)
            .env("UNIFICUS_DATABASE__URL", &service.env.least)
            .output()
            .unwrap()
    };
    let printed = |output: Output| -> Value {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let refusal = |output: Output| {
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let logo = std::env::temp_dir().join(format!("{account}.svg"));
    std::fs::write(&logo, LOGO).unwrap();
    let file = logo.to_str().unwrap();
    let set = ["set", &account, "--name", "Acme", "--color", "#ffd400", "--host", "API.acme.example"];
    let expected = json!({"public_id": account, "name": "Acme", "color": "#ffd400",
        "logo": {"media_type": "image/svg+xml", "bytes": DRAWING.len()}, "support_url": "mailto:help@acme.example",
        "hosts": ["api.acme.example"]});
    assert_eq!(
        printed(run(&[&set[..], &["--logo", file, "--support", "mailto:help@acme.example", "--json"]].concat())),
        expected
    );
    std::fs::remove_file(&logo).unwrap();
    assert_eq!(printed(run(&["show", &account, "--json"])), expected);

    let picture = seen_at(&service.client, "api.acme.example", "/swagger/assets/logo").await;
    assert_eq!((picture.text.as_str(), picture.header("content-type")), (DRAWING, "image/svg+xml"), "what draws");
    assert!(picture.header("content-security-policy").contains("sandbox"), "a script in it does not run");

    for (wrong, reason) in [
        (["--color", "yellow"], "#rrggbb"),
        (["--host", "https://a.b"], "without scheme"),
        (["--name", ""], "60 characters"),
        (["--logo", "/dev/null"], "SVG or a PNG"),
        (["--support", "javascript:alert(1)"], "begins with https://"),
    ] {
        let refused = refusal(run(&[&["set", &account][..], &wrong].concat()));
        assert!(refused.contains(reason), "{refused}");
    }
    assert!(refusal(run(&["set", "00000000-0000-0000-0000-000000000001"])).contains("no account"));
    assert_eq!(printed(run(&["clear", &account, "--json"])), json!({"public_id": account, "cleared": true}));
    assert!(refusal(run(&["show", &account])).contains("no brand"));
}

const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script><path d=\"M0 0h9\"/></svg>";
const DRAWING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><path d=\"M0 0h9\"/></svg>";
