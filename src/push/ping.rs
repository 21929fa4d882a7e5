//! A delivery that is no event of the log, to try an endpoint with.

use std::str::FromStr as _;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::address::EndpointUrl;
use super::client::{Attempt, Client, Delivery};
use super::keeping;
use super::signature::sign;
use crate::clock;
use crate::contract::event::{CONTENT_TYPE, TYPE_ROOT};
use crate::contract::moment;
use crate::domain::Timestamp;
use crate::secrets::MasterKeys;
use crate::store::endpoints::Endpoint;

/// Sends a signed CloudEvent of the type `push.ping`, which holds nothing but the endpoint's id.
pub async fn send(
    client: &Client,
    masters: &MasterKeys,
    endpoint: &Endpoint,
    now: Timestamp,
) -> anyhow::Result<Attempt> {
    let url = EndpointUrl::parse(&endpoint.settings.url)?;
    let secrets = keeping::open_all(masters, endpoint);
    let secrets = secrets.ok_or_else(|| anyhow::anyhow!("none of secrets.master_keys opens its secret"))?;
    let live = secrets.iter().filter(|(_, until)| until.is_none_or(|until| now < until)).map(|(secret, _)| secret);
    let id = format!("{}:ping:{}", endpoint.account, clock::fresh_uid());
    let body = json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/accounts/{}", endpoint.account),
        "type": format!("{TYPE_ROOT}.push.ping"),
        "subject": endpoint.endpoint_id,
        "time": moment::micros(now),
        "datacontenttype": "application/json",
        "data": {"endpoint": endpoint.endpoint_id},
    });
    let body = Bytes::from(body.to_string());
    let own = endpoint.settings.headers.iter();
    let headers: Vec<(HeaderName, HeaderValue)> = own
        .filter_map(|(name, value)| Some((HeaderName::from_str(name).ok()?, HeaderValue::from_str(value).ok()?)))
        .collect();
    let timestamp = now.unix_timestamp();
    let delivery = Delivery {
        url: &url,
        headers: &headers,
        webhook_id: &id,
        timestamp,
        signature: &sign(live, &id, timestamp, &body),
        content_type: CONTENT_TYPE,
        body,
        timeout: endpoint.settings.timeout,
        now,
    };
    Ok(client.send(delivery).await)
}
