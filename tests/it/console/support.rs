//! A service with people who sign in, an HTTP client with cookies, and what browser tests of the console share.

use std::collections::BTreeMap;
use std::sync::Mutex;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::SET_COOKIE;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::config::{Config, program_path};
use unificus::domain::AccountId;
use unificus::domain::user::UserRole;
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;
use unificus::store::console::audit_list::AuditFilter;
use unificus::users::{Mailer, PasswordHasher, Users};

use crate::support::browser::Browser;
use crate::support::servers::MASTER;
use crate::support::{LONG, Service};

/// The password of every user of a test.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A service, and the users of its account.
pub(crate) struct Console {
    pub(crate) service: Service,
    pub(crate) users: Users,
}

impl Console {
    pub(crate) async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let service = Service::configured(|config| {
            config.console.show_components = true;
            change(config);
        })
        .await;
        let masters = MasterKeys::new(&[MASTER]);
        let hasher = PasswordHasher::new().unwrap();
        let users = Users::new(service.store.clone(), hasher, masters, Clock::system(), Mailer::default());
        Self { service, users }
    }

    pub(crate) fn account(&self) -> AccountId {
        self.service.client.account
    }

    /// The address of the console for browsers.
    pub(crate) fn url(&self) -> String {
        format!("http://localhost:{}/console", self.service.app.address().port())
    }

    /// Adds a user of an account, who has chosen [`PASSWORD`].
    pub(crate) async fn add_user(&self, account: AccountId, email: &str, role: UserRole) {
        let by = By::new("test", Clock::system().now());
        let invitation = self.users.invite(account, email, role, by).await.unwrap();
        self.users.choose_password(&invitation, PASSWORD, by).await.unwrap();
    }

    /// A browser's requests, without a session.
    pub(crate) fn visitor(&self) -> Web {
        Web::at(&format!("http://{}", self.service.app.address()))
    }

    /// A new user of this role in the service's account, signed in.
    pub(crate) async fn as_role(&self, role: UserRole) -> Web {
        let email = format!("{}@example.org", role.name());
        self.add_user(self.account(), &email, role).await;
        self.signed_in(&email).await
    }

    /// A new Super Admin of another account, signed in.
    pub(crate) async fn as_stranger(&self) -> Web {
        let other = self.service.other_client().await;
        self.add_user(other.account, "stranger@example.org", UserRole::SuperAdmin).await;
        self.signed_in("stranger@example.org").await
    }

    pub(crate) async fn signed_in(&self, email: &str) -> Web {
        let web = self.visitor();
        web.sign_in(email).await;
        web
    }

    /// The actions in the account's audit, the newest first.
    pub(crate) async fn audited(&self) -> Vec<(String, String)> {
        let entries = self.service.store.audit_entries(self.account(), &AuditFilter::default(), 100).await.unwrap();
        entries.into_iter().map(|entry| (entry.actor, entry.action)).collect()
    }
}

/// A page, read to its end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a form's hidden field.
    pub(crate) fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split_once('"')?.0.to_owned())
    }

    /// The part of the page's text between two others.
    #[track_caller]
    pub(crate) fn between(&self, before: &str, after: &str) -> &str {
        let rest = self.text.split_once(before).unwrap_or_else(|| panic!("no {before} in {}", self.text)).1;
        rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {rest}")).0
    }

    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// A client with cookies. It keeps the token of the last page that had a form, and sends it with the next form.
pub(crate) struct Web {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    base: String,
    pub(crate) cookies: Mutex<BTreeMap<String, String>>,
    /// Sent with every request.
    headers: Vec<(String, String)>,
    csrf: Mutex<Option<String>>,
}

