//! Records in a browser: from the list to a record, its history, how it was then, and its return; files by drag and drop.

use serde_json::json;
use unificus::domain::user::UserRole;

use super::support::{Console, sign_in};
use crate::support::browser::with_browser;

#[tokio::test]
async fn an_admin_searches_a_contact_looks_back_and_restores_it() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    let api = &console.service.client;
    let body = json!({"role": "Lead", "first_name": "Eve", "last_name": "Stone", "email": "eve@example.org", "title": "Clerk"});
    let uid = api.post("/contact", body).await.uid();
    for number in 0..30 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    api.put(&format!("/contact/{uid}"), json!({"title": "Chief", "phone": "+31201234567"})).await.expect(200);
    with_browser("console-records", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.find("//nav[@id = 'menu']//a[. = 'Contacts']").await.click().await;
        browser.find("//nav[@aria-label = 'Pages']/span[. = '25 of 31 contacts']").await;
        // Typing searches, without a reload.
        browser.run("window.isSamePage = true").await;
        browser.find("//input[@type = 'search']").await.type_in("stone").await;
        browser.find("//nav[@aria-label = 'Pages']/span[. = '1 contact']").await;
        browser.until("window.isSamePage && location.search.includes('q=stone')").await;
        browser.find("//a[. = 'Eve Stone']").await.click().await;

        browser.find("//h1[. = 'Eve Stone']").await;
        browser.find("//li[contains(@class, 'timeline-entry')][1]//del[. = 'Clerk']").await;
        browser.find("//dl[@class = 'attributes']//div[dt = 'Title']//div[. = 'Chief']").await;
        // The slider by keyboard: one version back.
        browser.run("window.isSamePage = true").await;
        browser.find("//input[@type = 'range']").await.type_in("\u{e012}").await;
        browser.find("//dl[@class = 'attributes']//div[dt = 'Title']//div[. = 'Clerk']").await;
        browser.find("//div[@role = 'status']//strong[. = 'As it was then']").await;
        browser.until("window.isSamePage && document.activeElement.id === 'version-slider'").await;
        browser.until("!document.querySelector('.attributes').textContent.includes('+31')").await;
        browser.find("//a[. = 'Back to the current version']").await.click().await;
        browser.find("//dl[@class = 'attributes']//div[dt = 'Title']//div[. = 'Chief']").await;

        api.delete(&format!("/contact/{uid}")).await.expect(200);
        browser.open(&format!("{}/contacts?state=deleted", console.url())).await;
        browser.find("//a[. = 'Eve Stone']").await.click().await;
        browser.find("//a[. = 'Restore']").await.click().await;
        browser.find("//dialog//h2[. = 'Restore “Eve Stone”?']").await;
        browser.find("//dialog//button[. = 'Restore']").await.click().await;
        browser.find("//div[@role = 'status'][contains(., 'The contact was restored.')]").await;
        browser
            .find(
                "//li[contains(@class, 'timeline-entry')][1][contains(., 'Restored')][contains(., 'ann@example.org')]",
            )
            .await;
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
    api.get(&format!("/contact/{uid}")).await.expect(200);
}

#[tokio::test]
async fn a_file_is_dropped_checked_and_imported_without_leaving_the_page() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    with_browser("console-import", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.open(&format!("{}/contacts/import", console.url())).await;
        browser
            .run(
                "const lines = ['role,first_name,last_name,email'];
                for (let number = 0; number < 1200; number += 1) lines.push(`Lead,P${number},Lee,p${number}@example.org`);
                const files = new DataTransfer();
                files.items.add(new File([lines.join('\\n')], 'people.csv', {type: 'text/csv'}));
                document.querySelector('[data-drop]').dispatchEvent(new DragEvent('drop', {dataTransfer: files, bubbles: true, cancelable: true}));",
            )
            .await;
        browser.find("//span[. = 'people.csv']").await;
        browser.run("window.isSamePage = true").await;
        browser.find("//button[. = 'Check the file']").await.click().await;
        browser.find("//section[@id = 'import-results']//div[dt = 'Would be created']//strong[. = '1,200']").await;
        browser.find("//section[@id = 'import-results'][contains(., 'Nothing was written.')]").await;
        console.service.client.get("/contact/p7@example.org").await.expect(404);
        browser.find("//form//button[. = 'Import']").await.click().await;
        browser.find("//section[@id = 'import-results']//div[dt = 'Created']//strong[. = '1,200']").await;
        assert_eq!(browser.run("return window.isSamePage").await, true);
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
    console.service.client.get("/contact/p7@example.org").await.expect(200);
}

#[tokio::test]
async fn the_dashboard_follows_the_log_without_a_reload() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    with_browser("console-dashboard", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.find("//figcaption[. = '0 events in the last 24 hours']").await;
        browser.run("window.isSamePage = true").await;
        console.service.client.contact("new@example.org").await.expect(201);
        browser.find("//figcaption[. = '1 event in the last 24 hours, at most 1 in one hour']").await;
        assert_eq!(browser.run("return window.isSamePage").await, true);
    })
    .await;
}

#[tokio::test]
async fn records_are_searched_looked_back_at_and_imported_without_scripts() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::Admin).await;
    let api = &console.service.client;
    let uid = api.contact("ann@example.org").await.uid();
    api.put(&format!("/contact/{uid}"), json!({"title": "Chief"})).await.expect(200);
    with_browser("console-records-plain", async |browser| {
        browser.cdp("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
        sign_in(browser, &console, "ann@example.org").await;
        browser.open(&format!("{}/contacts", console.url())).await;
        browser.find("//input[@type = 'search']").await.type_in("ann\u{e007}").await;
        // The page of the results, which has the contact like the one before it.
        browser.find("//input[@type = 'search'][@value = 'ann']").await;
        browser.find("//a[. = 'Ann Lee']").await.click().await;
        browser.find("//input[@type = 'range']").await.type_in("\u{e012}").await;
        browser.find("//form//button[. = 'Show']").await.click().await;
        browser.find("//strong[. = 'As it was then']").await;

        let file = browser.downloads.join("more.csv");
        std::fs::write(&file, "role,first_name,last_name,email\nLead,Bob,Lee,bob@example.org\n").unwrap();
        browser.open(&format!("{}/contacts/import", console.url())).await;
        browser.find("//input[@type = 'file']").await.type_in(&file.display().to_string()).await;
        browser.find("//form//button[. = 'Import']").await.click().await;
        browser.find("//section[@id = 'import-results']//div[dt = 'Created']//strong[. = '1']").await;
    })
    .await;
    api.get("/contact/bob@example.org").await.expect(200);
}
