//! People who sign in to the console: passwords, second factors, sessions, links that work once, and mail.
//!
//! Guarantees: a password is hashed by argon2id on a blocking thread, a few at once; of a session or link only the hash of
//! its token is stored; signing in takes as long for an address that nobody has. Knows no HTTP.

pub mod mail;
pub mod password;
pub mod service;
pub mod sign_in;
pub mod token;
pub mod totp;

pub use self::mail::{MailQueue, Mailer};
pub use self::password::PasswordHasher;
pub use self::service::{UserError, Users};
pub use self::token::AccessToken;
