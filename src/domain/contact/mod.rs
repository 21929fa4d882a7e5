//! Contacts: what makes one, what changes one, how it comes to belong to a company, and to what it subscribes.
//!
//! Guarantees: an email address belongs to at most one live contact of an account; everyone but a Lead has one.

mod command;
mod related;
mod subscribe;
#[cfg(test)]
mod tests;

pub use command::{CreateContact, UpdateContact};
pub(super) use command::{created, welcome, with_link};
pub use related::{CircleName, Circles, CompanyLink, Note, RelatedChanges};
pub use subscribe::Subscribe;
