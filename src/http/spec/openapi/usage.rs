//! The schema of `/usage`.

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{object, timestamp};

pub(super) fn schema() -> Json {
    let calls = || json!({"type": "integer", "minimum": 0});
    let day = object(json!({"date": {"type": "string", "format": "date"}, "calls": calls()}), &[]);
    let day = named("UsageDay", day);
    object(
        json!({
            "tier": {"type": "string", "description": "The name of the account's tier."},
            "limit": calls(),
            "used": calls(),
            "remaining": calls(),
            "resets_at": timestamp(),
            "days": {"type": "array", "items": day, "description": "From the first of the month to today."},
        }),
        &[],
    )
}
