//! The address of a list: its search, its filters, its order, and where its page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::super::super::form::PageQuery;
use super::RecordKind;
use crate::contract::record::parse_uid;
use crate::domain::value::plain;
use crate::domain::{Entity, Record, Role, Uid};
use crate::store::lists::{CompanyRef, List, ListFilter, Position, Sort, SortOrder, Start};

/// The records of a page.
pub(super) const PAGE_SIZE: i64 = 25;

/// The longest text of a filter, in characters.
pub(super) const MAX_TEXT: usize = 255;

/// The longest cursor of a page. A lookup key has at most 255 characters.
const MAX_CURSOR: usize = 2_048;

/// The orders of a list: each is that of an index, so that every page costs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrangement {
    Newest,
    Oldest,
    ByKey,
}

impl Arrangement {
    pub(super) const ALL: [Self; 3] = [Self::Newest, Self::Oldest, Self::ByKey];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
            Self::ByKey => "a-z",
        }
    }

    pub(super) fn label(self, kind: &RecordKind) -> &'static str {
        match self {
            Self::Newest => "Newest first",
            Self::Oldest => "Oldest first",
            Self::ByKey => kind.by_key,
        }
    }

    pub(super) fn order(self) -> SortOrder {
        match self {
            Self::Newest => SortOrder { by: Sort::Uid, descending: true },
            Self::Oldest => SortOrder { by: Sort::Uid, descending: false },
            Self::ByKey => SortOrder { by: Sort::Key, descending: false },
        }
    }
}

/// The page that begins behind a record, or ends before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PageStart {
    First,
    After(Position),
    Before(Position),
}

/// A list as its address names it. A value that cannot be read is left out.
#[derive(Debug, Clone)]
pub(super) struct ListQuery {
    pub(super) text: String,
    pub(super) role: Option<Role>,
    pub(super) tag: String,
    /// The company whose contacts are listed.
    pub(super) company: Option<Uid>,
    pub(super) arrangement: Arrangement,
    /// Whether deleted records are listed, which have no search and no filters.
    pub(super) is_deleted: bool,
    pub(super) start: PageStart,
}

impl ListQuery {
    pub(super) fn of(kind: &RecordKind, query: &PageQuery) -> Self {
        let text = |name| plain(query.text(name), MAX_TEXT).unwrap_or_default();
        let has_roles = kind.entity != Entity::Project;
        let arrangement = Arrangement::ALL.into_iter().find(|known| query.get("order") == Some(known.name()));
        let arrangement = arrangement.unwrap_or(Arrangement::Newest);
        let position = |name| query.get(name).and_then(|text| decode(text, arrangement));
        let start = match (position("after"), position("before")) {
            (Some(position), _) => PageStart::After(position),
            (None, Some(position)) => PageStart::Before(position),
            (None, None) => PageStart::First,
        };
        Self {
            text: text("q"),
            role: query.filled("role").filter(|_| has_roles).and_then(Role::parse),
            tag: if has_roles { text("tag") } else { String::new() },
            company: query.filled("company").filter(|_| kind.entity == Entity::Contact).and_then(parse_uid),
            arrangement,
            is_deleted: query.get("state") == Some("deleted"),
            start,
        }
    }

    /// Whether records are left out by a search or a filter.
    pub(super) fn is_filtered(&self) -> bool {
        !self.text.is_empty() || self.role.is_some() || !self.tag.is_empty() || self.company.is_some()
    }

    pub(super) fn filter(&self, kind: &RecordKind) -> ListFilter {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ListFilter {
            text: filled(&self.text),
            role: self.role.map(Role::name),
            tag: filled(&self.tag),
            company: self.company.map(CompanyRef::Uid),
            with_idle: kind.entity == Entity::Company,
            ..ListFilter::default()
        }
    }

    /// The page in the order in which the database reads it: a page that ends before a record is read backwards.
    pub(super) fn list(&self, kind: &RecordKind) -> List {
        let mut order = self.arrangement.order();
        let start = match &self.start {
            PageStart::First => Start::Offset(0),
            PageStart::After(position) => Start::After(position.clone()),
            PageStart::Before(position) => {
                order.descending = !order.descending;
                Start::After(position.clone())
            }
        };
        List { filter: self.filter(kind), order, start, ..List::first(kind.entity, PAGE_SIZE) }
    }

