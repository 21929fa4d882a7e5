//! The description of one attribute: its members, in the order in which a response writes them.

use serde::ser::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::domain::Role;

pub(super) const READ: &[&str] = &["read"];
pub(super) const CREATE: &[&str] = &["create"];
pub(super) const UPDATE: &[&str] = &["update"];
pub(super) const READ_CREATE: &[&str] = &["read", "create"];
pub(super) const CREATE_UPDATE: &[&str] = &["create", "update"];
pub(super) const WRITE: &[&str] = &["read", "create", "update"];

/// Attributes by name, in their order.
pub(super) type Attributes = Vec<(String, Attribute)>;

/// The description of one attribute. Each method adds a member, so that the order of the calls is the order of the members.
#[derive(Debug, Clone)]
pub(super) struct Attribute(Vec<(&'static str, Member)>);

#[derive(Debug, Clone)]
enum Member {
    Plain(Json),
    Attribute(Box<Attribute>),
    Attributes(Attributes),
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, member)| (key, member)))
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(json) => json.serialize(serializer),
            Self::Attribute(attribute) => attribute.serialize(serializer),
            Self::Attributes(attributes) => serializer.collect_map(attributes.iter().map(|(name, it)| (name, it))),
        }
    }
}

impl Attribute {
    pub(super) fn of(kind: &str) -> Self {
        Self(Vec::new()).plain("type", json!(kind))
    }

    /// An optional text that clients read and write.
    pub(super) fn text(label: &str) -> Self {
        Self::of("string").optional().nullable().on(WRITE).named(label)
    }

    /// An optional text of this format that clients read and write.
    pub(super) fn formatted(format: &str, label: &str) -> Self {
        Self::of("string").format(format).optional().nullable().on(WRITE).named(label)
    }

    /// A text that every record has.
    pub(super) fn required_text(label: &str) -> Self {
        Self::of("string").required().not_null().on(WRITE).named(label)
    }

    /// An object without a label that clients read and write.
    pub(super) fn object() -> Self {
        Self::of("object").optional().nullable().on(WRITE)
    }

    /// The role of a contact or company. A create requires it of contacts alone.
    pub(super) fn role() -> Self {
        Self::of("string").required().not_null().allowed_values(Role::ALL.map(Role::name))
    }

    pub(super) fn format(self, format: &str) -> Self {
        self.plain("format", json!(format))
    }

    pub(super) fn description(self, text: &str) -> Self {
        self.plain("description", json!(text))
    }

    pub(super) fn required(self) -> Self {
        self.plain("required", json!(true))
    }

    pub(super) fn optional(self) -> Self {
        self.plain("required", json!(false))
    }

    pub(super) fn nullable(self) -> Self {
        self.plain("nullable", json!(true))
    }

    pub(super) fn not_null(self) -> Self {
        self.plain("nullable", json!(false))
    }

    pub(super) fn allowed_values<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<Json> = values.into_iter().map(|value| json!(value)).collect();
        self.plain("allowed_values", json!(values))
    }

    pub(super) fn on(self, actions: &[&str]) -> Self {
        self.plain("allowed_on_action", json!(actions))
    }

    /// The label that people see.
    pub(super) fn named(self, label: &str) -> Self {
        self.plain("field_name", json!(label))
    }

    pub(super) fn field_description(self, text: &str) -> Self {
        self.plain("field_description", json!(text))
    }

    pub(super) fn plain(self, key: &'static str, json: Json) -> Self {
        self.member(key, Member::Plain(json))
    }

    pub(super) fn items(self, attribute: Self) -> Self {
        self.member("items", Member::Attribute(Box::new(attribute)))
    }

    pub(super) fn properties(self, attributes: Attributes) -> Self {
        self.member("properties", Member::Attributes(attributes))
    }

    /// The properties, unless there are none.
    pub(super) fn any_properties(self, attributes: Attributes) -> Self {
        if attributes.is_empty() { self } else { self.properties(attributes) }
    }

    fn member(mut self, key: &'static str, member: Member) -> Self {
        self.0.push((key, member));
        self
    }
}

/// Attributes with their names.
pub(super) fn attributes<const N: usize>(named: [(&str, Attribute); N]) -> Attributes {
    named.map(|(name, attribute)| (name.to_owned(), attribute)).into()
}

pub(super) fn uid() -> Attribute {
    Attribute::of("string").format("uuid").optional().not_null().on(READ)
}

pub(super) fn active() -> Attribute {
    Attribute::of("boolean").optional().not_null().on(READ)
}

pub(super) fn created() -> Attribute {
    timestamp().optional().not_null().on(READ)
}

/// A time in the only form in which the service writes times.
pub(super) fn timestamp() -> Attribute {
    Attribute::of("date-time").format("yyyy-mm-ddThh:mm:ss+00:00")
}

pub(super) fn tags() -> Attribute {
    Attribute::of("array").optional().not_null().on(WRITE).named("Tags")
}

pub(super) fn address() -> Attribute {
    Attribute::object().properties(attributes([
        ("address_line_1", Attribute::text("Address Line 1")),
        ("address_line_2", Attribute::text("Address Line 2")),
        ("city", Attribute::text("City")),
        ("state", Attribute::text("State / Province")),
        ("country", Attribute::text("Country")),
        ("zip", Attribute::text("ZIP / Postal Code")),
    ]))
}

/// The address in one line, which only this service has.
pub(super) fn full_address() -> Attribute {
    let description = "The address in one line. Read from a body where address is absent.";
    Attribute::text("Full Address").field_description(description)
}

/// The members that this service adds to every record.
pub(super) fn maintained() -> Attributes {
    attributes([
        ("updated", timestamp().optional().not_null().on(READ).named("Updated")),
        ("version", Attribute::of("integer").optional().not_null().on(READ).named("Version")),
    ])
}
