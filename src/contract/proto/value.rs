//! The value of one attribute as a message of its type.

use std::collections::BTreeMap;

use super::{Unusable, generated, uid};
use crate::contract::generated::value::Kind as Typed;
use crate::domain::value::FieldValue;
use crate::domain::{Address, Field, FieldKind, Link, Money, Number, Person, Role, Uid, Value};

pub(super) fn write(field: Field, value: &Value) -> generated::Value {
    let kind = match value {
        Value::Text(text) => Typed::Text(text.clone()),
        Value::Role(role) => Typed::Role(write_role(*role)),
        Value::Tags(tags) => Typed::Tags(generated::Tags { tags: tags.clone() }),
        Value::Address(address) => Typed::Address(write_address(address)),
        Value::Links(links) if field.kind() == FieldKind::Circles => {
            Typed::Circles(generated::Links { links: write_links(links) })
        }
        Value::Links(links) => Typed::Companies(generated::Links { links: write_links(links) }),
        Value::Person(person) => Typed::Person(write_person(person)),
        Value::Number(number) => Typed::Number(number.get()),
        Value::Flag(flag) => Typed::Flag(*flag),
        Value::Money(money) => Typed::Money(write_money(money)),
        Value::Words(words) => Typed::Words(generated::Words { words: words.clone() }),
        Value::Audiences(ids) => Typed::Audiences(generated::Audiences { ids: ids.clone() }),
        Value::OfField(held) => Typed::FieldValue(Box::new(write_field_value(held))),
        Value::Custom(values) => Typed::Custom(generated::CustomValues { values: write_custom(field, values) }),
    };
    generated::Value { kind: Some(kind) }
}

pub(super) fn write_field_value(held: &FieldValue) -> generated::FieldValue {
    generated::FieldValue {
        field: held.field.name().to_owned(),
        value: held.value.as_ref().map(|value| Box::new(write(held.field, value))),
    }
}

pub(super) fn write_money(money: &Money) -> generated::Money {
    generated::Money { amount: money.amount.get(), currency: money.currency.clone() }
}

fn read_money(money: generated::Money, wrong: Unusable) -> Result<Money, Unusable> {
    let amount = Number::new(money.amount).ok_or(wrong)?;
    Ok(Money { amount, currency: money.currency })
}

pub(super) fn write_custom(field: Field, values: &BTreeMap<Uid, Value>) -> BTreeMap<String, generated::Value> {
    values.iter().map(|(uid, value)| (uid.to_string(), write(field, value))).collect()
}

/// Reads the value of a custom field, whose message determines its type.
fn read_custom(value: generated::Value, wrong: Unusable) -> Result<Value, Unusable> {
    match value.kind.ok_or(wrong)? {
        Typed::Text(text) => Ok(Value::Text(text)),
        Typed::Number(number) => Number::new(number).map(Value::Number).ok_or(wrong),
        Typed::Flag(flag) => Ok(Value::Flag(flag)),
        Typed::Money(money) => read_money(money, wrong).map(Value::Money),
        Typed::Words(generated::Words { words }) => Ok(Value::Words(words)),
        Typed::Role(_)
        | Typed::Tags(_)
        | Typed::Address(_)
        | Typed::Companies(_)
        | Typed::Person(_)
        | Typed::Audiences(_)
        | Typed::Custom(_)
        | Typed::Circles(_)
        | Typed::FieldValue(_) => Err(wrong),
    }
}

