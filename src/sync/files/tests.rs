//! A record that is exported and imported into an empty account is equal to what it was.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::attributes::FileAttributes;
use super::cells;
use super::lines::{Line, Lines};
use super::operations::{Mapping, MappingOptions, MatchBy, Sender};
use crate::contract::record::RecordJson;
use crate::domain::fixture::{arbitrary, given};
use crate::domain::record::normalize_key;
use crate::domain::{AccountId, Entity, Field, FieldKind, Link, Record, Role, Value};

/// The fields that files have, with links as names.
fn comparable(record: &Record) -> BTreeMap<Field, Json> {
    let names = |links: &[Link]| json!(links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>());
    let fields = record.fields.iter().filter_map(|(field, value)| match (field.kind(), value) {
        (FieldKind::Custom(_) | FieldKind::Audiences | FieldKind::Person, _) => None,
        (_, Value::Links(links)) => Some((*field, names(links))),
        (_, value) => Some((*field, json!(format!("{value:?}")))),
    });
    fields.collect()
}

/// A record that a client could have written: it has its required fields, and no two links to one name.
fn written(entity: Entity) -> impl Strategy<Value = Record> {
    arbitrary::record(entity).prop_map(move |mut record| {
        record.fields.insert(Field::Role, Value::Role(Role::Lead));
        let required: &[Field] = if entity == Entity::Contact { &[Field::FirstName, Field::LastName] } else { &[] };
        for name in required {
            record.fields.entry(*name).or_insert_with(|| Value::Text(String::new()));
        }
        if entity == Entity::Company {
            record.fields.entry(Field::Name).or_insert_with(|| Value::Text("Acme".to_owned()));
        }
        for value in record.fields.values_mut() {
            if let Value::Links(links) = value {
                let mut seen = HashSet::new();
                links.retain(|link| seen.insert(normalize_key(&link.name)));
            }
        }
        record
    })
}

/// Writes a record to a file, reads it, and executes its line in an empty account.
fn round_trip(record: &Record, delimiter: u8) -> Result<Record, String> {
    let entity = record.entity;
    let columns = FileAttributes::of(entity, &[]).exported();
    let text = serde_json::to_string(&RecordJson(record)).map_err(|error| error.to_string())?;
    let json: Map<String, Json> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(columns.iter().map(|column| column.name.as_str())).map_err(|error| error.to_string())?;
    let cells = columns.iter().map(|column| cells::protected(&column.attribute.cell(&json)).into_owned());
    writer.write_record(cells).map_err(|error| error.to_string())?;
    let file = writer.into_inner().map_err(|error| error.to_string())?;

    let mut lines = Lines::new(&file[..], delimiter).map_err(|error| error.to_string())?;
    let options = MappingOptions {
        map: Vec::new(),
        set: Vec::new(),
        ref_column: Some("uid".to_owned()),
        matching: MatchBy::None,
        clear_empty: false,
        create_companies: true,
    };
    let mapping = Mapping::new(entity, &options, &FileAttributes::of(entity, &[]), lines.header())?;
    let sender = Sender { account: AccountId(record.uid.0), origin: "test".into(), run: "run".to_owned() };
    let Ok(Some(Line::Cells { line: 2, cells })) = lines.next() else { return Err("no line".to_owned()) };
    let envelope = mapping.envelope(&sender, 2, &cells)?;
    let mut account = given([]);
    for (command, ..) in envelope.steps() {
        let outcome = account.when(command.clone());
        if let Err(refusal) = outcome.decision() {
            return Err(format!("{refusal:?}"));
        }
        account = outcome.apply();
    }
    let imported = account.records().find(|other| other.entity == entity).cloned();
    imported.ok_or_else(|| "no record".to_owned())
}

proptest! {
    #[test]
    fn an_exported_contact_is_imported_as_it_was(
        record in written(Entity::Contact), delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')]
    ) {
        let imported = round_trip(&record, delimiter);
        prop_assert_eq!(imported.map(|imported| comparable(&imported)), Ok(comparable(&record)));
    }

    #[test]
    fn an_exported_company_is_imported_as_it_was(record in written(Entity::Company)) {
        let imported = round_trip(&record, b',');
        prop_assert_eq!(imported.map(|imported| comparable(&imported)), Ok(comparable(&record)));
    }
}
