//! What the account used of its limits.

use super::operation::{Operation, Shape, Success, Tag, get};
use crate::http::resources::usage;
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

pub(super) fn operation() -> Operation {
    Operation {
        route: get(usage::read, samples::usage),
        path: "/usage",
        aliases: &[],
        tag: Tag::Usage,
        id: "readUsage",
        summary: "Read this month's calls",
        description: "What the tier allows and what is used of it, in all and by day (UTC). It is no call itself.",
        parameters: Vec::new(),
        body: None,
        success: Success { status: 200, shape: Shape::Data(Schema::Usage) },
        refusals: &[],
    }
}
