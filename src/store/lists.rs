//! Lists: a page of a kind's live records, filtered and ordered, with the total number of records.
//!
//! A page is one statement, so its rows, the total and the position in the log are of one snapshot. Rows are ordered by a
//! value and, among equal values, by their uids; rows without a value come last. A descending order is the same list from
//! its end. A page begins after the last row of the page before it, and then costs the same at any depth; or it begins
//! after a number of rows, which are all read.
//!
//! The cost of a page beyond its own rows:
//!
//! * Order: by uid or lookup key none, because an index has that order. By any other value, all rows that pass the filter
//!   are read and sorted; for a field of the record, each record's text is parsed first.
//! * Filter: by lookup key none; by company, the company's contacts are read. By anything else, all rows up to the page's
//!   last are read; for `tag` and `text`, only records that contain the word are parsed.
//! * Total: none without a filter, because the head has the number. Otherwise all rows are read, unless the caller counted
//!   them before and the account's log has not grown since.
//!
//! Filtering 100,000 contacts by a column takes 25 ms, sorting them by a column 70 ms, by a field 500 ms and by both names
//! 750 ms, filtering them by a tag 250 to 700 ms. A search of contacts for a text uses an index (`text_index`) and takes 2 ms
//! where few match and 300 ms where all match; about 1 s where the index is missing or far behind.
//!
//! `bounded_lists` ends pages after a number of rows. Statements are assembled from the fragments below and sent unprepared
//! with their parameters' types, because there are thousands of them and each is planned best for its actual values.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::{ToSql, Type};

use super::reading::Freshness;
use super::records::StoredRecord;
use super::text_index::{in_json, longest_word_in_json, search_text};
use super::{Store, StoreError};
use crate::contract::Cursor;
use crate::domain::{AccountId, Entity, Seq, Timestamp, Uid};

/// A filter on records. `None` lets every record pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct ListFilter {
    /// Exclusive.
    pub created_after: Option<Timestamp>,
    /// Exclusive.
    pub created_before: Option<Timestamp>,
    /// Inclusive.
    pub updated_from: Option<Timestamp>,
    /// The lookup key, normalized.
    pub key: Option<String>,
    /// The role's name.
    pub role: Option<&'static str>,
    /// One of the record's tags, exactly as written.
    pub tag: Option<String>,
    /// A live company that the contact belongs to.
    pub company: Option<CompanyRef>,
    /// A part of a contact's names, emails or phones, or of another record's lookup key; case is ignored.
    pub text: Option<String>,
    /// Whether companies that are not listed, because no contact belongs to them, pass too.
    pub with_idle: bool,
}

/// A record that another is linked to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompanyRef {
    Uid(Uid),
    /// Normalized.
    Key(String),
}

/// The value by which rows are ordered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sort {
    /// The order of creation, because uids grow with time.
    #[default]
    Uid,
    /// The lookup key.
    Key,
    /// When the record was last changed.
    Updated,
    /// The record's last event.
    Version,
    /// A member of the record as clients see it: the first 128 characters of its text, in lower case.
    Field(&'static str),
    /// A contact's last, then first name: the first 128 characters of each, in lower case. An empty name comes first.
    Name,
    /// A member of the record that is an integer.
    Number(&'static str),
}

/// The order of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SortOrder {
    pub by: Sort,
    pub descending: bool,
}

/// The position of a row in a list's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The value by which the list is ordered, as text; `None` where that is the uid, or the row has no such value.
    pub value: Option<String>,
    /// The row's uid.
    pub uid: Uid,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After this number of rows.
    Offset(i64),
    /// After this row, which may have been deleted since.
    After(Position),
}

/// The number of rows, counted at a position of the account's log; exact until the log grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ListCount {
    pub total: i64,
    /// The account's last event when the rows were counted. A client follows the log from here.
    pub as_of: Cursor,
}

