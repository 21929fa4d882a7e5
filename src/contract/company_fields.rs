//! The groups of a company's custom fields.
//!
//! The log and the read model keep all values of a company under `custom_fields`. A response shows them in groups too. The
//! groups follow from the definitions of now, so that a field that became private is private in every company at once.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::record::{Corrupt, parse_uid};
use crate::domain::Uid;
use crate::domain::schema::FieldGroup;

/// The key of all values in a company's JSON. A text in JSON has no unescaped quote, so that only a key can equal it.
const ALL: &str = r#""custom_fields":"#;

/// The custom fields of which a company's JSON has values.
pub(crate) fn custom_fields_of(company: &str) -> Result<Vec<Uid>, Corrupt> {
    // Most companies have no values.
    if !company.contains(r#""custom_fields":{""#) {
        return Ok(Vec::new());
    }
    let Some((_, rest)) = company.split_once(ALL) else { return Ok(Vec::new()) };
    Ok(values(rest)?.into_iter().map(|(uid, _)| uid).collect())
}

/// A company's JSON with the groups of its values before all values. JSON without custom fields, which only the first
/// version of this service wrote, is returned as it is.
pub(crate) fn with_groups(company: &str, group_of: impl Fn(Uid) -> FieldGroup) -> Result<String, Corrupt> {
    let Some((before, rest)) = company.split_once(ALL) else { return Ok(company.to_owned()) };
    let mut groups: BTreeMap<FieldGroup, String> = FieldGroup::ALL.map(|group| (group, String::new())).into();
    for (uid, value) in values(rest)? {
        let members = groups.entry(group_of(uid)).or_default();
        let comma = if members.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _infallible = write!(members, r#"{comma}"{uid}":{value}"#);
    }
    let mut grouped = String::with_capacity(company.len() + rest.len() + 96);
    grouped.push_str(before);
    for (group, members) in groups {
        let _infallible = write!(grouped, r#""{}":{{{members}}},"#, group.name());
    }
    grouped.push_str(ALL);
    grouped.push_str(rest);
    Ok(grouped)
}

/// The values at the beginning of a text, in their order.
fn values(text: &str) -> Result<Vec<(Uid, &RawValue)>, Corrupt> {
    let mut parsed = Deserializer::from_str(text).into_iter::<BTreeMap<&str, &RawValue>>();
    let values = parsed.next().ok_or(Corrupt::Key("custom_fields"))??;
    let with_uid = |(key, value)| Some((parse_uid(key)?, value));
    values.into_iter().map(with_uid).collect::<Option<_>>().ok_or(Corrupt::Key("custom_fields"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::contract::record::RecordJson;
    use crate::domain::fixture::arbitrary;
    use crate::domain::{Entity, Field, Value};

    proptest! {
        #[test]
        fn every_value_is_in_its_group_and_among_all(company in arbitrary::record(Entity::Company)) {
            let text = serde_json::to_string(&RecordJson(&company)).expect("JSON");
            let group_of = |uid: Uid| FieldGroup::ALL[usize::try_from(uid.0.as_u128() % 3).unwrap_or(0)];
            let grouped = with_groups(&text, group_of).expect("a company");
            let mut grouped: Json = serde_json::from_str(&grouped).expect("JSON");
            let values = match company.fields.get(&Field::CompanyCustomFields) {
                Some(Value::Custom(values)) => values.clone(),
                _ => BTreeMap::new(),
            };
            let uids: Vec<Uid> = values.keys().copied().collect();
            prop_assert_eq!(custom_fields_of(&text).expect("a company"), uids.clone());
            let all = grouped["custom_fields"].clone();
            for uid in uids {
                let group = &grouped[group_of(uid).name()];
                prop_assert_eq!(&group[uid.to_string()], &all[uid.to_string()]);
            }
            let sizes = FieldGroup::ALL.map(|group| grouped[group.name()].as_object().map_or(0, serde_json::Map::len));
            prop_assert_eq!(sizes.iter().sum::<usize>(), values.len());
            for group in FieldGroup::ALL {
                grouped.as_object_mut().expect("an object").remove(group.name());
            }
            prop_assert_eq!(grouped, json!(RecordJson(&company)));
        }
    }
}
