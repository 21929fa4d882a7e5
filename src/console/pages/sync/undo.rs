//! Undo: what an origin wrote in a range is put back, after a look at the dry run.
//!
//! The steps of an undoing are requests of the browser, each a few seconds long: an interrupted one is continued, or simply
//! started again, because what is undone already is skipped.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hyper::header::{HeaderName, HeaderValue};
use maud::{Markup, html};
use serde_json::json;

use super::super::super::components::dialog::dialog_actions;
use super::super::super::components::spark::progress as progress_bar;
use super::super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, button, card, csrf, dialog, dialog_link, empty_state,
    link_button, notice, page_head, radio_group, select, text_field,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::{FieldErrors, Form, PageQuery};
use super::super::super::layout::{self, Nav};
use super::super::super::session::{ConsoleSession, SessionState, redirect};
use super::super::super::state::Console;
use super::super::super::text;
use super::overview::{encoded, written_origins};
use super::undo_run::UndoRun;
use super::undo_table::LISTED;
use super::{HERE, SyncPage, TITLE, failed, pages, undo_table};
use crate::command::Failure;
use crate::console::ORIGIN;
use crate::domain::Seq;
use crate::sync::preview::{Listing, UndoPreview, preview};
use crate::sync::revert::{RevertError, RevertRequest, revert_on};

const LEAD: &str = "Take back a bad sync: everything that one origin wrote in a range returns to its earlier value, unless somebody has changed it since.";

const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");

/// The time that one step takes besides reading the range.
const STEP: Duration = Duration::from_secs(2);

/// A range whose changes are undone.
struct UndoRange {
    origin: String,
    from: Seq,
    to: Seq,
}

impl UndoRange {
    fn request(&self, session: &SessionState, run: Option<&UndoRun>) -> RevertRequest {
        RevertRequest {
            account: session.account,
            origin: self.origin.clone(),
            from: self.from,
            to: self.to,
            by: ORIGIN.into(),
            correlation: run.map(|run| run.id.to_string()),
        }
    }
}

pub(in crate::console) async fn form(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let end = console.store.head(session.account).await?.ok_or(PageError::Missing)?.seq;
    let origins = written_origins(&console, &session, end).await?;
    let is_submitted = query.get("by").is_some();
    let mut errors = FieldErrors::default();
    let range = if is_submitted { range(&console, &session, &query, end, &mut errors).await? } else { None };
    let mut result = None;
    if let Some(range) = &range {
        match preview(&console.store, &range.request(&session, None), Listing::All, LISTED).await {
            Ok(preview) => result = Some(preview),
            Err(error) => errors.add(range_field(&query), unreadable(error)?),
        }
    }
    let content = html! {
        (page_head(TITLE, LEAD, html! {}))
        (pages(SyncPage::Undo))
        (range_form(&session, &query, &origins, &errors))
        @if let (Some(range), Some(result)) = (&range, &result) {
            (dry_run(&query, range, result))
            @if query.get("dialog") == Some("confirm") { (confirm_dialog(&session, &query, range, result)) }
        }
    };
    if errors.is_empty() {
        Ok(session.page(Nav::Sync, TITLE, content))
    } else {
        Ok(session.invalid_page(Nav::Sync, TITLE, content))
    }
}

/// Writes the audit row, then leads to the page that undoes step by step.
pub(in crate::console) async fn start(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let position = |field: &str| form.text(field).parse::<i64>().ok().filter(|seq| *seq >= 0).map(Seq);
    let end = console.store.head(session.account).await?.ok_or(PageError::Missing)?.seq;
    let range = form.filled("origin").zip(position("from").zip(position("to")));
    let invalid = || PageError::Invalid("Choose an origin and a range of the log first.".to_owned());
    let (origin, (from, to)) = range.filter(|(_, (from, to))| from < to && *to <= end).ok_or_else(invalid)?;
    let run = UndoRun::new(origin, from, to);
    let detail = json!({"origin": origin, "after": from, "through": to, "run": run.id});
    console.store.audit_commands(session.account, session.by(&console.clock), "sync.revert", &detail).await?;
    Ok(redirect(&progress_path(&session, &run)))
}

