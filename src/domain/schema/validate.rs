//! Validates the values that clients send for custom fields.

use std::collections::BTreeMap;

use super::choice::Choices;
use super::{Definition, FieldType};
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
    /// The attribute in which the client sent it.
    pub field: Field,
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
            | Value::Custom(_) => Self::Other,
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
    for Input { field, uid, value } in inputs {
        let values = merged.entry(field).or_insert_with(|| current_values(record, field));
        match validate(view, &mut choices, field, uid, value, values.get(&uid)) {
            Ok(Some(value)) => {
                values.insert(uid, value);
            }
            Ok(None) => {
                values.remove(&uid);
            }
            Err(detail) => errors.push(Invalid::new(&format!("{}/{uid}", field.name()), detail)),
        }
    }
    errors.into_result(())?;
    for (field, values) in merged {
        patch.insert(field, (!values.is_empty()).then_some(Value::Custom(values)));
    }
    Ok(())
}

fn current_values(record: Option<&Record>, field: Field) -> BTreeMap<Uid, Value> {
    match record.and_then(|record| record.fields.get(&field)) {
        Some(Value::Custom(values)) => values.clone(),
        _ => BTreeMap::new(),
    }
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
    let Some(definition) = definition.filter(|definition| definition.owner == owner) else {
        return Err(format!("There is no custom field {uid} of {}.", plural(owner)));
    };
    let named = |detail: &str| format!("The custom field \"{}\" ({uid}) {detail}", definition.label);
    if definition.archived {
        return Err(named("is archived and takes no values."));
    }
    typed(&definition, choices, value).map_err(|detail| named(&uncapitalised(&detail)))
}

fn plural(owner: FieldOwner) -> &'static str {
    match owner {
        FieldOwner::Contact => "contacts",
        FieldOwner::Company => "companies",
        FieldOwner::Project => "projects",
        FieldOwner::Target => "contacts' targets",
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
