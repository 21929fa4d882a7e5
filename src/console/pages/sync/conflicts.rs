//! Conflicts: both values side by side, and one click that ends each.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::super::super::commands::{causation_of, causing_user};
use super::super::super::components::dialog::dialog_actions;
use super::super::super::components::{
    ButtonStyle, Dialog, FormField, Icon, Tone, badge, breakable, csrf, dialog, dialog_link, empty_state, exact_time,
    page_head, pagination, text_field, textarea,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form, PageQuery};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::overview::encoded;
use super::values::{label, record_link, record_name, refusal_words, shown, text_of};
use super::{HERE, SyncPage, TITLE, failed, pages};
use crate::clock;
use crate::command::{CommandEnvelope, Failure};
use crate::console::ORIGIN;
use crate::contract::{EncodedEvent, event, resolution, timestamp};
use crate::domain::sync::conflict::{OPEN, RESOLVED};
use crate::domain::sync::{Resolve, SyncOperation};
use crate::domain::{Command, Entity, Field, Refusal, Seq, Target, Timestamp, Uid};
use crate::store::lists::{List, ListFilter, Page, Position, Sort, SortOrder, Start};
use crate::store::records::StoredRecord;

const LEAD: &str = "When two systems disagree, the value that was not used is kept here until you decide. Nothing is overwritten silently.";

/// Conflicts on one page.
const PAGE: i64 = 20;

/// A conflict as its record has it.
struct Conflict {
    uid: Uid,
    /// Its last event.
    version: Seq,
    record: Json,
}

impl Conflict {
    fn of(stored: &StoredRecord) -> Self {
        // The text is a record's, so that it is JSON.
        Self {
            uid: stored.uid,
            version: stored.version,
            record: serde_json::from_str(&stored.record).unwrap_or_default(),
        }
    }

    fn text(&self, name: &str) -> &str {
        self.record.get(name).and_then(Json::as_str).unwrap_or_default()
    }

    fn is_open(&self) -> bool {
        self.text("status") == OPEN
    }

    /// The time of its last event: when it arose, or when it was resolved.
    fn changed_at(&self) -> Option<Timestamp> {
        timestamp::parse(self.text("updated"))
    }

    fn field(&self) -> &str {
        self.text(Field::AttributeName.name())
    }

    /// The kept or the lost value, without the name of its field.
    fn value(&self, side: Field) -> &Json {
        self.record.get(side.name()).and_then(|held| held.get(self.field())).unwrap_or(&Json::Null)
    }

    fn subject(&self) -> Option<(Entity, Uid)> {
        let entity = Entity::from_name(self.text(Field::RecordKind.name()))?;
        Some((entity, Uid(self.text(Field::RecordUid.name()).parse().ok()?)))
    }
}

pub(in crate::console) async fn list(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let opened = match (query.get("dialog"), query.get("id").and_then(|id| id.parse().ok())) {
        (Some("value"), Some(id)) => {
            let conflict = read(&console, &session, id).await?;
            Some(value_dialog(&session, &conflict, &Form::default(), None))
        }
        _ => None,
    };
    let content = content(&console, &session, &query, opened).await?;
    Ok(session.page(Nav::Sync, TITLE, content))
}

pub(in crate::console) async fn resolve(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(uid): Path<Uuid>,
    form: Form,
) -> PageResult {
    let conflict = read(&console, &session, uid).await?;
    if !conflict.is_open() {
        return Ok(session.redirect(&list_path(), Flash::failure("This conflict was resolved before.")));
    }
    let take = form.text("take");
    let body = if take == "value" {
        match typed(&conflict, form.text("value")) {
            Ok(value) => json!({"take": take, "value": {conflict.field(): value}}),
            Err(error) => return invalid(&console, &session, &conflict, &form, &error).await,
        }
    } else {
        json!({"take": take})
    };
    let resolution = match resolution::read(body, &mut clock::fresh_uid) {
        Ok(resolution) => resolution,
        Err(refusal) => return invalid(&console, &session, &conflict, &form, &refusal_words(&refusal)).await,
    };
    let detail = json!({"conflict": uid, "record": conflict.text("record"), "field": conflict.field(), "take": take});
    console.store.audit_commands(session.account, session.by(&console.clock), "sync.resolve", &detail).await?;
    let resolve = Resolve { conflict: conflict.uid, take: resolution, if_match: None };
    let command = Command::Sync(Box::new(SyncOperation::Resolve(resolve)));
    let envelope = CommandEnvelope {
        causation: Some(causation_of(&session)),
        ..CommandEnvelope::new(session.account, ORIGIN.into(), command)
    };
    match console.lanes.submit(envelope).await {
        Ok(_) => {
            let result = match take {
                "kept" => "The value that the record had stays.",
                "lost" => "The other value was written.",
                _ => "Your value was written.",
            };
            Ok(session.redirect(&list_path(), Flash::success(format!("Resolved. {result}"))))
        }
        Err(Failure::Refused { refusal, .. }) if take == "value" => {
            invalid(&console, &session, &conflict, &form, &refusal_words(&refusal)).await
        }
        Err(Failure::Refused { refusal: refusal @ (Refusal::Gone { .. } | Refusal::Invalid(_)), .. }) => {
            let text =
                format!("This value cannot be written: {}. Keep the present one instead.", refusal_words(&refusal));
            Ok(session.redirect(&list_path(), Flash::failure(text)))
        }
        Err(failure) => Err(failed(failure)),
    }
}

