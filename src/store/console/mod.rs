//! The tables of the console: users, their sessions, links that work once, the throttle of signing in, and the audit as
//! admins read it.

pub mod audit_list;
pub mod links;
pub mod sessions;
pub mod throttle;
pub mod users;
