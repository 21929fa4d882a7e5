//! Contacts: what makes one, what changes one, how it comes to belong to a company, and to what it subscribes.
//!
//! Guarantees: an email address belongs to at most one live contact of an account; everyone but a Lead has one.

mod besides;
mod command;
mod subscribe;
#[cfg(test)]
mod tests;

pub use besides::{Besides, CircleName, Circles, CompanyLink, Note};
pub use command::{Create, Update};
pub(super) use command::{created, welcome, with_link};
pub use subscribe::Subscribe;
