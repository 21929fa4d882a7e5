//! The parameters of operations.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use crate::domain::Role;
use crate::http::request::at::AT;
use crate::http::spec::openapi::named;

/// A parameter of a path, a query or a header.
#[derive(Clone)]
pub(in crate::http) struct Parameter {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) location: ParameterLocation,
    pub(in crate::http) description: Cow<'static, str>,
    pub(in crate::http) schema: Json,
    pub(in crate::http) example: Option<Json>,
}

/// The part of a request that has a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ParameterLocation {
    Path,
    Query,
    Header,
}

impl ParameterLocation {
    pub(in crate::http) fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

impl Parameter {
    pub(super) fn path(name: &'static str, description: &'static str, example: &'static str) -> Self {
        let schema = json!({"type": "string", "minLength": 1});
        Self {
            name,
            location: ParameterLocation::Path,
            description: description.into(),
            schema,
            example: Some(json!(example)),
        }
    }

    /// A step of the path that is one of these words; `component` is its type in generated clients.
    pub(super) fn choice(name: &'static str, description: &'static str, component: &str, words: &[&str]) -> Self {
        let schema = named(component, json!({"type": "string", "enum": words}));
        Self { name, location: ParameterLocation::Path, description: description.into(), schema, example: None }
    }

    pub(super) fn query(name: &'static str, description: &'static str, schema: Json) -> Self {
        Self { name, location: ParameterLocation::Query, description: description.into(), schema, example: None }
    }

    fn header(name: &'static str, description: &'static str, schema: Json) -> Self {
        Self { name, location: ParameterLocation::Header, description: description.into(), schema, example: None }
    }

