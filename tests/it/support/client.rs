//! A client of the API for tests.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use unificus::domain::AccountId;

/// Calls one account's API with one of its keys.
#[derive(Clone)]
pub(crate) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    pub(crate) base: Arc<str>,
    pub(crate) account: AccountId,
    pub(crate) secret: Arc<str>,
}

/// A response, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The data, if the status is the expected one; otherwise a panic that shows the response.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Value {
        assert_eq!(self.status, status, "{}", self.text);
        &self.json["data"]
    }

    #[track_caller]
    pub(crate) fn uid(&self) -> String {
        self.json["data"]["uid"].as_str().unwrap_or_else(|| panic!("no uid in {}", self.text)).to_owned()
    }
}

impl Client {
    pub(crate) fn new(base: &str, account: AccountId, secret: &str) -> Self {
        let http = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self { http, base: base.into(), account, secret: secret.into() }
    }

    /// The same address with another key or another account.
    pub(crate) fn as_caller(&self, account: AccountId, secret: &str) -> Self {
        Self { account, secret: secret.into(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, &[], &body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, &[], &body.to_string()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// Returns an error when the connection breaks.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, String> {
        let account = self.account.to_string();
        let keys = [("x-public-id", account.as_str()), ("x-secret-key", &*self.secret)];
        self.try_send_bare(method, path, &[&keys, headers].concat(), body).await
    }

    /// Sends only these headers.
    pub(crate) async fn try_send_bare(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.http.request(request).await.map_err(|error| format!("{error:?}"))?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body, text, json })
    }

    /// Creates a Lead.
    pub(crate) async fn contact(&self, email: &str) -> Reply {
        self.post("/contact", lead(email)).await
    }

    /// Every event of the account's log, from the feed.
    pub(crate) async fn changes(&self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut path = "/changes?limit=500".to_owned();
        loop {
            let page = self.get(&path).await;
            events.extend(page.expect(200).as_array().unwrap().iter().cloned());
            if page.json["meta"]["has_more"] == json!(false) {
                return events;
            }
            path = format!("/changes?limit=500&after={}", page.json["meta"]["cursor"].as_str().unwrap());
        }
    }
}

/// The smallest body that creates a contact.
pub(crate) fn lead(email: &str) -> Value {
    json!({"role": "Lead", "first_name": "Ann", "last_name": "Lee", "email": email})
}
