//! The value of one attribute, in its own type.

use super::{Unusable, uid, wire};
use crate::contract::generated::value::Kind as Typed;
use crate::domain::{Address, Field, Kind, Link, Person, Role, Value};

pub(super) fn write(value: &Value) -> wire::Value {
    let kind = match value {
        Value::Text(text) => Typed::Text(text.clone()),
        Value::Role(role) => Typed::Role(write_role(*role)),
        Value::Tags(tags) => Typed::Tags(wire::Tags { tags: tags.clone() }),
        Value::Address(address) => Typed::Address(write_address(address)),
        Value::Links(links) => Typed::Companies(wire::Links { links: write_links(links) }),
        Value::Person(person) => Typed::Person(write_person(person)),
    };
    wire::Value { kind: Some(kind) }
}

/// `None` is `null`: an empty list and an address without a line are as good as absent.
pub(super) fn read(field: Field, value: wire::Value) -> Result<Option<Value>, Unusable> {
    let wrong = Unusable(field.name());
    match (field.kind(), value.kind.ok_or(wrong)?) {
        (Kind::Text(_) | Kind::Email | Kind::Phone | Kind::Website, Typed::Text(text)) => Ok(Some(Value::Text(text))),
        (Kind::Role, Typed::Role(number)) => read_role(number).map(|role| role.map(Value::Role)),
        (Kind::Tags, Typed::Tags(wire::Tags { tags })) => Ok((!tags.is_empty()).then_some(Value::Tags(tags))),
        (Kind::Address, Typed::Address(address)) => {
            let address = read_address(address);
            Ok((!address.is_empty()).then_some(Value::Address(address)))
        }
        (Kind::Links, Typed::Companies(wire::Links { links })) => {
            let links = links.into_iter().map(read_link).collect::<Result<Vec<_>, _>>()?;
            Ok((!links.is_empty()).then_some(Value::Links(links)))
        }
        (Kind::Person, Typed::Person(person)) => read_person(person).map(|person| Some(Value::Person(person))),
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
