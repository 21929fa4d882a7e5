//! Importing a CSV file: the columns and the code of `unificus import`.
//!
//! A file is sent with each request and kept in memory while the request lasts, so that any replica can take it. The response
//! is a stream: lines with the progress, then the report. An import that is cut off has executed some lines; the same file
//! sent again continues behind them, because a line is executed once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest as _, Multipart, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use maud::{Markup, html};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::super::super::commands::audit;
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::FieldErrors;
use super::super::super::layout;
use super::super::super::session::ConsoleSession;
use super::super::super::state::Console;
use super::import_choices::{ImportChoices, ImportProgress, MAX_FILE};
use super::import_report::{failure, progress_line, report};
use super::{Kind, RecordKind};
use crate::domain::{Entity, Role};
use crate::keys::MAX_KEY_NAME;
use crate::sync::files::{self, FileSource, ImportError, ImportReport, ImportRequest, MappingOptions, MatchBy};

/// The largest request: the file and the other fields.
pub(in crate::console) const MAX_UPLOAD: usize = MAX_FILE + (64 << 10);

/// The longest of the other fields, in bytes.
const MAX_FIELD: usize = 16 << 10;

/// The pause between two lines of progress.
const PERIOD: Duration = Duration::from_millis(400);

/// The text that stands in the page where the stream goes.
const STREAM_MARK: &str = "[[stream]]";

pub(in crate::console) async fn import_form<K: Kind>(session: ConsoleSession) -> PageResult {
    let kind = K::KIND;
    let content =
        super::import_report::form(&session, &kind, &ImportChoices::default(), &FieldErrors::default(), &html! {});
    Ok(session.page(kind.nav, &title(&kind), content))
}

pub(in crate::console) async fn import_run<K: Kind>(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    request: Request,
) -> PageResult {
    let kind = K::KIND;
    let busy = || PageError::Busy("Other files are being imported. Try again when they are done.".to_owned());
    let permit = Arc::clone(&console.imports).try_acquire_owned().map_err(|_| busy())?;
    let (file, choices) = read(request).await?;
    let request = match request_of(&session, &kind, file, &choices) {
        Ok(request) => request,
        Err(errors) => {
            let content = super::import_report::form(&session, &kind, &choices, &errors, &html! {});
            let page = session.invalid_page(kind.nav, &title(&kind), content);
            return Ok(if session.visitor.is_partial { partial_errors(&errors) } else { page });
        }
    };
    let action = format!("{}.import", kind.entity.name());
    if !request.dry_run {
        let detail = json!({"state": "started", "file": choices.file_name, "origin": &*request.origin});
        audit(&console, &session, &action, &detail).await?;
    }
    let [before, after] = frame(&session, &kind, &choices);
    Ok(stream_of(run(&console, &session, request, action), permit, before, after))
}

fn title(kind: &RecordKind) -> String {
    format!("Import {}", kind.nouns)
}

/// Reads the file and the choices. Parts come in any order.
async fn read(request: Request) -> Result<(Bytes, ImportChoices), PageError> {
    let unreadable =
        || PageError::Invalid("The form cannot be read. Reload the page and choose the file again.".to_owned());
    let mut parts = Multipart::from_request(request, &()).await.map_err(|_| unreadable())?;
    let (mut file, mut choices) = (Bytes::new(), ImportChoices::default());
    // The body ends with an error where it is larger than the route permits.
    while let Some(part) = parts.next_field().await.map_err(|_| PageError::TooLarge(MAX_FILE))? {
        let name = part.name().unwrap_or_default().to_owned();
        let file_name: String =
            part.file_name().unwrap_or_default().chars().filter(|c| !c.is_control()).take(120).collect();
        let content = part.bytes().await.map_err(|_| PageError::TooLarge(MAX_FILE))?;
        if name == "file" {
            (file, choices.file_name) = (content, file_name);
            continue;
        }
        if content.len() > MAX_FIELD {
            return Err(PageError::TooLarge(MAX_FIELD));
        }
        let text = String::from_utf8_lossy(&content).trim().to_owned();
        match name.as_str() {
            "role" => choices.role = text,
            "origin" => choices.origin = text,
            "reference" => choices.reference = text,
            "columns" => choices.columns = text,
            "clear_empty" => choices.clears_empty = true,
            "mode" => choices.is_run = text == "run",
            _ => {}
        }
    }
    if file.len() > MAX_FILE {
        return Err(PageError::TooLarge(MAX_FILE));
    }
    Ok((file, choices))
}

