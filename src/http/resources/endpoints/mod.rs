//! `/push/endpoints`: where an account's events go by webhook.

pub(in crate::http) mod attempts;
pub(in crate::http) mod cursor_commands;
mod idempotent_write;
pub(in crate::http) mod secrets;
mod settings;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use self::idempotent_write::{IdempotentWrite, ResponseBody, WriteError};
use crate::broker::Broker;
use crate::clock::{self, Clock};
use crate::contract::{Cursor, timestamp};
use crate::domain::endpoint::{
    CursorCommand, Endpoint, EndpointCursor, EndpointState, EndpointStatus, Header, Health, Settings, Signature,
    StoredSecret,
};
use crate::domain::{Invalid, Seq};
use crate::feed::Feed;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::push::address::AddressPolicy;
use crate::push::ping::Pinger;
use crate::push::signature::SigningSecret;
use crate::push::{own_headers, secret_storage};
use crate::secrets::MasterKeys;
use crate::store::Store;

type HandlerResult = Result<Response, Problem>;
type Written = Result<Response, WriteError>;

/// What the handlers of endpoints need.
pub(in crate::http) struct EndpointsState {
    pub(in crate::http) store: Store,
    pub(in crate::http) feed: Feed,
    pub(in crate::http) broker: Broker,
    pub(in crate::http) clock: Clock,
    pub(in crate::http) masters: MasterKeys,
    pub(in crate::http) policy: Arc<AddressPolicy>,
    pub(in crate::http) pinger: Arc<Pinger>,
    /// The deliveries in flight of an endpoint whose settings do not say.
    pub(in crate::http) window: usize,
    /// The most endpoints of an account. Another one is refused with 422.
    pub(in crate::http) per_account: usize,
}

pub(in crate::http) async fn create(State(state): State<Arc<EndpointsState>>, caller: Caller, write: Write) -> Written {
    let mut body = object(&write)?;
    let from = from(&state, &caller, &mut body).await?;
    let signature = settings::signature(&mut body);
    let settings = settings::read(Settings::defaults(state.window), &mut body, &context(&state, &caller));
    let (settings, signature, from) = match (settings, signature, from) {
        (Ok(settings), Ok(signature), Ok(from)) => (settings, signature.unwrap_or(Signature::Hmac), from),
        (settings, signature, from) => {
            let errors = settings.err().into_iter().flatten().chain(signature.err()).chain(from.err());
            return Err(Problem::invalid(&errors.collect::<Vec<_>>()).into());
        }
    };
    let writing = IdempotentWrite::open(&state, &caller, &write).await?;
    if writing.change.count().await? >= state.per_account {
        let detail = format!("An account has at most {} endpoints.", state.per_account);
        return Err(Problem::invalid(&[Invalid { pointer: "#".to_owned(), detail }]).into());
    }
    let secret = SigningSecret::of_scheme(signature, rand::random()).map_err(|_| Problem::internal())?;
    let endpoint_id = clock::fresh_uid().0;
    let kept = secret_storage::keep(&state.masters, caller.account, endpoint_id, &secret)
        .ok_or_else(Problem::no_master_key)?;
    let mut endpoint = Endpoint {
        account: caller.account,
        endpoint_id,
        settings,
        signature,
        secrets: vec![StoredSecret::present(kept)],
        status: EndpointStatus::Live,
        reported: Health::Well,
        revision: 0,
        created_at: state.clock.now(),
    };
    own_headers::seal(&state.masters, &mut endpoint);
    writing.change.insert(&endpoint, from).await?;
    let detail = json!({"endpoint": endpoint_id, "url": endpoint.settings.url});
    let message = "The endpoint was created. Its secret is shown this once.";
    let data = with_secret(show(&endpoint, None, Some(&secret)), &secret);
    writing.finish("push.create", &detail, ResponseBody { status: StatusCode::CREATED, message, data }).await
}

/// A body that must be an object.
fn object(write: &Write) -> Result<Map<String, Json>, Problem> {
    let Json::Object(body) = write.json()? else {
        let invalid = Invalid { pointer: "#".to_owned(), detail: "Must be an object.".to_owned() };
        return Err(Problem::invalid(&[invalid]));
    };
    Ok(body)
}

fn context<'a>(state: &'a EndpointsState, caller: &'a Caller) -> settings::Context<'a> {
    settings::Context { policy: &state.policy, origin: &caller.origin, window: state.window }
}

pub(in crate::http) async fn list(State(state): State<Arc<EndpointsState>>, caller: Caller) -> HandlerResult {
    Ok(listed(&state.masters, &state.store.endpoints(caller.account).await?))
}

pub(in crate::http) fn listed(masters: &MasterKeys, endpoints: &[EndpointState]) -> Response {
    let shown: Vec<Json> = endpoints.iter().map(|placed| show_placed(masters, placed)).collect();
    envelope::success(StatusCode::OK, "Endpoints were listed.", &json!(shown).to_string(), &json!({}))
}

pub(in crate::http) async fn read(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
) -> HandlerResult {
    let placed = state.store.endpoint(caller.account, parse(&id)?).await?.ok_or_else(missing)?;
    Ok(found(&state.masters, &placed))
}

pub(in crate::http) fn found(masters: &MasterKeys, placed: &EndpointState) -> Response {
    let shown = show_placed(masters, placed);
    envelope::success(StatusCode::OK, "The endpoint was found.", &shown.to_string(), &json!({}))
}

