mod command;
mod health;
mod settings;
