//! One operation of a partner as a command over NATS: the same as a batch of one operation, without a request.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::batch;
use crate::domain::{Invalid, Refusal};
use crate::gateway::{Executed, OperationCall};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::request::trace;
use crate::http::resources::records::RecordsState;
use crate::http::response::problem::Problem;

/// Executes an operation; the reply is its result as a batch's response has it.
pub(in crate::http) async fn execute(state: Arc<RecordsState>, call: OperationCall) -> Executed {
    let OperationCall { key, entity, operation, body, traceparent } = call;
    let caller = Caller::from(key);
    let traceparent = traceparent.filter(|text| trace::is_traceparent(text));
    let write = Write { body, idempotency: None, if_match: None, traceparent };
    let result = match read(&write, &entity, &operation) {
        Ok(json) => batch::execute_one(&state, &caller, &write, json).await,
        Err(problem) => Err(problem),
    };
    match result {
        Ok((reply, replayed)) => Executed { reply: Bytes::from(reply), counts: !replayed },
        Err(problem) => {
            let (status, problem) = (problem.status_code(), problem.members());
            let reply = json!({"op_id": null, "status": status, "problem": problem, "changed": false, "record": null});
            Executed { reply: Bytes::from(reply.to_string()), counts: true }
        }
    }
}

/// The operation in a body. Entity and operation may be left out, because the subject names them.
fn read(write: &Write, entity: &str, operation: &str) -> Result<Json, Problem> {
    let Json::Object(mut body) = write.json()? else {
        return Err(Refusal::from(Invalid::of_body("Must be an object.")).into());
    };
    for (key, value) in [("entity", entity), ("op", operation)] {
        if body.get(key).is_some_and(|own| own != value) {
            let detail = format!("Must be {value}, as the subject says, or be left out.");
            return Err(Refusal::from(Invalid::new(key, detail)).into());
        }
        body.insert(key.to_owned(), json!(value));
    }
    Ok(Json::Object(body))
}
