//! A list's query: filters, order, page.

use uuid::Uuid;

use crate::contract::record::parse_uid;
use crate::domain::record::normalize_key;
use crate::domain::sync::conflict::{OPEN, RESOLVED};
use crate::domain::value::plain;
use crate::domain::{AccountId, Entity, Field, FieldKind, Invalid, Role, Timestamp, ValidationErrors};
use crate::http::request::extract::Query;
use crate::store::lists::{CompanyRef, ListFilter, Sort, SortOrder};

/// The items of a page where the query has no `limit`.
pub(super) const PAGE_SIZE: i64 = 10;
/// The longest text of a filter, in characters. A longer one is refused with 422.
const MAX_TEXT: usize = 255;

/// A page of a list. The key is part of it, so that two keys of an account walk independently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PageRequest {
    pub(super) account: AccountId,
    pub(super) key_id: Uuid,
    pub(super) entity: Entity,
    pub(super) filter: ListFilter,
    pub(super) order: SortOrder,
    pub(super) size: i64,
    pub(super) number: i64,
}

impl PageRequest {
    /// Reads a query, and adds every error in it to `errors`. Parameters that this list does not have are ignored.
    pub(super) fn read(
        entity: Entity,
        account: AccountId,
        key_id: Uuid,
        query: &Query,
        errors: &mut ValidationErrors,
    ) -> Self {
        // Nobody reads the defaults: a request with errors is refused.
        let number = errors.take(query.number("page", 1..=i64::from(i32::MAX), 1)).unwrap_or_default();
        let size = errors.take(page_size(query)).unwrap_or_default();
        let order = errors.take(order(entity, query)).unwrap_or_default();
        let filter = filter(entity, query, errors);
        Self { account, key_id, entity, filter, order, size, number }
    }
}

/// `limit`: the records of a page.
pub(super) fn page_size(query: &Query) -> Result<i64, Invalid> {
    query.number("limit", 1..=500, PAGE_SIZE)
}

/// The filters of a list, besides those of every list.
fn filters(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::Contact => &["email", "role", "tag", "company", "q"],
        Entity::Company => &["role", "tag", "q"],
        Entity::Project => &["q"],
        Entity::CustomField | Entity::Audience | Entity::Circle | Entity::Note | Entity::World | Entity::Push => &[],
        Entity::Conflict => &["status"],
    }
}

/// Another name of a filter, by which existing clients know it.
fn other_name(filter: &str) -> Option<&'static str> {
    (filter == "tag").then_some("tags")
}

fn filter(entity: Entity, query: &Query, errors: &mut ValidationErrors) -> ListFilter {
    let mut timestamp = |name| errors.take(query.timestamp(name)).flatten();
    let (created_after, created_before) = (timestamp("createdMin"), timestamp("createdMax"));
    let updated_from = timestamp("updatedMin");
    errors.extend(backwards(created_after, created_before));
    let created_after = created_after.map(before_its_second);
    let mut text = |name: &str| {
        let name = *filters(entity).iter().find(|filter| **filter == name)?;
        let (name, value) =
            [Some(name), other_name(name)].into_iter().flatten().find_map(|name| Some((name, query.get(name)?)))?;
        let value = plain(value, MAX_TEXT).map_err(|detail| Invalid::new(name, detail));
        errors.take(value).filter(|text| !text.is_empty())
    };
    let (email, tag, company, part) = (text("email"), text("tag"), text("company"), text("q"));
    let (role, status) = (text("role"), text("status"));
    let role = role.and_then(|role| {
        let detail = "Must be Lead, Prospect or Client.";
        errors.take(Role::parse(&role).ok_or_else(|| Invalid::new("role", detail)))
    });
    let status = status.and_then(|status| {
        let known = [OPEN, RESOLVED].into_iter().find(|known| status.eq_ignore_ascii_case(known));
        errors.take(known.ok_or_else(|| Invalid::new("status", "Must be open or resolved.")))
    });
    ListFilter {
        created_after,
        created_before,
        updated_from,
        key: email.as_deref().map(normalize_key),
        // The status of a conflict is in the column of roles.
        role: role.map(Role::name).or(status),
        tag,
        company: company.map(|company| {
            parse_uid(&company).map_or_else(|| CompanyRef::Key(normalize_key(&company)), CompanyRef::Uid)
        }),
        text: part,
        with_idle: entity == Entity::Company && query.flag("idle"),
    }
}

fn backwards(after: Option<Timestamp>, before: Option<Timestamp>) -> Option<Invalid> {
    (after? >= before?).then(|| Invalid::new("createdMin", "Must be before createdMax."))
}

/// Records are stamped with the second of their creation. A bound within a second includes records of that second,
/// because some were created after the bound; a bound at the beginning of a second is exclusive.
fn before_its_second(after: Timestamp) -> Timestamp {
    // Zero nanoseconds are always valid.
    let second = after.replace_nanosecond(0).unwrap_or(after);
    // Nothing lies before the earliest timestamp.
    if second == after { after } else { second.checked_sub(time::Duration::MICROSECOND).unwrap_or(second) }
}

/// `orderBy`: a field of the records, or of what the service adds to them; `-` before it reverses the order.
fn order(entity: Entity, query: &Query) -> Result<SortOrder, Invalid> {
    let Some(wanted) = query.get("orderBy") else { return Ok(SortOrder::default()) };
    let wanted = wanted.trim();
    let (name, descending) = wanted.strip_prefix('-').map_or((wanted, false), |name| (name, true));
    let by = sort(entity, name).ok_or_else(|| {
        let detail = format!("Must be a field of a {}, after a - for descending order.", entity.noun());
        Invalid::new("orderBy", detail)
    })?;
    Ok(SortOrder { by, descending })
}

fn sort(entity: Entity, name: &str) -> Option<Sort> {
    match name {
        "created" | "uid" => Some(Sort::Uid),
        "updated" => Some(Sort::Updated),
        "version" => Some(Sort::Version),
        "name" if entity == Entity::Contact => Some(Sort::Name),
        "full_address" if entity.fields().contains(&Field::Address) => Some(Sort::Field("full_address")),
        _ => {
            let field = entity.field(name)?;
            let numbered = field.kind() == FieldKind::Id;
            let sort = if numbered { Sort::Number(field.name()) } else { Sort::Field(field.name()) };
            Some(if Some(field) == key_field(entity) { Sort::Key } else { sort })
        }
    }
}

/// The field whose normalized value is the record's lookup key.
fn key_field(entity: Entity) -> Option<Field> {
    match entity {
        Entity::Contact => Some(Field::Email),
        Entity::Company | Entity::Project | Entity::Circle | Entity::World => Some(Field::Name),
        Entity::CustomField | Entity::Audience | Entity::Note | Entity::Push | Entity::Conflict => None,
    }
}
