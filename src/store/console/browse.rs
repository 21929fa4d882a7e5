//! Pages of records for the console: the lists of the API, with bounds that keep a page fast whatever is searched for.

use tokio_postgres::types::{ToSql, Type};

use crate::domain::{AccountId, Entity, Uid};
use crate::store::lists::{List, ListFilter, Page};
use crate::store::reading::Freshness;
use crate::store::records::{StoredRecord, stored};
use crate::store::{Store, StoreError};

/// Matches up to which a filtered list is counted.
pub const MAX_COUNTED: i64 = 1_000;

/// Contacts that match a text in the index, from which number on the text is a common one.
const COMMON: i64 = 2_000;

const IS_COMMON: &str = "-- contact_search.is_common
select count(*) >= $3 as is_common from (
    select from contact_search s
    where s.account_id = $1
        and s.text like '%' || replace(replace(replace(lower($2), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%'
    limit $3) as matches";

/// Reads an account's rows from the newest on, as far as the page needs.
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

/// A page of a list whose filter may match very many records.
#[derive(Debug, Clone)]
pub struct BrowsedPage {
    /// The page. Its total is at most [`MAX_COUNTED`] where the list has a filter.
    pub page: Page,
    /// Whether there are more records than the total says.
    pub has_uncounted: bool,
}

impl Store {
    /// Returns a page of a list. A text that many contacts have is not looked up in the index, which would read all of them:
    /// contacts are read in the list's order until the page is full, and are not counted.
    pub async fn browse(&self, account: AccountId, list: &List) -> Result<BrowsedPage, StoreError> {
        let list = List { max_count: Some(MAX_COUNTED), ..list.clone() };
        let (Some(text), true) = (&list.filter.text, list.is_text_indexed()) else {
            let page = self.page(account, &list).await?;
            return Ok(counted(&list, page));
        };
        let indexed = self.indexed_through(account).await?;
        if indexed.is_none() || !self.is_common(account, text).await? {
            let page = self.page_by(account, &list, indexed).await?;
            return Ok(counted(&list, page));
        }
        let list = List { max_count: Some(0), ..list };
        let mut page = self.page_by(account, &list, None).await?;
        page.counted.total = MAX_COUNTED;
        Ok(BrowsedPage { page, has_uncounted: true })
    }

    async fn is_common(&self, account: AccountId, text: &str) -> Result<bool, StoreError> {
        let parameters: [(&(dyn ToSql + Sync), Type); 3] =
            [(&account.0, Type::UUID), (&text, Type::TEXT), (&COMMON, Type::INT8)];
        let rows = self.searching(account, Freshness::MayLag).await?.query_typed(IS_COMMON, &parameters).await?;
        Ok(rows.first().is_some_and(|row| row.get("is_common")))
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

fn counted(list: &List, page: Page) -> BrowsedPage {
    // A list without a filter has its exact number in the account's head.
    let unfiltered = ListFilter { with_idle: list.filter.with_idle, ..ListFilter::default() };
    let has_uncounted = list.filter != unfiltered && page.counted.total >= MAX_COUNTED;
    BrowsedPage { page, has_uncounted }
}