/// A request for a page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct List {
    pub entity: Entity,
    pub filter: ListFilter,
    pub order: SortOrder,
    pub start: Start,
    pub limit: i64,
    /// The count of an earlier page of this list.
    pub counted: Option<ListCount>,
    /// With a filter, rows are counted up to this number; `None` counts all of them.
    pub max_count: Option<i64>,
    /// Every range of the order is read up to this number of rows, whether they pass the filter or not; `None` reads on until
    /// the page is full. Only for orders that an index has.
    pub max_read: Option<i64>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most `limit` records.
    pub records: Vec<StoredRecord>,
    /// Whether there are further rows.
    pub more: bool,
    /// The position of the last row.
    pub end: Option<Position>,
    /// The number of all rows of the list.
    pub counted: ListCount,
}

/// A kind of record in lists.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) from: &'static str,
    count: &'static str,
    /// The condition for a row to be listed.
    pub(super) listed: &'static str,
    /// The number of listed rows, as the account's head has it.
    total: &'static str,
    /// The condition for a row to contain `ListFilter::text`.
    text: &'static str,
}

pub(super) const fn table(entity: Entity, with_idle: bool) -> &'static Table {
    match entity {
        Entity::Contact => &CONTACT,
        Entity::Company if with_idle => &ANY_COMPANY,
        Entity::Company => &COMPANY,
        Entity::Project => &PROJECT,
        Entity::CustomField => &CUSTOM_FIELD,
        Entity::Audience => &AUDIENCE,
        Entity::Circle => &CIRCLE,
        Entity::Note => &NOTE,
        Entity::World => &WORLD,
        Entity::Push => &PUSH,
        Entity::Conflict => &CONFLICT,
    }
}

macro_rules! table {
    ($table:literal, $listed:literal, $total:expr, $text:expr) => {
        Table {
            name: concat!("-- ", $table, ".page\n"),
            from: concat!(" from ", $table, " r"),
            count: concat!("(select count(*) from ", $table, " r"),
            listed: concat!(" where r.account_id = $1 and not r.deleted", $listed),
            total: $total,
            text: $text,
        }
    };
}

/// $18 is the entity's name.
const LIVE: &str = "coalesce((h.live ->> $18)::bigint, 0)";

const CONTACT: Table = table!("contact", "", LIVE, TEXT_OF_CONTACT);

const PROJECT: Table = table!("project", "", LIVE, TEXT_OF_KEY);
const CUSTOM_FIELD: Table = table!("custom_field", "", LIVE, TEXT_OF_KEY);
const AUDIENCE: Table = table!("audience", "", LIVE, TEXT_OF_KEY);
const CIRCLE: Table = table!("circle", "", LIVE, TEXT_OF_KEY);
const NOTE: Table = table!("note", "", LIVE, TEXT_OF_KEY);
const WORLD: Table = table!("world", "", LIVE, TEXT_OF_KEY);
const PUSH: Table = table!("push_health", "", LIVE, TEXT_OF_KEY);
const CONFLICT: Table = table!("conflict", "", LIVE, TEXT_OF_KEY);

/// A company without contacts is idle, and idle companies are not listed.
const COMPANY: Table = table!("company", " and r.listed", "h.listed_companies", TEXT_OF_KEY);
const ANY_COMPANY: Table = table!("company", "", LIVE, TEXT_OF_KEY);

