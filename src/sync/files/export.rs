//! Exports the records of an account, page by page in the order of their creation.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::{Map, Value as Json};

use super::attributes::FileAttributes;
use super::cells;
use crate::contract::Cursor;
use crate::domain::{AccountId, Entity};
use crate::store::lists::{List, ListFilter, Start};
use crate::store::{Store, StoreError};

/// The records that are read at once.
const PAGE: i64 = 500;

/// A request to export all records of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExportRequest {
    pub(crate) account: AccountId,
    /// Contacts or companies.
    pub(crate) entity: Entity,
    pub(crate) delimiter: u8,
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

/// Writes all records. `progress` gets the number of records that are written and of those that there are.
pub(crate) async fn export(
    store: &Store,
    request: ExportRequest,
    out: impl Write,
    progress: impl Fn(u64, u64),
) -> Result<Exported, ExportError> {
    let schema = store.schema(request.account).await?;
    let columns = FileAttributes::of(request.entity, &schema.custom_fields).exported();
    let mut writer = csv::WriterBuilder::new().delimiter(request.delimiter).from_writer(out);
    write(&mut writer, columns.iter().map(|column| column.name.as_str()))?;
    let mut exported = Exported { records: 0, as_of: None };
    let filter = ListFilter { with_idle: true, ..ListFilter::default() };
    let mut list = List { filter, ..List::first(request.entity, PAGE) };
    loop {
        let page = store.page(request.account, &list).await?;
        exported.as_of.get_or_insert(page.counted.as_of);
        for stored in &page.records {
            let record: Map<String, Json> = serde_json::from_str(&stored.record)
                .map_err(|error| StoreError::corrupt(request.entity.name(), "record", stored.uid, error))?;
            let line: Vec<String> = columns.iter().map(|column| column.attribute.cell(&record)).collect();
            write(&mut writer, line.iter().map(String::as_str))?;
            exported.records += 1;
        }
        let total = u64::try_from(page.counted.total).unwrap_or_default();
        progress(exported.records, total.max(exported.records));
        match (page.more, page.end) {
            (true, Some(end)) => list.start = Start::After(end),
            _ => break,
        }
    }
    writer.flush()?;
    Ok(exported)
}

fn write<'a, W: Write>(writer: &mut csv::Writer<W>, cells: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let cells = cells.map(cells::protected);
    writer.write_record(cells.map(Cow::into_owned)).map_err(io::Error::from)
}
