//! The kinds of records: what each is called, which attributes it has, and what can happen to it.

use serde::{Deserialize, Serialize};

use super::{EventType, Field};

/// A kind of record that has a stream in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entity {
    /// A person.
    Contact,
    /// An organisation that contacts belong to.
    Company,
    /// Work for a company or contact.
    Project,
    /// The definition of an attribute that the account added to its records.
    #[serde(rename = "schema")]
    CustomField,
    /// A list that contacts subscribe to.
    Audience,
    /// A group of contacts.
    Circle,
    /// A remark on a contact.
    Note,
    /// A workspace of the account.
    World,
    /// How a push endpoint fares. Its settings are in no log.
    Push,
}

impl Entity {
    /// Every kind of record.
    pub const ALL: [Self; 9] = [
        Self::Contact,
        Self::Company,
        Self::Project,
        Self::CustomField,
        Self::Audience,
        Self::Circle,
        Self::Note,
        Self::World,
        Self::Push,
    ];

    /// The word in subjects and event types.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::Company => "company",
            Self::Project => "project",
            Self::CustomField => "schema",
            Self::Audience => "audience",
            Self::Circle => "circle",
            Self::Note => "note",
            Self::World => "world",
            Self::Push => "push",
        }
    }

    /// The word in a sentence.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::CustomField => "custom field",
            Self::Push => "push endpoint",
            Self::Contact
            | Self::Company
            | Self::Project
            | Self::Audience
            | Self::Circle
            | Self::Note
            | Self::World => self.name(),
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
            Self::Project => PROJECT,
            Self::CustomField => CUSTOM_FIELD,
            Self::Audience => AUDIENCE,
            Self::Circle => NAMED,
            Self::Note => NOTE,
            Self::World => NAMED,
            Self::Push => PUSH,
        }
    }

    /// What can happen to such a record.
    #[must_use]
    pub fn event_types(self) -> &'static [EventType] {
        match self {
            Self::Contact => &[
                EventType::Created,
                EventType::Updated,
                EventType::Deleted,
                EventType::Subscribed,
                EventType::WelcomeRequested,
            ],
            Self::Company => &[EventType::Created, EventType::Updated, EventType::Deleted],
            Self::Project => &[EventType::Created, EventType::Updated],
            Self::CustomField => &[EventType::FieldAdded, EventType::FieldChanged, EventType::FieldArchived],
            Self::Audience | Self::Circle | Self::Note | Self::World => &[EventType::Created],
            Self::Push => &[EventType::Failing, EventType::Disabled, EventType::Recovered],
        }
    }

    /// Whether at most one live record of an account has a given lookup key.
    #[must_use]
    pub fn has_unique_key(self) -> bool {
        match self {
            Self::Contact | Self::Company | Self::CustomField | Self::Audience | Self::Circle | Self::World => true,
            Self::Project | Self::Note | Self::Push => false,
        }
    }
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
    Field::Circles,
    Field::Audiences,
    Field::CustomFields,
    Field::TargetCustomFields,
];

const COMPANY: &[Field] = &[
    Field::Role,
    Field::Name,
    Field::Category,
    Field::Phone,
    Field::HomePhone,
    Field::WorkPhone,
    Field::ShopPhone,
    Field::Website,
    Field::BackgroundInfo,
    Field::Tags,
    Field::Address,
    Field::PrimaryContact,
    Field::CompanyCustomFields,
];

const PROJECT: &[Field] = &[
    Field::Name,
    Field::Status,
    Field::StartDate,
    Field::EndDate,
    Field::DueTime,
    Field::InfoDescription,
    Field::InfoTitleClient,
    Field::InfoDescriptionClient,
    Field::BusinessSector,
    Field::EstimatedValue,
    Field::Client,
    Field::Team,
    Field::ProjectCustomFields,
];

const CUSTOM_FIELD: &[Field] = &[Field::Owner, Field::Type, Field::Name, Field::Description, Field::AllowedValues];

const AUDIENCE: &[Field] = &[Field::Id, Field::Name];

const NOTE: &[Field] = &[Field::Contact, Field::Title, Field::Note, Field::Date];

const PUSH: &[Field] = &[Field::Status, Field::Description, Field::FailingSince];

const NAMED: &[Field] = &[Field::Name];
