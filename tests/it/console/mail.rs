//! Mail: invitations and forgotten passwords, sent to a real SMTP server.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use unificus::config::{SmtpUrl, program_path};
use unificus::domain::user::UserRole;

use super::support::{Console, PASSWORD};
use crate::support::LONG;

struct MailServer {
    /// Its standard input keeps it running.
    _child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: String,
}

impl MailServer {
    async fn start() -> Self {
        let (_, data_home) = program_path();
        let python = data_home.join("unificus/python/bin/python");
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("the mail server does not start");
        Self { _child: child, lines, port }
    }

    async fn mail(&mut self) -> Value {
        let line = tokio::time::timeout(LONG, self.lines.next_line()).await.expect("no mail was sent");
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }
}

/// The path of the link in a mail.
fn link(mail: &Value, base: &str) -> String {
    let text = mail["text"].as_str().unwrap();
    let rest = text.split_once(base).unwrap_or_else(|| panic!("no link to {base} in {text}")).1;
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn invitations_and_forgotten_passwords_come_by_mail_under_the_brands_name() {
    let mut server = MailServer::start().await;
    let console = Console::configured(|config| {
        config.mail.smtp_url = SmtpUrl::new(format!("smtp://127.0.0.1:{}", server.port));
        config.mail.from = "no-reply@example.org".to_owned();
        config.console.url = "https://console.example.org".to_owned();
    })
    .await;
    let web = console.as_role(UserRole::SuperAdmin).await;
    web.get("/console/branding").await;
    web.post("/console/branding", &[("name", "Acme"), ("color", "#7a1fa2")]).await.expect(303);
    web.post("/console/team/invite", &[("email", "bob@example.org"), ("role", "member")]).await.expect(303);
    assert!(web.get("/console/team").await.text.contains("The link was sent to bob@example.org."));
    let mail = server.mail().await;
    assert_eq!((&mail["from"], &mail["to"][0]), (&"Acme <no-reply@example.org>".into(), &"bob@example.org".into()));
    // Its headers and the greeting of the connection too.
    let assert_white = |mail: &Value| assert!(!mail.to_string().to_lowercase().contains("unificus"), "{mail}");
    assert_white(&mail);
    let bob = console.visitor();
    let path = link(&mail, "https://console.example.org");
    bob.get(&path).await.expect(200);
    bob.post(&path, &[("password", PASSWORD)]).await.expect(303);

    // The host of the request is anybody's choice; the link does not follow it.
    let visitor = console.visitor();
    let host = [("host", "evil.example")];
    let form = visitor.send(hyper::Method::GET, "/console/forgot", &host, String::new()).await;
    let csrf = form.hidden("csrf").unwrap();
    let unknown =
        visitor.post_with("/console/forgot", &[("email", "nobody@example.org"), ("csrf", &csrf)], &host).await;
    let known = visitor.post_with("/console/forgot", &[("email", "bob@example.org"), ("csrf", &csrf)], &host).await;
    let anonymous = |text: &str| text.replace("nobody@", "").replace("bob@", "");
    assert_eq!((known.status, unknown.status), (200, 200));
    assert_eq!(anonymous(&known.text), anonymous(&unknown.text));
    let mail = server.mail().await;
    assert_eq!(mail["to"][0], "bob@example.org");
    // Under the account's brand, though the host is the installation's.
    assert_eq!(mail["from"], "Acme <no-reply@example.org>");
    assert_white(&mail);
    let path = link(&mail, "https://console.example.org");
    bob.get(&path).await.expect(200);
    bob.post(&path, &[("password", "another password")]).await.expect(303);
}
