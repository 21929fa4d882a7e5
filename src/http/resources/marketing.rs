//! `/marketing/subscribe`: a list of contacts, each carried out by itself.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::records::RecordsState;
use crate::clock;
use crate::command::{CommandEnvelope, CommandResult, Failure, Lanes};
use crate::contract::input::subscriptions;
use crate::domain::Refusal;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::request::replays::{self, OnlyReplay};
use crate::http::response::envelope;
use crate::http::response::limits;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;
use crate::store::Store;

pub(in crate::http) async fn subscribe(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    only_replay: Option<Extension<OnlyReplay>>,
    write: Write,
) -> Result<Response, Problem> {
    let commands = subscriptions(write.json()?, &mut clock::fresh_uid)?;
    if let Some(Extension(OnlyReplay { status })) = only_replay {
        let items = commands.iter().filter(|command| command.is_ok()).count();
        if !are_stored(&state.store, &caller, &write, items).await? {
            return Ok(limits::refuse_month(&status));
        }
    }
    let share = write.body.len() / commands.len().max(1);
    let mut submitted = 0_usize;
    let mut envelopes = commands.into_iter().map(|command| {
        let envelope = command.map(|command| CommandEnvelope {
            idempotency: write.idempotency.as_ref().map(|whole| whole.at(submitted)),
            traceparent: write.traceparent.clone(),
            bytes: share,
            ..CommandEnvelope::new(caller.account, Arc::clone(&caller.origin), command)
        });
        submitted += usize::from(envelope.is_ok());
        envelope
    });
    // The first command has the request's own key. If that key belongs to another request, the whole list is refused.
    let mut items = Vec::new();
    for envelope in envelopes.by_ref() {
        let is_guard = envelope.is_ok();
        items.push(execute(&state.lanes, envelope).await);
        if is_guard {
            break;
        }
    }
    if let Some(SubscriptionItem { outcome: Err(Failure::Refused { refusal: Refusal::KeyReused, .. }), .. }) =
        items.last()
    {
        return Err(Refusal::KeyReused.into());
    }
    // Each command enters the lane when first polled, so they are carried out in the order of the list.
    let rest: Vec<_> = envelopes.map(|envelope| execute(&state.lanes, envelope)).collect();
    items.extend(futures_util::future::join_all(rest).await);
    answer(&items)
}

/// The result of one item.
struct SubscriptionItem {
    /// Whether the item was a valid command.
    submitted: bool,
    outcome: Result<CommandResult, Failure>,
}

/// Whether every command among the items was carried out before.
async fn are_stored(store: &Store, caller: &Caller, write: &Write, items: usize) -> Result<bool, Problem> {
    let Some(whole) = &write.idempotency else { return Ok(false) };
    let requests: Vec<_> = (0..items).map(|index| whole.at(index)).collect();
    Ok(!requests.is_empty() && replays::are_stored(store, caller, &requests).await?)
}

async fn execute(lanes: &Lanes, envelope: Result<CommandEnvelope, Refusal>) -> SubscriptionItem {
    match envelope {
        Ok(envelope) => SubscriptionItem { submitted: true, outcome: lanes.submit(envelope).await },
        Err(refusal) => {
            SubscriptionItem { submitted: false, outcome: Err(Failure::Refused { refusal, replayed: false }) }
        }
    }
}

/// A success when at least one item was carried out. Else the first failure that concerns the whole service, or a
/// refusal with the reason of each item.
fn answer(items: &[SubscriptionItem]) -> Result<Response, Problem> {
    let managed = items.iter().filter(|item| item.outcome.is_ok()).count();
    let trouble = items.iter().find_map(|item| match &item.outcome {
        Err(failure @ (Failure::Full | Failure::Unavailable | Failure::Broken | Failure::NoAccount)) => Some(failure),
        Ok(_) | Err(Failure::Refused { .. } | Failure::StepRefused { .. }) => None,
    });
    match trouble {
        Some(failure) if managed == 0 => return Err(Problem::from(failure.clone())),
        Some(_) | None => {}
    }
    let replayed = is_replay(items);
    let data: Vec<_> = items.iter().enumerate().map(|(index, item)| item.shown(index, replayed)).collect();
    if managed == 0 {
        return Err(Problem::no_item_managed(&data).replayed(replayed));
    }
    let message = format!("{managed} of {} subscriptions were managed.", items.len());
    let mut response = envelope::success(hyper::StatusCode::OK, &message, &json!(data).to_string(), &json!({}));
    if replayed {
        mark_replayed(&mut response);
    }
    Ok(response)
}

/// Whether nothing was carried out: the result of every command was stored. A list that was interrupted and is
/// continued now counts.
fn is_replay(items: &[SubscriptionItem]) -> bool {
    let mut submitted = items.iter().filter(|item| item.submitted).peekable();
    submitted.peek().is_some() && submitted.all(SubscriptionItem::is_replayed)
}

impl SubscriptionItem {
    fn is_replayed(&self) -> bool {
        matches!(&self.outcome, Ok(CommandResult { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }))
    }

    /// The item's place in the response. It says `replayed` only where the whole response does not: a replayed body is
    /// the stored one.
    fn shown(&self, index: usize, whole_is_replayed: bool) -> Json {
        let mut shown = match &self.outcome {
            Ok(result) => {
                json!({"index": index, "success": true, "uid": result.done.uid, "version": result.done.version})
            }
            Err(failure) => Problem::from(failure.clone()).item(index),
        };
        if let Json::Object(members) = &mut shown
            && self.is_replayed()
            && !whole_is_replayed
        {
            members.insert("replayed".to_owned(), json!(true));
        }
        shown
    }
}
