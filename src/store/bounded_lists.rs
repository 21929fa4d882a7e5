//! Pages that read a bounded number of rows, for filters that no index supports: the page is full, or it ends at the row up to
//! which it has read, and the next one begins there.

use uuid::Uuid;

use super::lists::{List, Page, Part, Position, Sort, Start, table};
use super::{Store, StoreError};
use crate::domain::{AccountId, Uid};

impl List {
    /// Returns the statement for the last row that a page reads of a range; it has no row where the range ends before.
    fn end_statement(&self, part: &Part, max: i64) -> String {
        let table = table(self.entity, self.filter.with_idle);
        let (name, from, listed) = (table.name, table.from, table.listed);
        let (Part { condition, .. }, order) = (part, self.order_by(part));
        let value = self.order.by.value();
        format!("{name}select {value}::text as value, r.uid{from}{listed}{condition}{order} offset {max} - 1 limit 1")
    }
}

impl Store {
    /// Returns a page that reads at most `max` rows. Where it is not full and not the last, `more` is true, and `end` is the
    /// last row that was read.
    pub(super) async fn page_within(&self, account: AccountId, list: &List, max: i64) -> Result<Page, StoreError> {
        let (first, second) = list.parts();
        // Going backwards from rows without a value, two ranges are read, and no position stands between them.
        if second.is_some() && list.order.descending {
            return self.page_by(account, list, None).await;
        }
        let list = List { max_read: Some(max), ..list.clone() };
        let mut page = self.page_by(account, &list, None).await?;
        if page.more {
            return Ok(page);
        }
        let statement = list.end_statement(&first, max);
        let rows = self.list_rows(account, &list, &statement, None).await?;
        let end = rows.first().map(|row| Position { value: row.get("value"), uid: Uid(row.get("uid")) });
        // Rows without a value come behind all others.
        let end = end.or_else(|| second.is_some().then_some(Position { value: None, uid: Uid(Uuid::nil()) }));
        if end.is_some() {
            (page.more, page.end) = (true, end);
        }
        Ok(page)
    }

    /// Whether a list has an order that a bounded page can follow.
    #[must_use]
    pub(super) fn is_boundable(list: &List) -> bool {
        matches!(list.order.by, Sort::Uid | Sort::Key) && !matches!(list.start, Start::Offset(1..))
    }
}