    fn example(self, example: impl Into<Json>) -> Self {
        Self { example: Some(example.into()), ..self }
    }
}

/// `page`, `after` and `limit` of a list.
fn paging() -> [Parameter; 3] {
    [
        Parameter::query(
            "page",
            "The page, counted from 1. A page past the end is an empty list. While records are created and deleted, a walk by \
                numbers may list one twice or miss one; a walk that follows `nextPage` does not.",
            json!({"type": "integer", "minimum": 1, "maximum": i32::MAX, "default": 1}),
        ),
        Parameter::query(
            "after",
            "The position at which the page begins, from a `nextPage` link; takes precedence over `page`. A walk that follows \
                `nextPage` lists every record that exists throughout it exactly once. A record whose value of `orderBy` \
                changes meanwhile may be listed twice or not at all; the order of creation, the default, has no such value. \
                Valid for the account, the filters and the `orderBy` of its link.",
            json!({"type": "string", "maxLength": 1800}),
        ),
        limit("The records of a page.", 10),
    ]
}

pub(super) fn limit(description: &'static str, default: i64) -> Parameter {
    Parameter::query("limit", description, json!({"type": "integer", "minimum": 1, "maximum": 500, "default": default}))
}

/// Adds the record's attributes to a response.
pub(super) fn meta() -> Parameter {
    let description = "Any text: adds the attributes of such records to the response, as `meta.attributes`.";
    Parameter::query("meta", description, json!({"type": "string"}))
}

/// The parameters of every list of records.
pub(super) fn listing() -> Vec<Parameter> {
    let as_it_was = "The list as it was: `limit`, `after` and `meta` go with it, filters and `orderBy` do not. All \
        records of then come in the order of creation, companies without contacts included, each as its event has it. A \
        page may have fewer records than `limit`, even none, and go on: follow `nextPage`, which also pins the position, \
        until it is `null`. The counts of `meta.pagination` are `null`. `meta.as_of` is the cursor of the position.";
    paging().into_iter().chain(narrowing()).chain([meta(), at(as_it_was)]).collect()
}

/// The position of the log whose state a read shows.
pub(super) fn at(as_it_was: &str) -> Parameter {
    let description = format!(
        "A position of the account's log: the number of an event, a cursor, or a time (RFC 3339 with its offset), which \
         means the last event at or before it. Must not be beyond the log's end or in the future. A cursor of a log that \
         was restored since is 410. {as_it_was}"
    );
    Parameter { description: description.into(), ..Parameter::query(AT, "", json!({"type": "string"})) }.example("42")
}

/// `at` of one record.
pub(super) fn record_at() -> Parameter {
    at("The record as it was then, as its event has it: links have the names that they had when they were made. The \
        path names the record as it is called now. A record that was created later is 404, one that was deleted by then \
        410. `meta.at` is the number of the position, `meta.as_of` its cursor.")
}

/// `createdMin`, `createdMax`, `updatedMin` and `orderBy` of a list.
fn narrowing() -> [Parameter; 4] {
    let timestamp = || json!({"type": "string", "format": "date-time"});
    [
        Parameter::query(
            "createdMin",
            "Only records that were created after this time (RFC 3339 with its offset). `created` is shown to the second, and \
                records of the second of the bound are left out, unless the bound has fractions of a second. To \
                synchronise, use `updatedMin` or the feed, which leave out nothing.",
            timestamp(),
        )
            .example("2020-01-01T00:00:00+00:00"),
        Parameter::query(
            "createdMax",
            "Only records that were created before this time, which must be later than `createdMin`.",
            timestamp(),
        )
        .example("2040-01-01T00:00:00+00:00"),
        Parameter::query(
            "updatedMin",
            "Only records that were changed at this time or later; fractions of a second count. To continue, give the latest \
                `updated` that was read: records of that second are listed again. Concurrent changes may become visible a \
                little later than changes with a later time, so subtract a minute. The feed of changes needs no overlap.",
            timestamp(),
        )
            .example("2020-01-01T00:00:00+00:00"),
        Parameter::query(
            "orderBy",
            "A field of the records, or `created`, `updated`, `version`; for contacts also `name`, which is the last name and \
                then the first. `-` before it reverses the order. The order of creation and that of the lookup key cost \
                nothing, others sort the whole list.",
            json!({"type": "string"}),
        )
        .example("-created"),
    ]
}

/// `q` of a list.
pub(super) fn search(of_what: &'static str) -> Parameter {
    Parameter::query("q", of_what, json!({"type": "string", "maxLength": 255}))
}

/// `role` and `tag` of a list.
pub(super) fn kind_of() -> [Parameter; 2] {
    let roles = Role::ALL.map(Role::name);
    [
        Parameter::query(
            "role",
            "Only records with this role, ignoring case.",
            named("Role", json!({"type": "string", "enum": roles})),
        ),
        Parameter::query(
            "tag",
            "Only records with this tag. `tags` is read too.",
            json!({"type": "string", "maxLength": 255}),
        ),
    ]
}

/// `email` and `company` of a list of contacts.
pub(super) fn belonging() -> [Parameter; 2] {
    let text = || json!({"type": "string", "maxLength": 255});
    [
        Parameter::query("email", "Only the contact with this email address.", text()),
        Parameter::query("company", "Only contacts of the company with this uid or name.", text()),
    ]
}

pub(super) fn flag(name: &'static str, description: &'static str) -> Parameter {
    Parameter::query(name, description, json!({"type": "boolean", "default": false}))
}

pub(super) fn idempotency_key() -> Parameter {
    let description = "A text that the client chooses, quoted or not. The same request (method, path, query, `If-Match` and \
        body) with the same key is carried out once within 24 hours; a repetition gets the stored response with \
        `Idempotent-Replayed: true`. Keys belong to the origin of the secret key, so keys of different systems do not \
        collide.";
    let schema = json!({"type": "string", "pattern": "^[!#-~]{1,255}$"});
    Parameter::header("Idempotency-Key", description, schema)
}

pub(super) fn if_match() -> Parameter {
    let description = "The `ETag` that the record must have, a list of them, or `*`. Otherwise nothing is written and \
        the response is 412, or 400 if the condition cannot be parsed.";
    Parameter::header("If-Match", description, entity_tag())
}

pub(super) fn if_none_match() -> Parameter {
    let description =
        "The `ETag` that the client has: if it is still the record's, the response is 304 without a body.";
    Parameter::header("If-None-Match", description, entity_tag())
}

fn entity_tag() -> Json {
    json!({"type": "string", "pattern": "^\"[1-9][0-9]{0,17}\"$"})
}
