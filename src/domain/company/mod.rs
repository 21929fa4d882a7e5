//! Companies: their commands and rules, and their first contact.
//!
//! Guarantees: a name, in any case, belongs to at most one live company of an account.

mod command;
#[cfg(test)]
mod tests;

pub(crate) use command::{CreateCompany, Primary, UpdateCompany};
