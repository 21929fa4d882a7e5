//! The result of one operation.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use crate::command::{CommandResult, Failure};
use crate::contract::outcome::Disposition;
use crate::contract::record::FieldValueJson;
use crate::domain::{AccountId, Entity, FieldConflict};
use crate::http::resources::company_fields::FieldGroups;
use crate::http::response::problem::Problem;
use crate::store::Store;

/// The result of one operation, before it is rendered.
pub(super) struct OperationResult {
    pub(super) op_id: Option<String>,
    pub(super) result: Result<CommandResult, Failure>,
    /// False for the operations of an atomic batch that were not applied because another one failed.
    pub(super) is_applied: bool,
}

impl OperationResult {
    pub(super) fn is_replayed(&self) -> bool {
        matches!(&self.result, Ok(CommandResult { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }))
    }
}

/// Renders items as a JSON array. Records are passed through as they are stored; companies get their groups.
pub(super) async fn render(store: &Store, account: AccountId, items: Vec<OperationResult>) -> Result<String, Problem> {
    let companies = items.iter().filter_map(|item| item.result.as_ref().ok());
    let companies = companies.filter(|result| result.done.entity == Entity::Company);
    let groups = FieldGroups::read(store, account, Entity::Company, companies.map(|result| &*result.record)).await?;
    let mut rendered = Vec::with_capacity(items.len());
    for item in items {
        rendered.push(one(account, &groups, item)?);
    }
    serde_json::to_string(&rendered).map_err(|error| {
        tracing::error!(%account, error = %error, "render results of operations failed");
        Problem::internal()
    })
}

type Rendered = BTreeMap<&'static str, Box<RawValue>>;

fn one(account: AccountId, groups: &FieldGroups, item: OperationResult) -> Result<Rendered, Problem> {
    let replayed = item.is_replayed();
    let mut members = Rendered::new();
    let mut put = |key, value: &Json| {
        members.insert(key, raw(value.to_string())?);
        Ok::<_, Problem>(())
    };
    put("op_id", &json!(item.op_id))?;
    if replayed {
        put("replayed", &json!(true))?;
    }
    match item.result {
        Err(failure) => {
            let problem = if item.is_applied { failure.into() } else { Problem::not_applied() };
            put("status", &json!(problem.status_code()))?;
            put("problem", &problem.members())?;
            put("changed", &json!(false))?;
            put("record", &Json::Null)?;
        }
        Ok(result) => {
            let CommandResult { done, record, conflicts, rejection, .. } = result;
            let problem = rejection.map(Problem::from);
            let status = match (&problem, done.disposition) {
                (Some(problem), _) => problem.status_code(),
                (None, Disposition::Created) => 201,
                (None, Disposition::Updated | Disposition::Deleted | Disposition::Unchanged) => 200,
            };
            put("status", &json!(status))?;
            put("seq", &json!(done.version))?;
            put("uid", &json!(done.uid))?;
            put("changed", &json!(done.disposition != Disposition::Unchanged))?;
            if let Some(problem) = problem {
                put("problem", &problem.members())?;
            }
            let rejected: Vec<&str> = conflicts
                .iter()
                .filter(|conflict| !conflict.is_applied)
                .map(|conflict| conflict.field.name())
                .collect();
            put("rejected", &json!(rejected))?;
            put("conflicts", &conflicts.iter().map(conflict).collect())?;
            let shown = groups.shown(account, done.entity, &record)?.into_owned();
            members.insert("record", raw(shown)?);
        }
    }
    Ok(members)
}

fn raw(text: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(text).map_err(|error| {
        tracing::error!(error = %error, "render result of operation failed");
        Problem::internal()
    })
}

pub(super) fn conflict(conflict: &FieldConflict) -> Json {
    let value = |value: &Option<_>| json!(FieldValueJson(conflict.field, value.as_ref()));
    let mut members = Map::new();
    members.insert("field".to_owned(), json!(conflict.field.name()));
    members.insert("applied".to_owned(), json!(conflict.is_applied));
    // A repeated result has no values: those are in the conflict log.
    if let Some(seq) = conflict.seq {
        members.insert("base".to_owned(), json!(conflict.base));
        members.insert("yours".to_owned(), value(&conflict.yours));
        members.insert("theirs".to_owned(), value(&conflict.theirs));
        members.insert("theirs_origin".to_owned(), json!(conflict.theirs_origin));
        members.insert("seq".to_owned(), json!(seq));
        members.insert("policy".to_owned(), json!(conflict.policy.name()));
    }
    Json::Object(members)
}
