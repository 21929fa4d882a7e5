//! Errors below HTTP, sorted into the few reasons that something acts on.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::header::InvalidHeaderValue;

use super::connect::{Late, NoAddress, Unreached};
use crate::push::address::Refused;
use crate::push::outcome::{NO_ADDRESS, Reason};

/// The text of an error may quote what the other side sent, such as the names in a certificate.
const TEXT_LIMIT: usize = 400;

/// The reason why there is no complete response, as a value and as text.
#[derive(Debug)]
pub(super) struct AttemptFailure {
    pub(super) reason: Reason,
    /// For the endpoint's owner.
    pub(super) error: String,
    /// Details for the operator alone, where the host's name has no usable address.
    pub(super) no_address: Option<String>,
}

impl AttemptFailure {
    fn new(reason: Reason, error: String) -> Self {
        Self { reason, error, no_address: None }
    }

    pub(super) fn refused(refused: Refused) -> Self {
        Self::new(Reason::Refused, refused.to_string())
    }

    pub(super) fn bad_request(error: &InvalidHeaderValue) -> Self {
        Self::new(Reason::BadRequest, format!("a header cannot be sent: {error}"))
    }

    pub(super) fn late(timeout: Duration) -> Self {
        Self::new(Reason::Timeout, format!("no whole answer within {timeout:?}"))
    }

    /// No connection.
    pub(super) fn of_connecting(error: &(dyn Error + 'static)) -> Self {
        if let Some(no_address) = cause::<NoAddress>(error) {
            let refused = cause::<Refused>(no_address).is_some();
            return Self {
                reason: if refused { Reason::Refused } else { Reason::Connect },
                error: NO_ADDRESS.to_owned(),
                no_address: Some(text(no_address)),
            };
        }
        let reason = if timed_out(error) {
            Reason::Timeout
        } else if cause::<Unreached>(error).is_some() {
            Reason::Connect
        } else {
            // The part of connecting after TCP.
            Reason::Tls
        };
        Self::new(reason, text(error))
    }

    /// No head of an answer on a connection.
    pub(super) fn of_request(error: &hyper::Error) -> Self {
        let reason = if timed_out(error) { Reason::Timeout } else { broken(error) };
        Self::new(reason, text(error))
    }

    /// A head, but no end of the body.
    pub(super) fn of_body(error: &hyper::Error) -> Self {
        Self::new(broken(error), text(error))
    }
}

fn timed_out(error: &(dyn Error + 'static)) -> bool {
    cause::<Late>(error).is_some() || cause::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
}

/// Why an established connection brought no answer.
fn broken(error: &(dyn Error + 'static)) -> Reason {
    // TLS 1.3 lets the client go on before the server has judged it, so its alert comes late.
    if cause::<rustls::Error>(error).is_some() {
        return Reason::Tls;
    }
    let unread = cause::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    let unfit = cause::<io::Error>(error)
        .is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    if unread || unfit { Reason::BadResponse } else { Reason::Reset }
}

/// The first error of type `T` among this error and what caused it.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(cause) = error.downcast_ref() {
            return Some(cause);
        }
        // An `io::Error` made of another error calls that one's source its own and hides the error itself.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// The error and its causes in one line. Postgres takes no NUL in a text, and one row is refused together with others.
fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text.chars().filter(|c| !c.is_control()).take(TEXT_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_short_line_whatever_the_other_side_sent() {
        assert_eq!(text(&io::Error::other("a\0b\r\nc")), "abc");
        assert_eq!(text(&io::Error::other("x".repeat(TEXT_LIMIT + 1))).len(), TEXT_LIMIT);
    }
}
