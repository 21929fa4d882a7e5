//! What an endpoint's deliveries are signed with, and a delivery to try it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use serde_json::{Value as Json, json};

use super::EndpointsState;
use super::idempotent_write::{IdempotentWrite, ResponseBody};
use super::{Written, object, parse, settings, show, with_secret};
use crate::domain::Invalid;
use crate::domain::endpoint::Signature;
use crate::domain::endpoint::secret::{self, DEFAULT_OVERLAP, OVERLAP_S};
use crate::domain::endpoint::settings::whole;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::problem::Problem;
use crate::push::secret_storage;
use crate::push::signature::SigningSecret;

pub(in crate::http) async fn rotate(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let mut body = object(&write)?;
    let overlap = match body.remove("overlap_s") {
        None | Some(Json::Null) => Ok(DEFAULT_OVERLAP),
        Some(value) => whole(value.as_u64(), &OVERLAP_S)
            .map(Duration::from_secs)
            .map_err(|detail| Invalid::new("overlap_s", detail)),
    };
    let (overlap, signature) = match (overlap, settings::signature(&mut body)) {
        (Ok(overlap), Ok(signature)) => (overlap, signature),
        (overlap, signature) => {
            let errors: Vec<Invalid> = overlap.err().into_iter().chain(signature.err()).collect();
            return Err(Problem::invalid(&errors).into());
        }
    };
    let (writing, mut placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    let endpoint = &mut placed.endpoint;
    let signature = signature.unwrap_or(endpoint.signature);
    let secret = SigningSecret::of_scheme(signature, rand::random()).map_err(|_| Problem::internal())?;
    let stored =
        secret_storage::keep(&state.masters, caller.account, id, &secret).ok_or_else(Problem::no_master_key)?;
    endpoint.secrets = secret::rotate(std::mem::take(&mut endpoint.secrets), stored, overlap, state.clock.now());
    endpoint.signature = signature;
    writing.update(endpoint).await?;
    let message = match signature {
        Signature::Hmac => "The endpoint has another secret, which is shown this once.",
        Signature::Ed25519 => "The endpoint has another key; its public part checks what it signs.",
    };
    let said =
        ResponseBody::ok(message, with_secret(show(&placed.endpoint, Some(&placed.cursor), Some(&secret)), &secret));
    writing.finish("push.rotate", &json!({"endpoint": id, "overlap_s": overlap.as_secs()}), said).await
}

/// Sends a `push.ping` now, whatever state the endpoint is in. No lock is held meanwhile.
pub(in crate::http) async fn test(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let (writing, placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    writing.change.roll_back().await?;
    let attempt = state.pinger.send(placed.endpoint).await;
    let attempt = attempt.map_err(|error| {
        tracing::error!(account = %caller.account, endpoint = %id, error = format!("{error:#}"), "endpoint not tried");
        Problem::internal()
    })?;
    let attempt = attempt.ok_or_else(Problem::no_slot)?;
    let delivered = attempt.outcome == crate::push::outcome::AttemptOutcome::Delivered;
    let message = if delivered { "The endpoint took the test." } else { "The endpoint did not take the test." };
    let said = ResponseBody::ok(
        message,
        json!({
            "delivered": delivered,
            "outcome": attempt.outcome.shown(),
            "status": attempt.status,
            "error": attempt.error,
            "duration_ms": u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        }),
    );
    IdempotentWrite::open(&state, &caller, &write).await?.remember(said).await
}
