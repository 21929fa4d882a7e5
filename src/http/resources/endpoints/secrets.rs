//! The secret that signs an endpoint's deliveries, and a delivery to test the endpoint with.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::json;

use super::reply::{reply, write_request};
use super::{HandlerResult, object, ok, parse, settings, view_with_secret};
use crate::domain::endpoint::Signature;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::push::client::Attempt;
use crate::push::outcome::AttemptOutcome;
use crate::push::service::{EndpointService, EndpointView};

pub(in crate::http) async fn rotate(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let rotation = settings::rotation(&mut object(&write)?)?;
    let render = |endpoint: &EndpointView| {
        let message = match endpoint.endpoint.signature {
            Signature::Hmac => "The endpoint has a new secret, which is shown this once.",
            Signature::Ed25519 => "The endpoint has a new key; its public key checks the signatures.",
        };
        ok(message, &view_with_secret(endpoint))
    };
    reply(service.rotate(&write_request(&caller, &actor, &write), id, rotation, render).await)
}

pub(in crate::http) async fn test(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let render = |attempt: &Attempt| {
        let delivered = attempt.outcome == AttemptOutcome::Delivered;
        let message =
            if delivered { "The endpoint accepted the test." } else { "The endpoint did not accept the test." };
        let data = json!({
            "delivered": delivered,
            "outcome": attempt.outcome.shown(),
            "status": attempt.status,
            "error": attempt.error,
            // An attempt takes at most the endpoint's timeout.
            "duration_ms": u64::try_from(attempt.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        ok(message, &data)
    };
    reply(service.test(&write_request(&caller, &actor, &write), id, render).await)
}
