//! The resolution of a conflict in JSON: `{"take": "kept"}`, `{"take": "lost"}` or
//! `{"take": "value", "value": {"phone": "+31201234567"}}`.

use serde_json::{Map, Value as Json};

use super::input::{self, Fresh, InputKind};
use crate::domain::sync::Resolution;
use crate::domain::{Command, Field, Invalid, Refusal, Target};

/// Reads a resolution.
pub(crate) fn read(body: Json, fresh: Fresh<'_>) -> Result<Resolution, Refusal> {
    let Json::Object(mut body) = body else { return Err(Invalid::of_body("Must be an object with take.").into()) };
    let other = body.remove("value").filter(|json| !json.is_null()).map(|json| value(json, fresh)).transpose()?;
    match (body.remove("take").as_ref().and_then(Json::as_str), other) {
        (Some("kept"), _) => Ok(Resolution::Kept),
        (Some("lost"), _) => Ok(Resolution::Lost),
        (Some("value"), Some(value)) => Ok(value),
        (Some("value"), None) => Err(Invalid::new("value", "Is required.").into()),
        (Some(_) | None, _) => Err(Invalid::new("take", "Must be kept, lost or value.").into()),
    }
}

/// Reads a value with its attribute. The kind of record follows from the conflict, so that the value is read as an attribute
/// of each kind that has it; the decision takes the one that fits.
fn value(json: Json, fresh: Fresh<'_>) -> Result<Resolution, Refusal> {
    let wrong =
        || Invalid::new("value", "Must be the attribute with its value, such as {\"phone\": \"+31201234567\"}.");
    let Json::Object(value) = json else { return Err(wrong().into()) };
    let mut names = value.keys();
    let (Some(name), None) = (names.next(), names.next()) else { return Err(wrong().into()) };
    if Field::of_records(name).is_none() {
        return Err(wrong().into());
    }
    let mut read = |kind: InputKind| read_value(kind, &value, &mut *fresh);
    Ok(Resolution::Value(Box::new([read(InputKind::Contact)?, read(InputKind::Company)?, read(InputKind::Project)?])))
}

fn read_value(kind: InputKind, value: &Map<String, Json>, fresh: Fresh<'_>) -> Result<Command, Refusal> {
    let body = Json::Object(value.clone());
    input::update(kind, Target::Key(Vec::new()), None, body, fresh)
}
