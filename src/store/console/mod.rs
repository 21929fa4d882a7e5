//! The tables of the console: users, their sessions, links that work once, the throttle of signing in, the audit as
//! admins read it, and reads of records with the bounds of a page.

pub mod audit_list;
pub mod browse;
pub mod links;
pub mod overview;
pub mod sessions;
pub mod throttle;
pub mod users;