fn list_path() -> String {
    format!("{HERE}/conflicts")
}

/// A conflict of the account.
async fn read(console: &Console, session: &SessionState, uid: Uuid) -> Result<Conflict, PageError> {
    let stored = console.store.record(session.account, Entity::Conflict, &Target::Uid(Uid(uid))).await?;
    stored.as_ref().map(Conflict::of).ok_or(PageError::Missing)
}

/// The value that was typed, in the form of the field's values: a text, or JSON where these are objects.
fn typed(conflict: &Conflict, text: &str) -> Result<Json, String> {
    if text.is_empty() {
        return Err("Enter a value, or keep one of the two.".to_owned());
    }
    if is_structured(conflict) {
        return serde_json::from_str(text).map_err(|_| "Enter JSON in the form of the present value.".to_owned());
    }
    Ok(json!(text))
}

/// Whether the field's values are objects, or lists of objects.
fn is_structured(conflict: &Conflict) -> bool {
    [Field::Kept, Field::Lost].into_iter().any(|side| match conflict.value(side) {
        Json::Object(_) => true,
        Json::Array(values) => values.iter().any(Json::is_object),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    })
}

async fn invalid(
    console: &Console,
    session: &SessionState,
    conflict: &Conflict,
    form: &Form,
    error: &str,
) -> PageResult {
    if form.text("take") != "value" {
        return Err(PageError::Invalid(format!("This was refused: {error}.")));
    }
    let errors = FieldErrors::one("value", format!("{}.", error.trim_end_matches('.')));
    let opened = Some(value_dialog(session, conflict, form, errors.get("value")));
    let content = content(console, session, &Form::default(), opened).await?;
    Ok(session.invalid_page(Nav::Sync, TITLE, content))
}

async fn content(
    console: &Console,
    session: &SessionState,
    query: &Form,
    opened: Option<Markup>,
) -> Result<Markup, PageError> {
    let status = if query.text("status") == RESOLVED { RESOLVED } else { OPEN };
    let after = query.get("after").and_then(|after| {
        let (value, uid) = after.split_once('~')?;
        let version: i64 = value.parse().ok()?;
        Some(Position { value: Some(version.to_string()), uid: Uid(uid.parse().ok()?) })
    });
    let is_first = after.is_none();
    let list = List {
        filter: ListFilter { role: Some(status), ..ListFilter::default() },
        order: SortOrder { by: Sort::Version, descending: true },
        start: after.map_or(Start::Offset(0), Start::After),
        ..List::first(Entity::Conflict, PAGE)
    };
    let page = console.store.page(session.account, &list).await?;
    let conflicts: Vec<Conflict> = page.records.iter().map(Conflict::of).collect();
    let names = Names {
        records: record_names(console, session, &conflicts).await?,
        deciders: deciders(console, session, &conflicts).await?,
    };
    Ok(html! {
        (page_head(TITLE, LEAD, html! {}))
        (pages(SyncPage::Conflicts))
        section.card {
            header.card-head.with-actions {
                div { h2 { "Conflicts" } p { (text::count(page.counted.total.unsigned_abs(), status, status)) } }
                nav.segments aria-label="Filter conflicts" {
                    @for (value, label) in [(OPEN, "Open"), (RESOLVED, "Resolved")] {
                        a href={ (list_path()) "?status=" (value) } aria-current=[(value == status).then_some("true")] { (label) }
                    }
                }
            }
            (entries(session, status, &conflicts, &names))
            (further(&page, status, is_first))
        }
        @if let Some(opened) = opened { (opened) }
    })
}

