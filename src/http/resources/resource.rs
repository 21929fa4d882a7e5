//! The kinds of records as resources.

use crate::contract::input::InputKind;
use crate::domain::Entity;

/// A kind of record as a resource. Handlers are generic over it.
pub(in crate::http) trait Resource: Send + Sync + 'static {
    const ENTITY: Entity;
    /// The message of a list's response.
    const LISTED: &'static str;
}

/// A resource whose records are created and changed by sending them as bodies.
pub(in crate::http) trait Writable: Resource {
    const BODY: InputKind;
}

macro_rules! resources {
    ($($name:ident $listed:literal $($body:ident)?;)*) => {$(
        #[doc = $listed]
        pub(in crate::http) struct $name;

        impl Resource for $name {
            const ENTITY: Entity = Entity::$name;
            const LISTED: &'static str = $listed;
        }

        $(impl Writable for $name {
            const BODY: InputKind = InputKind::$body;
        })?
    )*};
}

resources! {
    Contact "Contacts were listed." Contact;
    Company "Companies were listed." Company;
    Project "Projects were listed." Project;
    CustomField "Custom fields were listed." CustomField;
    Audience "Audiences were listed.";
    World "Worlds were listed.";
    Conflict "Conflicts were listed.";
}
