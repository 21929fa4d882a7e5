//! The account's calls.

use super::operation::{Operation, Route, Shape, Success, Tag, get};
use crate::http::resources::usage;
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

pub(super) fn operation() -> Operation {
    Operation {
        route: Route { charged: false, ..get(usage::read, samples::usage) },
        path: "/usage",
        aliases: &[],
        tag: Tag::Usage,
        id: "readUsage",
        summary: "Read this month's calls",
        description: "The calls that the tier allows and those that were made, in all and by day (UTC). Reading them does not count as a call.",
        parameters: Vec::new(),
        body: None,
        success: Success { status: 200, shape: Shape::Data(Schema::Usage) },
        refusals: &[],
    }
}
