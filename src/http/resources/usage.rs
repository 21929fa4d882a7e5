//! `/usage`: the calls that the account has made this month, and those that it has left.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::json;
use time::Date;

use crate::contract::timestamp;
use crate::domain::tier::{Tier, Tiers};
use crate::http::request::caller::Caller;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::quota::Usage;
use crate::store::Store;

pub(in crate::http) async fn read(
    State(store): State<Arc<Store>>,
    State(tiers): State<Tiers>,
    caller: Caller,
) -> Result<Response, Problem> {
    // Where limits are enforced, the call was refused already.
    let limit = tiers.monthly_calls(&caller.tier).ok_or_else(Problem::unknown_tier)?;
    let usage = Usage::read(&store, caller.account).await?;
    Ok(render(&caller.tier, limit, &usage))
}

/// Renders the month's calls.
pub(in crate::http) fn render(tier: &Tier, limit: u64, usage: &Usage) -> Response {
    let day = |(date, calls): &(Date, u64)| json!({"date": date.to_string(), "calls": calls});
    let data = json!({
        "tier": tier.name(),
        "limit": limit,
        "used": usage.used,
        // A tier that was lowered may have more calls used than it allows: then none remain.
        "remaining": limit.saturating_sub(usage.used),
        "resets_at": timestamp::seconds(usage.resets_at),
        "days": usage.days.iter().map(day).collect::<Vec<_>>(),
    });
    envelope::success(StatusCode::OK, "This month's calls were counted.", &data.to_string(), &json!({}))
}
