//! Identifiers of records in other systems.

use std::collections::BTreeSet;

use deadpool_postgres::Object;
use tokio_postgres::Statement;
use uuid::Uuid;

use crate::domain::{AccountId, Entity};
use crate::store::row::Row;
use crate::store::{Params, StoreError};

const UNLINK: &str = "-- record_ref.unlink
delete from record_ref f using unnest($1::uuid[], $2::uuid[]) as k(account_id, uid)
where f.account_id = k.account_id and f.uid = k.uid";

const LINK: &str = "-- record_ref.link
insert into record_ref (account_id, entity, source, id, uid)
select account_id, entity, source, id, uid
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[]) as f(account_id, entity, source, id, uid)";

/// The identifiers by which a batch looks for records of one kind.
#[derive(Default)]
pub(in crate::store) struct RefKeys {
    pub(in crate::store) accounts: Vec<Uuid>,
    pub(in crate::store) sources: Vec<String>,
    pub(in crate::store) ids: Vec<String>,
}

impl RefKeys {
    pub(in crate::store) fn of(refs: &[(AccountId, Entity, String, String)], entity: Entity) -> Self {
        let of = refs.iter().filter(|(_, kind, ..)| *kind == entity);
        let of: BTreeSet<_> = of.map(|(account, _, source, id)| (account.0, source, id)).collect();
        let mut keys = Self::default();
        for (account, source, id) in of {
            keys.accounts.push(account);
            keys.sources.push(source.clone());
            keys.ids.push(id.clone());
        }
        keys
    }
}

/// The changes of identifiers of one batch.
pub(in crate::store) struct RefChanges {
    unlink: Statement,
    link: Statement,
    records: (Vec<Uuid>, Vec<Uuid>),
    links: RefLinks,
}

#[derive(Default)]
struct RefLinks {
    account: Vec<Uuid>,
    entity: Vec<&'static str>,
    source: Vec<String>,
    id: Vec<String>,
    uid: Vec<Uuid>,
}

impl RefChanges {
    pub(in crate::store) async fn prepare(client: &Object, rows: &[Row]) -> Result<Option<Self>, StoreError> {
        let mut records = (Vec::new(), Vec::new());
        let mut links = RefLinks::default();
        for row in rows {
            let Some(refs) = &row.refs else { continue };
            // A new record has none to take away.
            if !row.is_new {
                records.0.push(row.account.0);
                records.1.push(row.uid.0);
            }
            for reference in refs {
                links.account.push(row.account.0);
                links.entity.push(row.entity.name());
                links.source.push(reference.source.clone());
                links.id.push(reference.id.clone());
                links.uid.push(row.uid.0);
            }
        }
        if records.0.is_empty() && links.uid.is_empty() {
            return Ok(None);
        }
        let unlink = client.prepare_cached(UNLINK).await?;
        let link = client.prepare_cached(LINK).await?;
        Ok(Some(Self { unlink, link, records, links }))
    }

    /// All records give up their identifiers before any gets one, because a merge moves them.
    pub(in crate::store) async fn run(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        let records: Params<'_, 2> = [&self.records.0, &self.records.1];
        let RefLinks { account, entity, source, id, uid } = &self.links;
        let links: Params<'_, 5> = [account, entity, source, id, uid];
        let (unlinked, linked) = tokio::join!(
            biased;
            client.execute(&self.unlink, &records),
            client.execute(&self.link, &links),
        );
        unlinked.and(linked).map(drop)
    }
}
