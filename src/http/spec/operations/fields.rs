//! The fields that an account adds to its records.

use serde_json::json;

use super::operation::{BodySpec, Operation, Shape, Success, Tag, delete, get, post, put};
use super::parameter::{Parameter, idempotency_key, if_match, if_none_match, listing, meta, record_at};
use super::records::{CREATE, LIST, READ, UPDATE};
use crate::contract::input::InputKind as Described;
use crate::domain::Entity;
use crate::http::resources::lists::list;
use crate::http::resources::records::{self, create, read, update};
use crate::http::resources::resource::CustomField;
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

const FIELD: Schema = Schema::Record(Entity::CustomField);

pub(super) fn operations() -> Vec<Operation> {
    let color = json!({"entity": "contact", "type": "dropdown", "name": "Color", "allowed_values": ["Red", "Green"]});
    vec![
        Operation {
            route: get(list::<CustomField>, samples::list::<CustomField>),
            path: "/fields",
            aliases: &[],
            tag: Tag::Meta,
            id: "listFields",
            summary: "List custom fields",
            description: "Custom fields that are not archived.",
            parameters: listing(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(FIELD) },
            refusals: LIST,
        },
        Operation {
            route: post(create::<CustomField>),
            path: "/fields",
            aliases: &[],
            tag: Tag::Meta,
            id: "createField",
            summary: "Add a custom field",
            description: "Contacts have its values in `custom_fields` under its uid, projects in \
                `project_custom_fields`, companies in `public_custom_fields` or `private_custom_fields`, by its \
                `visibility`. Values of `target` are in `target_custom_fields` of contacts and companies.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::Create(Described::CustomField), example: color }),
            success: Success { status: 201, shape: Shape::Record(FIELD) },
            refusals: CREATE,
        },
        Operation {
            route: get(read::<CustomField>, samples::read::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "readField",
            summary: "Read a custom field",
            description: "By its uid.",
            parameters: vec![id(), meta(), record_at(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: READ,
        },
        Operation {
            route: put(update::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "updateField",
            summary: "Change a custom field",
            description: "Changes its name, its description, its allowed values or its visibility. `entity` and `type` \
                cannot change.",
            parameters: vec![id(), idempotency_key(), if_match()],
            body: Some(BodySpec { schema: Schema::Update(Described::CustomField), example: json!({"name": "Colour"}) }),
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: UPDATE,
        },
        Operation {
            route: delete(records::delete::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "archiveField",
            summary: "Archive a custom field",
            description: "Records keep their values and accept no new ones.",
            parameters: vec![id(), idempotency_key(), if_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: UPDATE,
        },
    ]
}

fn id() -> Parameter {
    Parameter::path("id", "The custom field's uid.", "019e7f00-0000-7000-8000-000000000000")
}
