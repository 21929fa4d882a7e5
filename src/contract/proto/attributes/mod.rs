//! The attributes of a record as a message of its kind. Both directions name every attribute, so that the compiler reports a
//! missing one.

mod others;

use std::collections::BTreeMap;

use super::{Unusable, generated, value};
use crate::contract::generated::record::Entity as Attributes;
use crate::contract::generated::value::Kind as Typed;
use crate::domain::{Entity, Field, Record, Value};

pub(super) fn write(record: &Record) -> Attributes {
    match record.entity {
        Entity::Contact => Attributes::Contact(write_contact(record)),
        Entity::Company => Attributes::Company(write_company(record)),
        Entity::Project => Attributes::Project(others::write_project(record)),
        Entity::CustomField => Attributes::CustomField(others::write_custom_field(record)),
        Entity::Audience => Attributes::Audience(others::write_audience(record)),
        Entity::Circle => Attributes::Circle(generated::Circle { name: text(record, Field::Name) }),
        Entity::Note => Attributes::Note(others::write_note(record)),
        Entity::World => Attributes::World(generated::World { name: text(record, Field::Name) }),
        Entity::Push => Attributes::Push(others::write_push(record)),
        Entity::Conflict => Attributes::Conflict(others::write_conflict(record)),
    }
}

pub(super) fn read(entity: Entity, attributes: Option<Attributes>) -> Result<BTreeMap<Field, Value>, Unusable> {
    let typed = match (entity, attributes) {
        (Entity::Contact, Some(Attributes::Contact(contact))) => contact_fields(contact),
        (Entity::Company, Some(Attributes::Company(company))) => company_fields(company),
        (Entity::Project, Some(Attributes::Project(project))) => others::project_fields(project),
        (Entity::CustomField, Some(Attributes::CustomField(field))) => others::custom_field_fields(field),
        (Entity::Audience, Some(Attributes::Audience(audience))) => others::audience_fields(audience),
        (Entity::Circle, Some(Attributes::Circle(circle))) => set_fields([(Field::Name, circle.name.map(Typed::Text))]),
        (Entity::Note, Some(Attributes::Note(note))) => others::note_fields(note),
        (Entity::World, Some(Attributes::World(world))) => set_fields([(Field::Name, world.name.map(Typed::Text))]),
        (Entity::Push, Some(Attributes::Push(push))) => others::push_fields(push),
        (Entity::Conflict, Some(Attributes::Conflict(conflict))) => others::conflict_fields(conflict),
        _ => return Err(Unusable("entity")),
    };
    let mut fields = BTreeMap::new();
    for (field, kind) in typed {
        if let Some(value) = value::read(field, generated::Value { kind: Some(kind) })? {
            fields.insert(field, value);
        }
    }
    Ok(fields)
}

fn write_contact(record: &Record) -> generated::Contact {
    let text = |field| text(record, field);
    generated::Contact {
        role: role(record),
        name_prefix: text(Field::NamePrefix),
        first_name: text(Field::FirstName),
        last_name: text(Field::LastName),
        title: text(Field::Title),
        email: text(Field::Email),
        home_email: text(Field::HomeEmail),
        work_email: text(Field::WorkEmail),
        phone: text(Field::Phone),
        home_phone: text(Field::HomePhone),
        work_phone: text(Field::WorkPhone),
        shop_phone: text(Field::ShopPhone),
        website: text(Field::Website),
        background_info: text(Field::BackgroundInfo),
        tags: tags(record),
        address: address(record),
        companies: links(record, Field::Companies),
        circles: links(record, Field::Circles),
        audiences: match record.fields.get(&Field::Audiences) {
            Some(Value::Audiences(ids)) => ids.clone(),
            _ => Vec::new(),
        },
        custom_fields: custom(record, Field::CustomFields),
        target_custom_fields: custom(record, Field::TargetCustomFields),
    }
}

