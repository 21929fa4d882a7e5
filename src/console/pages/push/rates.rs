//! Figures of an endpoint: its lag, and how many attempts succeeded.

use maud::{Markup, html};

use super::super::super::components::spark::sparkline;
use super::super::super::error::PageError;
use super::super::super::session::SessionState;
use super::super::super::state::Console;
use super::super::super::text;
use crate::domain::Seq;
use crate::store::attempts::{ATTEMPT_HOURS, HourOfAttempts};

/// The end of the account's log.
pub(super) async fn log_end(console: &Console, session: &SessionState) -> Result<Seq, PageError> {
    Ok(console.store.head(session.account).await?.ok_or(PageError::Missing)?.seq)
}

/// The number of events that an endpoint is behind.
pub(super) fn lag(pending: u64) -> Markup {
    html! {
        @if pending == 0 { span.muted.no-wrap { "up to date" } } @else { span.no-wrap { (text::count(pending, "event", "events")) } }
    }
}

/// The rate of success in words and as a drawing.
pub(super) fn rate(hours: Option<&[HourOfAttempts; ATTEMPT_HOURS]>) -> Markup {
    let none = [HourOfAttempts::default(); ATTEMPT_HOURS];
    let hours = hours.unwrap_or(&none);
    let attempts: u64 = hours.iter().map(|hour| hour.attempts).sum();
    let delivered: u64 = hours.iter().map(|hour| hour.delivered).sum();
    let values: Vec<(u64, u64)> = hours.iter().map(|hour| (hour.delivered, hour.attempts)).collect();
    // Tenths of a per cent, rounded down, so that 100 % means that nothing failed.
    let share = (delivered * 1_000).checked_div(attempts).map(|share| match share {
        0 if delivered == 0 => "0 %".to_owned(),
        1_000 => "100 %".to_owned(),
        _ => format!("{}.{} %", share / 10, share % 10),
    });
    html! {
        div.rate {
            @match share {
                Some(share) => {
                    (sparkline(&format!("{share} of the attempts of the last 24 hours were delivered"), &values))
                    span { (share) }
                }
                None => { (sparkline("No attempts in the last 24 hours", &values)) span.muted { "no attempts" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(delivered: u64, attempts: u64) -> String {
        let mut hours = [HourOfAttempts::default(); ATTEMPT_HOURS];
        hours[3] = HourOfAttempts { attempts, delivered };
        rate(Some(&hours)).into_string()
    }

    #[test]
    fn a_rate_of_one_hundred_per_cent_means_that_nothing_failed() {
        assert!(shown(20, 20).contains("<span>100 %</span>"));
        assert!(shown(2_999, 3_000).contains("<span>99.9 %</span>"));
        assert!(shown(0, 4).contains("<span>0 %</span>"));
        assert!(rate(None).into_string().contains("no attempts"));
    }
}