/// $16 is a word of the text in its JSON form. Records without the word are not parsed.
macro_rules! has_text {
    () => {
        concat!(
            "case when strpos(lower(r.record), lower($16)) > 0
                then strpos(",
            search_text!("r.record"),
            ", lower($15)) > 0 else false end"
        )
    };
}
const TEXT_OF_CONTACT: &str = concat!(" and ", has_text!());
/// The index has the same text as the record, unless the record was written after the event up to which the index is
/// complete; then the record itself is searched.
const TEXT_FOUND: &str = concat!(" and (r.version <= $21 or ", has_text!(), ")");
/// Contacts that match in the index, and contacts that were written after the index was complete.
const FOUND: &str = "found as materialized (
    select s.uid from contact_search s
    where s.account_id = $1
        and s.text like '%' || replace(replace(replace(lower($15), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%'
    union
    select e.uid from event e where e.account_id = $1 and e.seq > $21 and e.type like 'contact.%')";
const FROM_FOUND: &str = " from found join contact r on r.uid = found.uid";
const COUNT_FOUND: &str = "(select count(*) from found join contact r on r.uid = found.uid";
const TEXT_OF_KEY: &str = " and strpos(r.key, lower($15)) > 0";

const CREATED_AFTER: &str = " and r.created_at > $7";
const CREATED_BEFORE: &str = " and r.created_at < $8";
/// Records are stamped to the second. Within the bound's own second, the time of the record's last event decides.
const UPDATED_FROM: &str = " and r.updated_at >= date_trunc('second', $9) and (r.updated_at >= $9 or not exists (
        select from event e where e.account_id = r.account_id and e.seq = r.version and e.at < $9))";
const KEY: &str = " and r.key = $10";
const ROLE: &str = " and r.role = $11";
/// $13 is the tag in its JSON form.
const TAG: &str = "
    and case when strpos(r.record, $13) > 0 then (r.record::jsonb -> 'tags') ? $12 else false end";
const COMPANY_UID: &str = "
    and exists (select from contact_company l
        join company c on c.account_id = l.account_id and c.uid = l.company_uid and not c.deleted
        where l.account_id = r.account_id and l.contact_uid = r.uid and c.uid = $14::uuid)";
const COMPANY_KEY: &str = "
    and exists (select from contact_company l
        join company c on c.account_id = l.account_id and c.uid = l.company_uid and not c.deleted
        where l.account_id = r.account_id and l.contact_uid = r.uid and c.key = $14)";

/// A lateral subquery, so that each record is parsed once. Only the first 128 characters are compared, so that a row's
/// position is short enough for a link.
const FIELD: &str = " cross join lateral (select left(lower(r.record::json ->> $17), 128) as value offset 0) f";
const NUMBER: &str = " cross join lateral (select (r.record::json ->> $17)::bigint as value offset 0) f";

/// Two names as an array, because arrays are compared item by item. The record is parsed once.
const NAME: &str = " cross join lateral (
    select array[left(lower(translate(coalesce(n.last_name, ''), chr(31), '')), 128),
        left(lower(translate(coalesce(n.first_name, ''), chr(31), '')), 128)] as value
    from json_to_record(r.record::json) as n (last_name text, first_name text) offset 0) f";

/// The types of all parameters. A statement may leave some of them unused.
const TYPES: [Type; 21] = [
    Type::UUID,        // $1 account
    Type::INT8,        // $2 limit
    Type::INT8,        // $3 offset
    Type::TEXT,        // $4 value of the row before
    Type::UUID,        // $5 its uid
    Type::INT8,        // $6 total, as it was counted
    Type::TIMESTAMPTZ, // $7 created after
    Type::TIMESTAMPTZ, // $8 created before
    Type::TIMESTAMPTZ, // $9 updated from
    Type::TEXT,        // $10 key
    Type::TEXT,        // $11 role
    Type::TEXT,        // $12 tag
    Type::TEXT,        // $13 tag in JSON
    Type::TEXT,        // $14 company's uid or key
    Type::TEXT,        // $15 text
    Type::TEXT,        // $16 word of it in JSON
    Type::TEXT,        // $17 field
    Type::TEXT,        // $18 entity
    Type::INT8,        // $19 counted as of
    Type::INT4,        // $20 and in this epoch
    Type::INT8,        // $21 indexed up to this event
];

/// Rows before a page that cost too little to be counted as a search.
const SKIPPED: i64 = 1_000;

