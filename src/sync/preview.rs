//! The effect that undoing would have on the records as they are now. Writes nothing.
//!
//! A record may change between the preview and the undoing, which then decides on the record as it is by then.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::revert::{RevertError, RevertRequest, plan};
use crate::clock;
use crate::domain::sync::{Existence, Revert, RevertEffect};
use crate::domain::{AccountId, Entity, Record, Refusal, Uid};
use crate::store::Store;

/// Records that one statement per kind reads.
const TOGETHER: usize = 500;

/// The time after which no further records are read. The counts then are of those that were.
const MAX_TIME: Duration = Duration::from_secs(10);

/// The records that a preview lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// Those that change, and those of which something does not.
    All,
    /// Those of which something does not change although the origin wrote it.
    Skipped,
}

/// The effect of undoing a range.
#[derive(Debug, Default)]
pub(crate) struct UndoPreview {
    /// The records that the origin changed.
    pub(crate) records: usize,
    /// Those of them that were looked at: all, unless the time was over.
    pub(crate) examined: usize,
    pub(crate) updated: usize,
    pub(crate) deleted: usize,
    pub(crate) restored: usize,
    /// Records in which nothing is left to undo.
    pub(crate) unchanged: usize,
    /// Records of which something is not undone.
    pub(crate) skipped: usize,
    /// The first records of the listing.
    pub(crate) listed: Vec<UndoneRecord>,
}

/// The effect on one record.
#[derive(Debug)]
pub(crate) struct UndoneRecord {
    pub(crate) entity: Entity,
    pub(crate) uid: Uid,
    /// The record as it is now; `None` where there is none.
    pub(crate) now: Option<Record>,
    /// The effect, or the reason why the record as a whole stays as it is.
    pub(crate) effect: Result<RevertEffect, Refusal>,
}

/// Previews undoing, and lists the first `limit` records.
pub(crate) async fn preview(
    store: &Store,
    request: &RevertRequest,
    listing: Listing,
    limit: usize,
) -> Result<UndoPreview, RevertError> {
    let began = clock::instant();
    let plan = plan(store, request).await?;
    let mut preview = UndoPreview { records: plan.len(), ..UndoPreview::default() };
    let mut reverts = plan.into_commands();
    loop {
        let chunk: Vec<Revert> = reverts.by_ref().take(TOGETHER).collect();
        if chunk.is_empty() || began.elapsed() > MAX_TIME {
            return Ok(preview);
        }
        let mut records = current(store, request.account, &chunk).await?;
        for revert in chunk {
            let now = records.remove(&(revert.entity, revert.uid));
            preview.add(&revert, now, listing, limit);
        }
    }
}

/// The records of reverts as they are now.
async fn current(
    store: &Store,
    account: AccountId,
    chunk: &[Revert],
) -> Result<HashMap<(Entity, Uid), Record>, RevertError> {
    let mut uids: BTreeMap<Entity, Vec<uuid::Uuid>> = BTreeMap::new();
    for revert in chunk {
        uids.entry(revert.entity).or_default().push(revert.uid.0);
    }
    let mut records = HashMap::with_capacity(chunk.len());
    for (entity, uids) in uids {
        let of_kind = store.records_of(account, entity, &uids).await?;
        records.extend(of_kind.into_iter().map(|record| ((entity, record.uid), record)));
    }
    Ok(records)
}

impl UndoPreview {
    fn add(&mut self, revert: &Revert, now: Option<Record>, listing: Listing, limit: usize) {
        let effect = match &now {
            Some(record) => revert.effect(record),
            None => Err(Refusal::NotFound(revert.entity)),
        };
        self.examined += 1;
        let (is_changed, is_skipped) = match &effect {
            Err(_) => (false, true),
            Ok(RevertEffect { existence, changes, conflicts }) => {
                match existence {
                    Some(Existence::Deleted) => self.deleted += 1,
                    Some(Existence::Live) => self.restored += 1,
                    None if changes.is_empty() => self.unchanged += 1,
                    None => self.updated += 1,
                }
                (existence.is_some() || !changes.is_empty(), !conflicts.is_empty())
            }
        };
        self.skipped += usize::from(is_skipped);
        let is_listed = is_skipped || (is_changed && listing == Listing::All);
        if is_listed && self.listed.len() < limit {
            self.listed.push(UndoneRecord { entity: revert.entity, uid: revert.uid, now, effect });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{contact, timestamp, updated};
    use crate::domain::sync::FieldRevert;
    use crate::domain::{Field, Seq, Value};

    const ANN: &str = "ann@x.org";

    /// Ann with a phone that the event 2 wrote.
    fn ann() -> Record {
        let origin = "erp".into();
        let (created, _) = Record::evolve(None, contact(ANN), Seq(1), timestamp(Seq(1)), &origin);
        let phone = updated(Entity::Contact, ANN).with(Field::Phone, Some(Value::Text("2".to_owned())));
        Record::evolve(Some(created), phone, Seq(2), timestamp(Seq(2)), &origin).0
    }

    fn revert(record: &Record, changed_at: Seq, existence: Option<Existence>) -> Revert {
        let fields = vec![FieldRevert { field: Field::Phone, changed_at, to: None }];
        Revert { entity: Entity::Contact, uid: record.uid, last: changed_at, existence, fields }
    }

    fn counts(revert: &Revert, now: Option<Record>, listing: Listing) -> [usize; 6] {
        let mut preview = UndoPreview::default();
        preview.add(revert, now, listing, 10);
        let UndoPreview { updated, deleted, restored, unchanged, skipped, listed, .. } = preview;
        [updated, deleted, restored, unchanged, skipped, listed.len()]
    }

    #[test]
    fn every_record_is_counted_by_its_effect() {
        let ann = ann();
        let (same, since) = (revert(&ann, Seq(2), None), revert(&ann, Seq(1), None));
        assert_eq!(counts(&same, Some(ann.clone()), Listing::All), [1, 0, 0, 0, 0, 1]);
        assert_eq!(counts(&same, Some(ann.clone()), Listing::Skipped), [1, 0, 0, 0, 0, 0]);
        assert_eq!(
            counts(&since, Some(ann.clone()), Listing::Skipped),
            [0, 0, 0, 1, 1, 1],
            "somebody changed it since"
        );
        let created = revert(&ann, Seq(2), Some(Existence::Deleted));
        assert_eq!(counts(&created, Some(ann.clone()), Listing::All), [0, 1, 0, 0, 0, 1]);
        let mut gone = ann;
        gone.deleted = true;
        assert_eq!(counts(&created, Some(gone.clone()), Listing::All), [0, 0, 0, 1, 0, 0]);
        let deleted = Revert { fields: Vec::new(), ..revert(&gone, Seq(2), Some(Existence::Live)) };
        assert_eq!(counts(&deleted, Some(gone), Listing::All), [0, 0, 1, 0, 0, 1]);
        assert_eq!(counts(&same, None, Listing::All), [0, 0, 0, 0, 1, 1]);
    }
}
