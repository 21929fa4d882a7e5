//! The value of one attribute, in its own type.

use std::collections::BTreeMap;

use super::{Unusable, uid, wire};
use crate::contract::generated::value::Kind as Typed;
use crate::domain::{Address, Field, FieldKind, Link, Money, Number, Person, Role, Uid, Value};

pub(super) fn write(field: Field, value: &Value) -> wire::Value {
    let kind = match value {
        Value::Text(text) => Typed::Text(text.clone()),
        Value::Role(role) => Typed::Role(write_role(*role)),
        Value::Tags(tags) => Typed::Tags(wire::Tags { tags: tags.clone() }),
        Value::Address(address) => Typed::Address(write_address(address)),
        Value::Links(links) if field.kind() == FieldKind::Circles => {
            Typed::Circles(wire::Links { links: write_links(links) })
        }
        Value::Links(links) => Typed::Companies(wire::Links { links: write_links(links) }),
        Value::Person(person) => Typed::Person(write_person(person)),
        Value::Number(number) => Typed::Number(number.get()),
        Value::Flag(flag) => Typed::Flag(*flag),
        Value::Money(money) => Typed::Money(write_money(money)),
        Value::Words(words) => Typed::Words(wire::Words { words: words.clone() }),
        Value::Audiences(ids) => Typed::Audiences(wire::Audiences { ids: ids.clone() }),
        Value::Custom(values) => Typed::Custom(wire::CustomValues { values: write_custom(field, values) }),
    };
    wire::Value { kind: Some(kind) }
}

pub(super) fn write_money(money: &Money) -> wire::Money {
    wire::Money { amount: money.amount.get(), currency: money.currency.clone() }
}

fn read_money(money: wire::Money, wrong: Unusable) -> Result<Money, Unusable> {
    let amount = Number::new(money.amount).ok_or(wrong)?;
    Ok(Money { amount, currency: money.currency })
}

pub(super) fn write_custom(field: Field, values: &BTreeMap<Uid, Value>) -> BTreeMap<String, wire::Value> {
    values.iter().map(|(uid, value)| (uid.to_string(), write(field, value))).collect()
}

/// The value of a custom field says by itself of what type it is.
fn read_custom(value: wire::Value, wrong: Unusable) -> Result<Value, Unusable> {
    match value.kind.ok_or(wrong)? {
        Typed::Text(text) => Ok(Value::Text(text)),
        Typed::Number(number) => Number::new(number).map(Value::Number).ok_or(wrong),
        Typed::Flag(flag) => Ok(Value::Flag(flag)),
        Typed::Money(money) => read_money(money, wrong).map(Value::Money),
        Typed::Words(wire::Words { words }) => Ok(Value::Words(words)),
        Typed::Role(_)
        | Typed::Tags(_)
        | Typed::Address(_)
        | Typed::Companies(_)
        | Typed::Person(_)
        | Typed::Audiences(_)
        | Typed::Custom(_)
        | Typed::Circles(_) => Err(wrong),
    }
}

/// `None` is `null`: an empty list and an address without a line are as good as absent.
pub(super) fn read(field: Field, value: wire::Value) -> Result<Option<Value>, Unusable> {
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
            | FieldKind::Type,
            Typed::Text(text),
        ) => Ok(Some(Value::Text(text))),
        (FieldKind::Role, Typed::Role(number)) => read_role(number).map(|role| role.map(Value::Role)),
        (FieldKind::Tags, Typed::Tags(wire::Tags { tags })) => Ok((!tags.is_empty()).then_some(Value::Tags(tags))),
        (FieldKind::Address, Typed::Address(address)) => {
            let address = read_address(address);
            Ok((!address.is_empty()).then_some(Value::Address(address)))
        }
        (FieldKind::Links, Typed::Companies(wire::Links { links }))
        | (FieldKind::Circles, Typed::Circles(wire::Links { links })) => {
            let links = links.into_iter().map(read_link).collect::<Result<Vec<_>, _>>()?;
            Ok((!links.is_empty()).then_some(Value::Links(links)))
        }
        (FieldKind::Person, Typed::Person(person)) => read_person(person).map(|person| Some(Value::Person(person))),
        (FieldKind::Id, Typed::Number(number)) => Number::new(number).map(|id| Some(Value::Number(id))).ok_or(wrong),
        (FieldKind::Money, Typed::Money(money)) => read_money(money, wrong).map(|money| Some(Value::Money(money))),
        (FieldKind::Words, Typed::Words(wire::Words { words })) => {
            Ok((!words.is_empty()).then_some(Value::Words(words)))
        }
        (FieldKind::Audiences, Typed::Audiences(wire::Audiences { ids })) => {
            Ok((!ids.is_empty()).then_some(Value::Audiences(ids)))
        }
        (FieldKind::Custom(_), Typed::Custom(wire::CustomValues { values })) => {
            let values = values.into_iter().map(|(key, value)| Ok((uid(&key)?, read_custom(value, wrong)?)));
            let values = values.collect::<Result<BTreeMap<_, _>, Unusable>>()?;
            Ok((!values.is_empty()).then_some(Value::Custom(values)))
        }
        _ => Err(wrong),
    }
}

pub(super) fn write_role(role: Role) -> i32 {
    let role = match role {
        Role::Lead => wire::Role::Lead,
        Role::Prospect => wire::Role::Prospect,
        Role::Client => wire::Role::Client,
    };
    role.into()
}

fn read_role(number: i32) -> Result<Option<Role>, Unusable> {
    match wire::Role::try_from(number) {
        Ok(wire::Role::Unspecified) => Ok(None),
        Ok(wire::Role::Lead) => Ok(Some(Role::Lead)),
        Ok(wire::Role::Prospect) => Ok(Some(Role::Prospect)),
        Ok(wire::Role::Client) => Ok(Some(Role::Client)),
        Err(_) => Err(Unusable("role")),
    }
}

pub(super) fn write_address(address: &Address) -> wire::Address {
    let Address { address_line_1, address_line_2, city, state, country, zip } = address.clone();
    wire::Address { address_line_1, address_line_2, city, state, country, zip }
}

fn read_address(address: wire::Address) -> Address {
    let wire::Address { address_line_1, address_line_2, city, state, country, zip } = address;
    Address { address_line_1, address_line_2, city, state, country, zip }
}

pub(super) fn write_links(links: &[Link]) -> Vec<wire::Link> {
    links.iter().map(|Link { uid, name }| wire::Link { uid: uid.to_string(), name: name.clone() }).collect()
}

fn read_link(link: wire::Link) -> Result<Link, Unusable> {
    Ok(Link { uid: uid(&link.uid)?, name: link.name })
}

pub(super) fn write_person(person: &Person) -> wire::Person {
    let Person { uid, first_name, last_name, email } = person.clone();
    wire::Person { uid: uid.to_string(), first_name, last_name, email }
}

fn read_person(person: wire::Person) -> Result<Person, Unusable> {
    let wire::Person { uid: text, first_name, last_name, email } = person;
    Ok(Person { uid: uid(&text)?, first_name, last_name, email })
}
