//! `/sync/policy`: the rules by which concurrent changes are resolved.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::json;

use crate::clock::Clock;
use crate::contract::sync_policy;
use crate::domain::SyncPolicy;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::store::Store;
use crate::store::audit::By;

pub(in crate::http) async fn read(State(store): State<Arc<Store>>, caller: Caller) -> Result<Response, Problem> {
    let policy = store.sync_policy(caller.account).await?;
    respond("The rules for concurrent changes.", &policy)
}

pub(in crate::http) async fn replace(
    State(store): State<Arc<Store>>,
    State(clock): State<Clock>,
    caller: Caller,
    write: Write,
) -> Result<Response, Problem> {
    let policy = sync_policy::read(write.json()?)?;
    let actor = caller.key_id.to_string();
    store.put_sync_policy(caller.account, &policy, By::new(&actor, clock.now())).await?;
    respond("The rules for concurrent changes were set.", &policy)
}

/// Renders a policy.
pub(in crate::http) fn respond(message: &str, policy: &SyncPolicy) -> Result<Response, Problem> {
    let data = sync_policy::encode(policy).map_err(|error| {
        tracing::error!(error = %error, "render sync policy failed");
        Problem::internal()
    })?;
    Ok(envelope::success(StatusCode::OK, message, &data, &json!({})))
}
