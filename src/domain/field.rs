//! The attributes of a record: which exist, in which order they are shown, and what may stand in them.

use serde::{Deserialize, Serialize};

/// A kind of record that has a stream in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// A person.
    Contact,
    /// An organisation that contacts belong to.
    Company,
}

impl Entity {
    /// Every kind of record.
    pub const ALL: [Self; 2] = [Self::Contact, Self::Company];

    /// The word in paths, subjects and event types.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.name() == name)
    }

    /// The attributes in the order in which every answer and event shows them.
    #[must_use]
    pub fn fields(self) -> &'static [Field] {
        match self {
            Self::Contact => CONTACT,
            Self::Company => COMPANY,
        }
    }

    /// The attribute by which clients look a record up besides its uid. Unique among an account's live records.
    #[must_use]
    pub fn key_field(self) -> Field {
        match self {
            Self::Contact => Field::Email,
            Self::Company => Field::Name,
        }
    }
}

/// An attribute. The declaration order is the order in a record's delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each variant is its wire name")]
pub enum Field {
    Role,
    Name,
    NamePrefix,
    FirstName,
    LastName,
    Title,
    Email,
    HomeEmail,
    WorkEmail,
    Phone,
    HomePhone,
    WorkPhone,
    ShopPhone,
    Website,
    BackgroundInfo,
    Tags,
    Address,
    Companies,
    PrimaryContact,
}

/// What may stand in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text up to so many characters.
    Text(usize),
    /// An email address, kept in lower case.
    Email,
    /// A telephone number as it was written.
    Phone,
    /// An absolute http or https URL.
    Website,
    /// Lead, Prospect or Client; set on create and never changed.
    Role,
    /// A set of words.
    Tags,
    /// A postal address.
    Address,
    /// The companies that a contact belongs to; written through `company`.
    Links,
    /// A company's first contact; written through `primaryContact`.
    Person,
}

const CONTACT: &[Field] = &[
    Field::Role,
    Field::NamePrefix,
    Field::FirstName,
    Field::LastName,
    Field::Title,
    Field::Email,
    Field::HomeEmail,
    Field::WorkEmail,
    Field::Phone,
    Field::HomePhone,
    Field::WorkPhone,
    Field::ShopPhone,
    Field::Website,
    Field::BackgroundInfo,
    Field::Tags,
    Field::Address,
    Field::Companies,
];

const COMPANY: &[Field] = &[
    Field::Role,
    Field::Name,
    Field::Phone,
    Field::HomePhone,
    Field::WorkPhone,
    Field::ShopPhone,
    Field::Website,
    Field::BackgroundInfo,
    Field::Tags,
    Field::Address,
    Field::PrimaryContact,
];

impl Field {
    /// The key in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Name => "name",
            Self::NamePrefix => "name_prefix",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Title => "title",
            Self::Email => "email",
            Self::HomeEmail => "home_email",
            Self::WorkEmail => "work_email",
            Self::Phone => "phone",
            Self::HomePhone => "home_phone",
            Self::WorkPhone => "work_phone",
            Self::ShopPhone => "shop_phone",
            Self::Website => "website",
            Self::BackgroundInfo => "background_info",
            Self::Tags => "tags",
            Self::Address => "address",
            Self::Companies => "companies",
            Self::PrimaryContact => "primaryContact",
        }
    }

    /// The field of `entity` with this JSON key.
    #[must_use]
    pub fn from_name(entity: Entity, name: &str) -> Option<Self> {
        entity.fields().iter().copied().find(|field| field.name() == name)
    }

    /// What may stand in it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Role => Kind::Role,
            Self::Email | Self::HomeEmail | Self::WorkEmail => Kind::Email,
            Self::Phone | Self::HomePhone | Self::WorkPhone | Self::ShopPhone => Kind::Phone,
            Self::Website => Kind::Website,
            Self::Tags => Kind::Tags,
            Self::Address => Kind::Address,
            Self::Companies => Kind::Links,
            Self::PrimaryContact => Kind::Person,
            // An event holds a record and its change, up to three times the text, and must fit a message of NATS (1 MiB).
            Self::BackgroundInfo => Kind::Text(16_384),
            // Names are lookup keys or parts of them: an index row of PostgreSQL holds at most 2,704 bytes.
            Self::Name | Self::NamePrefix | Self::FirstName | Self::LastName | Self::Title => Kind::Text(255),
        }
    }

    /// Whether `null` is a legal value.
    #[must_use]
    pub fn nullable(self) -> bool {
        !matches!(self, Self::Role | Self::Name | Self::FirstName | Self::LastName)
    }
}
