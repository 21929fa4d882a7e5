//! Integrations → Secure API in a browser: the walk of an admin who connects a system.

use serde_json::json;
use unificus::domain::user::UserRole;

use super::support::{Console, sign_in};
use crate::support::browser::{Browser, with_browser};

const PAGE: &str = "/integrations/secure-api";

async fn signed_in_browser(browser: &Browser, console: &Console, role: UserRole) {
    let email = format!("{}@example.org", role.name());
    console.add_user(console.account(), &email, role).await;
    let origin = console.url().replace("/console", "");
    let grant = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": origin});
    browser.cdp("Browser.grantPermissions", grant).await;
    sign_in(browser, console, &email).await;
}

async fn clipboard(browser: &Browser) -> String {
    browser.run("return navigator.clipboard.readText()").await.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_admin_adds_copies_uses_and_deletes_a_key() {
    // With limits, each call reads whether the account was changed.
    let console = Console::configured(|config| config.quota.enforced = true).await;
    with_browser("console-keys", async |browser| {
        signed_in_browser(browser, &console, UserRole::Admin).await;
        browser.open(&format!("{}{PAGE}", console.url())).await;
        let text = browser.text().await;
        for words in [
            "Authentication Information",
            "Live Documentation",
            "CLICK HERE to view the Live API Documentation",
            "API Limits",
            "API Authorization Credentials",
            "Behavior Settings",
            "Fail the request",
            "Treat as successful",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        browser.find("//a[. = '+ Add Secret Key']").await.click().await;
        browser.find("//dialog//input[@name = 'name']").await.type_in("Website").await;
        browser.find("//dialog//button[text() = 'Save']").await.click().await;
        browser.find("//div[@role = 'status']//strong[contains(., 'Website')]").await;
        let shown = browser.find("//div[@role = 'status']//code").await.property("textContent").await;

        browser.find("//button[@aria-label = 'Copy the Secret Key Website']").await.click().await;
        // Its mark is gone after two seconds, and what a screen reader says stays.
        browser.until("document.querySelector('form[action$=\"/reveal\"] > button.is-copied')").await;
        browser.find("//*[@id = 'live-status'][. = 'Copied to the clipboard']").await;
        let key = clipboard(browser).await;
        assert_eq!(shown, json!(key));
        assert!(key.starts_with("unificus_live_"), "{key}");
        let client = console.service.client.as_caller(console.account(), &key);
        client.get("/contacts").await.expect(200);
        assert!(console.audited().await.contains(&("admin@example.org".into(), "key.reveal".into())));

        browser.find("//a[@aria-label = 'Delete the Secret Key Website']").await.click().await;
        browser.find("//dialog//h2[contains(., 'Website')]").await;
        browser.find("//dialog//button[text() = 'Delete Secret Key']").await.click().await;
        browser.find("//div[contains(., 'The Secret Key was deleted.')]").await;
        client.get("/contacts").await.expect(401);
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
}

#[tokio::test]
async fn a_dialog_is_used_by_keyboard_and_shows_errors_beside_fields() {
    let console = Console::start().await;
    with_browser("console-dialog", async |browser| {
        signed_in_browser(browser, &console, UserRole::Admin).await;
        browser.open(&format!("{}{PAGE}", console.url())).await;
        let add = browser.find("//a[. = '+ Add Secret Key']").await;
        add.type_in(" ").await;
        let name = browser.find("//dialog[@open]//input[@name = 'name']").await;
        browser.until("document.activeElement.name === 'name'").await;
        name.type_in("\u{e00c}").await;
        // Escape closes it and gives the focus back.
        browser.until("!document.querySelector('dialog')").await;
        browser.until("document.activeElement.textContent === '+ Add Secret Key'").await;

        add.type_in("\u{e007}").await;
        let name = browser.find("//dialog[@open]//input[@name = 'name']").await;
        name.type_in("   \u{e007}").await;
        browser.find("//dialog[@open]//p[@id = 'error-name'][contains(., 'Must not be empty.')]").await;
        browser.until("document.activeElement.name === 'name'").await;
    })
    .await;
}

#[tokio::test]
async fn the_quota_moves_without_a_reload() {
    let console = Console::configured(|config| config.quota.enforced = true).await;
    with_browser("console-quota", async |browser| {
        signed_in_browser(browser, &console, UserRole::Admin).await;
        browser.open(&format!("{}{PAGE}", console.url())).await;
        browser.find("//p[contains(., '0 of 20,000 calls used this month')]").await;
        browser.run("window.isSamePage = true").await;
        for _ in 0..3 {
            console.service.client.get("/contacts").await.expect(200);
        }
        browser.find("//p[contains(., '3 of 20,000 calls used this month · 19,997 left')]").await;
        assert_eq!(browser.run("return window.isSamePage").await, true);
    })
    .await;
}

#[tokio::test]
async fn the_behavior_changes_what_the_api_answers() {
    let console = Console::configured(|config| config.quota.enforced = true).await;
    with_browser("console-behavior", async |browser| {
        signed_in_browser(browser, &console, UserRole::SuperAdmin).await;
        let missing = "/contact/nobody@example.org";
        console.service.client.get(missing).await.expect(404);
        browser.open(&format!("{}{PAGE}", console.url())).await;
        browser.find("//label[contains(., 'Treat as successful')]").await.click().await;
        browser.find("//form[contains(@action, '/behavior')]//button").await.click().await;
        browser.find("//div[contains(., 'Requests for missing items are now treated as successful.')]").await;
        console.service.client.get(missing).await.expect(200);
        assert!(console.audited().await.contains(&("super_admin@example.org".into(), "account.on_missing".into())));
    })
    .await;
}

#[tokio::test]
async fn everything_works_without_scripts_but_copying() {
    let console = Console::start().await;
    with_browser("console-no-script", async |browser| {
        console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
        browser.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        sign_in(browser, &console, "ann@example.org").await;
        browser.open(&format!("{}{PAGE}", console.url())).await;
        browser.find("//a[. = '+ Add Secret Key']").await.click().await;
        browser.find("//dialog[@open]//input[@name = 'name']").await.type_in("Plain").await;
        browser.find("//dialog//button[text() = 'Save']").await.click().await;
        browser.find("//tr/th[contains(., 'Plain')]").await;
        browser.find("//button[@aria-label = 'Switch between light and dark']").await.click().await;
        browser.find("//html[@data-theme = 'dark']").await;
        browser.find("//form[@action = '/console/sign-out']/button").await.click().await;
        browser.find("//h1[text() = 'Sign in']").await;
    })
    .await;
}

#[tokio::test]
async fn a_key_of_an_account_that_shows_keys_once_has_no_copy_icon_afterwards() {
    let console = Console::start().await;
    let web = console.as_role(UserRole::Admin).await;
    let by = unificus::store::audit::By::new("test", unificus::clock::Clock::system().now());
    console.service.store.set_show_once(console.account(), true, by).await.unwrap();
    let fields = [("name", "Once"), ("expires", "2099-01-31"), ("read_only", "on"), ("origin", "website")];
    let page = web.post("/console/integrations/secure-api/keys", &fields).await;
    let key = page.between("<code>unificus_live_", "</code>");
    let client = console.service.client.as_caller(console.account(), &format!("unificus_live_{key}"));
    client.get("/contacts").await.expect(200);
    client.contact("ann@example.org").await.expect(403);
    let page = web.get("/console/integrations/secure-api").await;
    assert!(!page.text.contains(key) && !page.text.contains("Copy the whole key"), "{}", page.text);
    assert!(page.text.contains("expires 31 Jan 2099") && page.text.contains("read-only"), "{}", page.text);
    let id = console.service.store.keys(console.account()).await.unwrap()[1].key_id;
    web.post(&format!("/console/integrations/secure-api/keys/{id}/reveal"), &[]).await.expect(422);

    let past = web.post("/console/integrations/secure-api/keys", &[("name", "Past"), ("expires", "2020-01-31")]).await;
    assert!(past.status == 422 && past.text.contains("Choose a day that is not over."), "{}", past.text);
}
