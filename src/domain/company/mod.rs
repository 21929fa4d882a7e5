//! Companies: what makes one, what changes one, and its first contact.
//!
//! Guarantees: a name, in whatever case, belongs to at most one live company of an account.

mod command;
#[cfg(test)]
mod tests;

pub use command::{CreateCompany, Primary, UpdateCompany};
