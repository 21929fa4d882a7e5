//! Every page in both themes: no rule of accessibility is broken, nothing is wider than a phone, and no page weighs much.

use serde_json::json;
use unificus::domain::user::UserRole;

use super::support::{Console, axe, sign_in};
use crate::support::browser::with_browser;

/// Pages of people who are not signed in.
const OUTSIDE: [&str; 3] = ["/sign-in", "/forgot", "/link/nothing"];

/// Pages of a Super Admin. A new page is one more line.
const INSIDE: [&str; 31] = [
    "/dashboard",
    "/contacts",
    "/contacts?q=nobody",
    "/contacts/import",
    "/companies",
    "/projects",
    "/projects?state=deleted",
    "/custom-fields",
    "/custom-fields?dialog=add",
    "/custom-fields?state=archived",
    "/audiences",
    "/audiences?dialog=add",
    "/integrations/secure-api",
    "/integrations/secure-api?dialog=add-key",
    "/integrations/push",
    "/integrations/push/new",
    "/integrations/sync",
    "/integrations/sync?dialog=add-consumer",
    "/integrations/sync/conflicts",
    "/integrations/sync/conflicts?status=resolved",
    "/integrations/sync/rules",
    "/integrations/sync/undo",
    "/branding",
    "/branding?dialog=clear",
    "/team",
    "/team?dialog=invite",
    "/audit",
    "/audit?kind=nothing.",
    "/profile",
    "/profile?step=totp",
    "/components",
];

#[tokio::test]
async fn no_page_breaks_a_rule_of_accessibility() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
    with_browser("console-axe", async |browser| {
        let mut violations = Vec::new();
        for path in OUTSIDE {
            violations.extend(axe(browser, &format!("{}{path}", console.url())).await);
        }
        sign_in(browser, &console, "ann@example.org").await;
        for path in INSIDE {
            violations.extend(axe(browser, &format!("{}{path}", console.url())).await);
        }
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    })
    .await;
}

#[tokio::test]
async fn no_page_is_wider_than_a_phone_or_shifts_or_is_heavy() {
    let console = Console::start().await;
    console
        .add_user(
            console.account(),
            "a-rather-long-address-of-a-person@a-long-company-name.example.org",
            UserRole::SuperAdmin,
        )
        .await;
    with_browser("console-phone", async |browser| {
        sign_in(browser, &console, "a-rather-long-address-of-a-person@a-long-company-name.example.org").await;
        for (width, height) in [(360, 780), (1600, 900)] {
            let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800});
            browser.cdp("Emulation.setDeviceMetricsOverride", size).await;
            for path in INSIDE {
                browser.open(&format!("{}{path}", console.url())).await;
                // `innerWidth` grows with a page that is too wide for a phone.
                let wide = browser.run("return document.documentElement.scrollWidth").await;
                assert!(wide.as_i64().unwrap() <= width, "{path} at {width}: {wide} pixels wide");
                let sent =
                    "return performance.getEntries().reduce((sum, entry) => sum + (entry.encodedBodySize ?? 0), 0)";
                let sent = browser.run(sent).await.as_u64().unwrap();
                assert!((1_000..150_000).contains(&sent), "{path}: {sent} bytes");
                let shift = "return new Promise(resolve => new PerformanceObserver(list =>
                    resolve(list.getEntries().reduce((sum, entry) => sum + entry.value, 0)))
                    .observe({type: 'layout-shift', buffered: true}) ?? setTimeout(() => resolve(0), 100))";
                let shift = browser.run(shift).await.as_f64().unwrap();
                assert!(shift < 0.01, "{path} at {width}: layout shift {shift}");
            }
        }
        // The menu is a drawer on a phone.
        let size = json!({"width": 360, "height": 780, "deviceScaleFactor": 1, "mobile": true});
        browser.cdp("Emulation.setDeviceMetricsOverride", size).await;
        browser.open(&format!("{}/profile", console.url())).await;
        browser.until("!document.getElementById('menu').checkVisibility()").await;
        browser.find("//button[@aria-label = 'Menu']").await.click().await;
        browser.until("document.getElementById('menu').checkVisibility()").await;
        browser.find("//nav[@id = 'menu']//a[. = 'Team']").await.click().await;
        browser.find("//h1[text() = 'Team']").await;
    })
    .await;
}