pub(in crate::http) async fn update(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let mut body = object(&write)?;
    let (writing, mut placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    let signature = settings::signature(&mut body).and_then(|asked| match asked {
        Some(asked) if asked != placed.endpoint.signature => {
            Err(Invalid::new("signature", "Must be changed by rotating the secret."))
        }
        _ => Ok(()),
    });
    let settings = settings::read(placed.endpoint.settings.clone(), &mut body, &context(&state, &caller));
    let settings = match (settings, signature) {
        (Ok(settings), Ok(())) => settings,
        (settings, signature) => {
            let errors = settings.err().into_iter().flatten().chain(signature.err());
            return Err(Problem::invalid(&errors.collect::<Vec<_>>()).into());
        }
    };
    let url = settings.url.clone();
    let before = std::mem::replace(&mut placed.endpoint.settings, settings);
    writing.update(&mut placed.endpoint).await?;
    let is_new = |header: &Header| header.is_clear() && !before.headers.contains(header);
    if placed.endpoint.settings.headers.iter().any(is_new) {
        return Err(Problem::no_master_key().into());
    }
    if before.url != url {
        // How long the one before was away, or asked to be left alone, says nothing of this one.
        writing.change.enqueue(id, CursorCommand::Resume, state.clock.now()).await?;
    }
    let said = ResponseBody::ok("The endpoint was updated.", show_placed(&state.masters, &placed));
    writing.finish("push.update", &json!({"endpoint": id, "url": url}), said).await
}

pub(in crate::http) async fn delete(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let endpoint = parse(&id)?;
    let writing = IdempotentWrite::open(&state, &caller, &write).await?;
    if !writing.change.delete(endpoint).await? {
        return Err(missing().into());
    }
    let said = ResponseBody::ok("The endpoint was deleted.", Json::Null);
    writing.finish("push.delete", &json!({"endpoint": endpoint}), said).await
}

fn parse(id: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(id).map_err(|_| missing())
}

fn missing() -> Problem {
    Problem::missing("endpoint")
}

/// Where an endpoint shall begin; `None` is the end of the log.
async fn from(
    state: &EndpointsState,
    caller: &Caller,
    body: &mut Map<String, Json>,
) -> Result<Result<Option<Seq>, Invalid>, Problem> {
    match body.remove("from") {
        None | Some(Json::Null) => Ok(Ok(None)),
        Some(Json::String(text)) if text == "now" => Ok(Ok(None)),
        Some(text @ Json::String(_)) => Ok(position(state, caller, &text)
            .await?
            .map(Some)
            .ok_or_else(|| Invalid::new("from", "Must be start, now, or a cursor that this service gave out."))),
        Some(_) => Ok(Err(Invalid::new("from", "Must be start, now, or a cursor that this service gave out."))),
    }
}

/// A place in the account's log as a body names it: `start`, a cursor, or the number of an event.
async fn position(state: &EndpointsState, caller: &Caller, value: &Json) -> Result<Option<Seq>, Problem> {
    if value == "start" {
        return Ok(Some(Seq::ZERO));
    }
    let head = state.store.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
    let seq = match value.as_str() {
        Some(text) => text.parse::<Cursor>().ok().filter(|cursor| cursor.epoch == head.epoch).map(|c| c.seq),
        None => value.as_i64().map(Seq),
    };
    Ok(seq.filter(|seq| (Seq::ZERO..=head.seq).contains(seq)))
}

fn show_placed(masters: &MasterKeys, placed: &EndpointState) -> Json {
    let EndpointState { endpoint, cursor, .. } = placed;
    let present = endpoint.secrets.first();
    let secret = present.and_then(|s| secret_storage::open(masters, endpoint.account, endpoint.endpoint_id, &s.bytes));
    show(endpoint, Some(cursor), secret.as_ref())
}

/// An endpoint as everybody sees it who may: of its headers the names. Its secret is asked for what checks its signatures.
fn show(endpoint: &Endpoint, cursor: Option<&EndpointCursor>, secret: Option<&SigningSecret>) -> Json {
    let settings = &endpoint.settings;
    let headers: Map<String, Json> =
        settings.headers.iter().map(|header| (header.name.clone(), json!(own_headers::MASK))).collect();
    json!({
        "id": endpoint.endpoint_id,
        "url": settings.url,
        "description": settings.description,
        "events": settings.events,
        "fields": settings.fields,
        "exclude_own": settings.exclude_own.is_some(),
        "mode": settings.mode.name(),
        "max_batch": settings.mode.max_batch(),
        "debounce_ms": u64::try_from(settings.mode.debounce().as_millis()).unwrap_or(u64::MAX),
        "order": settings.order.name(),
        "window": settings.window,
        "rate": settings.rate,
        "headers": headers,
        "timeout_s": settings.timeout.as_secs(),
        "signature": endpoint.signature.name(),
        "public_key": secret.and_then(SigningSecret::public_key),
        "state": endpoint.status.name(),
        "created": timestamp::seconds(endpoint.created_at),
        "through_seq": cursor.map(|cursor| cursor.seq),
        "failing_since": cursor.and_then(|cursor| cursor.failing_since).map(timestamp::seconds),
    })
}

/// Together with the secret that the receiver needs, once. The one of Ed25519 stays here: its public key does.
fn with_secret(mut shown: Json, secret: &SigningSecret) -> Json {
    if let (Json::Object(members), None) = (&mut shown, secret.public_key()) {
        members.insert("secret".to_owned(), json!(secret.reveal()));
    }
    shown
}
