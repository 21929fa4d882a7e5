//! The attributes of contacts: first those of the vendor's API, then those that only this service has.

use super::attribute::{
    Attribute, Attributes, CREATE, CREATE_UPDATE, READ, UPDATE, WRITE, active, address, attributes, created,
    full_address, maintained, tags, uid,
};

/// The attributes of contacts, with those of their custom fields and target fields.
pub(super) fn of_contacts(custom_fields: Attributes, target_custom_fields: Attributes) -> Attributes {
    let mut all = attributes([
        ("uid", uid()),
        ("first_name", Attribute::required_text("First Name")),
        ("last_name", Attribute::required_text("Last Name")),
        ("email", Attribute::of("string").format("email").required().not_null().on(WRITE).named("Primary Email")),
        ("name_prefix", Attribute::text("Name Prefix")),
        ("home_email", Attribute::formatted("email", "Home Email")),
        ("work_email", Attribute::formatted("email", "Work Email")),
        ("send_welcome_email", Attribute::of("boolean").optional().not_null().on(CREATE_UPDATE)),
        ("phone", Attribute::text("Primary Phone")),
        ("home_phone", Attribute::text("Home Phone")),
        ("work_phone", Attribute::text("Work Phone")),
        ("shop_phone", Attribute::text("Shop Phone")),
        ("title", Attribute::text("Title")),
        ("active", active()),
        ("role", Attribute::role().on(CREATE).named("Role")),
        ("tags", tags()),
        ("website", Attribute::formatted("uri", "Website")),
        ("background_info", Attribute::text("Background Info")),
        ("created", created()),
        ("notes", notes()),
        ("company", company()),
        ("companies", Attribute::of("array").optional().not_null().on(READ)),
        ("address", address()),
        ("circles", circles()),
        ("custom_fields", Attribute::object().any_properties(custom_fields)),
        ("target_custom_fields", Attribute::object().any_properties(target_custom_fields)),
    ]);
    all.extend(attributes([("full_address", full_address()), ("audiences", audiences())]));
    all.extend(maintained());
    all
}

fn notes() -> Attribute {
    let note = Attribute::of("object").properties(attributes([
        ("title", Attribute::of("string").required().not_null()),
        ("note", Attribute::of("string").optional().nullable()),
        ("date", Attribute::of("string").format("yyyy-mm-dd").required().not_null()),
    ]));
    Attribute::of("array").optional().not_null().on(CREATE_UPDATE).items(note)
}

fn company() -> Attribute {
    Attribute::of("object").optional().nullable().on(CREATE_UPDATE).properties(attributes([
        ("uid", uid()),
        ("name", Attribute::required_text("Name")),
        ("create_company_if_not_exists", Attribute::of("boolean").required().not_null().on(CREATE_UPDATE)),
    ]))
}

fn circles() -> Attribute {
    Attribute::object().properties(attributes([
        ("add", Attribute::of("array").on(CREATE_UPDATE).not_null()),
        ("remove", Attribute::of("array").on(UPDATE).not_null()),
    ]))
}

fn audiences() -> Attribute {
    let description = "Written through POST /marketing/subscribe.";
    Attribute::of("array").optional().not_null().on(READ).named("Audiences").field_description(description)
}
