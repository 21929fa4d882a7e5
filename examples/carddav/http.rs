//! HTTP requests with a deadline and a bound on the response.

use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// No request takes longer, the long poll of the feed included.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A larger response is an error.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A client with headers that go with every request.
#[derive(Clone)]
pub(crate) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    headers: Vec<(&'static str, String)>,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    pub(crate) fn text(&self) -> anyhow::Result<&str> {
        std::str::from_utf8(&self.body).context("the response is no UTF-8")
    }
}

impl Http {
    /// Trusts the certificate authorities of the system.
    pub(crate) fn new(headers: Vec<(&'static str, String)>) -> anyhow::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .context("the system's certificates cannot be read")?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), headers })
    }

    /// Sends a request. An error means that there is no response; any status is a response.
    pub(crate) async fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> anyhow::Result<Response> {
        let exchange = async {
            let mut request = Request::builder().method(Method::from_bytes(method.as_bytes())?).uri(url);
            let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
            for (name, value) in own.chain(headers.iter().copied()) {
                request = request.header(name, value);
            }
            let response = self.client.request(request.body(Full::new(Bytes::from(body)))?).await?;
            let (parts, body) = response.into_parts();
            let body = match Limited::new(body, MAX_BYTES).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) => bail!("the response cannot be read: {error}"),
            };
            Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        let response = tokio::time::timeout(TIMEOUT, exchange).await.context("no response in time");
        response.and_then(|response| response).with_context(|| format!("{method} {url}"))
    }
}
