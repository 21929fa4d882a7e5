use super::assets::Assets;
use super::html::{Html, fill};
use super::{render, thousands};
use crate::config;
use crate::domain::brand::{Brand, Color};
use crate::http::request::service_url::ServiceUrl;
use crate::http::spec::brand::Branded;

fn page(name: &str, service_url: &str) -> String {
    page_with(name, service_url, &config::Quota::default())
}

fn page_with(name: &str, service_url: &str, quota: &config::Quota) -> String {
    let brand = Brand { name: name.to_owned(), color: Color::NEUTRAL, logo: None, support_url: None };
    render(&Assets::new(), &Branded::new(brand, None), &ServiceUrl(service_url.to_owned()), quota)
}

#[test]
fn every_gap_of_the_page_is_filled() {
    let page = page("Acme", "https://api.acme.example");
    assert!(!page.contains("{{"), "{page}");
    assert!(page.contains("curl -sS 'https://api.acme.example/secure-api/contact/meta'"), "{page}");
    for row in ["Free Trial</td><td>80<", "Start</td><td>400<", "Thrive</td><td>2,000<", "Pinnacle</td><td>20,000<"] {
        assert!(page.contains(row), "{row}");
    }
    assert!(page.contains("gets 429, and so does one beyond 1,000 calls within one second.</p>"), "{page}");
}

#[test]
fn the_configured_limits_are_shown() {
    let toml = "burst_per_second = 0\ntiers = { gold = { title = 'Gold & more', calls_per_month = 1234 } }";
    let page = page_with("Acme", "https://api.acme.example", &toml::from_str(toml).unwrap());
    assert!(page.contains("<tbody><tr><td>Gold &amp; more</td><td>1,234</td></tr></tbody>"), "{page}");
    assert!(page.contains("beyond the limit gets 429.</p>"), "{page}");
}

#[test]
fn a_name_and_a_host_are_text() {
    let page = page("<script>alert(1)</script> {{base}} \"&'", "http://\"><img src=x>");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; {{base}} &quot;&amp;&#39;"));
    assert!(page.contains("http://&quot;&gt;&lt;img src=x&gt;/secure-api"));
    assert!(!page.contains("<script>") && !page.contains("<img src=x"));
}

#[test]
fn what_is_filled_in_is_not_filled_again() {
    let value = |gap: &str| (gap == "a").then(|| Html::text("{{b}}"));
    assert_eq!(fill("<{{a}} {{b}} {{a", value), "<{{b}} {{b}} {{b}}");
}

#[test]
fn thousands_are_grouped() {
    assert_eq!([80, 400, 2_000, 20_000, 1_234_567].map(thousands), ["80", "400", "2,000", "20,000", "1,234,567"]);
}
