//! Validates the values that clients send for custom fields.

use std::collections::BTreeMap;

use super::choice::Choices;
use super::{Definition, FieldGroup, FieldType};
use crate::domain::decision::{Reads, View};
use crate::domain::field::FieldOwner;
use crate::domain::value::{date, email, flag, plain, timestamp, website};
use crate::domain::{
    Entity, Field, FieldKind, Invalid, Money, Number, Patch, Record, Refusal, Uid, ValidationErrors, Value,
};

/// The longest text that is read as a number, in bytes. No number needs more digits to differ from its neighbours.
const MAX_NUMBER: usize = 400;

/// A value for one custom field, of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The attribute that keeps it.
    pub field: Field,
    /// The key of the body under which the client sent it.
    pub key: &'static str,
    pub uid: Uid,
    pub value: UntypedValue,
}

/// A value whose field's type is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UntypedValue {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    Words(Vec<String>),
    Money(Number, String),
    /// A value that fits no type.
    Other,
}

impl UntypedValue {
    /// True when a client sends back the stored value, possibly as a string.
    fn is(&self, stored: &Value) -> bool {
        match (self, stored) {
            (Self::Text(text), Value::Number(number)) => parsed(text).as_ref() == Some(number),
            (Self::Text(text), Value::Flag(stored)) => flag(text) == Some(*stored),
            (Self::Number(number), Value::Text(text)) => number.to_string() == *text,
            (sent, stored) => *sent == Self::of(stored),
        }
    }

    /// A stored value, as a client sends it back.
    fn of(value: &Value) -> Self {
        match value {
            Value::Text(text) => Self::Text(text.clone()),
            Value::Number(number) => Self::Number(*number),
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Money(money) => Self::Money(money.amount, money.currency.clone()),
            Value::Words(words) => Self::Words(words.clone()),
            Value::Role(_)
            | Value::Tags(_)
            | Value::Address(_)
            | Value::Links(_)
            | Value::Person(_)
            | Value::Audiences(_)
            | Value::Custom(_)
            | Value::OfField(_) => Self::Other,
        }
    }
}

/// Adds the definitions of the inputs' fields to the reads.
pub(in crate::domain) fn read(inputs: &[Input], reads: &mut Reads) {
    reads.uids.extend(inputs.iter().map(|input| (Entity::CustomField, input.uid)));
}

/// Merges the inputs with the record's values and puts the result into the patch. Refuses with an error for each invalid
/// input.
pub(in crate::domain) fn resolve(
    view: &impl View,
    record: Option<&Record>,
    inputs: Vec<Input>,
    patch: &mut Patch,
) -> Result<(), Refusal> {
    let mut merged: BTreeMap<Field, BTreeMap<Uid, Value>> = BTreeMap::new();
    let mut errors = ValidationErrors::default();
    let mut choices = Choices::default();
    let mut resolved: BTreeMap<(Field, Uid), Option<Value>> = BTreeMap::new();
    for Input { field, key, uid, value } in inputs {
        let values = merged.entry(field).or_insert_with(|| base_values(record, patch, field));
        let value = validate(view, &mut choices, field, uid, value, current_value(record, field, uid));
        match value.and_then(|value| only_once(view, uid, resolved.get(&(field, uid)), value)) {
            Ok(value) => {
                resolved.insert((field, uid), value.clone());
                match value {
                    Some(value) => values.insert(uid, value),
                    None => values.remove(&uid),
                };
            }
            Err(detail) => errors.push(Invalid::new(&format!("{key}/{uid}"), detail)),
        }
    }
    errors.into_result(())?;
    for (field, values) in merged {
        patch.insert(field, (!values.is_empty()).then_some(Value::Custom(values)));
    }
    Ok(())
}

/// Removes the values of these groups from a company's values.
pub(in crate::domain) fn clear(view: &impl View, record: &Record, groups: &[FieldGroup], patch: &mut Patch) {
    let field = Field::CompanyCustomFields;
    if groups.is_empty() {
        return;
    }
    let mut values = base_values(Some(record), patch, field);
    values.retain(|uid, _| {
        let definition = view.needed(Entity::CustomField, *uid).and_then(Definition::of);
        // A company shows the values of a field without a definition among the public ones.
        let group = definition.and_then(|definition| definition.group()).unwrap_or(FieldGroup::Public);
        !groups.contains(&group)
    });
    patch.insert(field, (!values.is_empty()).then_some(Value::Custom(values)));
}

/// The values that the inputs are merged with: those of the patch, which clears some, or else those of the record.
fn base_values(record: Option<&Record>, patch: &Patch, field: Field) -> BTreeMap<Uid, Value> {
    let current = || record.and_then(|record| record.fields.get(&field));
    match patch.get(&field).map_or_else(current, Option::as_ref) {
        Some(Value::Custom(values)) => values.clone(),
        _ => BTreeMap::new(),
    }
}

fn current_value(record: Option<&Record>, field: Field, uid: Uid) -> Option<&Value> {
    let Some(Value::Custom(values)) = record?.fields.get(&field) else { return None };
    values.get(&uid)
}

/// Refuses a second value for a field in one body, which can name it under several keys, unless it equals the first.
fn only_once(
    view: &impl View,
    uid: Uid,
    earlier: Option<&Option<Value>>,
    value: Option<Value>,
) -> Result<Option<Value>, String> {
    if earlier.is_none_or(|earlier| *earlier == value) {
        return Ok(value);
    }
    let label =
        view.by_uid(Entity::CustomField, uid).and_then(Definition::of).map_or("", |definition| definition.label);
    Err(format!("The custom field \"{label}\" ({uid}) has another value under another key of this body."))
}

