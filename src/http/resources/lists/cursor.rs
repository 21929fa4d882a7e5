//! The `after` of a `nextPage` link: the position of a page's last row in the list's order.
//!
//! A list is ordered by a value and then by uid, so the next page can be found from the last row's value and uid alone,
//! on any replica. The cursor also carries the page's number and the total, so that a walk over several replicas keeps
//! them; the total is used only while the account's log is where it was. A cursor is valid for its own list: a digest
//! of account, kind, filters and order identifies it. It is neither secret nor signed, because it can only choose where
//! in the caller's own records a page begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::page_request::PageRequest;
use crate::contract::{Cursor, timestamp};
use crate::domain::{Invalid, Seq, Uid};
use crate::store::lists::{CompanyRef, ListCount, ListFilter, Position, Sort};

/// The version of the layout below.
const LAYOUT: u8 = 1;
/// The longest value that a list is ordered by, in bytes: a lookup key, or 128 characters of a field or of each of two names.
const MAX_VALUE: usize = 1_280;
/// The bytes before the value.
const FIXED: usize = 1 + 8 + 8 + 4 + 8 + 8 + 16 + 1;
/// More than any account can have. A greater number could overflow the arithmetic of pages.
const MAX_TOTAL: i64 = 1 << 48;

/// The position at which a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct After {
    pub(super) position: Position,
    pub(super) counted: ListCount,
    /// The number of the page.
    pub(super) number: i64,
}

impl After {
    /// Encodes the cursor for a link; `None` where the value is longer than any that is stored.
    pub(super) fn encode(&self, page_request: &PageRequest) -> Option<String> {
        let Self { position: Position { value, uid }, counted, number } = self;
        let mut bytes = Vec::with_capacity(FIXED + value.as_ref().map_or(0, String::len));
        bytes.push(LAYOUT);
        bytes.extend(digest(page_request));
        bytes.extend(number.to_be_bytes());
        bytes.extend(counted.as_of.epoch.to_be_bytes());
        bytes.extend(counted.as_of.seq.0.to_be_bytes());
        bytes.extend(counted.total.to_be_bytes());
        bytes.extend(uid.0.as_bytes());
        bytes.push(u8::from(value.is_some()));
        // The byte before it tells an absent value from an empty one.
        bytes.extend(value.as_deref().unwrap_or_default().as_bytes());
        (bytes.len() <= FIXED + MAX_VALUE).then(|| URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Decodes a cursor that [`Self::encode`] wrote for the same list.
    pub(super) fn decode(text: &str, page_request: &PageRequest) -> Result<Self, Invalid> {
        let invalid = |detail| Invalid::new("after", detail);
        let foreign = "Must be taken from a nextPage link of this service.";
        // Checked before it is decoded: four characters stand for three bytes.
        if text.len() > (FIXED + MAX_VALUE).div_ceil(3) * 4 {
            return Err(invalid(foreign));
        }
        let (list, after) = URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| read(&b)).ok_or_else(|| invalid(foreign))?;
        if list != digest(page_request) {
            let other =
                "Must be used with the account, filters and orderBy of the list whose nextPage link it is from.";
            return Err(invalid(other));
        }
        let fits = fits(page_request.order.by, after.position.value.as_deref());
        if fits { Ok(after) } else { Err(invalid(foreign)) }
    }
}

fn read(bytes: &[u8]) -> Option<([u8; 8], After)> {
    let mut rest = bytes;
    let [layout] = take(&mut rest)?;
    let list = take(&mut rest)?;
    let number = i64::from_be_bytes(take(&mut rest)?);
    let epoch = i32::from_be_bytes(take(&mut rest)?);
    let seq = Seq(i64::from_be_bytes(take(&mut rest)?));
    let total = i64::from_be_bytes(take(&mut rest)?);
    let uid = Uid(Uuid::from_bytes(take(&mut rest)?));
    let [has_value] = take(&mut rest)?;
    let value = std::str::from_utf8(rest).ok()?;
    let value = match has_value {
        0 => Some(None).filter(|_| value.is_empty())?,
        1 => Some(value.to_owned()),
        _ => return None,
    };
    let counted = ListCount { total, as_of: Cursor { epoch, seq } };
    let sound = layout == LAYOUT
        && (1..=i64::from(i32::MAX)).contains(&number)
        && (0..=MAX_TOTAL).contains(&total)
        && seq >= Seq::ZERO;
    sound.then_some((list, After { position: Position { value, uid }, counted, number }))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// Whether PostgreSQL can compare the value with those of the list.
fn fits(by: Sort, value: Option<&str>) -> bool {
    match (by, value) {
        (Sort::Uid, value) => value.is_none(),
        // Only the form that the service writes: PostgreSQL reads fewer forms of a timestamp than RFC 3339 has.
        (Sort::Updated, value) => value.is_some_and(|value| {
            timestamp::parse(value).is_some_and(|at| at.year() > 0 && timestamp::micros(at) == value)
        }),
        (Sort::Version, value) => value.is_some_and(|value| value.parse::<i64>().is_ok()),
        (Sort::Number(_), value) => value.is_none_or(|value| value.parse::<i64>().is_ok()),
        (Sort::Key | Sort::Field(_) | Sort::Name, value) => value.is_none_or(|value| !value.contains('\0')),
    }
}

/// The first bytes of a digest of everything that identifies a list. The page size does not.
fn digest(page_request: &PageRequest) -> [u8; 8] {
    let PageRequest { account, entity, filter, order, key_id: _, size: _, number: _ } = page_request;
    let ListFilter { created_after, created_before, updated_from, key, role, tag, company, text, with_idle } = filter;
    let timestamp = |at: &Option<crate::domain::Timestamp>| at.map(|at| at.unix_timestamp_nanos().to_string());
    let by = match order.by {
        Sort::Uid => "uid".to_owned(),
        Sort::Key => "key".to_owned(),
        Sort::Name => "name".to_owned(),
        Sort::Updated => "updated".to_owned(),
        Sort::Version => "version".to_owned(),
        Sort::Field(name) => format!("text of {name}"),
        Sort::Number(name) => format!("number of {name}"),
    };
    let company = company.as_ref().map(|company| match company {
        CompanyRef::Uid(uid) => format!("uid {uid}"),
        CompanyRef::Key(key) => format!("key {key}"),
    });
    let parts = [
        Some(account.to_string()),
        // No part of its own, so that cursors of versions without it stay valid.
        Some(if *with_idle { format!("idle {}", entity.name()) } else { entity.name().to_owned() }),
        Some(by),
        Some(order.descending.to_string()),
        timestamp(created_after),
        timestamp(created_before),
        timestamp(updated_from),
        key.clone(),
        role.map(str::to_owned),
        tag.clone(),
        company,
        text.clone(),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // Lengths separate neighbouring parts; an absent part has a length of its own.
        let length = part.as_ref().map_or(u64::MAX, |part| part.len() as u64);
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    let mut digest = [0; 8];
    for (to, from) in digest.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    digest
}