impl List {
    /// The first page of all records.
    #[must_use]
    pub fn first(entity: Entity, limit: i64) -> Self {
        let (filter, order) = (ListFilter::default(), SortOrder::default());
        Self { entity, filter, order, start: Start::Offset(0), limit, counted: None, max_count: None, max_read: None }
    }

    /// Returns the statement of [`Store::page`]. `indexed` is the event up to which the index of contacts' texts is used;
    /// without it, every contact is read.
    #[must_use]
    pub fn statement(&self, indexed: Option<Seq>) -> String {
        let Table { name, mut from, mut count, listed, total, mut text } = *table(self.entity, self.filter.with_idle);
        let mut with = Vec::new();
        if indexed.is_some() && self.is_text_indexed() {
            with.push(FOUND.to_owned());
            (from, count, text) = (FROM_FOUND, COUNT_FOUND, TEXT_FOUND);
        }
        let filters = self.filter.fragments(text);
        let total = if filters.is_empty() {
            total.to_owned()
        } else {
            let count = match self.max_count {
                None => format!("{count}{listed}{filters})"),
                Some(limit) => {
                    format!("(select count(*) from (select{from}{listed}{filters} limit {limit}) as counted)")
                }
            };
            // PostgreSQL does not execute the subquery of a branch that it does not reach.
            format!("case when h.seq = $19 and h.epoch = $20 then $6 else {count} end")
        };
        let (value, values) = (self.order.by.value(), self.order.by.from());
        let direction = self.order.direction();
        let part = |number: usize, part: &Part, limit: &str| {
            let Part { condition, .. } = part;
            let order = self.order_by(part);
            let rows = match self.max_read {
                None => format!("{from}{values}{listed}{filters}{condition}"),
                Some(max) => {
                    format!("\nfrom (select r.*{from}{listed}{condition}{order} limit {max}) r where true{filters}")
                }
            };
            format!(
                "part_{number} as materialized (
select {number} as part, {value} as value, r.uid, r.version, r.deleted, r.record{rows}{order} limit {limit})"
            )
        };
        let parts = self.parts();
        with.push(part(0, &parts.0, "$2 offset $3"));
        let mut rows = "table part_0".to_owned();
        // A bounded page ends where its first range is not read to its end.
        if let Some(second) = parts.1.as_ref().filter(|_| self.max_read.is_none()) {
            // For a limit of zero, PostgreSQL reads nothing.
            with.push(part(1, second, "$2 - (select count(*) from part_0)"));
            rows.push_str(" union all table part_1");
        }
        format!(
            "{name}with {with}
select h.seq, h.epoch, {total} as total, p.uid, p.version, p.deleted, p.record, {shown} as shown
from head h left join ({rows}) p on true where h.account_id = $1
order by p.part, p.value {direction}, p.uid {direction}",
            with = with.join(",\n"),
            shown = self.order.by.text(),
        )
    }

    /// The order of a range.
    pub(super) fn order_by(&self, part: &Part) -> String {
        let direction = self.order.direction();
        let by = if part.ordered { format!("{} {direction}, ", self.order.by.value()) } else { String::new() };
        format!("\norder by {by}r.uid {direction}")
    }

    /// Whether the page may look at many more rows than it shows.
    fn is_search(&self) -> bool {
        // A lookup key names one record.
        if self.filter.key.is_some() {
            return false;
        }
        let sorts = !matches!(self.order.by, Sort::Uid | Sort::Key);
        let skips = matches!(self.start, Start::Offset(rows) if rows > SKIPPED);
        sorts || skips || self.filter != ListFilter { with_idle: self.filter.with_idle, ..ListFilter::default() }
    }

    /// Whether the list is a search for a text that an index supports.
    pub(super) fn is_text_indexed(&self) -> bool {
        self.entity == Entity::Contact && self.filter.text.is_some()
    }

    /// Returns the ranges of the order that the page may reach: rows with a value and rows without are read separately.
    pub(super) fn parts(&self) -> (Part, Option<Part>) {
        let SortOrder { by, descending } = self.order;
        let (value, bound) = (by.value(), by.bound());
        let all = |condition: String| Part { condition, ordered: by != Sort::Uid };
        let absent = |condition: &str| Part { condition: condition.to_owned(), ordered: false };
        let beyond = if descending { "<" } else { ">" };
        match &self.start {
            Start::Offset(_) => (all(String::new()), None),
            Start::After(_) if by == Sort::Uid => (all(format!(" and r.uid {beyond} $5")), None),
            Start::After(Position { value: Some(_), .. }) => {
                let condition =
                    format!(" and {value} {beyond}= {bound} and ({value} {beyond} {bound} or r.uid {beyond} $5)");
                let then = (by.is_nullable() && !descending).then(|| absent(&format!(" and {value} is null")));
                (all(condition), then)
            }
            Start::After(Position { value: None, .. }) => {
                let condition = format!(" and {value} is null and r.uid {beyond} $5");
                let then = descending.then(|| all(format!(" and {value} is not null")));
                (absent(&condition), then)
            }
        }
    }
}