pub(in crate::console) async fn progress(session: ConsoleSession, query: PageQuery) -> PageResult {
    // A run of another session leads back to the form.
    let Some(run) = UndoRun::verified(&session, query.text("run")) else { return Ok(redirect(&undo_path())) };
    let content = html! {
        (page_head("Undoing", &format!("What {} wrote is put back, record by record.", run.origin), html! {}))
        section.card {
            div #undo-run aria-live="polite" { (step_form(&session, &run, None)) }
            p.hint { "Keep this page open. If it is closed, choose the same range again: what is undone already is skipped." }
        }
    };
    Ok(session.page(Nav::Sync, TITLE, content))
}

/// Undoes the next records.
pub(in crate::console) async fn step(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let run = UndoRun::verified(&session, form.text("run")).ok_or(PageError::Missing)?;
    let range = UndoRange { origin: run.origin.clone(), from: run.from, to: run.to };
    let request = range.request(&session, Some(&run));
    let report = match revert_on(&console.store, &console.lanes, &request, run.done, STEP).await {
        Ok(report) => report,
        Err(error) => {
            let reason = interrupted(error)?;
            return Ok(continued(&session, &run, Some(&reason)));
        }
    };
    let run = run.after(&report);
    if report.remaining > 0 {
        return Ok(continued(&session, &run, None));
    }
    let path = format!("{HERE}/undo/result?run={}", run.signed(&session));
    if !session.visitor.is_partial {
        return Ok(redirect(&path));
    }
    let mut response = layout::fragment(&html! { (progress_bar("Done", 1, 1)) });
    response.headers_mut().extend(HeaderValue::try_from(path).ok().map(|path| (HX_REDIRECT, path)));
    Ok(response)
}

pub(in crate::console) async fn result(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    // A run of another session leads back to the form.
    let Some(run) = UndoRun::verified(&session, query.text("run")) else { return Ok(redirect(&undo_path())) };
    let range = UndoRange { origin: run.origin.clone(), from: run.from, to: run.to };
    let rest = preview(&console.store, &range.request(&session, None), Listing::Skipped, LISTED).await;
    let rest = rest.map_err(|error| unreadable(error).map_or_else(|error| error, PageError::Invalid))?;
    let number = |count: usize| text::thousands(u64::try_from(count).unwrap_or(u64::MAX));
    let content = html! {
        (page_head(TITLE, LEAD, html! {}))
        (pages(SyncPage::Undo))
        (notice(Tone::Success, html! {
            p { strong { "What “" (run.origin) "” wrote was undone." } " Events " (run.from.next()) " to " (run.to) ", " (number(run.records)) " records." }
        }))
        (card("Result", "", html! {
            ul.counts {
                li { strong { (number(run.updated)) } " got earlier values back" }
                li { strong { (number(run.restored)) } " came back from deletion" }
                li { strong { (number(run.deleted)) } " were deleted, because this origin had created them" }
                li { strong { (number(run.skipped)) } " kept something that changed since" }
            }
        }))
        @if !rest.listed.is_empty() {
            (card("Kept, because somebody changed it since", "Look at these yourself.", undo_table::effects("Records that kept something", &rest)))
        }
        div.form-actions { (link_button(ButtonStyle::Primary, None, HERE, "Back to Sync")) }
    };
    Ok(session.page(Nav::Sync, TITLE, content))
}

/// The page or part that goes on with a run.
fn continued(session: &SessionState, run: &UndoRun, reason: Option<&str>) -> Response {
    if session.visitor.is_partial {
        return layout::fragment(&step_form(session, run, reason));
    }
    redirect(&progress_path(session, run))
}

fn undo_path() -> String {
    format!("{HERE}/undo")
}

fn progress_path(session: &SessionState, run: &UndoRun) -> String {
    format!("{HERE}/undo/progress?run={}", run.signed(session))
}

/// The bar, and the form of the next step. It sends itself, unless the last step failed; without scripts there is its button.
fn step_form(session: &SessionState, run: &UndoRun, failed: Option<&str>) -> Markup {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let label = if run.records == 0 {
        "Reading the range…".to_owned()
    } else {
        format!("{} of {}", text::thousands(number(run.done)), text::count(number(run.records), "record", "records"))
    };
    let trigger = if failed.is_some() { "submit" } else { "load, submit" };
    html! {
        (progress_bar(&label, number(run.done), number(run.records)))
        @if let Some(reason) = failed { (notice(Tone::Warning, html! { p { (reason) " Nothing is lost: continue." } })) }
        form method="post" action={ (HERE) "/undo/step" } hx-post={ (HERE) "/undo/step" } hx-trigger=(trigger) hx-target="#undo-run" {
            (csrf(&session.token.csrf()))
            input type="hidden" name="run" value=(run.signed(session));
            @if failed.is_some() { div.form-actions { (button(ButtonStyle::Primary, "Continue")) } }
            @else { noscript { div.form-actions { (button(ButtonStyle::Primary, "Continue")) } } }
        }
    }
}

