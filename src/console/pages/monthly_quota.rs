//! The calls of the month in one line with their bar, as Secure API and the Dashboard show them.

use maud::{Markup, html};

use super::super::components::chart::meter;
use super::super::components::{Tone, badge};
use super::super::session::SessionState;
use super::super::state::Console;
use super::super::text;
use crate::quota::Usage;

/// The month of an account, and the limit of its tier.
pub(super) struct MonthlyQuota<'a> {
    tier: &'a str,
    limit: u64,
    usage: &'a Usage,
}

impl<'a> MonthlyQuota<'a> {
    /// A tier that is not configured has no calls.
    pub(super) fn of(console: &'a Console, session: &'a SessionState, usage: &'a Usage) -> Self {
        let terms = console.config.quota.tiers.terms(&session.tier);
        let limit = terms.map_or(0, |terms| terms.calls_per_month);
        let tier = terms.map_or_else(|| session.tier.name(), |terms| terms.title.as_str());
        Self { tier, limit, usage }
    }

    pub(super) fn left(&self) -> u64 {
        self.limit.saturating_sub(self.usage.used)
    }

    /// The day on which the next month begins.
    pub(super) fn resets(&self) -> String {
        text::day_of_month(self.usage.resets_at)
    }

    pub(super) fn line(&self) -> Markup {
        let (used, all) = (text::thousands(self.usage.used), text::thousands(self.limit));
        html! {
            div.quota-line {
                (badge(Tone::Neutral, &format!("Plan: {}", self.tier)))
                p {
                    span { strong { (used) " of " (all) } " calls used this month" } span.quota-dot { " · " }
                    span { strong { (text::thousands(self.left())) } " left" } span.quota-dot { " · " } span { "resets " (self.resets()) }
                }
            }
            (meter(&format!("{used} of {all} calls used"), self.usage.used, self.limit))
        }
    }
}
