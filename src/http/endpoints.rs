//! `/push/endpoints`: where an account's events go by webhook.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::auth::Caller;
use super::extract::Write;
use super::problem::Problem;
use super::{Api, envelope};
use crate::clock;
use crate::contract::{Cursor, moment};
use crate::domain::{Invalid, Seq};
use crate::push::filter::Filter;
use crate::push::signature::Secret;
use crate::store::accounts::By;
use crate::store::endpoints::Endpoint;
use crate::store::owner::PushCursor;

/// Seconds that an attempt may take where the endpoint does not say.
const TIMEOUT_S: i64 = 15;

pub(super) async fn create(State(api): State<Arc<Api>>, caller: Caller, write: Write) -> Result<Response, Problem> {
    let Json::Object(body) = write.json()? else {
        return Err(Problem::invalid(&[Invalid { pointer: "#".to_owned(), detail: "Must be an object.".to_owned() }]));
    };
    let secret = Secret::generate(rand::random());
    let (endpoint, from) = read(&api, &caller, body, &secret).await?;
    if api.store.endpoints(caller.account).await?.len() >= api.config.push.endpoints_per_account {
        let detail = format!("An account has at most {} endpoints.", api.config.push.endpoints_per_account);
        return Err(Problem::invalid(&[Invalid { pointer: "#".to_owned(), detail }]));
    }
    let actor = caller.key_id.to_string();
    let by = By { actor: &actor, at: api.clock.now() };
    if !api.store.create_endpoint(&endpoint, from, by).await? {
        return Err(Problem::unauthorized());
    }
    api.feed.settings_changed(caller.account);
    let mut shown = show(&endpoint, None);
    if let Json::Object(members) = &mut shown {
        members.insert("secret".to_owned(), json!(secret.reveal()));
    }
    let message = "The endpoint was created. Its secret is shown this once.";
    Ok(envelope::success(StatusCode::CREATED, message, &shown.to_string(), &json!({})))
}

pub(super) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Response, Problem> {
    Ok(listed(&api.store.endpoints(caller.account).await?))
}

pub(super) fn listed(endpoints: &[(Endpoint, PushCursor)]) -> Response {
    let shown: Vec<Json> = endpoints.iter().map(|(endpoint, place)| show(endpoint, Some(place))).collect();
    envelope::success(StatusCode::OK, "Endpoints were listed.", &json!(shown).to_string(), &json!({}))
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let endpoint = Uuid::try_parse(&id).map_err(|_| Problem::missing("endpoint"))?;
    let actor = caller.key_id.to_string();
    let by = By { actor: &actor, at: api.clock.now() };
    if !api.store.delete_endpoint(caller.account, endpoint, by).await? {
        return Err(Problem::missing("endpoint"));
    }
    api.feed.settings_changed(caller.account);
    Ok(envelope::success(StatusCode::OK, "The endpoint was deleted.", "null", &json!({})))
}

/// Where an endpoint shall begin.
enum From {
    Now,
    At(Seq),
}

async fn read(
    api: &Api,
    caller: &Caller,
    mut body: Map<String, Json>,
    secret: &Secret,
) -> Result<(Endpoint, Option<Seq>), Problem> {
    let mut errors = Vec::new();
    let mut check = |read: Result<_, Invalid>| read.map_err(|error| errors.push(error)).ok();
    let url = check(url(api, &mut body));
    let description = check(text(&mut body, "description"));
    let order = check(order(&mut body));
    let events = events(&mut body).map_err(|error| errors.push(error)).ok();
    let timeout_s = timeout(&mut body).map_err(|error| errors.push(error)).ok();
    let exclude_own = flag(&mut body, "exclude_own").map_err(|error| errors.push(error)).ok();
    let from = from(api, caller, &mut body).await?.map_err(|error| errors.push(error)).ok();
    match (url, description, order, events, timeout_s, exclude_own, from) {
        (Some(url), Some(description), Some(order), Some(events), Some(timeout_s), Some(exclude_own), Some(from)) => {
            let endpoint = Endpoint {
                account: caller.account,
                endpoint_id: clock::fresh_uid().0,
                url,
                description,
                secret: secret.reveal(),
                events,
                exclude_own: exclude_own.then(|| caller.origin.to_string()),
                order,
                timeout_s,
                state: "live".to_owned(),
                created_at: api.clock.now(),
            };
            let from = match from {
                From::Now => None,
                From::At(seq) => Some(seq),
            };
            Ok((endpoint, from))
        }
        _ => Err(Problem::invalid(&errors)),
    }
}

