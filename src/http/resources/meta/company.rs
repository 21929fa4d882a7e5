//! The attributes of companies: first those of the vendor's API, then those that only this service has.

use crate::domain::Role;

use super::attribute::{
    Attribute, Attributes, CREATE, READ, READ_CREATE, WRITE, active, address, attributes, created, full_address,
    maintained, tags, uid,
};

/// The attributes of companies, with those of their custom fields: for each group its name and attributes, and all of them.
pub(super) fn of_companies(
    groups: impl IntoIterator<Item = (&'static str, Attributes)>,
    all: Attributes,
) -> Attributes {
    let mut company = attributes([
        ("uid", uid()),
        ("role", Attribute::role().on(READ_CREATE).named("Role")),
        ("name", Attribute::required_text("Name")),
        ("phone", Attribute::text("Phone")),
        ("category", category()),
        ("primaryContact", primary_contact()),
        ("home_phone", Attribute::text("Home Phone")),
        ("work_phone", Attribute::text("Work Phone")),
        ("shop_phone", Attribute::text("Shop Phone")),
        ("website", Attribute::formatted("uri", "Website")),
        ("tags", tags()),
        ("background_info", Attribute::text("Background Info")),
        ("created", created()),
        ("address", address()),
    ]);
    let groups = groups.into_iter();
    company.extend(groups.map(|(name, fields)| (name.to_owned(), Attribute::object().any_properties(fields))));
    let custom_fields = Attribute::object()
        .named("Custom Fields")
        .field_description("The values of all groups. Each value by its custom field's UUID.")
        .any_properties(all);
    company.extend(attributes([
        ("custom_fields", custom_fields),
        ("full_address", full_address()),
        ("active", active()),
    ]));
    company.extend(maintained());
    company
}

fn category() -> Attribute {
    let properties = attributes([
        ("name", Attribute::required_text("Name")),
        ("color", Attribute::of("string").optional().nullable().on(READ).named("Color")),
        ("isDefault", Attribute::of("boolean").optional().not_null().on(READ).named("Set as the Default")),
    ]);
    Attribute::of("object").optional().nullable().on(WRITE).named("Category").properties(properties)
}

fn primary_contact() -> Attribute {
    let name = |label| {
        let when = "Required when 'create_primary_contact_if_not_exists' is true";
        Attribute::of("string").description(when).optional().not_null().on(READ_CREATE).named(label)
    };
    let flag = |description| Attribute::of("boolean").description(description);
    let welcome = "Send welcome email to the primary contact in case was not already sent";
    let create = "Create a Primary Contact with all provided data if the email does not exists";
    let mode = "Prevent this Primary Contact from switching into 'Individual Mode'";
    let email = Attribute::of("string").format("email").required().not_null().on(READ_CREATE).named("Primary Email");
    let role = Attribute::of("string").optional().not_null().allowed_values(Role::ALL.map(Role::name));
    let properties = attributes([
        ("uid", uid()),
        ("first_name", name("First Name")),
        ("last_name", name("Last Name")),
        ("name_prefix", Attribute::of("string").optional().nullable().on(READ).named("Name Prefix")),
        ("email", email),
        ("role", role.on(READ).named("Role")),
        ("send_welcome_email", flag(welcome).optional().not_null().on(CREATE)),
        ("create_primary_contact_if_not_exists", flag(create).required().not_null().on(CREATE)),
        ("prevent_individual_mode", flag(mode).optional().not_null().on(CREATE)),
    ]);
    Attribute::of("object").optional().not_null().on(READ_CREATE).properties(properties)
}
