//! Projects.

use serde_json::json;

use super::operation::{Body, Operation, Shape, Success, Tag, get, post, put};
use super::parameter::{Parameter, attributes, idempotency_key, if_match, if_none_match, listing, search};
use crate::contract::input;
use crate::domain::Entity;
use crate::http::lists::list;
use crate::http::openapi::Schema;
use crate::http::records::{Project, create, read, update};
use crate::http::{meta, projects, samples};

const RECORD: Schema = Schema::Record(Entity::Project);

pub(super) fn operations() -> Vec<Operation> {
    vec![describe(), index(), add(), find(), change(), find_by_uid(), change_by_uid()]
}

fn describe() -> Operation {
    Operation {
        route: get(meta::read::<Project>, samples::meta::<Project>),
        path: "/project/meta",
        aliases: &[],
        tag: Tag::Project,
        id: "readProjectMeta",
        summary: "Read the attributes of projects",
        description: "Which attributes there are, the account's custom fields among them, and what may stand in them. \
            Without an envelope; every value is an object.",
        parameters: Vec::new(),
        body: None,
        success: Success { status: 200, shape: Shape::Meta },
        refusals: &[],
    }
}

fn index() -> Operation {
    Operation {
        route: get(list::<Project>, samples::list::<Project>),
        path: "/projects",
        aliases: &[],
        tag: Tag::Project,
        id: "listProjects",
        summary: "List projects",
        description: "Projects by the time of their creation.",
        parameters: listing().chain([search("A part of the name.")]).collect(),
        body: None,
        success: Success { status: 200, shape: Shape::Page(RECORD) },
        refusals: &[422],
    }
}

fn add() -> Operation {
    let example = json!({
        "name": "New roof",
        "status": "Open",
        "start_date": "2026-11-24",
        "estimated_value": {"amount": 12_000, "currency": "EUR"},
    });
    Operation {
        route: post(create::<Project>),
        path: "/project",
        aliases: &["/projects"],
        tag: Tag::Project,
        id: "createProject",
        summary: "Create a project",
        description: "Its name may be another project's too. `client` is the uid of a company or contact.",
        parameters: vec![idempotency_key()],
        body: Some(Body { schema: Schema::Create(input::Body::Project), example }),
        success: Success { status: 201, shape: Shape::Record(RECORD) },
        refusals: &[400, 413, 422],
    }
}

fn find() -> Operation {
    Operation {
        route: get(projects::read, samples::project),
        path: "/project/{type}/{identifier}",
        aliases: &[],
        tag: Tag::Project,
        id: "findProject",
        summary: "Find a project",
        description: "By its `uid`, its `name`, a part of its name (`contains_the_following`), or as the `most_recent` \
            one. Of several that fit, the one that was created last is meant.",
        parameters: sought().into_iter().chain([attributes(), if_none_match()]).collect(),
        body: None,
        success: Success { status: 200, shape: Shape::RecordOrNull(RECORD) },
        refusals: &[400, 404, 410],
    }
}

fn change() -> Operation {
    Operation {
        route: put(projects::update),
        path: "/project/{type}/{identifier}",
        aliases: &[],
        tag: Tag::Project,
        id: "changeFoundProject",
        summary: "Find a project and change it",
        description: "What is absent stays as it is, `null` clears.",
        parameters: sought().into_iter().chain([idempotency_key(), if_match()]).collect(),
        body: Some(body()),
        success: Success { status: 200, shape: Shape::RecordOrNull(RECORD) },
        refusals: &[400, 404, 410, 412, 413, 422],
    }
}

fn find_by_uid() -> Operation {
    Operation {
        route: get(read::<Project>, samples::read::<Project>),
        path: "/project/{type}",
        aliases: &[],
        tag: Tag::Project,
        id: "readProject",
        summary: "Read a project",
        description: "By its uid.",
        parameters: vec![uid(), attributes(), if_none_match()],
        body: None,
        success: Success { status: 200, shape: Shape::RecordOrNull(RECORD) },
        refusals: &[400, 404, 410],
    }
}

fn change_by_uid() -> Operation {
    Operation {
        route: put(update::<Project>),
        path: "/project/{type}",
        aliases: &[],
        tag: Tag::Project,
        id: "updateProject",
        summary: "Change a project",
        description: "What is absent stays as it is, `null` clears.",
        parameters: vec![uid(), idempotency_key(), if_match()],
        body: Some(body()),
        success: Success { status: 200, shape: Shape::RecordOrNull(RECORD) },
        refusals: &[400, 404, 410, 412, 413, 422],
    }
}

fn body() -> Body {
    Body { schema: Schema::Update(input::Body::Project), example: json!({"status": "Done"}) }
}

/// The router wants one name for what stands first after `/project/`, whatever comes behind it.
fn uid() -> Parameter {
    Parameter::path("type", "The project's uid.", "0193b1de-0000-7000-8000-000000000001")
}

fn sought() -> [Parameter; 2] {
    let kinds = ["uid", "name", "contains_the_following", "most_recent"];
    let kind = Parameter::path("type", "How the project is looked for.", "name");
    [
        Parameter { schema: json!({"enum": kinds}), ..kind },
        Parameter::path("identifier", "What it is looked for by; `true` for `most_recent`.", "New roof"),
    ]
}
