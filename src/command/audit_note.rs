//! The audit rows of commands.

use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use super::{CommandEnvelope, Reply};
use crate::contract::outcome::Disposition;
use crate::domain::Timestamp;
use crate::store::audit::CommandAudit;

/// The audit row of a command that a person sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditNote {
    /// The author, as the audit names them.
    pub actor: String,
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// The kind of change: `contact.restore`.
    pub action: String,
    /// An object, to which the record and its version are added.
    pub detail: Map<String, Json>,
}

/// The audit row of a command that changed something.
pub(super) fn audit_row(envelope: &CommandEnvelope, reply: &Reply, at: Timestamp) -> Option<CommandAudit> {
    let (note, Ok(result)) = (envelope.audit.as_ref()?, reply) else { return None };
    if result.done.disposition == Disposition::Unchanged {
        return None;
    }
    let mut detail = note.detail.clone();
    detail.insert("record".to_owned(), result.done.uid.to_string().into());
    detail.insert("version".to_owned(), result.done.version.0.into());
    Some(CommandAudit {
        account: envelope.account,
        at,
        actor: note.actor.clone(),
        address: note.address,
        action: note.action.clone(),
        detail: Json::Object(detail).to_string(),
    })
}