/// A range of the order.
pub(super) struct Part {
    pub(super) condition: String,
    /// Whether its rows have values.
    ordered: bool,
}

impl Sort {
    pub(super) fn value(self) -> &'static str {
        match self {
            Self::Uid => "null",
            Self::Key => "r.key",
            Self::Updated => "r.updated_at",
            Self::Version => "r.version",
            Self::Field(_) | Self::Name | Self::Number(_) => "f.value",
        }
    }

    /// Returns the value as text, in a form that does not depend on the server's settings.
    fn text(self) -> &'static str {
        match self {
            Self::Updated => "to_char(p.value at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
            // The unit separator stands in neither part, so that both are read back from the text.
            Self::Name => "array_to_string(p.value, chr(31))",
            Self::Uid | Self::Key | Self::Version | Self::Field(_) | Self::Number(_) => "p.value::text",
        }
    }

    /// Returns the value of the row before, in the value's own type.
    fn bound(self) -> &'static str {
        match self {
            Self::Uid | Self::Key | Self::Field(_) => "$4",
            Self::Updated => "$4::timestamptz",
            Self::Name => "string_to_array($4, chr(31))",
            Self::Version | Self::Number(_) => "$4::bigint",
        }
    }

    fn from(self) -> &'static str {
        match self {
            Self::Field(_) => FIELD,
            Self::Name => NAME,
            Self::Number(_) => NUMBER,
            Self::Uid | Self::Key | Self::Updated | Self::Version => "",
        }
    }

    fn is_nullable(self) -> bool {
        matches!(self, Self::Key | Self::Field(_) | Self::Number(_))
    }
}

impl SortOrder {
    fn direction(self) -> &'static str {
        if self.descending { "desc" } else { "asc" }
    }
}

impl ListFilter {
    /// `text` is the condition on the text.
    fn fragments(&self, text: &'static str) -> String {
        let company = match &self.company {
            Some(CompanyRef::Uid(_)) => Some(COMPANY_UID),
            Some(CompanyRef::Key(_)) => Some(COMPANY_KEY),
            None => None,
        };
        let fragments = [
            self.created_after.map(|_| CREATED_AFTER),
            self.created_before.map(|_| CREATED_BEFORE),
            self.updated_from.map(|_| UPDATED_FROM),
            self.key.as_ref().map(|_| KEY),
            self.role.map(|_| ROLE),
            company,
            self.tag.as_ref().map(|_| TAG),
            self.text.as_ref().map(|_| text),
        ];
        fragments.into_iter().flatten().collect()
    }

    fn company_text(&self) -> Option<String> {
        self.company.as_ref().map(|company| match company {
            CompanyRef::Uid(uid) => uid.to_string(),
            CompanyRef::Key(key) => key.clone(),
        })
    }
}

