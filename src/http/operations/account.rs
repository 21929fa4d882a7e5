//! What an account has besides records to work with: custom fields, audiences, worlds.

use serde_json::json;

use super::operation::{Body, Operation, Shape, Success, Tag, delete, get, post, put};
use super::parameter::{Parameter, attributes, idempotency_key, if_match, if_none_match, listing};
use crate::contract::input;
use crate::domain::Entity;
use crate::http::lists::list;
use crate::http::openapi::Schema;
use crate::http::records::{self, Audience, CustomField, World, create, read, update};
use crate::http::{marketing, samples};

pub(super) fn operations() -> Vec<Operation> {
    let lists = [audiences(), worlds()];
    [subscribe()].into_iter().chain(lists).chain(fields()).chain(changing_fields()).collect()
}

fn subscribe() -> Operation {
    let example = json!([{"email": "john.doe@email.com", "first_name": "John", "last_name": "Doe", "audiences": [1]}]);
    Operation {
        route: post(marketing::subscribe),
        path: "/marketing/subscribe",
        aliases: &[],
        tag: Tag::Marketing,
        id: "subscribe",
        summary: "Subscribe people to audiences",
        description: "A list of up to 100, each managed by itself: a contact is made, as a Lead, where none has the email. \
            The answer is a success when one of them was managed, and says of each what became of it.",
        parameters: vec![idempotency_key()],
        body: Some(Body { schema: Schema::Subscriptions, example }),
        success: Success { status: 200, shape: Shape::Subscribed },
        refusals: &[400, 413, 422],
    }
}

fn audiences() -> Operation {
    Operation {
        route: get(list::<Audience>, samples::list::<Audience>),
        path: "/audiences",
        aliases: &[],
        tag: Tag::Marketing,
        id: "listAudiences",
        summary: "List audiences",
        description: "What people can be subscribed to, by `id`.",
        parameters: listing().collect(),
        body: None,
        success: Success { status: 200, shape: Shape::Page(Schema::Record(Entity::Audience)) },
        refusals: &[422],
    }
}

fn worlds() -> Operation {
    Operation {
        route: get(list::<World>, samples::list::<World>),
        path: "/worlds",
        aliases: &[],
        tag: Tag::Worlds,
        id: "listWorlds",
        summary: "List worlds",
        description: "The account's workspaces; none unless it has some.",
        parameters: listing().collect(),
        body: None,
        success: Success { status: 200, shape: Shape::Page(Schema::Record(Entity::World)) },
        refusals: &[422],
    }
}

const FIELD: Schema = Schema::Record(Entity::CustomField);

fn fields() -> [Operation; 3] {
    [
        Operation {
            route: get(list::<CustomField>, samples::list::<CustomField>),
            path: "/fields",
            aliases: &[],
            tag: Tag::Meta,
            id: "listFields",
            summary: "List custom fields",
            description: "Those that are not archived, in the order of their making.",
            parameters: listing().collect(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(FIELD) },
            refusals: &[422],
        },
        Operation {
            route: post(create::<CustomField>),
            path: "/fields",
            aliases: &[],
            tag: Tag::Meta,
            id: "createField",
            summary: "Add a custom field",
            description: "Its uid is the key of its values in `custom_fields`. A dropdown or multi-select needs \
                `allowed_values`.",
            parameters: vec![idempotency_key()],
            body: Some(Body {
                schema: Schema::Create(input::Body::CustomField),
                example: json!({
                    "entity": "contact",
                    "type": "dropdown",
                    "name": "Favourite colour",
                    "allowed_values": ["Red", "Green"],
                }),
            }),
            success: Success { status: 201, shape: Shape::Record(FIELD) },
            refusals: &[400, 413, 422],
        },
        Operation {
            route: get(read::<CustomField>, samples::read::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "readField",
            summary: "Read a custom field",
            description: "By its uid.",
            parameters: vec![field_id(), attributes(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: &[400, 404, 410],
        },
    ]
}

fn changing_fields() -> [Operation; 2] {
    [
        Operation {
            route: put(update::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "updateField",
            summary: "Change a custom field",
            description: "Its name, description and allowed values. `entity` and `type` never change.",
            parameters: vec![field_id(), idempotency_key(), if_match()],
            body: Some(Body {
                schema: Schema::Update(input::Body::CustomField),
                example: json!({"allowed_values": ["Red", "Green", "Blue"]}),
            }),
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: &[400, 404, 410, 412, 413, 422],
        },
        Operation {
            route: delete(records::delete::<CustomField>),
            path: "/fields/{id}",
            aliases: &[],
            tag: Tag::Meta,
            id: "archiveField",
            summary: "Archive a custom field",
            description: "Records keep the values that they have; it takes no new ones.",
            parameters: vec![field_id(), idempotency_key(), if_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(FIELD) },
            refusals: &[400, 404, 410, 412, 413, 422],
        },
    ]
}

fn field_id() -> Parameter {
    Parameter::path("id", "The custom field's uid.", "0193b1de-0000-7000-8000-000000000001")
}