fn url(api: &Api, body: &mut Map<String, Json>) -> Result<String, Invalid> {
    let Some(Json::String(url)) = body.remove("url") else { return Err(Invalid::new("url", "Is required.")) };
    match api.policy.check_url(&url) {
        Ok(url) => Ok(url.as_str().to_owned()),
        Err(refused) => Err(Invalid::new("url", format!("Cannot be used: {refused}."))),
    }
}

fn text(body: &mut Map<String, Json>, key: &str) -> Result<String, Invalid> {
    match body.remove(key) {
        None | Some(Json::Null) => Ok(String::new()),
        Some(Json::String(text)) => crate::domain::value::plain(&text, 255).map_err(|detail| Invalid::new(key, detail)),
        Some(_) => Err(Invalid::new(key, "Must be a string.")),
    }
}

/// Modes and orders that are described but not built are refused, not passed over.
fn order(body: &mut Map<String, Json>) -> Result<String, Invalid> {
    for (key, only) in [("mode", "single"), ("order", "record")] {
        match body.remove(key) {
            None | Some(Json::Null) => {}
            Some(value) if value == only => {}
            Some(_) => return Err(Invalid::new(key, format!("Must be {only}."))),
        }
    }
    Ok("record".to_owned())
}

fn events(body: &mut Map<String, Json>) -> Result<Vec<String>, Invalid> {
    let wrong = || Invalid::new("events", "Must be a list of at most 100 event types such as contact.*.");
    match body.remove("events") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(patterns)) if patterns.len() <= 100 => {
            let patterns = patterns.iter().map(|pattern| pattern.as_str().filter(|text| Filter::is_pattern(text)));
            patterns.map(|pattern| pattern.map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn timeout(body: &mut Map<String, Json>) -> Result<i32, Invalid> {
    let wrong = || Invalid::new("timeout_s", "Must be a whole number from 1 to 60.");
    let seconds = match body.remove("timeout_s") {
        None | Some(Json::Null) => TIMEOUT_S,
        Some(value) => value.as_i64().ok_or_else(wrong)?,
    };
    i32::try_from(seconds).ok().filter(|seconds| (1..=60).contains(seconds)).ok_or_else(wrong)
}

fn flag(body: &mut Map<String, Json>, key: &str) -> Result<bool, Invalid> {
    match body.remove(key) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(flag)) => Ok(flag),
        Some(_) => Err(Invalid::new(key, "Must be true or false.")),
    }
}

async fn from(api: &Api, caller: &Caller, body: &mut Map<String, Json>) -> Result<Result<From, Invalid>, Problem> {
    let wrong = || Invalid::new("from", "Must be start, now, or a cursor that this service gave out.");
    let text = match body.remove("from") {
        None | Some(Json::Null) => return Ok(Ok(From::Now)),
        Some(Json::String(text)) => text,
        Some(_) => return Ok(Err(wrong())),
    };
    Ok(match text.as_str() {
        "now" => Ok(From::Now),
        "start" => Ok(From::At(Seq::ZERO)),
        text => {
            let head = api.store.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
            let cursor = text.parse::<Cursor>().ok().filter(|c| c.epoch == head.epoch && c.seq <= head.seq);
            cursor.map(|cursor| From::At(cursor.seq)).ok_or_else(wrong)
        }
    })
}

fn show(endpoint: &Endpoint, place: Option<&PushCursor>) -> Json {
    json!({
        "id": endpoint.endpoint_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": endpoint.events,
        "exclude_own": endpoint.exclude_own.is_some(),
        "mode": "single",
        "order": endpoint.order,
        "timeout_s": endpoint.timeout_s,
        "state": endpoint.state,
        "created": moment::seconds(endpoint.created_at),
        "through_seq": place.map(|place| place.seq),
        "failing_since": place.and_then(|place| place.failing_since).map(moment::seconds),
    })
}
