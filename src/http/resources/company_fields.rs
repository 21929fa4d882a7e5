//! Companies with the values of their custom fields in groups.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::contract::company_fields::{custom_fields_of, with_groups};
use crate::contract::record::Corrupt;
use crate::domain::schema::{Definition, FieldGroup};
use crate::domain::{AccountId, Entity, Seq, Uid};
use crate::store::records::StoredRecord;
use crate::store::{Store, StoreError};

/// The groups of the custom fields of which some companies have values.
#[derive(Default)]
pub(in crate::http) struct FieldGroups {
    /// Without fields whose definition was erased, which are shown among the public ones.
    groups: HashMap<Uid, FieldGroup>,
    /// The position of the last change of the fields' definitions.
    pub(in crate::http) changed_at: Seq,
}

impl FieldGroups {
    /// Reads the definitions of the fields of which these records have values. Records without values need no statement.
    pub(in crate::http) async fn read(
        store: &Store,
        account: AccountId,
        entity: Entity,
        records: impl IntoIterator<Item = &str>,
    ) -> Result<Self, StoreError> {
        let mut fields = Vec::new();
        if entity == Entity::Company {
            for record in records {
                let uids = custom_fields_of(record).map_err(|error| corrupt(account, error))?;
                fields.extend(uids.into_iter().map(|uid| uid.0));
            }
        }
        if fields.is_empty() {
            return Ok(Self::default());
        }
        fields.sort_unstable();
        fields.dedup();
        let definitions = store.definitions(account, &fields).await?;
        let groups = definitions.iter().filter_map(Definition::of);
        Ok(Self {
            groups: groups.filter_map(|definition| Some((definition.uid, definition.group()?))).collect(),
            changed_at: definitions.iter().map(|definition| definition.version).max().unwrap_or_default(),
        })
    }

    /// A record's JSON as a response shows it.
    pub(in crate::http) fn shown<'a>(
        &self,
        account: AccountId,
        entity: Entity,
        record: &'a str,
    ) -> Result<Cow<'a, str>, StoreError> {
        if entity != Entity::Company {
            return Ok(Cow::Borrowed(record));
        }
        let group_of = |uid| self.groups.get(&uid).copied().unwrap_or(FieldGroup::Public);
        with_groups(record, group_of).map(Cow::Owned).map_err(|error| corrupt(account, error))
    }
}

/// Shows the values of each company in groups.
pub(in crate::http) async fn group_fields(
    store: &Store,
    account: AccountId,
    entity: Entity,
    records: &mut [StoredRecord],
) -> Result<(), StoreError> {
    if entity != Entity::Company {
        return Ok(());
    }
    let groups = FieldGroups::read(store, account, entity, records.iter().map(|stored| &*stored.record)).await?;
    for stored in records {
        stored.record = groups.shown(account, entity, &stored.record)?.into_owned();
    }
    Ok(())
}

fn corrupt(account: AccountId, error: Corrupt) -> StoreError {
    StoreError::corrupt(Entity::Company.name(), "record", account, error)
}
