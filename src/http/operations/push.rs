//! Webhooks.

use serde_json::json;

use super::operation::{Body, Operation, Shape, Success, Tag, delete, get, post};
use super::parameter::Parameter;
use crate::http::openapi::Schema;
use crate::http::{endpoints, samples};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation {
            route: get(endpoints::list, samples::endpoints),
            path: "/push/endpoints",
            aliases: &[],
            tag: Tag::Push,
            id: "listEndpoints",
            summary: "List push endpoints",
            description: "All of them, with how far each has come.",
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::List(Schema::Endpoint) },
            refusals: &[],
        },
        Operation {
            route: post(endpoints::create),
            path: "/push/endpoints",
            aliases: &[],
            tag: Tag::Push,
            id: "createEndpoint",
            summary: "Create a push endpoint",
            description: "Events are sent to its URL by POST, signed with its secret as Standard Webhooks 1.0 has it. \
                The secret is shown in this answer alone.",
            parameters: Vec::new(),
            body: Some(Body {
                schema: Schema::EndpointCreate,
                example: json!({"url": "https://example.com/hook", "events": ["contact.*"]}),
            }),
            success: Success { status: 201, shape: Shape::Data(Schema::EndpointCreated) },
            refusals: &[400, 413, 422],
        },
        Operation {
            route: delete(endpoints::delete),
            path: "/push/endpoints/{id}",
            aliases: &[],
            tag: Tag::Push,
            id: "deleteEndpoint",
            summary: "Delete a push endpoint",
            description: "Nothing is sent to it any more.",
            parameters: vec![Parameter::path("id", "The endpoint's id.", "019e7f00-0000-7000-8000-000000000000")],
            body: None,
            success: Success { status: 200, shape: Shape::Nothing },
            refusals: &[400, 404],
        },
    ]
}
