//! The kinds of records: their names, attributes and event types.

use serde::{Deserialize, Serialize};

use super::text_enum::text_enum;
use super::{EventType, Field};

text_enum! {
    /// A kind of record that has a stream in the log. Its name stands in subjects and event types.
    #[derive(PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Entity {
        /// A person.
        Contact = "contact",
        /// An organisation that contacts belong to.
        Company = "company",
        /// Work for a company or contact.
        Project = "project",
        /// The definition of an attribute that the account added to its records.
        #[serde(rename = "schema")]
        CustomField = "schema",
        /// A list that contacts subscribe to.
        Audience = "audience",
        /// A group of contacts.
        Circle = "circle",
        /// A remark on a contact.
        Note = "note",
        /// A workspace of the account.
        World = "world",
        /// The health of a push endpoint. The endpoint's settings are in no log.
        Push = "push",
        /// A value that lost against another origin's, see [`super::sync`].
        Conflict = "conflict",
    }
}

impl Entity {
    /// The noun in a message.
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
            | Self::World
            | Self::Conflict => self.name(),
        }
    }

    /// The attributes, in their order in responses and events.
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
            Self::Conflict => CONFLICT,
        }
    }

    /// The attribute with this JSON key.
    #[must_use]
    pub fn field(self, name: &str) -> Option<Field> {
        self.fields().iter().copied().find(|field| field.name() == name)
    }

    /// The types of events that such a record has.
    #[must_use]
    pub fn event_types(self) -> &'static [EventType] {
        match self {
            Self::Contact => &[
                EventType::Created,
                EventType::Updated,
                EventType::Deleted,
                EventType::Restored,
                EventType::Merged,
                EventType::Erased,
                EventType::Subscribed,
                EventType::WelcomeRequested,
            ],
            Self::Company | Self::Project => &[
                EventType::Created,
                EventType::Updated,
                EventType::Deleted,
                EventType::Restored,
                EventType::Merged,
                EventType::Erased,
            ],
            Self::CustomField => &[EventType::FieldAdded, EventType::FieldChanged, EventType::FieldArchived],
            Self::Audience | Self::Circle | Self::Note | Self::World => &[EventType::Created],
            Self::Push => &[EventType::Failing, EventType::Disabled, EventType::Recovered],
            Self::Conflict => &[EventType::Opened, EventType::Resolved],
        }
    }

    /// True for the records that partners synchronize.
    #[must_use]
    pub fn is_synced(self) -> bool {
        matches!(self, Self::Contact | Self::Company | Self::Project)
    }

    /// True when a lookup key belongs to at most one live record of an account.
    #[must_use]
    pub fn has_unique_key(self) -> bool {
        match self {
            Self::Contact | Self::Company | Self::CustomField | Self::Audience | Self::Circle | Self::World => true,
            Self::Project | Self::Note | Self::Push | Self::Conflict => false,
        }
    }
}

impl Field {
    /// The first field with this name that a contact, a company or a project has.
    #[must_use]
    pub(crate) fn of_records(name: &str) -> Option<Self> {
        [Entity::Contact, Entity::Company, Entity::Project].iter().find_map(|entity| entity.field(name))
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

const CUSTOM_FIELD: &[Field] =
    &[Field::Owner, Field::Type, Field::Name, Field::Description, Field::AllowedValues, Field::Visibility];

const AUDIENCE: &[Field] = &[Field::Id, Field::Name];

const NOTE: &[Field] = &[Field::Contact, Field::Title, Field::Note, Field::Date];

const PUSH: &[Field] = &[Field::Status, Field::Description, Field::FailingSince];

const CONFLICT: &[Field] = &[
    Field::RecordKind,
    Field::RecordUid,
    Field::AttributeName,
    Field::Reason,
    Field::Policy,
    Field::Status,
    Field::Base,
    Field::Position,
    Field::Kept,
    Field::KeptOrigin,
    Field::Lost,
    Field::LostOrigin,
    Field::Resolution,
];

const NAMED: &[Field] = &[Field::Name];