impl Store {
    /// Returns a page of a list.
    pub async fn page(&self, account: AccountId, list: &List) -> Result<Page, StoreError> {
        let indexed = if list.is_text_indexed() { self.indexed_through(account).await? } else { None };
        self.page_by(account, list, indexed).await
    }

    /// Returns a page of a list, which uses the index of contacts' texts up to the event `indexed`.
    pub(super) async fn page_by(
        &self,
        account: AccountId,
        list: &List,
        indexed: Option<Seq>,
    ) -> Result<Page, StoreError> {
        let rows = self.list_rows(account, list, &list.statement(indexed), indexed).await?;
        Ok(page(&rows, list.limit))
    }

    /// Executes a statement of a list.
    pub(super) async fn list_rows(
        &self,
        account: AccountId,
        list: &List,
        statement: &str,
        indexed: Option<Seq>,
    ) -> Result<Vec<PgRow>, StoreError> {
        let filter = &list.filter;
        let (offset, value, uid) = match &list.start {
            Start::Offset(offset) => (*offset, None, None),
            Start::After(Position { value, uid }) => (0, value.as_deref(), Some(uid.0)),
        };
        // One row beyond the page shows whether there are further rows.
        let limit = list.limit.saturating_add(1);
        let total = list.counted.map(|counted| counted.total);
        let as_of = list.counted.map(|counted| counted.as_of.seq.0);
        let epoch = list.counted.map(|counted| counted.as_of.epoch);
        let tag = filter.tag.as_deref().map(in_json);
        let word = filter.text.as_deref().map(longest_word_in_json);
        let company = filter.company_text();
        let field = match list.order.by {
            Sort::Field(field) | Sort::Number(field) => Some(field),
            Sort::Uid | Sort::Key | Sort::Updated | Sort::Version | Sort::Name => None,
        };
        let entity = list.entity.name();
        let through = indexed.map(|seq| seq.0);
        let parameters: [&(dyn ToSql + Sync); 21] = [
            &account.0,
            &limit,
            &offset,
            &value,
            &uid,
            &total,
            &filter.created_after,
            &filter.created_before,
            &filter.updated_from,
            &filter.key,
            &filter.role,
            &filter.tag,
            &tag,
            &company,
            &filter.text,
            &word,
            &field,
            &entity,
            &as_of,
            &epoch,
            &through,
        ];
        let parameters: Vec<_> = parameters.into_iter().zip(TYPES).collect();
        let reading = if list.is_search() {
            self.searching(account, Freshness::MayLag).await?
        } else {
            self.reading(account, Freshness::MayLag).await?
        };
        reading.query_typed(statement, &parameters).await
    }
}

/// Every row has the head's columns; an empty page is a single row without a uid.
fn page(rows: &[PgRow], limit: i64) -> Page {
    let counted = match rows.first() {
        Some(row) => {
            let as_of = Cursor { epoch: row.get("epoch"), seq: Seq(row.get("seq")) };
            ListCount { total: row.get("total"), as_of }
        }
        // The account has no head, so it does not exist.
        None => ListCount { total: 0, as_of: Cursor { epoch: 1, seq: Seq::ZERO } },
    };
    // PostgreSQL refused a negative limit, and no page has as many rows as the largest `usize`.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let listed = || rows.iter().filter_map(|row| Some((row, Uid(row.get::<_, Option<_>>("uid")?))));
    let records: Vec<StoredRecord> = listed()
        .take(limit)
        .map(|(row, uid)| StoredRecord {
            uid,
            version: Seq(row.get("version")),
            deleted: row.get("deleted"),
            record: row.get("record"),
        })
        .collect();
    let end = listed().take(limit).last().map(|(row, uid)| Position { value: row.get("shown"), uid });
    Page { more: listed().count() > limit, records, end, counted }
}
