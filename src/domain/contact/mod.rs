//! Contacts: what makes one, what changes one, and how it comes to belong to a company.
//!
//! Guarantees: an email address belongs to at most one live contact of an account; everyone but a Lead has one.

mod command;
#[cfg(test)]
mod tests;

pub use command::{CompanyLink, Create, Update};
pub(super) use command::{welcome, with_link};
