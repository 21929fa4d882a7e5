//! The settings of an endpoint in words.

use maud::{Markup, html};

use super::super::super::components::breakable;
use super::super::super::text;
use crate::domain::endpoint::{DeliveryOrder, Endpoint, Mode, Signature};

/// The settings as a list of terms.
pub(super) fn settings(endpoint: &Endpoint) -> Markup {
    let settings = &endpoint.settings;
    let listed = |names: &[String], all: &str| if names.is_empty() { all.to_owned() } else { names.join(", ") };
    let headers: Vec<&str> = settings.headers.iter().map(|header| header.name.as_str()).collect();
    html! {
        dl.terms {
            (term("URL", html! { code { (breakable(&settings.url)) } }))
            (term("Events", html! { (listed(&settings.events, "All events")) }))
            @if !settings.fields.is_empty() { (term("Only when these change", html! { (listed(&settings.fields, "")) })) }
            @if let Some(origin) = &settings.exclude_own { (term("Leaves out", html! { "changes of " strong { (origin) } })) }
            (term("Delivery", html! { (mode(settings.mode)) ". " (order(settings.order)) "." }))
            (term("Limits", html! {
                "At most " (settings.window) " at once"
                @if let Some(rate) = settings.rate { ", " (text::thousands(rate.into())) " per second" }
                ", " (settings.timeout.as_secs()) " s each."
            }))
            @if !headers.is_empty() { (term("Own headers", html! { (headers.join(", ")) })) }
            (term("Signature", html! { @match endpoint.signature { Signature::Hmac => { "HMAC-SHA256 with the signing secret" } Signature::Ed25519 => { "Ed25519 with a private key that stays here" } } }))
            (term("Added", html! { (text::day(endpoint.created_at)) }))
        }
    }
}

fn term(name: &str, value: Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn mode(mode: Mode) -> String {
    match mode {
        Mode::Single => "One event per request".to_owned(),
        Mode::Batch { max } => format!("Up to {max} events per request"),
        Mode::Latest { debounce } if debounce.is_zero() => "The newest state of each record".to_owned(),
        Mode::Latest { debounce } => {
            format!("The newest state of each record, {} ms after its first change", debounce.as_millis())
        }
    }
}

pub(super) fn order(order: DeliveryOrder) -> &'static str {
    match order {
        DeliveryOrder::Record => "Events of one record arrive in order; those of different records are sent at once",
        DeliveryOrder::Strict => "All events arrive in order, one at a time",
        DeliveryOrder::None => "Events arrive as fast as possible, in any order",
    }
}