/// The field beside which an error of the range stands.
fn range_field(query: &Form) -> &'static str {
    if query.text("by") == "event" { "from" } else { "since" }
}

/// A range that cannot be undone in one go, in words; any other failure is the page's.
fn unreadable(error: RevertError) -> Result<String, PageError> {
    match error {
        RevertError::TooLarge | RevertError::TooLong => Ok(format!("Choose a shorter range: {error}.")),
        RevertError::Failed(failure) => Err(failed(failure)),
        RevertError::Store(error) => Err(PageError::Store(error)),
    }
}

/// A failure after which the same step may be tried again.
fn interrupted(error: RevertError) -> Result<String, PageError> {
    match error {
        RevertError::Failed(Failure::Full | Failure::Unavailable) => Ok("The database is busy.".to_owned()),
        RevertError::Store(error) if error.is_transient() => Ok("The database cannot be reached.".to_owned()),
        RevertError::Failed(_) | RevertError::Store(_) | RevertError::TooLarge | RevertError::TooLong => {
            Err(unreadable(error).map_or_else(|error| error, PageError::Invalid))
        }
    }
}

/// Reads the range of a query. Each error stands beside its field.
async fn range(
    console: &Console,
    session: &SessionState,
    query: &Form,
    end: Seq,
    errors: &mut FieldErrors,
) -> Result<Option<UndoRange>, PageError> {
    let origin = query.filled("origin");
    if origin.is_none() {
        errors.add("origin", "Choose the origin whose changes are undone.");
    }
    let (from, to) = if query.text("by") == "event" {
        let number = |field: &str| query.text(field).parse::<i64>().ok().filter(|seq| (1..=end.0).contains(seq));
        let from = number("from").map(|first| Seq(first - 1));
        if from.is_none() {
            errors.add("from", format!("Enter the number of an event of the log, from 1 to {end}."));
        }
        let to = if query.filled("to").is_some() { number("to").map(Seq) } else { Some(end) };
        if to.is_none() {
            errors.add("to", format!("Enter the number of an event of the log, up to {end}, or nothing."));
        }
        (from, to)
    } else {
        let now = console.clock.now();
        let mut at = |field: &str| {
            let at = text::input_time(query.text(field)).filter(|at| *at <= now);
            if at.is_none() {
                errors.add(field, "Choose a time that is over.");
            }
            at
        };
        let since = at("since");
        let until = if query.filled("until").is_some() { at("until").map(Some) } else { Some(None) };
        let from = match since {
            Some(at) => Some(console.store.seq_at(session.account, at).await?),
            None => None,
        };
        let to = match until {
            Some(Some(at)) => Some(console.store.seq_at(session.account, at).await?),
            Some(None) => Some(end),
            None => None,
        };
        (from, to)
    };
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        errors.add(range_field(query), "There is no event in this range.");
    }
    Ok(match (origin, from, to) {
        (Some(origin), Some(from), Some(to)) if errors.is_empty() => {
            Some(UndoRange { origin: origin.to_owned(), from, to })
        }
        _ => None,
    })
}

