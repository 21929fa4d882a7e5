//! Webhooks.

use serde_json::json;

use super::operation::{BodySpec, Operation, Route, Shape, Success, Tag, delete, get, post, put};
use super::parameter::{Parameter, idempotency_key};
use crate::http::resources::endpoints::{self, attempts, cursor_commands, secrets};
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

/// The refusals of a write of an endpoint.
const WRITE: &[u16] = &[400, 404, 413, 422];
const READ: &[u16] = &[400, 404];

pub(super) fn operations() -> Vec<Operation> {
    let mut operations = resource();
    operations.extend(moved());
    operations.extend(watched());
    operations
}

/// The endpoints themselves.
fn resource() -> Vec<Operation> {
    vec![
        Operation {
            route: get(endpoints::list, samples::endpoints),
            path: "/push/endpoints",
            aliases: &[],
            tag: Tag::Push,
            id: "listEndpoints",
            summary: "List push endpoints",
            description: "All endpoints, with the position of each in the log.",
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
            description: "Events are sent to its URL by POST, signed with its secret as Standard Webhooks 1.0 says. \
                Only this response shows the secret. It is stored sealed: a service without a master key responds 503. \
                An endpoint is a cursor on the account's log: events \
                that happen while it is unreachable, paused or disabled are sent afterwards.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec {
                schema: Schema::EndpointCreate,
                example: json!({"url": "https://example.com/hook", "events": ["contact.*"]}),
            }),
            success: Success { status: 201, shape: Shape::Written(Schema::EndpointCreated) },
            refusals: &[400, 413, 422],
        },
        Operation {
            route: get(endpoints::read, samples::endpoint),
            path: "/push/endpoints/{id}",
            aliases: &[],
            tag: Tag::Push,
            id: "readEndpoint",
            summary: "Read a push endpoint",
            description: "With its position in the log.",
            parameters: vec![id()],
            body: None,
            success: Success { status: 200, shape: Shape::Data(Schema::Endpoint) },
            refusals: READ,
        },
        Operation {
            route: put(endpoints::update),
            path: "/push/endpoints/{id}",
            aliases: &[],
            tag: Tag::Push,
            id: "updateEndpoint",
            summary: "Change a push endpoint",
            description: "Absent settings stay unchanged, `null` sets the default. Deliveries in flight keep the previous settings.",
            parameters: vec![id(), idempotency_key()],
            body: Some(BodySpec {
                schema: Schema::EndpointUpdate,
                example: json!({"events": ["contact.*", "company.*"]}),
            }),
            success: Success { status: 200, shape: Shape::Written(Schema::Endpoint) },
            refusals: WRITE,
        },
        Operation {
            route: delete(endpoints::delete),
            path: "/push/endpoints/{id}",
            aliases: &[],
            tag: Tag::Push,
            id: "deleteEndpoint",
            summary: "Delete a push endpoint",
            description: "No more events are sent to it.",
            parameters: vec![id(), idempotency_key()],
            body: None,
            success: Success { status: 200, shape: Shape::Nothing },
            refusals: WRITE,
        },
    ]
}