/// The names that a page of conflicts shows.
struct Names {
    /// The records that conflicts are about.
    records: HashMap<Uid, String>,
    /// Who resolved each conflict: a person, or the origin of a system.
    deciders: HashMap<Uid, String>,
}

async fn deciders(
    console: &Console,
    session: &SessionState,
    conflicts: &[Conflict],
) -> Result<HashMap<Uid, String>, PageError> {
    let resolved: Vec<Seq> =
        conflicts.iter().filter(|conflict| !conflict.is_open()).map(|conflict| conflict.version).collect();
    if resolved.is_empty() {
        return Ok(HashMap::new());
    }
    let events = console.store.events_at(session.account, &resolved, &[], 0).await?;
    let users = console.store.users(session.account).await?;
    let person = |event: &EncodedEvent| {
        let id = causing_user(&event::decode(event.text()).ok()?)?;
        let user = users.iter().find(|user| user.user_id == id);
        Some(user.map_or_else(|| "a former user".to_owned(), |user| user.email.clone()))
    };
    let named = events.iter().map(|event| (event.uid, person(event).unwrap_or_else(|| event.origin.to_string())));
    Ok(named.collect())
}

async fn record_names(
    console: &Console,
    session: &SessionState,
    conflicts: &[Conflict],
) -> Result<HashMap<Uid, String>, PageError> {
    let mut names = HashMap::new();
    for kind in [Entity::Contact, Entity::Company, Entity::Project] {
        let subjects = conflicts.iter().filter_map(Conflict::subject);
        let uids: Vec<Uuid> = subjects.filter(|(entity, _)| *entity == kind).map(|(_, uid)| uid.0).collect();
        if !uids.is_empty() {
            let records = console.store.records_of(session.account, kind, &uids).await?;
            names.extend(records.iter().filter_map(|record| Some((record.uid, record_name(record)?))));
        }
    }
    Ok(names)
}

fn entries(session: &SessionState, status: &str, conflicts: &[Conflict], names: &Names) -> Markup {
    if conflicts.is_empty() {
        return if status == OPEN {
            empty_state(
                Icon::Check,
                "No open conflicts",
                "All systems agree. When two of them change the same field of a record at the same time, both values appear here side by side.",
                html! {},
            )
        } else {
            empty_state(
                Icon::Clock,
                "Nothing was resolved yet",
                "Conflicts that somebody resolved are kept here, with both values.",
                html! {},
            )
        };
    }
    html! {
        ul.conflicts { @for conflict in conflicts { li.conflict { (entry(session, conflict, names)) } } }
    }
}

fn further(page: &Page, status: &str, is_first: bool) -> Markup {
    let next = page.end.as_ref().filter(|_| page.more).map(|end| {
        let value = end.value.as_deref().unwrap_or_default();
        format!("{}?status={status}&after={}~{}", list_path(), encoded(value), end.uid)
    });
    let first = format!("{}?status={status}", list_path());
    html! {
        @if next.is_some() || !is_first { (pagination("Newest first", (!is_first).then_some(first.as_str()), next.as_deref())) }
    }
}

fn entry(session: &SessionState, conflict: &Conflict, names: &Names) -> Markup {
    let subject = conflict.subject();
    let name = subject.and_then(|(_, uid)| names.records.get(&uid)).map(String::as_str);
    let is_open = conflict.is_open();
    html! {
        div.conflict-head {
            div {
                h3 { (label(conflict.field())) }
                @if let Some((entity, uid)) = subject { (record_link(entity, uid, name)) }
                p.conflict-time {
                    @if is_open { "Arose" } @else { "Resolved" }
                    @if let Some(decider) = names.deciders.get(&conflict.uid) { " by " (breakable(decider)) "," }
                    @if let Some(at) = conflict.changed_at() { " " (exact_time(at, session.now)) }
                }
            }
            (reason(conflict.text("reason")))
            @if !is_open { (badge(Tone::Success, if conflict.text("resolution") == "kept" { "kept as it was" } else { "changed" })) }
        }
        div.sides {
            (side(session, conflict, Field::Kept, is_open))
            (side(session, conflict, Field::Lost, is_open))
        }
        @if is_open {
            div.conflict-more { (dialog_link(ButtonStyle::Quiet, Some(Icon::Edit), &format!("{}?dialog=value&id={}", list_path(), conflict.uid), "Enter another value…")) }
        }
    }
}

