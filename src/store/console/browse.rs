//! Pages of records for the console: the lists of the API, with bounds that keep a page fast whatever is searched for.

use tokio_postgres::types::{ToSql, Type};

use crate::domain::{AccountId, Entity, Uid};
use crate::store::lists::{List, ListFilter, Page, Start};
use crate::store::reading::Freshness;
use crate::store::records::{StoredRecord, stored};
use crate::store::{Store, StoreError};

/// Matches up to which a filtered list is counted.
pub const MAX_COUNTED: i64 = 1_000;

/// Contacts that match a text in the index, from which number on the text is a common one.
const COMMON: i64 = 2_000;

const MATCHES: &str = "-- contact_search.matches
select count(*) as matches from (
    select from contact_search s
    where s.account_id = $1
        and s.text like '%' || replace(replace(replace(lower($2), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%'
    limit $3) as matches";

/// An index has the deleted rows alone.
macro_rules! deleted {
    ($table:literal) => {
        concat!(
            "-- ",
            $table,
            ".deleted
select r.uid, r.version, r.deleted, r.record from ",
            $table,
            " r
where r.account_id = $1 and r.deleted and ($2::uuid is null or r.uid < $2) order by r.uid desc limit $3"
        )
    };
}

/// Rows that a page reads whose filter parses records, about 15 ms.
const MAX_PARSED: i64 = 5_000;

/// Rows that a page reads whose filter compares columns, about 10 ms.
const MAX_COMPARED: i64 = 40_000;

/// A page of a list whose filter may match very many records, or very few.
#[derive(Debug, Clone)]
pub struct BrowsedPage {
    /// The page. It may have few records, or none, and not be the last: then it ends at the last row that was read.
    pub page: Page,
    /// The records of the whole list.
    pub total: BrowsedTotal,
}

/// The number of records of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowsedTotal {
    /// They were not counted.
    Uncounted,
    /// All were counted.
    Exactly(i64),
    /// There are more than were counted.
    MoreThan(i64),
}

impl Store {
    /// Returns a page of a list. Where no index leads to the records that pass the filter, a bounded number of rows is read in
    /// the list's order, and nothing is counted. A text that many contacts have is searched in this way too, because its index
    /// would lead to all of them.
    pub async fn browse(&self, account: AccountId, list: &List) -> Result<BrowsedPage, StoreError> {
        let list = List { max_count: Some(MAX_COUNTED), ..list.clone() };
        let mut total = BrowsedTotal::Uncounted;
        if let (Some(text), true) = (&list.filter.text, list.is_text_indexed()) {
            let indexed = self.indexed_through(account).await?;
            if indexed.is_some() {
                let matches = self.text_matches(account, text).await?;
                let is_alone = list.filter == ListFilter { text: Some(text.clone()), ..ListFilter::default() };
                if matches < COMMON {
                    let list = List { max_count: Some(0), ..list };
                    let page = self.page_by(account, &list, indexed).await?;
                    // Contacts that were written since are not in the index.
                    let is_exact = is_alone && indexed == Some(page.counted.as_of.seq);
                    let total = if is_exact { BrowsedTotal::Exactly(matches) } else { total };
                    return Ok(whole(&list, page, total));
                }
                total = if is_alone { BrowsedTotal::MoreThan(MAX_COUNTED) } else { total };
            }
        }
        let Some(max) = max_read(&list) else { return Ok(counted(&list, self.page(account, &list).await?)) };
        let list = List { max_count: Some(0), ..list };
        Ok(whole(&list, self.page_within(account, &list, max).await?, total))
    }

    /// The contacts that match a text in the index, counted up to [`COMMON`].
    async fn text_matches(&self, account: AccountId, text: &str) -> Result<i64, StoreError> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&account.0, Type::UUID), (&text, Type::TEXT), (&COMMON, Type::INT8)];
        let rows = self.searching(account, Freshness::MayLag).await?.query_typed(MATCHES, &parameters).await?;
        Ok(rows.first().map_or(0, |row| row.get("matches")))
    }

    /// Returns deleted records of a kind, the last created first, after the record `after`.
    pub async fn deleted_records(
        &self,
        account: AccountId,
        entity: Entity,
        after: Option<Uid>,
        limit: i64,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let statement = match entity {
            Entity::Contact => deleted!("contact"),
            Entity::Company => deleted!("company"),
            Entity::Project => deleted!("project"),
            Entity::CustomField => deleted!("custom_field"),
            Entity::Audience | Entity::Circle | Entity::Note | Entity::World | Entity::Push | Entity::Conflict => {
                return Ok(Vec::new());
            }
        };
        let after = after.map(|uid| uid.0);
        let parameters: [&(dyn ToSql + Sync); 3] = [&account.0, &after, &limit];
        let rows = self.searching(account, Freshness::Current).await?.query(statement, &parameters).await?;
        Ok(rows.iter().map(stored).collect())
    }
}

/// The rows that a page of a list may read; `None` where an index leads to its records.
fn max_read(list: &List) -> Option<i64> {
    let ListFilter { tag, text, role, company, key, .. } = &list.filter;
    if company.is_some() || key.is_some() || !Store::is_boundable(list) {
        return None;
    }
    if tag.is_some() || (text.is_some() && list.is_text_indexed()) {
        return Some(MAX_PARSED);
    }
    (role.is_some() || text.is_some()).then_some(MAX_COMPARED)
}

/// A page whose records are counted where it is the whole list.
fn whole(list: &List, page: Page, total: BrowsedTotal) -> BrowsedPage {
    let is_whole = list.start == Start::Offset(0) && !page.more;
    let counted = i64::try_from(page.records.len()).map(BrowsedTotal::Exactly);
    BrowsedPage { total: if is_whole { counted.unwrap_or(total) } else { total }, page }
}

fn counted(list: &List, page: Page) -> BrowsedPage {
    // A list without a filter has its exact number in the account's head.
    let unfiltered = ListFilter { with_idle: list.filter.with_idle, ..ListFilter::default() };
    let is_cut = list.filter != unfiltered && page.counted.total >= MAX_COUNTED;
    let total = page.counted.total;
    BrowsedPage { page, total: if is_cut { BrowsedTotal::MoreThan(total) } else { BrowsedTotal::Exactly(total) } }
}
