//! Projects.

use serde_json::json;

use super::history;
use super::operation::{BodySpec, Operation, Shape, Success, Tag, get, post, put};
use super::parameter::{Parameter, idempotency_key, if_match, if_none_match, listing, meta, record_at, search};
use super::records::{CREATE, LIST, META, READ, UPDATE};
use crate::contract::input::InputKind as Described;
use crate::domain::Entity;
use crate::http::resources::lists::list;
use crate::http::resources::meta as attributes;
use crate::http::resources::projects;
use crate::http::resources::records::{create, read, update};
use crate::http::resources::resource::Project;
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

const PROJECT: Schema = Schema::Record(Entity::Project);

pub(super) fn operations() -> Vec<Operation> {
    reading().into_iter().chain([history::of_projects(vec![kind(), identifier()])]).chain(writing()).collect()
}

fn reading() -> [Operation; 4] {
    [
        Operation {
            route: get(attributes::read::<Project>, samples::meta::<Project>),
            path: "/project/meta",
            aliases: &[],
            tag: Tag::Project,
            id: "readProjectMeta",
            summary: "Read the attributes of projects",
            description: META,
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::Bare(Schema::Attributes) },
            refusals: &[],
        },
        Operation {
            route: get(list::<Project>, samples::list::<Project>),
            path: "/projects",
            aliases: &[],
            tag: Tag::Project,
            id: "listProjects",
            summary: "List projects",
            description: "Projects in the order of their creation.",
            parameters: listing().into_iter().chain([search("A part of the name.")]).collect(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(PROJECT) },
            refusals: LIST,
        },
        Operation {
            route: get(projects::read, samples::project),
            path: "/project/{type}/{identifier}",
            aliases: &[],
            tag: Tag::Project,
            id: "readProject",
            summary: "Read a project",
            description: "By its uid, its name, a part of its name, or the most recent one.",
            parameters: vec![kind(), identifier(), meta(), record_at(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(PROJECT) },
            refusals: READ,
        },
        Operation {
            route: get(read::<Project>, samples::read::<Project>),
            path: "/project/{type}",
            aliases: &[],
            tag: Tag::Project,
            id: "readProjectByUid",
            summary: "Read a project by its uid",
            description: "The same as `GET /project/uid/{identifier}`: the step after it is the uid.",
            parameters: vec![uid(), meta(), record_at(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(PROJECT) },
            refusals: READ,
        },
    ]
}

fn writing() -> [Operation; 3] {
    let change = || Some(BodySpec { schema: Schema::Update(Described::Project), example: json!({"status": "Done"}) });
    [
        Operation {
            route: post(create::<Project>),
            path: "/project",
            aliases: &["/projects"],
            tag: Tag::Project,
            id: "createProject",
            summary: "Create a project",
            description: "`client` is the uid of a company or contact.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::Create(Described::Project), example: json!({"name": "New roof"}) }),
            success: Success { status: 201, shape: Shape::Record(PROJECT) },
            refusals: CREATE,
        },
        Operation {
            route: put(projects::update),
            path: "/project/{type}/{identifier}",
            aliases: &[],
            tag: Tag::Project,
            id: "updateProject",
            summary: "Change a project",
            description: "Absent fields stay unchanged, `null` clears a field.",
            parameters: vec![kind(), identifier(), idempotency_key(), if_match()],
            body: change(),
            success: Success { status: 200, shape: Shape::RecordOrNull(PROJECT) },
            refusals: UPDATE,
        },
        Operation {
            route: put(update::<Project>),
            path: "/project/{type}",
            aliases: &[],
            tag: Tag::Project,
            id: "updateProjectByUid",
            summary: "Change a project by its uid",
            description: "The same as `PUT /project/uid/{identifier}`: the step after it is the uid.",
            parameters: vec![uid(), idempotency_key(), if_match()],
            body: change(),
            success: Success { status: 200, shape: Shape::RecordOrNull(PROJECT) },
            refusals: UPDATE,
        },
    ]
}

fn kind() -> Parameter {
    let description = "The kind of identifier: the project's `uid`, its whole `name`, a part of its name \
        (`contains_the_following`), or `true` for the latest one (`most_recent`).";
    Parameter::choice(
        "type",
        description,
        "ProjectIdentifierType",
        &["uid", "name", "contains_the_following", "most_recent"],
    )
}

fn identifier() -> Parameter {
    Parameter::path("identifier", "The identifier, as `type` says.", "019e7f00-0000-7000-8000-000000000000")
}

fn uid() -> Parameter {
    Parameter::path("type", "The project's uid.", "019e7f00-0000-7000-8000-000000000000")
}
