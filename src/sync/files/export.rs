//! Exports the records of an account, page by page.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Map, Value as Json};

use super::attributes::{FileAttributes, NamedColumn};
use super::cells;
use crate::contract::Cursor;
use crate::domain::{AccountId, Entity};
use crate::store::lists::{List, ListFilter, SortOrder, Start};
use crate::store::{Store, StoreError};

/// The records that are read at once.
const PAGE: i64 = 500;

/// A request to export records of a kind.
#[derive(Debug, Clone)]
pub(crate) struct ExportRequest {
    pub(crate) account: AccountId,
    /// Contacts, companies or projects.
    pub(crate) entity: Entity,
    pub(crate) delimiter: u8,
    pub(crate) filter: ListFilter,
    pub(crate) order: SortOrder,
}

impl ExportRequest {
    /// A request for all records in the order of their creation.
    pub(crate) fn all(account: AccountId, entity: Entity, delimiter: u8) -> Self {
        let filter = ListFilter { with_idle: true, ..ListFilter::default() };
        Self { account, entity, delimiter, filter, order: SortOrder::default() }
    }
}

/// The records that were exported, and the position of the log in the first page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exported {
    pub(crate) records: u64,
    pub(crate) as_of: Option<Cursor>,
}

/// An export that did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExportError {
    #[error("cannot write the file")]
    Unwritable(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An export that is read page by page. Each page is read when it is asked for.
pub(crate) struct ExportPages {
    store: Store,
    request: ExportRequest,
    columns: Vec<NamedColumn>,
    /// The next page; `None` after the last one.
    next: Option<List>,
    exported: Exported,
    /// The records that there are, as far as they are counted.
    total: u64,
    is_begun: bool,
}

impl ExportPages {
    /// Reads which columns there are.
    pub(crate) async fn open(store: &Store, request: ExportRequest) -> Result<Self, StoreError> {
        let schema = store.schema(request.account).await?;
        let columns = FileAttributes::of(request.entity, &schema.custom_fields).exported();
        let list = List {
            filter: request.filter.clone(),
            order: request.order,
            // A filtered list would be counted with every page.
            max_count: Some(0),
            max_read: None,
            ..List::first(request.entity, PAGE)
        };
        let exported = Exported { records: 0, as_of: None };
        Ok(Self { store: store.clone(), request, columns, next: Some(list), exported, total: 0, is_begun: false })
    }

    /// The lines of the next page, the first one with the names of the columns; `None` after the last page.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ExportError> {
        let Some(mut list) = self.next.take() else { return Ok(None) };
        let page = self.store.page(self.request.account, &list).await?;
        let mut writer = csv::WriterBuilder::new().delimiter(self.request.delimiter).from_writer(Vec::new());
        if !self.is_begun {
            self.is_begun = true;
            write(&mut writer, self.columns.iter().map(|column| column.name.as_str()))?;
        }
        self.exported.as_of.get_or_insert(page.counted.as_of);
        for stored in &page.records {
            let record: Map<String, Json> = serde_json::from_str(&stored.record)
                .map_err(|error| StoreError::corrupt(self.request.entity.name(), "record", stored.uid, error))?;
            let line: Vec<String> = self.columns.iter().map(|column| column.attribute.cell(&record)).collect();
            write(&mut writer, line.iter().map(String::as_str))?;
            self.exported.records += 1;
        }
        self.total = u64::try_from(page.counted.total).unwrap_or_default();
        if let (true, Some(end)) = (page.more, page.end) {
            list.start = Start::After(end);
            self.next = Some(list);
        }
        writer.flush()?;
        Ok(Some(writer.into_inner().map_err(csv::IntoInnerError::into_error)?))
    }
}

/// Writes records. `progress` gets the number of records that are written and of those that there are.
pub(crate) async fn export(
    store: &Store,
    request: ExportRequest,
    mut out: impl Write,
    progress: impl Fn(u64, u64),
) -> Result<Exported, ExportError> {
    let mut pages = ExportPages::open(store, request).await?;
    while let Some(lines) = pages.next().await? {
        out.write_all(&lines)?;
        progress(pages.exported.records, pages.total.max(pages.exported.records));
    }
    out.flush()?;
    Ok(pages.exported)
}

fn write<'a, W: Write>(writer: &mut csv::Writer<W>, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let cells = cells.map(cells::protected);
    writer.write_record(cells.map(Cow::into_owned)).map_err(io::Error::from)
}