impl Web {
    /// A client of a service at this address.
    pub(crate) fn at(base: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.to_owned(), cookies: Mutex::default(), headers: Vec::new(), csrf: Mutex::default() }
    }

    /// The same client, which sends a header with every request.
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Signs in.
    pub(crate) async fn sign_in(&self, email: &str) {
        self.get("/console/sign-in").await;
        self.post("/console/sign-in", &[("email", email), ("password", PASSWORD)]).await.expect(303);
    }

    /// The first bytes of a response that may not end.
    pub(crate) async fn beginning(&self, path: &str) -> Page {
        let (parts, mut body) = self.response(Method::GET, path, &[], String::new()).await.into_parts();
        let frame = tokio::time::timeout(LONG, body.frame()).await.expect("nothing is sent");
        let bytes = frame.map(|frame| frame.unwrap().into_data().unwrap_or_default()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Page { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        self.send(Method::GET, path, &[], String::new()).await
    }

    /// Sends a form with the token of the last page.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        if self.csrf.lock().unwrap().is_none() {
            self.get("/console/profile").await;
        }
        let csrf = self.csrf.lock().unwrap().clone().expect("no page with a form was loaded");
        self.post_with(path, &[fields, &[("csrf", csrf.as_str())]].concat(), &[]).await
    }

    /// Sends exactly these fields and headers.
    pub(crate) async fn post_with(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let form = ("content-type", "application/x-www-form-urlencoded");
        self.send(Method::POST, path, &[&[form], headers].concat(), body).await
    }

    pub(crate) fn csrf(&self) -> String {
        self.csrf.lock().unwrap().clone().expect("no page with a form was loaded")
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Page {
        let response = self.response(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        // Texts as they are read: without the marks at which an address may break.
        let text = String::from_utf8_lossy(&body).replace("<wbr>", "");
        let page = Page { status: parts.status.as_u16(), headers: parts.headers, text };
        if let Some(csrf) = page.hidden("csrf") {
            *self.csrf.lock().unwrap() = Some(csrf);
        }
        page
    }

    /// The status alone, for responses that may not end.
    pub(crate) async fn status(&self, method: Method, path: &str) -> (u16, String) {
        let response = self.response(method, path, &[], String::new()).await;
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default())
    }

    async fn response(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response<hyper::body::Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        let cookies: Vec<String> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let response = self.http.request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut kept = self.cookies.lock().unwrap();
            if name == "__Host-session" {
                // Forms of another session have another token.
                *self.csrf.lock().unwrap() = None;
            }
            if attributes.contains("Max-Age=0;") {
                kept.remove(name);
            } else {
                kept.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }
}

/// Signs in in a browser.
pub(crate) async fn sign_in(browser: &Browser, console: &Console, email: &str) {
    browser.open(&format!("{}/sign-in", console.url())).await;
    browser.find("//input[@name = 'email']").await.type_in(email).await;
    browser.find("//input[@name = 'password']").await.type_in(PASSWORD).await;
    browser.find("//button[text() = 'Sign in']").await.click().await;
    browser.find("//nav[@id = 'menu']").await;
}

/// Opens a page in light and in dark, and lists the violations of accessibility rules that axe-core finds (WCAG 2.2 A and AA).
pub(crate) async fn axe(browser: &Browser, url: &str) -> Vec<String> {
    let (_, data_home) = program_path();
    let file = data_home.join("unificus/node/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(file).expect("axe-core is missing: run deploy/setup.sh tests");
    let mut violations = Vec::new();
    for theme in ["light", "dark"] {
        let feature = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        browser.cdp("Emulation.setEmulatedMedia", feature).await;
        browser.open(url).await;
        browser.run(&axe).await;
        let run = "return axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
            .then(result => result.violations.map(violation => violation.id + ': ' + violation.help + ' '
                + violation.nodes.map(node => node.html + ' ' + node.failureSummary).join(' | ')))";
        let result = browser.run(run).await;
        let listed = result.as_array().expect("axe-core did not run").iter();
        violations.extend(listed.map(|violation: &Value| format!("{url} {theme}: {}", violation.as_str().unwrap())));
    }
    violations
}