fn range_form(session: &SessionState, query: &Form, origins: &[String], errors: &FieldErrors) -> Markup {
    const BY: [Choice<'_>; 2] = [
        Choice { value: "time", label: "By time", hint: None },
        Choice { value: "event", label: "By event numbers", hint: None },
    ];
    let chosen = query.text("origin");
    let mut choices: Vec<Choice<'_>> =
        origins.iter().map(|origin| Choice { value: origin, label: origin, hint: None }).collect();
    if !chosen.is_empty() && !origins.iter().any(|origin| origin == chosen) {
        choices.push(Choice { value: chosen, label: chosen, hint: None });
    }
    let an_hour_ago = text::time_input(session.now - time::Duration::hours(1));
    let input = |kind: &'static str, name: &'static str, label: &'static str, value: &str, hint: &'static str| {
        text_field(FormField {
            kind,
            value,
            error: errors.get(name),
            is_required: false,
            hint: Some(hint),
            ..FormField::new(name, label)
        })
    };
    card(
        "Choose what to undo",
        "Nothing is changed before you have seen the dry run and confirmed it.",
        html! {
            @if choices.is_empty() {
                (empty_state(Icon::Undo, "Nothing to undo yet", "No origin has written anything.", html! {}))
            } @else {
                form.by-choice method="get" action={ (HERE) "/undo" } {
                    (select(FormField { value: chosen, error: errors.get("origin"), hint: Some("The system that wrote what should be undone."), ..FormField::new("origin", "Origin") }, &choices))
                    (radio_group("by", "Range", query.filled("by").unwrap_or("time"), &BY))
                    div.field-pair.by-time {
                        div.needed { (input("datetime-local", "since", "After", query.filled("since").unwrap_or(&an_hour_ago), "In UTC.")) }
                        (input("datetime-local", "until", "Until", query.text("until"), "In UTC. Without it, up to now."))
                    }
                    div.field-pair.by-event {
                        div.needed { (input("number", "from", "First event", query.text("from"), "Included.")) }
                        (input("number", "to", "Last event", query.text("to"), "Without it, up to the newest."))
                    }
                    div.form-actions { (button(ButtonStyle::Primary, "Show the dry run")) }
                }
            }
        },
    )
}

fn dry_run(query: &Form, range: &UndoRange, preview: &UndoPreview) -> Markup {
    let lead = format!("Events {} to {}, as the records are now. Nothing was changed.", range.from.next(), range.to);
    let is_idle = preview.updated + preview.deleted + preview.restored == 0;
    let confirm = format!("{HERE}/undo?{}&dialog=confirm", address(query));
    card(
        "Dry run",
        &lead,
        html! {
            @if preview.records == 0 {
                (empty_state(Icon::Check, "Nothing to undo", "This origin changed no record in this range.", html! {}))
            } @else {
                (undo_table::counts(preview))
                @if is_idle {
                    p.muted { "Nothing is left to undo." }
                } @else {
                    div.form-actions { (dialog_link(ButtonStyle::Danger, Some(Icon::Undo), &confirm, "Undo these changes…")) }
                }
                (undo_table::effects("Dry run", preview))
            }
        },
    )
}

/// The fields of the form as an address.
fn address(query: &Form) -> String {
    let fields = ["origin", "by", "since", "until", "from", "to"];
    let pairs = fields.into_iter().filter_map(|name| Some(format!("{name}={}", encoded(query.filled(name)?))));
    pairs.collect::<Vec<_>>().join("&")
}

fn confirm_dialog(session: &SessionState, query: &Form, range: &UndoRange, preview: &UndoPreview) -> Markup {
    let close = format!("{HERE}/undo?{}", address(query));
    let number = |count: usize| text::count(u64::try_from(count).unwrap_or(u64::MAX), "record", "records");
    dialog(Dialog {
        id: "confirm",
        title: &format!("Undo what “{}” wrote?", range.origin),
        close: &close,
        content: html! {
            form method="post" action={ (HERE) "/undo" } {
                (csrf(&session.token.csrf()))
                input type="hidden" name="origin" value=(range.origin);
                input type="hidden" name="from" value=(range.from);
                input type="hidden" name="to" value=(range.to);
                ul.dialog-list {
                    @if preview.updated > 0 { li { strong { (number(preview.updated)) } " will get earlier values back." } }
                    @if preview.restored > 0 { li { strong { (number(preview.restored)) } " will come back from deletion." } }
                    @if preview.deleted > 0 { li { strong { (number(preview.deleted)) } " that this origin created will be deleted." } }
                    @if preview.skipped > 0 { li { (number(preview.skipped)) " will keep what somebody changed since." } }
                }
                p { "The earlier values are written as new events, so that every connected system follows. This can itself be undone, as changes of the origin “" (ORIGIN) "”." }
                (dialog_actions(ButtonStyle::Danger, &format!("Undo {}", number(preview.updated + preview.restored + preview.deleted)), &close))
            }
        },
    })
}
