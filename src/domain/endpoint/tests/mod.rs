//! Tests of the commands and settings of endpoints. It knows nothing of JSON or of storage.

mod command;
mod health;
mod settings;
