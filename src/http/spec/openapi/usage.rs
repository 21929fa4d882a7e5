//! The schema of `/usage`.

use serde_json::{Value as Json, json};

use super::shape::{object, timestamp};
use crate::domain::account::Tier;

pub(super) fn schema() -> Json {
    let calls = || json!({"type": "integer", "minimum": 0});
    let day = object(json!({"date": {"type": "string", "format": "date"}, "calls": calls()}), &[]);
    object(
        json!({
            "tier": {"enum": Tier::ALL.map(Tier::name)},
            "limit": calls(),
            "used": calls(),
            "remaining": calls(),
            "resets_at": timestamp(),
            "days": {"type": "array", "items": day, "description": "From the first of the month to today."},
        }),
        &[],
    )
}
