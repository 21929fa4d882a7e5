//! Contacts: their commands and rules, their companies, circles, notes and subscriptions.
//!
//! Guarantees: an email address belongs to at most one live contact of an account; every contact but a Lead has one.

mod command;
mod related;
mod subscribe;
#[cfg(test)]
mod tests;

pub(crate) use command::{CreateContact, UpdateContact};
pub(super) use command::{created, welcome, with_link};
pub(crate) use related::{CircleName, Circles, CompanyLink, Note, RelatedChanges};
pub(crate) use subscribe::Subscribe;
