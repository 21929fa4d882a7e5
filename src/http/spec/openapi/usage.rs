//! The schema of `/usage`.

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{object, timestamp, words};
use crate::domain::account::Tier;

pub(super) fn schema() -> Json {
    let calls = || json!({"type": "integer", "minimum": 0});
    let day = object(json!({"date": {"type": "string", "format": "date"}, "calls": calls()}), &[]);
    let day = named("UsageDay", day);
    object(
        json!({
            "tier": words("Tier", &Tier::ALL.map(Tier::name)),
            "limit": calls(),
            "used": calls(),
            "remaining": calls(),
            "resets_at": timestamp(),
            "days": {"type": "array", "items": day, "description": "From the first of the month to today."},
        }),
        &[],
    )
}