/// `Ok(None)` is `null`. An error names the field by its label and uid, because people do not recognise a uid.
fn validate(
    view: &impl View,
    choices: &mut Choices,
    field: Field,
    uid: Uid,
    value: UntypedValue,
    current: Option<&Value>,
) -> Result<Option<Value>, String> {
    // A client may always clear a value or send back the value that it read, even when the field has changed since.
    if let Some(current) = current
        && (value == UntypedValue::Null || value.is(current))
    {
        return Ok((value != UntypedValue::Null).then(|| current.clone()));
    }
    let FieldKind::Custom(owner) = field.kind() else { return Err("Has no custom fields.".to_owned()) };
    let definition = view.by_uid(Entity::CustomField, uid).and_then(Definition::of);
    let Some(definition) = definition.filter(|definition| has_fields_of(owner, definition.owner)) else {
        return Err(format!("There is no custom field {uid} of {}.", plural(owner)));
    };
    let named = |detail: &str| format!("The custom field \"{}\" ({uid}) {detail}", definition.label);
    if definition.archived {
        return Err(named("is archived and takes no values."));
    }
    typed(&definition, choices, value).map_err(|detail| named(&uncapitalised(&detail)))
}

/// Whether the records of `owner` have the custom fields of `defined`. Companies have target fields too.
fn has_fields_of(owner: FieldOwner, defined: FieldOwner) -> bool {
    owner == defined || (owner, defined) == (FieldOwner::Company, FieldOwner::Target)
}

fn plural(owner: FieldOwner) -> &'static str {
    match owner {
        FieldOwner::Contact => "contacts",
        FieldOwner::Company => "companies",
        FieldOwner::Project => "projects",
        FieldOwner::Target => "targets",
    }
}

fn uncapitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

fn typed(definition: &Definition<'_>, choices: &mut Choices, value: UntypedValue) -> Result<Option<Value>, String> {
    let kind = definition.kind;
    match (kind, value) {
        (_, UntypedValue::Null) => Ok(None),
        (FieldType::MultiSelect, UntypedValue::Words(chosen)) => {
            choices.several(definition.allowed_values, chosen.iter().map(String::as_str))
        }
        (FieldType::MultiSelect, UntypedValue::Text(chosen)) => {
            choices.several(definition.allowed_values, chosen.split(','))
        }
        (FieldType::Checkbox, UntypedValue::Flag(flag)) => Ok(Some(Value::Flag(flag))),
        (FieldType::Checkbox, UntypedValue::Text(text)) => written(definition, choices, &text).map(Some),
        (_, UntypedValue::Text(text)) if text.trim().is_empty() => Ok(None),
        (FieldType::Number, UntypedValue::Number(number)) => Ok(Some(Value::Number(number))),
        (FieldType::Currency, UntypedValue::Money(amount, currency)) => {
            Money::new(amount, &currency).map(|money| Some(Value::Money(money)))
        }
        (_, UntypedValue::Text(text)) => written(definition, choices, &text).map(Some),
        (FieldType::MultiSelect, UntypedValue::Number(number)) => {
            choices.several(definition.allowed_values, std::iter::once(number.to_string().as_str()))
        }
        (kind, UntypedValue::Number(number)) if kind != FieldType::Currency => {
            written(definition, choices, &number.to_string()).map(Some)
        }
        _ => Err(expected(kind).to_owned()),
    }
}

fn written(definition: &Definition<'_>, choices: &mut Choices, text: &str) -> Result<Value, String> {
    match definition.kind {
        FieldType::Text => plain(text, 1_000).map(Value::Text),
        FieldType::LongText => plain(text, 16_384).map(Value::Text),
        FieldType::Phone => plain(text, 64).map(Value::Text),
        FieldType::Email => email(text).map(Value::Text),
        FieldType::Url | FieldType::File => website(text).map(Value::Text),
        FieldType::Date => date(text).map(Value::Text),
        FieldType::DateTime => timestamp(text).map(Value::Text),
        FieldType::Dropdown => choices.one(definition.allowed_values, text).map(Value::Text),
        FieldType::Number => parsed(text).map(Value::Number).ok_or_else(|| expected(definition.kind).to_owned()),
        FieldType::Checkbox => flag(text).map(Value::Flag).ok_or_else(|| expected(definition.kind).to_owned()),
        FieldType::Currency | FieldType::MultiSelect => Err(expected(definition.kind).to_owned()),
    }
}

/// A number in a text.
fn parsed(text: &str) -> Option<Number> {
    let text = Some(text.trim()).filter(|text| text.len() <= MAX_NUMBER)?;
    Number::new(text.parse().ok()?)
}

fn expected(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text
        | FieldType::LongText
        | FieldType::Dropdown
        | FieldType::Phone
        | FieldType::Email
        | FieldType::Url
        | FieldType::File
        | FieldType::Date
        | FieldType::DateTime => "Must be a string.",
        FieldType::Number => "Must be a number.",
        FieldType::Currency => "Must be an object with amount and currency.",
        FieldType::Checkbox => "Must be true or false.",
        FieldType::MultiSelect => "Must be a list of strings.",
    }
}
