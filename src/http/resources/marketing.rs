//! `/marketing/subscribe`: many contacts at once, each by itself.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::records::RecordsState;
use crate::clock;
use crate::command::{CommandEnvelope, CommandResult, Failure, Idempotency, Lanes};
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

/// Stands between a request's idempotency key and an item's place: no header has it.
const BETWEEN: char = '\u{1}';

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
            return Ok(limits::refuse(limits::MONTH, &status, status.month.unwrap_or(status.burst)));
        }
    }
    let share = write.body.len() / commands.len().max(1);
    let mut submitted = 0_usize;
    let mut orders = commands.into_iter().map(|command| {
        let order = command.map(|command| CommandEnvelope {
            account: caller.account,
            command,
            origin: Arc::clone(&caller.origin),
            idempotency: write.idempotency.as_ref().map(|whole| of_item(whole, submitted)),
            traceparent: write.traceparent.clone(),
            bytes: share,
        });
        submitted += usize::from(order.is_ok());
        order
    });
    // The first that is submitted has the request's own key: where that is another request's, so is this whole one.
    let mut items = Vec::new();
    for order in orders.by_ref() {
        let is_guard = order.is_ok();
        items.push(execute(&state.lanes, order).await);
        if is_guard {
            break;
        }
    }
    if let Some(SubscriptionItem { outcome: Err(Failure::Refused { refusal: Refusal::KeyReused, .. }), .. }) =
        items.last()
    {
        return Err(Refusal::KeyReused.into());
    }
    // Put into the lane one after the other when first polled, so they are carried out in their order.
    let rest: Vec<_> = orders.map(|order| execute(&state.lanes, order)).collect();
    items.extend(futures_util::future::join_all(rest).await);
    answer(&items)
}

/// The outcome of one item.
struct SubscriptionItem {
    /// Whether it was a command at all.
    submitted: bool,
    outcome: Result<CommandResult, Failure>,
}

/// Whether each item that would be carried out was carried out before.
async fn are_stored(store: &Store, caller: &Caller, write: &Write, items: usize) -> Result<bool, Problem> {
    let Some(whole) = &write.idempotency else { return Ok(false) };
    let requests: Vec<_> = (0..items).map(|index| of_item(whole, index)).collect();
    Ok(!requests.is_empty() && replays::are_stored(store, caller, &requests).await?)
}

fn of_item(whole: &Idempotency, index: usize) -> Idempotency {
    let of = |key: &str| if index == 0 { key.to_owned() } else { format!("{key}{BETWEEN}{index}") };
    Idempotency { key: of(&whole.key), unscoped_key: of(&whole.unscoped_key), request_hash: whole.request_hash }
}

async fn execute(lanes: &Lanes, order: Result<CommandEnvelope, Refusal>) -> SubscriptionItem {
    match order {
        Ok(order) => SubscriptionItem { submitted: true, outcome: lanes.submit(order).await },
        Err(refusal) => {
            SubscriptionItem { submitted: false, outcome: Err(Failure::Refused { refusal, replayed: false }) }
        }
    }
}

/// A success when one item was managed. When none was, the first trouble that is not an item's own is the answer.
fn answer(items: &[SubscriptionItem]) -> Result<Response, Problem> {
    let managed = items.iter().filter(|item| item.outcome.is_ok()).count();
    let trouble = items.iter().find_map(|item| match &item.outcome {
        Err(failure @ (Failure::Full | Failure::Unavailable | Failure::Broken | Failure::NoAccount)) => Some(failure),
        Ok(_) | Err(Failure::Refused { .. }) => None,
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

/// Whether nothing was carried out: every item that is a command has the answer of then. A list that was cut off amid
/// its items is carried on with, and counts.
fn is_replay(items: &[SubscriptionItem]) -> bool {
    let mut submitted = items.iter().filter(|item| item.submitted).peekable();
    submitted.peek().is_some() && submitted.all(SubscriptionItem::is_replayed)
}

impl SubscriptionItem {
    fn is_replayed(&self) -> bool {
        matches!(&self.outcome, Ok(CommandResult { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }))
    }

    /// As it is answered. An item says that it is replayed where the answer as a whole is not: the body of a replay is
    /// that of then.
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