fn contact_fields(contact: generated::Contact) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Role, Some(Typed::Role(contact.role))),
        (Field::NamePrefix, contact.name_prefix.map(Typed::Text)),
        (Field::FirstName, contact.first_name.map(Typed::Text)),
        (Field::LastName, contact.last_name.map(Typed::Text)),
        (Field::Title, contact.title.map(Typed::Text)),
        (Field::Email, contact.email.map(Typed::Text)),
        (Field::HomeEmail, contact.home_email.map(Typed::Text)),
        (Field::WorkEmail, contact.work_email.map(Typed::Text)),
        (Field::Phone, contact.phone.map(Typed::Text)),
        (Field::HomePhone, contact.home_phone.map(Typed::Text)),
        (Field::WorkPhone, contact.work_phone.map(Typed::Text)),
        (Field::ShopPhone, contact.shop_phone.map(Typed::Text)),
        (Field::Website, contact.website.map(Typed::Text)),
        (Field::BackgroundInfo, contact.background_info.map(Typed::Text)),
        (Field::Tags, Some(Typed::Tags(generated::Tags { tags: contact.tags }))),
        (Field::Address, contact.address.map(Typed::Address)),
        (Field::Companies, Some(Typed::Companies(generated::Links { links: contact.companies }))),
        (Field::Circles, Some(Typed::Circles(generated::Links { links: contact.circles }))),
        (Field::Audiences, Some(Typed::Audiences(generated::Audiences { ids: contact.audiences }))),
        (Field::CustomFields, Some(read_custom(contact.custom_fields))),
        (Field::TargetCustomFields, Some(read_custom(contact.target_custom_fields))),
    ])
}

fn write_company(record: &Record) -> generated::Company {
    let text = |field| text(record, field);
    generated::Company {
        role: role(record),
        name: text(Field::Name),
        phone: text(Field::Phone),
        home_phone: text(Field::HomePhone),
        work_phone: text(Field::WorkPhone),
        shop_phone: text(Field::ShopPhone),
        website: text(Field::Website),
        background_info: text(Field::BackgroundInfo),
        tags: tags(record),
        address: address(record),
        primary_contact: primary_contact(record),
        custom_fields: custom(record, Field::CompanyCustomFields),
        category: text(Field::Category),
    }
}

fn company_fields(company: generated::Company) -> Vec<(Field, Typed)> {
    set_fields([
        (Field::Role, Some(Typed::Role(company.role))),
        (Field::Name, company.name.map(Typed::Text)),
        (Field::Phone, company.phone.map(Typed::Text)),
        (Field::HomePhone, company.home_phone.map(Typed::Text)),
        (Field::WorkPhone, company.work_phone.map(Typed::Text)),
        (Field::ShopPhone, company.shop_phone.map(Typed::Text)),
        (Field::Website, company.website.map(Typed::Text)),
        (Field::BackgroundInfo, company.background_info.map(Typed::Text)),
        (Field::Tags, Some(Typed::Tags(generated::Tags { tags: company.tags }))),
        (Field::Address, company.address.map(Typed::Address)),
        (Field::PrimaryContact, company.primary_contact.map(Typed::Person)),
        (Field::CompanyCustomFields, Some(read_custom(company.custom_fields))),
        (Field::Category, company.category.map(Typed::Text)),
    ])
}

fn set_fields<const N: usize>(fields: [(Field, Option<Typed>); N]) -> Vec<(Field, Typed)> {
    fields.into_iter().filter_map(|(field, typed)| Some((field, typed?))).collect()
}

fn role(record: &Record) -> i32 {
    match record.fields.get(&Field::Role) {
        Some(Value::Role(role)) => value::write_role(*role),
        _ => generated::Role::Unspecified.into(),
    }
}

fn tags(record: &Record) -> Vec<String> {
    match record.fields.get(&Field::Tags) {
        Some(Value::Tags(tags)) => tags.clone(),
        _ => Vec::new(),
    }
}

fn address(record: &Record) -> Option<generated::Address> {
    match record.fields.get(&Field::Address) {
        Some(Value::Address(address)) => Some(value::write_address(address)),
        _ => None,
    }
}

fn text(record: &Record, field: Field) -> Option<String> {
    record.text(field).map(str::to_owned)
}

fn custom(record: &Record, field: Field) -> BTreeMap<String, generated::Value> {
    match record.fields.get(&field) {
        Some(Value::Custom(values)) => value::write_custom(field, values),
        _ => BTreeMap::new(),
    }
}

fn read_custom(values: BTreeMap<String, generated::Value>) -> Typed {
    Typed::Custom(generated::CustomValues { values })
}

fn words(record: &Record, field: Field) -> Vec<String> {
    match record.fields.get(&field) {
        Some(Value::Words(words)) => words.clone(),
        _ => Vec::new(),
    }
}

fn links(record: &Record, field: Field) -> Vec<generated::Link> {
    match record.fields.get(&field) {
        Some(Value::Links(links)) => value::write_links(links),
        _ => Vec::new(),
    }
}

fn primary_contact(record: &Record) -> Option<generated::Person> {
    match record.fields.get(&Field::PrimaryContact) {
        Some(Value::Person(person)) => Some(value::write_person(person)),
        _ => None,
    }
}
