//! `/marketing/subscribe`: many contacts at once, each by itself.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use super::Api;
use super::auth::Caller;
use super::extract::Write;
use super::problem::Problem;
use super::{envelope, records};
use crate::clock;
use crate::command::{Failure, Idempotency, Order, Receipt};
use crate::contract::input::subscriptions;
use crate::domain::Refusal;

/// Stands between a request's idempotency key and an item's place: no header has it.
const BETWEEN: char = '\u{1}';

pub(super) async fn subscribe(State(api): State<Arc<Api>>, caller: Caller, write: Write) -> Result<Response, Problem> {
    let commands = subscriptions(write.json()?, &mut clock::fresh_uid)?;
    let share = write.body.len() / commands.len().max(1);
    let mut submitted = 0_usize;
    let mut orders = commands.into_iter().map(|command| {
        let order = command.map(|command| Order {
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
    let mut results = Vec::new();
    for order in orders.by_ref() {
        let is_guard = order.is_ok();
        results.push(carry_out(&api, order).await);
        if is_guard {
            break;
        }
    }
    if let Some(Err(Failure::Refused { refusal: Refusal::KeyReused, .. })) = results.last() {
        return Err(Refusal::KeyReused.into());
    }
    // Put into the lane one after the other when first polled, so they are carried out in their order.
    let rest: Vec<_> = orders.map(|order| carry_out(&api, order)).collect();
    results.extend(futures_util::future::join_all(rest).await);
    answer(&results)
}

fn of_item(whole: &Idempotency, place: usize) -> Idempotency {
    let of = |key: &str| if place == 0 { key.to_owned() } else { format!("{key}{BETWEEN}{place}") };
    Idempotency { key: of(&whole.key), unscoped_key: of(&whole.unscoped_key), request_hash: whole.request_hash }
}

async fn carry_out(api: &Api, order: Result<Order, Refusal>) -> Result<Receipt, Failure> {
    match order {
        Ok(order) => api.lanes.submit(order).await,
        Err(refusal) => Err(Failure::Refused { refusal, replayed: false }),
    }
}

/// A success when one item was managed. When none was, the first trouble that is not an item's own is the answer.
fn answer(results: &[Result<Receipt, Failure>]) -> Result<Response, Problem> {
    let managed = results.iter().filter(|result| result.is_ok()).count();
    let trouble = results.iter().find_map(|result| match result {
        Err(failure @ (Failure::Full | Failure::Unavailable | Failure::Broken | Failure::NoAccount)) => Some(failure),
        Ok(_) | Err(Failure::Refused { .. }) => None,
    });
    match trouble {
        Some(failure) if managed == 0 => return Err(Problem::from(failure.clone())),
        Some(_) | None => {}
    }
    let items = results.iter().enumerate().map(|(place, result)| match result {
        Ok(receipt) => {
            json!({"index": place, "success": true, "uid": receipt.done.uid, "version": receipt.done.version})
        }
        Err(failure) => Problem::from(failure.clone()).item(place),
    });
    let data: Vec<_> = items.collect();
    let replayed = trouble.is_none() && results.iter().any(is_replayed);
    if managed == 0 {
        return Err(Problem::no_item_managed(&data).replayed(replayed));
    }
    let message = format!("{managed} of {} subscriptions were managed.", results.len());
    let mut response = envelope::success(hyper::StatusCode::OK, &message, &json!(data).to_string(), &json!({}));
    if replayed {
        records::mark_replayed(&mut response);
    }
    Ok(response)
}

/// Where one is the stored answer, all are: they were stored under one key.
fn is_replayed(result: &Result<Receipt, Failure>) -> bool {
    matches!(result, Ok(Receipt { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }))
}
