//! Compares rows of read models with the rows that the log gives.

use serde_json::{Map, Value as Json};

use crate::domain::{Entity, Uid};
use crate::store::rebuild::StoredRow;
use crate::store::row::Row;

/// A value of a read model that is not as the log gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The record, where the value is one record's.
    pub(crate) record: Option<(Entity, Uid)>,
    /// The column, with the attribute inside a record: `contact.record.phone`.
    pub(crate) field: String,
    pub(crate) expected: String,
    pub(crate) stored: String,
}

impl Difference {
    pub(crate) fn of_record(
        (entity, uid): (Entity, Uid),
        field: impl Into<String>,
        expected: impl ToString,
        stored: impl ToString,
    ) -> Self {
        Self {
            record: Some((entity, uid)),
            field: field.into(),
            expected: expected.to_string(),
            stored: stored.to_string(),
        }
    }

    pub(crate) fn of_account(field: impl Into<String>, expected: impl ToString, stored: impl ToString) -> Self {
        Self { record: None, field: field.into(), expected: expected.to_string(), stored: stored.to_string() }
    }
}

/// Returns the first column by which a stored row differs from the expected one.
pub(crate) fn compare(expected: &Row, stored: &StoredRow) -> Option<Difference> {
    let record = (expected.entity, expected.uid);
    let none = || "null".to_owned();
    let text = |value: Option<&str>| value.map_or_else(none, str::to_owned);
    let column =
        |field: &str, expected: String, stored: String| Some(Difference::of_record(record, field, expected, stored));
    if stored.version != expected.version {
        return column("version", expected.version.to_string(), stored.version.to_string());
    }
    if stored.deleted != expected.deleted {
        return column("deleted", expected.deleted.to_string(), stored.deleted.to_string());
    }
    if stored.key != expected.key {
        return column("key", text(expected.key.as_deref()), text(stored.key.as_deref()));
    }
    if stored.role.as_deref() != expected.role {
        return column("role", text(expected.role), text(stored.role.as_deref()));
    }
    if stored.created_at != expected.created_at {
        return column("created_at", expected.created_at.to_string(), stored.created_at.to_string());
    }
    if stored.updated_at != expected.updated_at {
        return column("updated_at", expected.updated_at.to_string(), stored.updated_at.to_string());
    }
    if stored.record != expected.record {
        let (field, expected, stored) = attribute(&expected.record, &stored.record);
        return column(&field, expected, stored);
    }
    None
}

/// Finds the first attribute by which two texts of a record differ. Where their attributes are equal, the texts differ in
/// their form, and the field is the byte.
fn attribute(expected: &str, stored: &str) -> (String, String, String) {
    if let (Ok(of_log), Ok(of_model)) = (parse(expected), parse(stored)) {
        let names = of_log.keys().chain(of_model.keys());
        let shown = |value: Option<&Json>| value.map_or_else(|| "nothing".to_owned(), Json::to_string);
        for name in names {
            let (expected, stored) = (of_log.get(name), of_model.get(name));
            if expected != stored {
                return (format!("record.{name}"), shown(expected), shown(stored));
            }
        }
    }
    let same = expected.bytes().zip(stored.bytes()).take_while(|(a, b)| a == b).count();
    let from = |text: &str| text.get(text.floor_char_boundary(same)..).unwrap_or_default().to_owned();
    (format!("record, byte {same}"), from(expected), from(stored))
}

fn parse(text: &str) -> Result<Map<String, Json>, serde_json::Error> {
    serde_json::from_str(text)
}