fn request_of(
    session: &ConsoleSession,
    kind: &RecordKind,
    file: Bytes,
    choices: &ImportChoices,
) -> Result<ImportRequest, FieldErrors> {
    let mut errors = FieldErrors::default();
    if file.is_empty() {
        errors.add("file", "Choose a CSV file that is not empty.");
    }
    let origin = choices.origin.as_str();
    if origin.is_empty() || origin.chars().count() > MAX_KEY_NAME || origin.contains(char::is_control) {
        errors.add("origin", format!("Enter 1 to {MAX_KEY_NAME} characters."));
    }
    let role = Role::parse(&choices.role);
    if role.is_none() && !choices.role.is_empty() {
        errors.add("role", "Choose one of the roles.");
    }
    let mut map = Vec::new();
    for line in choices.columns.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.rsplit_once('=') {
            Some((column, attribute)) => map.push((column.trim().to_owned(), attribute.trim().to_owned())),
            None => errors.add("columns", format!("Write each line as column = attribute, not {line:?}.")),
        }
    }
    let mapping = MappingOptions {
        map,
        set: role.map(|role| ("role".to_owned(), role.name().to_owned())).into_iter().collect(),
        ref_column: Some(choices.reference.clone()).filter(|column| !column.is_empty()),
        matching: if kind.entity == Entity::Contact { MatchBy::Email } else { MatchBy::Name },
        clear_empty: choices.clears_empty,
        create_companies: true,
    };
    let request = ImportRequest {
        account: session.account,
        entity: kind.entity,
        delimiter: delimiter_of(&file),
        source: FileSource::Bytes(file),
        origin: origin.into(),
        mapping,
        dry_run: !choices.is_run,
    };
    if errors.is_empty() { Ok(request) } else { Err(errors) }
}

/// The separator that the first line has most often outside quotation marks.
fn delimiter_of(file: &[u8]) -> u8 {
    let first = file.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| {
        let (mut is_quoted, mut number) = (false, 0_usize);
        for byte in first {
            match *byte {
                b'"' => is_quoted = !is_quoted,
                byte if byte == separator && !is_quoted => number += 1,
                _ => {}
            }
        }
        number
    };
    // Of equal numbers the last one is returned, which is the comma.
    [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// The page around the stream; nothing where a script shows the stream in a page that is there.
fn frame(session: &ConsoleSession, kind: &RecordKind, choices: &ImportChoices) -> [String; 2] {
    if session.visitor.is_partial {
        return [String::new(), String::new()];
    }
    let content = super::import_report::form(session, kind, choices, &FieldErrors::default(), &html! { (STREAM_MARK) });
    let page = layout::inside(session, kind.nav, &title(kind), &content).into_string();
    match page.split_once(STREAM_MARK) {
        Some((before, after)) => [before.to_owned(), after.to_owned()],
        None => [page, String::new()],
    }
}

fn partial_errors(errors: &FieldErrors) -> Response {
    layout::fragment(&super::import_report::field_errors(errors))
}

/// An import that runs while it is polled.
struct Running {
    work: BoxFuture<'static, Markup>,
    progress: watch::Receiver<ImportProgress>,
}

fn run(console: &Arc<Console>, session: &ConsoleSession, request: ImportRequest, action: String) -> Running {
    let (sender, progress) = watch::channel(ImportProgress::default());
    let (console, session) = (Arc::clone(console), session.clone());
    let work = async move {
        let step = |step| sender.send_modify(|progress| progress.add(step));
        let result = files::import(&console.store, &console.clock, &request, step).await;
        if !request.dry_run
            && let Err(error) = audit(&console, &session, &action, &ended(&result)).await
        {
            tracing::warn!(error = %error, account = %session.account, "recording the end of an import failed");
        }
        match &result {
            Ok(done) => report(done, request.dry_run),
            Err(error) => failure(error, request.dry_run),
        }
    };
    Running { work: Box::pin(work), progress }
}

fn ended(result: &Result<ImportReport, ImportError>) -> serde_json::Value {
    match result {
        Ok(report) => {
            json!({"state": "ended", "lines": report.lines, "created": report.created, "updated": report.updated,
            "duplicates": report.duplicates, "refused": report.refused, "conflicts": report.conflicts})
        }
        Err(_) => json!({"state": "stopped"}),
    }
}

/// The parts of the response in their order.
enum Part {
    Before,
    Progress,
    After,
    End,
}

/// Sends the beginning of the page at once, then the progress, the report and the rest.
fn stream_of(running: Running, permit: OwnedSemaphorePermit, before: String, after: String) -> Response {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let state = (Part::Before, running, ticks, permit, before, after);
    let parts = stream::unfold(state, async |(part, mut running, mut ticks, permit, mut before, mut after)| {
        let (text, next) = match part {
            Part::Before => {
                let steps = html! { div.import-step { p { "Reading the file." } } }.into_string();
                (std::mem::take(&mut before) + &steps, Part::Progress)
            }
            Part::Progress => tokio::select! {
                biased;
                report = &mut running.work => (report.into_string(), Part::After),
                text = next_progress(&mut ticks, &mut running.progress) => (text, Part::Progress),
            },
            Part::After => (std::mem::take(&mut after), Part::End),
            Part::End => return None,
        };
        let text = Ok::<_, std::convert::Infallible>(Bytes::from(text));
        Some((text, (next, running, ticks, permit, before, after)))
    });
    let mut response = Response::new(Body::from_stream(parts));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// A line of progress once there is more to tell.
async fn next_progress(ticks: &mut tokio::time::Interval, progress: &mut watch::Receiver<ImportProgress>) -> String {
    loop {
        ticks.tick().await;
        if progress.has_changed().unwrap_or(false) {
            let now = *progress.borrow_and_update();
            return progress_line(now).into_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_of_a_file_is_the_one_that_its_first_line_has_most_often() {
        for (file, expected) in
            [("a,b,c\n1;2;3;4;5", b','), ("a;b;\"c,d,e\"\n", b';'), ("a\tb\n", b'\t'), ("email\n", b','), ("", b',')]
        {
            assert_eq!(delimiter_of(file.as_bytes()), expected, "{file:?}");
        }
    }
}
