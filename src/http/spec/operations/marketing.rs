//! Audiences, subscriptions and worlds.

use serde_json::json;

use super::operation::{BodySpec, Operation, Shape, Success, Tag, get, post};
use super::parameter::{idempotency_key, listing};
use super::records::{CREATE, LIST};
use crate::domain::Entity;
use crate::http::resources::lists::list;
use crate::http::resources::marketing;
use crate::http::resources::resource::{Audience, World};
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

pub(super) fn operations() -> Vec<Operation> {
    let subscriptions = json!([
        {"email": "john.doe@email.com", "first_name": "John", "last_name": "Doe", "audiences": []},
    ]);
    vec![
        Operation {
            route: post(marketing::subscribe),
            path: "/marketing/subscribe",
            aliases: &[],
            tag: Tag::Marketing,
            id: "subscribe",
            summary: "Subscribe contacts to audiences",
            description: "Each item is carried out by itself, and its result has the same index in `data`. A Lead is created if no contact has the email \
                address. Values of custom fields are set on a new and on an existing contact; names only on a new one. 200 if at least one item was carried out.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::Subscriptions, example: subscriptions }),
            success: Success { status: 200, shape: Shape::List(Schema::SubscriptionResult) },
            refusals: CREATE,
        },
        Operation {
            route: get(list::<Audience>, samples::list::<Audience>),
            path: "/audiences",
            aliases: &[],
            tag: Tag::Marketing,
            id: "listAudiences",
            summary: "List audiences",
            description: "The lists that contacts can be subscribed to.",
            parameters: listing(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(Schema::Record(Entity::Audience)) },
            refusals: LIST,
        },
        Operation {
            route: get(list::<World>, samples::list::<World>),
            path: "/worlds",
            aliases: &[],
            tag: Tag::Worlds,
            id: "listWorlds",
            summary: "List worlds",
            description: "The account's workspaces. Empty if it has none.",
            parameters: listing(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(Schema::Record(Entity::World)) },
            refusals: LIST,
        },
    ]
}
