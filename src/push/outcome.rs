//! Outcomes of attempts. A delivery that failed is a value like any other, never an error.

use std::time::Duration;

use super::retry_delays::RETRY_AFTER_CAP;

/// The outcome of one attempt, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// A whole answer with 2xx: the receiver has it.
    Delivered,
    /// It did not arrive, or was not accepted. It is retried by the schedule.
    Failed(Reason),
    /// The receiver requests a pause: it applies to the whole endpoint.
    Throttled {
        /// The requested pause (`Retry-After`), at most 10 h.
        after: Option<Duration>,
    },
    /// 410: the receiver no longer exists. The endpoint is disabled.
    Gone,
}

/// Why an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The receiver answered with a status that is neither success nor throttling nor 410; redirects too,
    /// which are not followed.
    Status,
    /// The address policy: nothing was sent, no connection was made.
    Refused,
    /// One of the headers to send holds a control character: nothing was sent.
    BadRequest,
    /// The name has no address, or nothing accepts connections there.
    Connect,
    /// No TLS session, such as for a certificate that is not trusted or not for this name.
    Tls,
    /// The attempt, or its connecting alone, ran out of time.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The response is not HTTP, or its head is too large.
    BadResponse,
}

/// The one message that an endpoint's owner gets for a host name without a usable address. A message about forbidden
/// addresses would reveal that the name has some.
pub(crate) const NO_ADDRESS: &str = "no usable address: the host's name has none, or one that deliveries may not go to";

impl AttemptOutcome {
    /// The outcome of a whole answer, by its status (Standard Webhooks 1.0, "Delivery success and failure";
    /// 503 is treated as 502 and 504 are, since `Retry-After` most often comes with it).
    #[must_use]
    pub fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            429 | 502 | 503 | 504 => Self::Throttled { after: retry_after.map(|after| after.min(RETRY_AFTER_CAP)) },
            _ => Self::Failed(Reason::Status),
        }
    }

    /// True where nothing was sent, so that the outcome says nothing about the delivery's events.
    #[must_use]
    pub fn is_unreachable(self) -> bool {
        matches!(self, Self::Failed(Reason::Connect | Reason::Tls | Reason::Refused))
    }

    /// The name of this outcome in the attempt log, which the endpoint's owner reads. A refused address is shown as a failed
    /// connection, so that the owner cannot probe the network.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::Failed(Reason::Refused) => Self::Failed(Reason::Connect).label(),
            Self::Delivered | Self::Failed(_) | Self::Throttled { .. } | Self::Gone => self.label(),
        }
    }

    /// The name of this outcome in metrics and in the operator's log.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Throttled { .. } => "throttled",
            Self::Gone => "gone",
            Self::Failed(Reason::Status) => "status",
            Self::Failed(Reason::Refused) => "refused",
            Self::Failed(Reason::BadRequest) => "bad_request",
            Self::Failed(Reason::Connect) => "connect",
            Self::Failed(Reason::Tls) => "tls",
            Self::Failed(Reason::Timeout) => "timeout",
            Self::Failed(Reason::Reset) => "reset",
            Self::Failed(Reason::BadResponse) => "bad_response",
        }
    }
}

/// The outcome and error that are shown for a stored attempt. An earlier version stored different ones for host names
/// without a usable address; they are shown alike.
#[must_use]
pub(crate) fn shown_from_log<'a>(outcome: &'a str, error: Option<&'a str>) -> (&'a str, Option<&'a str>) {
    let connect = AttemptOutcome::Failed(Reason::Connect).label();
    if outcome == AttemptOutcome::Failed(Reason::Refused).label() {
        return (connect, Some(NO_ADDRESS));
    }
    let unresolved = outcome == connect && error.is_some_and(|error| error.starts_with("dns error"));
    if unresolved { (connect, Some(NO_ADDRESS)) } else { (outcome, error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoints_owner_cannot_tell_a_refused_address_from_none() {
        let [refused, none] = [Reason::Refused, Reason::Connect].map(AttemptOutcome::Failed);
        assert_eq!(refused.shown(), none.shown());
        assert_eq!(refused.is_unreachable(), none.is_unreachable(), "nor by when it is tried again");
        assert_ne!(refused.label(), none.label(), "the operator can");
        let before = [("refused", Some("the host's address is refused: loopback")), ("connect", Some("dns error: x"))];
        let [refused, none] = before.map(|(outcome, error)| shown_from_log(outcome, error));
        assert_eq!(refused, none);
        let dialled = ("connect", Some("tcp connect error: Connection refused"));
        assert_eq!(shown_from_log(dialled.0, dialled.1), dialled);
    }

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_status_decides() {
        let after = Some(Duration::from_secs(7));
        for (status, outcome) in [
            (200, AttemptOutcome::Delivered),
            (204, AttemptOutcome::Delivered),
            (299, AttemptOutcome::Delivered),
            (199, AttemptOutcome::Failed(Reason::Status)),
            (300, AttemptOutcome::Failed(Reason::Status)),
            (302, AttemptOutcome::Failed(Reason::Status)),
            (400, AttemptOutcome::Failed(Reason::Status)),
            (404, AttemptOutcome::Failed(Reason::Status)),
            (410, AttemptOutcome::Gone),
            (429, AttemptOutcome::Throttled { after }),
            (500, AttemptOutcome::Failed(Reason::Status)),
            (502, AttemptOutcome::Throttled { after }),
            (503, AttemptOutcome::Throttled { after }),
            (504, AttemptOutcome::Throttled { after }),
            (999, AttemptOutcome::Failed(Reason::Status)),
        ] {
            assert_eq!(AttemptOutcome::of_status(status, after), outcome, "{status}");
        }
        let capped = AttemptOutcome::of_status(429, Some(HOUR * 11));
        assert_eq!(capped, AttemptOutcome::Throttled { after: Some(HOUR * 10) });
    }
}
