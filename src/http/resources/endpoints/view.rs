//! An endpoint as it is shown.

use serde_json::{Map, Value as Json, json};

use crate::contract::timestamp;
use crate::push::own_headers::MASK;
use crate::push::service::EndpointView;
use crate::push::signature::SigningSecret;

/// An endpoint for everybody who may read it: its secret is left out, and the values of its headers are masked.
pub(super) fn view(view: &EndpointView) -> Json {
    let EndpointView { endpoint, cursor, secret, processed: _, has_commands: _ } = view;
    let settings = &endpoint.settings;
    let headers: Map<String, Json> = settings.headers.iter().map(|header| (header.name.clone(), json!(MASK))).collect();
    json!({
        "id": endpoint.endpoint_id,
        "url": settings.url,
        "description": settings.description,
        "events": settings.events,
        "fields": settings.fields,
        "exclude_own": settings.exclude_own.is_some(),
        "mode": settings.mode.name(),
        "max_batch": settings.mode.max_batch(),
        // At most 60,000 ms.
        "debounce_ms": u64::try_from(settings.mode.debounce().as_millis()).unwrap_or(u64::MAX),
        "order": settings.order.name(),
        "window": settings.window,
        "rate": settings.rate,
        "headers": headers,
        "timeout_s": settings.timeout.as_secs(),
        "signature": endpoint.signature.name(),
        "public_key": secret.as_ref().and_then(SigningSecret::public_key),
        "state": endpoint.status.name(),
        "created": timestamp::seconds(endpoint.created_at),
        "through_seq": cursor.as_ref().map(|cursor| cursor.seq),
        "failing_since": cursor.as_ref().and_then(|cursor| cursor.failing_since).map(timestamp::seconds),
    })
}

/// The same with the secret that the receiver needs. A private key of Ed25519 is never shown: its public key is in the
/// view.
pub(super) fn view_with_secret(endpoint: &EndpointView) -> Json {
    let mut shown = view(endpoint);
    if let (Json::Object(members), Some(secret)) = (&mut shown, &endpoint.secret)
        && secret.public_key().is_none()
    {
        members.insert("secret".to_owned(), json!(secret.reveal()));
    }
    shown
}
