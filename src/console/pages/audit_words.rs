//! The entries of the audit in the words of the console.

use std::collections::HashMap;

use maud::{Markup, html};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::super::components::breakable;
use super::super::text;
use super::sync::policy::{owner_words, rule_label};
use crate::domain::tier::{Tier, Tiers};
use crate::domain::user::UserRole;
use crate::store::console::audit_list::AuditEntry;

/// The names that details refer to.
pub(super) struct DetailNames<'a> {
    pub(super) tiers: &'a Tiers,
    /// The names of push endpoints, by their ids.
    pub(super) endpoints: HashMap<Uuid, String>,
}

/// The details of an entry: each member as `name: value`. A member that only repeats another one, or that says nothing, is
/// left out; the file of the audit has all of them.
pub(super) fn details(entry: &AuditEntry, names: &DetailNames<'_>) -> Markup {
    let members = match serde_json::from_str(&entry.detail) {
        Ok(Json::Object(members)) => members,
        _ => Map::default(),
    };
    html! {
        span.details {
            @for (name, value) in &members {
                @if name == "fields" && entry.action == "sync_policy.set" {
                    @for (field, rule) in value.as_object().into_iter().flatten() {
                        span { span.muted { (field_label(field)) ": " } (rule_words(rule)) }
                    }
                } @else if is_shown(entry, &members, name, value) {
                    span { span.muted { (label(name)) ": " } (shown(name, value, names)) }
                }
            }
        }
    }
}

fn is_shown(entry: &AuditEntry, members: &Map<String, Json>, name: &str, value: &Json) -> bool {
    let is_empty = match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(values) => values.is_empty(),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => false,
    };
    let repeats = match name {
        // Nobody but the user signs in or chooses the password.
        "email" => value.as_str() == Some(&entry.actor),
        "key_id" => members.contains_key("name"),
        "record" => members.contains_key("name"),
        "conflict" => members.contains_key("record"),
        "read_only" => value.as_bool() == Some(false),
        "version" | "run" => true,
        _ => false,
    };
    !is_empty && !repeats
}

/// The name of a member in words.
fn label(name: &str) -> String {
    match name {
        "after" => "after event".to_owned(),
        "through" => "through event".to_owned(),
        "seq" => "event".to_owned(),
        "take" => "chosen".to_owned(),
        "default" => "general rule".to_owned(),
        "on_missing" => "missing items".to_owned(),
        "show_once" => "keys are shown once".to_owned(),
        "super_admins_only" => "Super Admins only".to_owned(),
        "overlap_s" => "seconds of overlap".to_owned(),
        name => name.replace('_', " "),
    }
}

/// A value in words.
fn shown(name: &str, value: &Json, names: &DetailNames<'_>) -> Markup {
    let plain = match value {
        Json::String(text) => text.clone(),
        Json::Bool(is_on) => (if *is_on { "yes" } else { "no" }).to_owned(),
        Json::Array(values) => values.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", "),
        other @ (Json::Null | Json::Number(_) | Json::Object(_)) => other.to_string(),
    };
    let named = match name {
        "role" => UserRole::from_name(&plain).map(|role| role.title().to_owned()),
        "tier" => Tier::parse(&plain).ok().and_then(|tier| Some(names.tiers.terms(&tier)?.title.clone())),
        "endpoint" => plain.parse().ok().and_then(|id| names.endpoints.get(&id).cloned()),
        "default" => Some(rule_words(value)),
        "on_missing" => Some(if plain == "fail" { "Fail the request" } else { "Treat as successful" }.to_owned()),
        "take" => Some(taken(&plain).to_owned()),
        "field" | "purpose" => Some(plain.replace('_', " ")),
        _ => None,
    };
    html! {
        @if let Some(named) = named { (named) }
        @else if plain.parse::<Uuid>().is_ok() { code title=(plain) { (text::id_end(&plain)) } }
        @else { (breakable(&plain)) }
    }
}

/// The value that a resolved conflict ended with.
fn taken(take: &str) -> &str {
    match take {
        "kept" => "the value of the record",
        "lost" => "the value that was not used",
        "value" => "another value",
        other => other,
    }
}

/// `contact.first_name` as `contact first name`.
fn field_label(field: &str) -> String {
    field.replace(['.', '_'], " ")
}

/// A rule of Sync as its page names it.
fn rule_words(rule: &Json) -> String {
    if let Some(name) = rule.as_str() {
        return rule_label(name).unwrap_or(name).to_owned();
    }
    match rule.get("system_of_record").and_then(Json::as_str) {
        Some(origin) => owner_words(origin),
        None => rule.to_string(),
    }
}

