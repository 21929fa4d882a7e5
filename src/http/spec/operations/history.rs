//! Histories of records.

use serde_json::json;

use super::operation::{Operation, Shape, Success, Tag, get};
use super::parameter::{Parameter, limit};
use crate::domain::Entity;
use crate::http::resources::resource::Resource;
use crate::http::resources::{history, projects};
use crate::http::spec::samples;

const DESCRIPTION: &str = "The record's events, the newest first: what changed, when, and by which origin. Each is the \
    event of the feed without the record; `at=<seq>` on the record gives that. A deleted record has its history by its \
    uid. A page ends at about 1 MiB, so it may have fewer events than `limit`.";

const REFUSALS: &[u16] = &[400, 404, 410, 422];

/// The history of a contact or company, which `id` names.
pub(super) fn of<R: Resource>(tag: Tag, id: Parameter) -> Operation {
    let (path, aliases, operation_id, summary): (_, &[&str], _, _) = if R::ENTITY == Entity::Company {
        ("/company/{id}/history", &["/companies/{id}/history"], "readCompanyHistory", "Read a company's history")
    } else {
        ("/contact/{id}/history", &["/contacts/{id}/history"], "readContactHistory", "Read a contact's history")
    };
    Operation {
        route: get(history::read::<R>, samples::history::<R>),
        path,
        aliases,
        tag,
        id: operation_id,
        summary,
        description: DESCRIPTION,
        parameters: vec![id, after(), events()],
        body: None,
        success: Success { status: 200, shape: Shape::History },
        refusals: REFUSALS,
    }
}

/// The history of a project.
pub(super) fn of_projects(path: Vec<Parameter>) -> Operation {
    Operation {
        route: get(projects::history, samples::project_history),
        path: "/project/{type}/{identifier}/history",
        aliases: &[],
        tag: Tag::Project,
        id: "readProjectHistory",
        summary: "Read a project's history",
        description: DESCRIPTION,
        parameters: path.into_iter().chain([after(), events()]).collect(),
        body: None,
        success: Success { status: 200, shape: Shape::History },
        refusals: REFUSALS,
    }
}

fn after() -> Parameter {
    let description =
        "The position at which the page begins: `meta.cursor` of the page before. Without it, the newest event.";
    Parameter::query("after", description, json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{16}$"}))
}

fn events() -> Parameter {
    limit("The most events of the page.", 100)
}
