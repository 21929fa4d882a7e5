//! Tests of settings and their limits, of cursor commands, and of the health that the log records.

mod command;
mod health;
mod settings;