/// The action as people say it; one that has no words is shown as it is.
pub(super) fn words(action: &str) -> &str {
    match action {
        "account.create" => "Account created",
        "account.tier" => "Tier changed",
        "account.on_missing" => "Behavior Settings changed",
        "account.show_once" => "Showing keys once changed",
        "account.limit_secure_api" => "White Label Visibility changed",
        "consumer.create" => "NATS consumer added",
        "consumer.delete" => "NATS consumer deleted",
        "push.create" => "Push endpoint added",
        "push.update" => "Push endpoint changed",
        "push.delete" => "Push endpoint deleted",
        "push.pause" => "Push endpoint paused",
        "push.resume" => "Push endpoint resumed",
        "push.rotate" => "Signing secret rotated",
        "push.replay" => "Events replayed",
        "push.test" => "Test event sent",
        "push.retry" => "Parked event retried",
        "push.retry_all" => "Parked events retried",
        "push.skip" => "Events skipped",
        "push.erase" => "Responses erased",
        "sync.resolve" => "Conflict resolved",
        "sync.revert" => "Changes of an origin undone",
        "sync_policy.set" => "Sync rules changed",
        "audience.add" => "Audience added",
        "field.add" => "Custom field added",
        "field.change" => "Custom field changed",
        "field.archive" => "Custom field archived",
        "company.keep" => "Company without contacts kept",
        "contact.import" => "Contacts imported",
        "contact.export" => "Contacts exported",
        "contact.restore" => "Contact restored",
        "company.import" => "Companies imported",
        "company.export" => "Companies exported",
        "company.restore" => "Company restored",
        "project.export" => "Projects exported",
        "project.restore" => "Project restored",
        "brand.set" => "Platform Branding changed",
        "brand.clear" => "Platform Branding cleared",
        "log.restored" => "Event log restored from a backup",
        "key.add" => "Secret Key added",
        "key.delete" => "Secret Key deleted",
        "key.reveal" => "Secret Key copied",
        "user.invite" => "User invited",
        "user.role" => "Role changed",
        "user.disable" => "User disabled",
        "user.enable" => "User enabled",
        "user.remove" => "User removed",
        "user.link" => "Password link made",
        "user.password" => "Password chosen",
        "user.sign_in" => "Signed in",
        "user.sign_out_everywhere" => "Signed out everywhere",
        "user.totp_add" => "Second factor turned on",
        "user.totp_remove" => "Second factor turned off",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    fn shown_details(action: &str, detail: &Json) -> String {
        let entry = AuditEntry {
            audit_id: Uuid::nil(),
            at: datetime!(2026-11-30 09:05 UTC),
            actor: "ann@example.org".to_owned(),
            action: action.to_owned(),
            detail: detail.to_string(),
            address: None,
        };
        let tiers = crate::config::Config::default().quota.tiers;
        let markup = details(&entry, &DetailNames { tiers: &tiers, endpoints: HashMap::new() }).into_string();
        let mut text = String::new();
        for part in markup.split('<') {
            text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        }
        text
    }

    #[test]
    fn details_have_the_words_of_the_pages_and_no_json() {
        let rules = json!({"default": "incoming_wins", "fields": {"contact.phone": {"system_of_record": "erp"}}});
        for (action, detail, expected) in [
            ("sync_policy.set", rules, "general rule: The later change winscontact phone: Only “erp” changes it"),
            (
                "user.invite",
                json!({"email": "bob@example.org", "role": "super_admin"}),
                "email: bob@example.orgrole: Super Admin",
            ),
            ("user.sign_in", json!({"email": "ann@example.org"}), ""),
            ("account.tier", json!({"tier": "free-trial"}), "tier: Free Trial"),
            ("account.tier", json!({"tier": "of-old"}), "tier: of-old"),
            ("key.add", json!({"key_id": Uuid::nil(), "name": "<b>", "read_only": false}), "name: &lt;b&gt;"),
            ("push.pause", json!({"endpoint": "01a22d04-b2c9-7685-b2dd-f00012345678"}), "endpoint: …12345678"),
            ("consumer.create", json!({"name": "shop", "after": 0, "entity": null}), "after event: 0name: shop"),
            ("contact.export", json!({"filter": ""}), ""),
            ("x", json!("no object"), ""),
        ] {
            assert_eq!(shown_details(action, &detail), expected, "{action}");
        }
    }
}