/// `None` is `null`. An empty list and an address without lines are `null` too.
pub(super) fn read(field: Field, value: generated::Value) -> Result<Option<Value>, Unusable> {
    let wrong = Unusable(field.name());
    match (field.kind(), value.kind.ok_or(wrong)?) {
        (
            FieldKind::Text(_)
            | FieldKind::Email
            | FieldKind::Phone
            | FieldKind::Website
            | FieldKind::Category
            | FieldKind::Date
            | FieldKind::Time
            | FieldKind::Client
            | FieldKind::Contact
            | FieldKind::Owner
            | FieldKind::Type
            | FieldKind::Visibility,
            Typed::Text(text),
        ) => Ok(Some(Value::Text(text))),
        (FieldKind::Role, Typed::Role(number)) => read_role(number).map(|role| role.map(Value::Role)),
        (FieldKind::Tags, Typed::Tags(generated::Tags { tags })) => Ok((!tags.is_empty()).then_some(Value::Tags(tags))),
        (FieldKind::Address, Typed::Address(address)) => {
            let address = read_address(address);
            Ok((!address.is_empty()).then(|| address.into()))
        }
        (FieldKind::Links, Typed::Companies(generated::Links { links }))
        | (FieldKind::Circles, Typed::Circles(generated::Links { links })) => {
            let links = links.into_iter().map(read_link).collect::<Result<Vec<_>, _>>()?;
            Ok((!links.is_empty()).then_some(Value::Links(links)))
        }
        (FieldKind::Person, Typed::Person(person)) => read_person(person).map(|person| Some(person.into())),
        (FieldKind::Id, Typed::Number(number)) => Number::new(number).map(|id| Some(Value::Number(id))).ok_or(wrong),
        (FieldKind::Money, Typed::Money(money)) => read_money(money, wrong).map(|money| Some(Value::Money(money))),
        (FieldKind::Words, Typed::Words(generated::Words { words })) => {
            Ok((!words.is_empty()).then_some(Value::Words(words)))
        }
        (FieldKind::Audiences, Typed::Audiences(generated::Audiences { ids })) => {
            Ok((!ids.is_empty()).then_some(Value::Audiences(ids)))
        }
        (FieldKind::FieldValue, Typed::FieldValue(held)) => {
            let field = Field::of_records(&held.field).ok_or(wrong)?;
            let value = held.value.map_or(Ok(None), |value| read(field, *value))?;
            Ok(Some(Value::OfField(Box::new(FieldValue { field, value }))))
        }
        (FieldKind::Custom(_), Typed::Custom(generated::CustomValues { values })) => {
            let values = values.into_iter().map(|(key, value)| Ok((uid(&key)?, read_custom(value, wrong)?)));
            let values = values.collect::<Result<BTreeMap<_, _>, Unusable>>()?;
            Ok((!values.is_empty()).then_some(Value::Custom(values)))
        }
        _ => Err(wrong),
    }
}

pub(super) fn write_role(role: Role) -> i32 {
    let role = match role {
        Role::Lead => generated::Role::Lead,
        Role::Prospect => generated::Role::Prospect,
        Role::Client => generated::Role::Client,
    };
    role.into()
}

fn read_role(number: i32) -> Result<Option<Role>, Unusable> {
    match generated::Role::try_from(number) {
        Ok(generated::Role::Unspecified) => Ok(None),
        Ok(generated::Role::Lead) => Ok(Some(Role::Lead)),
        Ok(generated::Role::Prospect) => Ok(Some(Role::Prospect)),
        Ok(generated::Role::Client) => Ok(Some(Role::Client)),
        Err(_) => Err(Unusable("role")),
    }
}

pub(super) fn write_address(address: &Address) -> generated::Address {
    let Address { address_line_1, address_line_2, city, state, country, zip } = address.clone();
    generated::Address { address_line_1, address_line_2, city, state, country, zip }
}

fn read_address(address: generated::Address) -> Address {
    let generated::Address { address_line_1, address_line_2, city, state, country, zip } = address;
    Address { address_line_1, address_line_2, city, state, country, zip }
}

pub(super) fn write_links(links: &[Link]) -> Vec<generated::Link> {
    links.iter().map(|Link { uid, name }| generated::Link { uid: uid.to_string(), name: name.clone() }).collect()
}

fn read_link(link: generated::Link) -> Result<Link, Unusable> {
    Ok(Link { uid: uid(&link.uid)?, name: link.name })
}

pub(super) fn write_person(person: &Person) -> generated::Person {
    let Person { uid, first_name, last_name, name_prefix, email, role } = person.clone();
    let role = role.map_or_else(|| generated::Role::Unspecified.into(), write_role);
    generated::Person { uid: uid.to_string(), first_name, last_name, email, name_prefix, role }
}

fn read_person(person: generated::Person) -> Result<Person, Unusable> {
    let generated::Person { uid: text, first_name, last_name, email, name_prefix, role } = person;
    Ok(Person { uid: uid(&text)?, first_name, last_name, name_prefix, email, role: read_role(role)? })
}
