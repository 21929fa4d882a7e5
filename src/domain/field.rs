//! The attributes of records and the kinds of their values.

use super::text_enum::text_enum;

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
    Category,
    Circles,
    Audiences,
    CustomFields,
    CompanyCustomFields,
    TargetCustomFields,
    ProjectCustomFields,
    Status,
    StartDate,
    EndDate,
    DueTime,
    InfoDescription,
    InfoTitleClient,
    InfoDescriptionClient,
    BusinessSector,
    EstimatedValue,
    Client,
    Team,
    Owner,
    Type,
    Description,
    AllowedValues,
    Id,
    Contact,
    Note,
    Date,
    FailingSince,
    Visibility,
    RecordKind,
    RecordUid,
    AttributeName,
    Reason,
    Policy,
    Base,
    Position,
    Kept,
    KeptOrigin,
    Lost,
    LostOrigin,
    Resolution,
}

/// The kind of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Any text of up to this number of characters.
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
    /// The circles that a contact is in; written as what to add and what to remove.
    Circles,
    /// The audiences that a contact subscribed to, by their numbers; written by subscribing.
    Audiences,
    /// Values of the custom fields that the account defined for this owner.
    Custom(FieldOwner),
    /// A company's category.
    Category,
    /// A calendar day: `2026-11-24`.
    Date,
    /// A time of day: `17:30`.
    Time,
    /// An amount in a currency.
    Money,
    /// The uid of a company or contact.
    Client,
    /// The uid of a contact.
    Contact,
    /// Texts in an order that matters.
    Words,
    /// The owner of a custom field.
    Owner,
    /// The type of a custom field.
    Type,
    /// A whole number from 1.
    Id,
    /// The visibility of a custom field; public is `null`, because the definitions of earlier versions have none.
    Visibility,
    /// The value of a field of another record, with the field's name: `{"phone": "+31201234567"}`.
    FieldValue,
}

text_enum! {
    /// The records that have a custom field.
    #[derive(PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "each variant is its wire name")]
    pub enum FieldOwner {
        Contact = "contact",
        Company = "company",
        Project = "project",
        /// Contacts, under `target_custom_fields`.
        Target = "target",
    }
}

impl FieldOwner {
    /// Reads a name in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|owner| owner.name().eq_ignore_ascii_case(text.trim()))
    }
}

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
            Self::Circles => "circles",
            Self::Audiences => "audiences",
            Self::CustomFields | Self::CompanyCustomFields => "custom_fields",
            Self::TargetCustomFields => "target_custom_fields",
            Self::ProjectCustomFields => "project_custom_fields",
            Self::Category => "category",
            Self::Status => "status",
            Self::StartDate => "start_date",
            Self::EndDate => "end_date",
            Self::DueTime => "due_time",
            Self::InfoDescription => "info_description",
            Self::InfoTitleClient => "info_title_client",
            Self::InfoDescriptionClient => "info_description_client",
            Self::BusinessSector => "business_sector",
            Self::EstimatedValue => "estimated_value",
            Self::Client => "client",
            Self::Team => "team",
            Self::Owner => "entity",
            Self::Type => "type",
            Self::Description => "description",
            Self::AllowedValues => "allowed_values",
            Self::Id => "id",
            Self::Contact => "contact",
            Self::Note => "note",
            Self::Date => "date",
            Self::FailingSince => "failing_since",
            Self::Visibility => "visibility",
            Self::RecordKind => "entity",
            Self::RecordUid => "record",
            Self::AttributeName => "field",
            Self::Reason => "reason",
            Self::Policy => "policy",
            Self::Base => "base",
            Self::Position => "seq",
            Self::Kept => "kept",
            Self::KeptOrigin => "kept_origin",
            Self::Lost => "lost",
            Self::LostOrigin => "lost_origin",
            Self::Resolution => "resolution",
        }
    }

    /// The kind of its values.
    #[must_use]
    pub fn kind(self) -> FieldKind {
        match self {
            Self::Role => FieldKind::Role,
            Self::Email | Self::HomeEmail | Self::WorkEmail => FieldKind::Email,
            Self::Phone | Self::HomePhone | Self::WorkPhone | Self::ShopPhone => FieldKind::Phone,
            Self::Website => FieldKind::Website,
            Self::Tags => FieldKind::Tags,
            Self::Address => FieldKind::Address,
            Self::Companies => FieldKind::Links,
            Self::PrimaryContact => FieldKind::Person,
            Self::Circles => FieldKind::Circles,
            Self::Audiences => FieldKind::Audiences,
            Self::CustomFields => FieldKind::Custom(FieldOwner::Contact),
            Self::CompanyCustomFields => FieldKind::Custom(FieldOwner::Company),
            Self::TargetCustomFields => FieldKind::Custom(FieldOwner::Target),
            Self::ProjectCustomFields => FieldKind::Custom(FieldOwner::Project),
            Self::Category => FieldKind::Category,
            Self::StartDate | Self::EndDate | Self::Date => FieldKind::Date,
            Self::DueTime => FieldKind::Time,
            Self::EstimatedValue => FieldKind::Money,
            Self::Client => FieldKind::Client,
            Self::Contact => FieldKind::Contact,
            Self::Team | Self::AllowedValues => FieldKind::Words,
            Self::Owner => FieldKind::Owner,
            Self::Type => FieldKind::Type,
            Self::Id | Self::Base | Self::Position => FieldKind::Id,
            Self::Visibility => FieldKind::Visibility,
            Self::BackgroundInfo | Self::InfoDescription | Self::InfoDescriptionClient | Self::Note => {
                FieldKind::Text(16_384)
            }
            Self::Description => FieldKind::Text(1_000),
            Self::FailingSince
            | Self::RecordKind
            | Self::RecordUid
            | Self::AttributeName
            | Self::Reason
            | Self::Policy
            | Self::Resolution => FieldKind::Text(64),
            Self::Kept | Self::Lost => FieldKind::FieldValue,
            Self::KeptOrigin | Self::LostOrigin => FieldKind::Text(255),
            // Names are lookup keys or parts of them: an index row of PostgreSQL holds at most 2,704 bytes.
            Self::Name
            | Self::NamePrefix
            | Self::FirstName
            | Self::LastName
            | Self::Title
            | Self::Status
            | Self::InfoTitleClient
            | Self::BusinessSector => FieldKind::Text(255),
        }
    }

    /// True when `null` is a legal value.
    #[must_use]
    pub fn nullable(self) -> bool {
        !matches!(
            self,
            Self::Role
                | Self::Name
                | Self::FirstName
                | Self::LastName
                | Self::Owner
                | Self::Type
                | Self::Id
                | Self::Contact
        )
    }
}