fn reason(reason: &str) -> Markup {
    let words = match reason {
        "concurrent" => "changed at the same time",
        "system-of-record" => "another system owns this field",
        "deleted" => "the record had been deleted",
        "loop-suspected" => "two systems change it back and forth",
        other => other,
    };
    badge(Tone::Neutral, words)
}

fn side(session: &SessionState, conflict: &Conflict, side: Field, is_open: bool) -> Markup {
    let is_kept = side == Field::Kept;
    let (title, take, action, origin) = if is_kept {
        (if is_open { "Current value" } else { "Value in the record" }, "kept", "Keep this value", Field::KeptOrigin)
    } else {
        ("Other value", "lost", "Use this value", Field::LostOrigin)
    };
    let is_chosen = is_kept && !is_open && conflict.text("resolution") == "kept";
    let origin = conflict.text(origin.name());
    let value = conflict.value(side);
    let spoken = text_of(value).unwrap_or_else(|| "no value".to_owned());
    html! {
        div.side {
            p.side-head {
                span { strong { (title) } @if !origin.is_empty() { " from " (origin) } }
                @if is_chosen { (badge(Tone::Success, "kept")) }
                @else if let Some(turn) = turn(conflict, is_kept).filter(|_| is_open) { span { (turn) } }
            }
            p.side-value { (shown(value)) }
            @if is_open {
                form method="post" action={ (list_path()) "/" (conflict.uid) "/resolve" } {
                    (csrf(&session.token.csrf()))
                    input type="hidden" name="take" value=(take);
                    button.button type="submit" aria-label={ (action) ": " (label(conflict.field())) " " (spoken) } { (action) }
                }
            }
        }
    }
}

/// Which of two concurrent changes a value comes from, by the rule that decided between them.
fn turn(conflict: &Conflict, is_kept: bool) -> Option<&'static str> {
    let keeps_later = match conflict.text("policy") {
        _ if conflict.text("reason") != "concurrent" => return None,
        "incoming_wins" => true,
        "existing_wins" | "reject" => false,
        _ => return None,
    };
    Some(if keeps_later == is_kept { "written later" } else { "written earlier" })
}

fn value_dialog(session: &SessionState, conflict: &Conflict, form: &Form, error: Option<&str>) -> Markup {
    let close = list_path();
    let kept = conflict.value(Field::Kept);
    let structured = is_structured(conflict);
    let start = if structured { serde_json::to_string_pretty(kept).ok() } else { text_of(kept) };
    let start = start.unwrap_or_default();
    let label = label(conflict.field());
    let field = FormField { value: form.filled("value").unwrap_or(&start), error, ..FormField::new("value", &label) };
    dialog(Dialog {
        id: "value",
        title: "Enter another value",
        close: &close,
        content: html! {
            form method="post" action={ (close) "/" (conflict.uid) "/resolve" } {
                (csrf(&session.token.csrf()))
                input type="hidden" name="take" value="value";
                @if structured { (textarea(field)) } @else { (text_field(field)) }
                (dialog_actions(ButtonStyle::Primary, "Write and resolve", &close))
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflict(kept: Json, lost: Json) -> Conflict {
        Conflict {
            uid: Uid(Uuid::nil()),
            version: Seq(1),
            record: json!({"field": "phone", "kept": {"phone": kept}, "lost": {"phone": lost}}),
        }
    }

    #[test]
    fn a_typed_value_has_the_form_of_the_fields_values() {
        let plain = conflict(json!("1"), json!("2"));
        assert_eq!(typed(&plain, "3"), Ok(json!("3")));
        assert!(typed(&plain, "").is_err());
        let structured = conflict(json!({"city": "Utrecht"}), Json::Null);
        assert_eq!(typed(&structured, r#"{"city": "Delft"}"#), Ok(json!({"city": "Delft"})));
        assert!(typed(&structured, "Delft").is_err());
        assert!(!is_structured(&conflict(json!(["a"]), json!([]))), "tags are written with commas");
    }
}
