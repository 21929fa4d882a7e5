//! The parts that pages are made of. Each is a function that returns markup, and each is shown with its states at
//! `/console/components` of a development installation.

pub(crate) mod badge;
pub(crate) mod button;
pub(crate) mod chart;
pub(crate) mod code;
pub(crate) mod copy;
pub(crate) mod dialog;
pub(crate) mod empty;
pub(crate) mod field;
pub(crate) mod icon;
pub(crate) mod notice;
pub(crate) mod qr;
pub(crate) mod section;
pub(crate) mod spark;
pub(crate) mod table;

pub(crate) use self::badge::badge;
pub(crate) use self::button::{ButtonStyle, button, link_button};
pub(crate) use self::copy::{copy_button, copy_row};
pub(crate) use self::dialog::{Dialog, dialog, dialog_link};
pub(crate) use self::empty::empty_state;
pub(crate) use self::field::{Choice, FormField, checkbox, csrf, radio_group, select, text_field, textarea};
pub(crate) use self::icon::{Icon, icon};
pub(crate) use self::notice::{Tone, notice};
pub(crate) use self::qr::qr_code;
pub(crate) use self::section::{breakable, card, exact_time, page_head, time};
pub(crate) use self::table::{pagination, table};
