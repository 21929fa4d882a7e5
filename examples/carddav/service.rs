//! The service's public API, as far as a connector needs it.

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connector::{ListPage, Lookup, Op, OpResult, Page};
use crate::http::{Http, Response};

/// Operations per request, the service's limit.
pub(crate) const MAX_OPS: usize = 100;

/// Access to an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// Such as `https://crm.example/secure-api`.
    url: String,
    pub(crate) public_id: String,
    secret_key: String,
    /// The origin of the key, which is its name unless it was created with another one.
    pub(crate) origin: String,
}

pub(crate) struct Service {
    http: Http,
    url: String,
}

/// A page of the feed, or the reason why there is none.
pub(crate) enum Feed {
    Page(Page),
    /// The log was restored: the cursor means nothing any more.
    ResyncRequired,
}

impl Service {
    pub(crate) fn new(access: &Access) -> anyhow::Result<Self> {
        let headers = vec![
            ("x-public-id", access.public_id.clone()),
            ("x-secret-key", access.secret_key.clone()),
            ("content-type", "application/json".to_owned()),
        ];
        Ok(Self { http: Http::new(headers)?, url: access.url.trim_end_matches('/').to_owned() })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.http.send("GET", &format!("{}{path}", self.url), &[], String::new()).await
    }

    /// Events after a cursor. `wait` is in seconds.
    pub(crate) async fn changes(&self, after: Option<&str>, wait: u64) -> anyhow::Result<Feed> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let response = self.get(&format!("/changes?entity=contact&limit=500&wait={wait}{after}")).await?;
        match response.status {
            200 => Ok(Feed::Page(serde_json::from_slice(&response.body).context("the feed cannot be read")?)),
            410 => Ok(Feed::ResyncRequired),
            _ => bail!("the feed: {}", shown(&response)),
        }
    }

    /// A page of all contacts, and the path of the next one.
    pub(crate) async fn contacts(&self, next: Option<&str>) -> anyhow::Result<(ListPage, Option<String>)> {
        let query = next.unwrap_or("limit=500");
        let response = self.get(&format!("/contacts?{query}")).await?;
        if response.status != 200 {
            bail!("the list of contacts: {}", shown(&response));
        }
        let body: Value = serde_json::from_slice(&response.body).context("the list cannot be read")?;
        let link = body.pointer("/meta/pagination/nextPage").and_then(Value::as_str);
        let next = link.and_then(|link| link.split_once('?')).map(|(_, query)| query.to_owned());
        let page = ListPage {
            records: body.get("data").and_then(Value::as_array).cloned().context("the list has no data")?,
            as_of: body.pointer("/meta/as_of").and_then(Value::as_str).context("the list has no as_of")?.to_owned(),
            is_last: next.is_none(),
        };
        Ok((page, next))
    }

    /// One contact.
    pub(crate) async fn contact(&self, uid: &str) -> anyhow::Result<Lookup> {
        let response = self.get(&format!("/contact/{uid}")).await?;
        match response.status {
            200 => {
                let body: Value = serde_json::from_slice(&response.body).context("the contact cannot be read")?;
                Ok(Lookup::Live(body.get("data").cloned().context("the contact has no data")?))
            }
            404 => Ok(Lookup::Unknown),
            410 => Ok(Lookup::Gone),
            _ => bail!("contact {uid}: {}", shown(&response)),
        }
    }

    /// Executes operations. An error means that it is unknown whether they were executed.
    pub(crate) async fn batch(&self, ops: &[Op]) -> anyhow::Result<Vec<OpResult>> {
        let body = json!({"ops": ops}).to_string();
        let response = self.http.send("POST", &format!("{}/sync/batch", self.url), &[], body).await?;
        if response.status != 200 {
            bail!("the batch: {}", shown(&response));
        }
        let body: Value = serde_json::from_slice(&response.body).context("the results cannot be read")?;
        let data = body.get("data").cloned().context("the batch has no results")?;
        serde_json::from_value(data).context("the results cannot be read")
    }
}

/// The status and the beginning of the body, which says what is wrong.
fn shown(response: &Response) -> String {
    let text = String::from_utf8_lossy(&response.body);
    format!("{} {}", response.status, text.chars().take(500).collect::<String>())
}
