//! Creates push endpoints through the API.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::sink::Sink;
use crate::accounts::Account;
use crate::connection::Connection;
use crate::contact::Target;

/// Creates endpoint `number` of a sink.
pub(crate) async fn make(
    target: &Target,
    account: &Account,
    sink: &Sink,
    number: usize,
    settings: Value,
) -> Result<String> {
    let mut body = json!({"url": format!("http://{}/hook/{number}", sink.address), "from": "now"});
    if let (Some(body), Value::Object(settings)) = (body.as_object_mut(), settings) {
        body.extend(settings);
    }
    let mut connection = Connection::open(target.address).await.context("connecting to create a push endpoint")?;
    let request = target.request("POST", "/push/endpoints", account, &body.to_string());
    let response = connection.exchange(&request).await.context("creating a push endpoint")?;
    let text = String::from_utf8_lossy(response.body);
    ensure!(response.status == 201, "creating a push endpoint returned {}: {text}", response.status);
    let created: Value = serde_json::from_slice(response.body).context("reading a push endpoint")?;
    let id = created.pointer("/data/id").and_then(Value::as_str).context("a push endpoint has no id")?;
    Ok(id.to_owned())
}

pub(crate) async fn delete(target: &Target, account: &Account, id: &str) -> Result<()> {
    let mut connection = Connection::open(target.address).await.context("connecting to delete a push endpoint")?;
    let request = target.request("DELETE", &format!("/push/endpoints/{id}"), account, "");
    let response = connection.exchange(&request).await.context("deleting a push endpoint")?;
    ensure!(matches!(response.status, 200 | 204), "deleting a push endpoint returned {}", response.status);
    Ok(())
}
