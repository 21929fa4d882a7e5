//! A newcomer's way from signing in to a first synchronized contact and a first delivered webhook, with nothing but what the
//! pages show: their commands and programs are run as they stand.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use unificus::domain::user::UserRole;

use super::support::{Console, sign_in};
use crate::support::browser::{Browser, with_browser};

/// The piece of code below this title.
async fn code(browser: &Browser, title: &str) -> String {
    let block = format!("//figure[figcaption/span[text() = '{title}']]/pre");
    let text = browser.find(&block).await.property("textContent").await;
    text.as_str().unwrap().to_owned()
}

/// Runs a command of a page in a shell. Returns what it prints.
async fn run(command: &str) -> String {
    let output = Command::new("sh").arg("-c").arg(command).output().await.unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Starts the receiver of the page on a port that is free, because tests run at the same time. Returns its port.
async fn receiver(program: &str) -> (Child, impl AsyncFnMut() -> String, String) {
    let start = "HTTPServer((\"127.0.0.1\", 9000), Receiver).serve_forever()";
    assert!(program.contains(start), "{program}");
    let free = "server = HTTPServer((\"127.0.0.1\", 0), Receiver)\nprint(server.server_port)\nserver.serve_forever()";
    let mut command = Command::new("python3");
    command
        .arg("-uc")
        .arg(program.replace(start, free))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async move || lines.next_line().await.unwrap().expect("the receiver has ended");
    let port = next().await;
    (child, next, port)
}

#[tokio::test]
async fn a_newcomer_needs_nothing_but_the_pages() {
    let console = Console::start().await;
    console.add_user(console.account(), "ann@example.org", UserRole::SuperAdmin).await;
    with_browser("console-walk", async |browser| {
        sign_in(browser, &console, "ann@example.org").await;
        browser.find("//h2[text() = 'First steps']").await;

        browser.find("//li[contains(., 'Connect a system')]//a[. = 'Add a Secret Key']").await.click().await;
        browser.find("//a[. = '+ Add Secret Key']").await.click().await;
        browser.find("//dialog//input[@name = 'name']").await.type_in("Website").await;
        browser.find("//dialog//button[text() = 'Save']").await.click().await;
        let command = code(browser, "Create a contact").await;
        assert!(run(&command).await.contains("\"success\":true"), "{command}");
        browser.find("//section[contains(., 'Your first call')]//a[. = 'Contacts']").await.click().await;
        browser.find("//a[. = 'Ada Lovelace']").await.click().await;
        browser.find("//li[contains(., 'Created')]//span[. = 'Website']").await;

        browser.find("//nav[@id = 'menu']//a[. = 'Dashboard']").await.click().await;
        browser.find("//li[contains(., 'Connect a system')]//span[. = 'done']").await;
        browser.find("//li[contains(., 'first webhook')]//a[. = 'Add an endpoint']").await.click().await;
        let program = code(browser, "Receiver").await;
        let (_child, mut printed, port) = receiver(&program).await;
        browser.find("//a[contains(., 'Add your first endpoint')]").await.click().await;
        browser.find("//input[@name = 'url']").await.type_in(&format!("http://127.0.0.1:{port}/")).await;
        browser.find("//button[text() = 'Add endpoint']").await.click().await;
        browser.find("//dt[text() = 'Signing secret']").await;
        browser.find("//button[contains(., 'Send test event')]").await.click().await;
        assert!(printed().await.contains("push.ping"));
        browser
            .find("//div[@role = 'status'][contains(., 'The endpoint accepted the test event: delivered, 204')]")
            .await;

        run(&command.replace("ada@example.com", "grace@example.com")).await;
        let delivered = printed().await;
        assert!(delivered.contains("crm.contact.created") && delivered.contains("grace@example.com"), "{delivered}");
        browser.find("//nav[@id = 'menu']//a[. = 'Dashboard']").await.click().await;
        browser.find("//li[contains(., 'Push Endpoints')]//span[. = 'all well']").await;
        assert_eq!(browser.run("return document.body.textContent.includes('First steps')").await, false);
        assert_eq!(browser.console().await, [""; 0], "neither errors nor violations of the policy");
    })
    .await;
}