/// Secrets, pause and resume, and the cursor.
fn moved() -> Vec<Operation> {
    let replay = Some(BodySpec { schema: Schema::EndpointReplay, example: json!({"from": "start"}) });
    let rotate = Some(BodySpec { schema: Schema::EndpointRotate, example: json!({"overlap_s": 3_600}) });
    let skip = Some(BodySpec { schema: Schema::EndpointSkip, example: json!({"seq": 1}) });
    vec![
        Operation {
            success: Success { status: 200, shape: Shape::Written(Schema::EndpointCreated) },
            ..action(
                post(secrets::rotate),
                "/push/endpoints/{id}/rotate",
                [
                    "rotateEndpointSecret",
                    "Rotate the secret of a push endpoint",
                    "Both secrets sign for `overlap_s` seconds: by default a day, at most a week. Only this response shows the \
                        new secret. It is stored sealed: a service without a master key responds 503.",
                ],
                rotate,
            )
        },
        action(
            post(cursor_commands::pause),
            "/push/endpoints/{id}/pause",
            ["pauseEndpoint", "Pause a push endpoint", "Events that happen meanwhile are sent after it is resumed."],
            None,
        ),
        action(
            post(cursor_commands::resume),
            "/push/endpoints/{id}/resume",
            [
                "resumeEndpoint",
                "Resume a push endpoint",
                "Resumes an endpoint that was paused, or disabled because it was gone or failed for days. Delivery continues \
                    at its cursor: no event is skipped.",
            ],
            None,
        ),
        action(
            post(cursor_commands::replay),
            "/push/endpoints/{id}/replay",
            [
                "replayEndpoint",
                "Send events again",
                "Sends the events after `from` again, up to `to` if it is given, in the order of the log. Events after `to` \
                    that were delivered are not sent again.",
            ],
            replay,
        ),
        action(
            post(cursor_commands::skip),
            "/push/endpoints/{id}/skip",
            [
                "skipEndpoint",
                "Skip events",
                "Events up to and including this one that were not delivered are not sent.",
            ],
            skip,
        ),
        Operation {
            parameters: vec![id(), seq(), idempotency_key()],
            ..action(
                post(cursor_commands::retry),
                "/push/endpoints/{id}/parked/{seq}/retry",
                ["retryParkedEvent", "Retry a parked event", "Once. If it fails again it stays parked."],
                None,
            )
        },
    ]
}

/// The results of deliveries.
fn watched() -> Vec<Operation> {
    let after = |description| Parameter::query("after", description, json!({"type": "string"}));
    let status = Parameter::query(
        "status",
        "Only attempts that were `delivered`, that `failed`, or that were answered with this status.",
        json!({"type": "string", "pattern": "^(delivered|failed|[1-9][0-9]{2})$"}),
    );
    let after_seq = json!({"type": "integer", "minimum": 0});
    vec![
        Operation {
            success: Success { status: 200, shape: Shape::Written(Schema::EndpointTest) },
            ..action(
                post(secrets::test),
                "/push/endpoints/{id}/test",
                [
                    "testEndpoint",
                    "Test a push endpoint",
                    "Sends an event of the type `push.ping`, which is not in the log, and responds with the result. \
                        503 if too many deliveries are in flight.",
                ],
                None,
            )
        },
        Operation {
            route: get(attempts::attempts, samples::attempts),
            path: "/push/endpoints/{id}/attempts",
            aliases: &[],
            tag: Tag::Push,
            id: "listAttempts",
            summary: "List attempts to deliver",
            description: "The newest first, at most 100. Attempts, of tests too, appear within moments and are dropped by the day: those \
                of 30 days are kept, unless the operator sets another number.",
            parameters: vec![id(), status, after("The id of the last attempt of the previous page.")],
            body: None,
            success: Success { status: 200, shape: Shape::List(Schema::Attempt) },
            refusals: &[400, 404, 422],
        },
        Operation {
            route: get(attempts::parked, samples::parked),
            path: "/push/endpoints/{id}/parked",
            aliases: &[],
            tag: Tag::Push,
            id: "listParkedEvents",
            summary: "List parked events",
            description: "Events that failed on every attempt of the schedule while other events were delivered. In the order of \
                the log, at most 100.",
            parameters: vec![id(), Parameter::query("after", "Only events after this one.", after_seq)],
            body: None,
            success: Success { status: 200, shape: Shape::List(Schema::Parked) },
            refusals: &[400, 404, 422],
        },
    ]
}

/// An operation on one endpoint that responds with the endpoint.
fn action(
    route: Route,
    path: &'static str,
    [name, summary, description]: [&'static str; 3],
    body: Option<BodySpec>,
) -> Operation {
    Operation {
        route,
        path,
        aliases: &[],
        tag: Tag::Push,
        id: name,
        summary,
        description,
        parameters: vec![id(), idempotency_key()],
        body,
        success: Success { status: 200, shape: Shape::Written(Schema::Endpoint) },
        refusals: WRITE,
    }
}

fn id() -> Parameter {
    Parameter::path("id", "The endpoint's id.", "019e7f00-0000-7000-8000-000000000000")
}

fn seq() -> Parameter {
    Parameter::path("seq", "The event's number.", "42")
}