    /// The list's own parameters, without its page.
    pub(super) fn parameters(&self) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        if !self.text.is_empty() {
            pairs.append_pair("q", &self.text);
        }
        if let Some(role) = self.role {
            pairs.append_pair("role", role.name());
        }
        if !self.tag.is_empty() {
            pairs.append_pair("tag", &self.tag);
        }
        if let Some(company) = self.company {
            pairs.append_pair("company", &company.to_string());
        }
        if self.arrangement != Arrangement::Newest {
            pairs.append_pair("order", self.arrangement.name());
        }
        if self.is_deleted {
            pairs.append_pair("state", "deleted");
        }
        pairs.finish()
    }

    /// The position of a record in the list's order.
    pub(super) fn position(&self, record: &Record) -> Position {
        position(record, self.arrangement)
    }

    /// The address of the page of this list that has this position as its `after` or `before`.
    pub(super) fn page(&self, kind: &RecordKind, name: &str, position: &Position) -> String {
        let own = self.parameters();
        let cursor = encode(position);
        let separator = if own.is_empty() { "" } else { "&" };
        format!("{}?{own}{separator}{name}={cursor}", kind.path)
    }
}

fn position(record: &Record, arrangement: Arrangement) -> Position {
    Position { value: record.key().filter(|_| arrangement == Arrangement::ByKey), uid: record.uid }
}

/// A position as a cursor.
fn encode(position: &Position) -> String {
    let mut bytes = position.uid.0.as_bytes().to_vec();
    if let Some(key) = &position.value {
        bytes.push(1);
        bytes.extend(key.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str, arrangement: Arrangement) -> Option<Position> {
    let bytes = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= MAX_CURSOR)?).ok()?;
    let (uid, key) = bytes.split_at_checked(16)?;
    let value = match key.split_first() {
        Some((_, key)) => Some(std::str::from_utf8(key).ok()?.to_owned()),
        None => None,
    };
    let is_usable = value.as_ref().is_none_or(|key| arrangement == Arrangement::ByKey && !key.contains('\0'));
    is_usable.then_some(Position { value, uid: Uid(Uuid::from_slice(uid).ok()?) })
}

#[cfg(test)]
mod tests {
    use super::super::super::super::form::Form;
    use super::super::{Contacts, Kind as _, Projects};
    use super::*;
    use crate::domain::fixture::arbitrary;
    use proptest::prelude::*;

    fn query(text: &str) -> PageQuery {
        PageQuery(Form::parse(text.as_bytes()))
    }

    #[test]
    fn an_address_gives_the_list_that_it_was_made_of() {
        let text = "q=Ann+%26+Bo&role=Lead&tag=vip&order=a-z";
        let list = ListQuery::of(&Contacts::KIND, &query(text));
        assert_eq!(list.parameters(), text);
        assert!(list.is_filtered());
        let of_projects = ListQuery::of(&Projects::KIND, &query(text));
        assert_eq!(of_projects.parameters(), "q=Ann+%26+Bo&order=a-z", "projects have neither roles nor tags");
    }

    proptest! {
        #[test]
        fn a_cursor_leads_to_the_record_that_it_was_made_of(record in arbitrary::record(Entity::Contact)) {
            for arrangement in Arrangement::ALL {
                let decoded = decode(&encode(&position(&record, arrangement)), arrangement).expect("a position");
                let value = record.key().filter(|_| arrangement == Arrangement::ByKey);
                prop_assert_eq!(decoded, Position { value, uid: record.uid });
            }
            if record.key().is_some() {
                prop_assert_eq!(decode(&encode(&position(&record, Arrangement::ByKey)), Arrangement::Newest), None);
            }
        }
    }

    #[test]
    fn another_text_than_a_cursor_leads_to_the_first_page() {
        for text in ["", "x", "AAAA", &"A".repeat(4_000)] {
            let list = ListQuery::of(&Contacts::KIND, &query(&format!("after={text}")));
            assert_eq!(list.start, PageStart::First, "{text}");
        }
    }
}
