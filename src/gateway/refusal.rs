//! Commands that are not executed.

use bytes::Bytes;
use serde_json::json;

/// The reason why a command is not executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommandRefusal {
    /// The server does not name a client with a key that works and with the account of the subject.
    Unauthorized,
    /// The key may only read.
    ReadOnly,
    TooLarge {
        limit: usize,
    },
    /// The account or the replica executes as many commands as it may.
    TooMany,
    QuotaExceeded,
    /// Keys or limits cannot be checked.
    Unavailable,
    /// It may have been executed.
    Unknown,
}

impl CommandRefusal {
    /// The label of the metric.
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::ReadOnly => "read-only",
            Self::TooLarge { .. } => "too-large",
            Self::TooMany => "too-many",
            Self::QuotaExceeded => "quota",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
        }
    }

    /// The reply: the status and the problem (RFC 9457), as for a refused operation of a batch.
    pub(crate) fn body(self) -> Bytes {
        let (status, kind, title, detail) = match self {
            Self::Unauthorized => {
                (401, "about:blank", "Not authenticated", "The login's key is not one of the account's any more.".to_owned())
            }
            Self::ReadOnly => {
                (403, "about:blank", "Read-only key", "This key may read only; nothing was changed.".to_owned())
            }
            Self::TooLarge { limit } => {
                (413, "about:blank", "Body too large", format!("The command must have at most {limit} bytes."))
            }
            Self::TooMany => (
                503,
                "/problems/too-many-commands",
                "Service unavailable",
                "Too many commands are being executed; nothing was changed. Send it again in a few seconds with the same \
                 op_id."
                    .to_owned(),
            ),
            Self::QuotaExceeded => (
                429,
                "https://iana.org/assignments/http-problem-types#quota-exceeded",
                "Quota exceeded",
                "The account's calls of this second or month are used up; nothing was changed. GET /usage says when there \
                 are more."
                    .to_owned(),
            ),
            Self::Unavailable => (
                503,
                "about:blank",
                "Service unavailable",
                "The service cannot reach its database; nothing was changed. Send it again in a few seconds with the same \
                 op_id."
                    .to_owned(),
            ),
            Self::Unknown => (
                503,
                "about:blank",
                "Service unavailable",
                "The result of the command is not known. Send it again with the same op_id.".to_owned(),
            ),
        };
        let problem = json!({"type": kind, "title": title, "status": status, "detail": detail});
        Bytes::from(json!({"status": status, "problem": problem}).to_string())
    }
}
