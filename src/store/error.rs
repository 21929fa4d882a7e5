//! Errors of the database, by the reaction that they allow.

use std::error::Error;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

/// A statement or transaction that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The server does not respond: try later.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// Another transaction conflicted with this one: repeat it.
    #[error("the transaction was aborted by another")]
    Aborted(#[source] tokio_postgres::Error),
    /// Another transaction holds a lock for longer than this one may wait; nothing was written.
    #[error("another transaction holds a lock")]
    Locked(#[source] tokio_postgres::Error),
    /// The statement exceeded its timeout: retrying may help when the load is lower.
    #[error("the statement took too long")]
    TimedOut(#[source] tokio_postgres::Error),
    /// Too many searches of the account run and wait: try later.
    #[error("too many searches of the account are under way")]
    Busy,
    /// PostgreSQL refuses the statement or a value in it: repeating will not help.
    #[error("the database refused the statement")]
    Refused(#[source] tokio_postgres::Error),
    /// A stored value was written by no version of the service.
    #[error("{table}.{column} of {key} is corrupt")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        key: String,
        /// The defect of the value.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The text of an error and of what caused it, each once. Of an error of the server it has the code and the message.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in std::iter::successors(Some(error), |error| (*error).source()) {
        let words = match of_server(cause) {
            Some(error) => described(error),
            // The driver's word for an error of the server, which follows.
            None if cause.source().and_then(of_server).is_some() => continue,
            None => cause.to_string(),
        };
        if text.is_empty() {
            text = words;
        } else if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

fn of_server<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e DbError> {
    error.downcast_ref()
}

fn described(error: &DbError) -> String {
    let constraint = error.constraint().map(|constraint| format!(" (constraint {constraint})")).unwrap_or_default();
    format!("{} {}{constraint}", error.code().code(), error.message())
}

impl StoreError {
    pub(crate) fn corrupt(
        table: &'static str,
        column: &'static str,
        key: impl ToString,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt { table, column, key: key.to_string(), source: source.into() }
    }

    /// Returns the text for logs, without PostgreSQL's detail, because the detail quotes the row.
    #[must_use]
    pub fn report(&self) -> String {
        match self {
            Self::Aborted(source) | Self::Locked(source) | Self::TimedOut(source) | Self::Refused(source) => {
                format!("{self}: {}", with_causes(source))
            }
            Self::Unavailable(source) => format!("{self}: {}", with_causes(source.as_ref())),
            Self::Busy => self.to_string(),
            Self::Corrupt { source, .. } => format!("{self}: {source}"),
        }
    }

    /// Whether another transaction held a lock for too long.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked(_))
    }

    /// Whether a transaction that met this error may succeed when it is repeated.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Aborted(_) | Self::Locked(_) | Self::TimedOut(_) | Self::Busy => true,
            Self::Refused(_) | Self::Corrupt { .. } => false,
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        // Classes of SQLSTATE: PostgreSQL documentation, appendix A.
        match error.code().map(SqlState::code).map(|code| code.get(..2).unwrap_or(code)) {
            // Class 57 is about the server, except for a cancelled statement.
            Some("57") if error.code() == Some(&SqlState::QUERY_CANCELED) => Self::TimedOut(error),
            None | Some("08" | "53" | "57" | "58") => Self::Unavailable(Box::new(error)),
            // A standby that was a primary (25006), or a transaction that idled too long (25P03).
            Some("25") if matches!(error.code().map(SqlState::code), Some("25006" | "25P03")) => {
                Self::Unavailable(Box::new(error))
            }
            Some("40") => Self::Aborted(error),
            Some("55") if matches!(error.code().map(SqlState::code), Some("55P03")) => Self::Locked(error),
            Some(_) => Self::Refused(error),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => Self::Unavailable(Box::new(error)),
        }
    }
}
