//! The form of an import, its progress and its report.

use maud::{Markup, html};

use super::super::super::components::chart::meter;
use super::super::super::components::{
    ButtonStyle, Choice, FormField, Icon, Tone, card, checkbox, icon, notice, page_head, select, table, text_field,
    textarea,
};
use super::super::super::form::FieldErrors;
use super::super::super::session::SessionState;
use super::super::super::text;
use super::RecordKind;
use super::import_choices::{ImportChoices, ImportProgress, MAX_FILE};
use crate::domain::Entity;
use crate::keys::MAX_KEY_NAME;
use crate::sync::files::{FileError, ImportError, ImportReport, Noted};

/// The lines of a report that a page shows.
const MAX_SHOWN: usize = 200;

/// The form, with the results of the request before below it.
pub(super) fn form(
    session: &SessionState,
    kind: &RecordKind,
    choices: &ImportChoices,
    errors: &FieldErrors,
    results: &Markup,
) -> Markup {
    let action = format!("{}/import?csrf={}", kind.path, session.token.csrf());
    html! {
        nav.breadcrumb aria-label="Breadcrumb" { a href=(kind.path) { (kind.title) } }
        (page_head(&format!("Import {}", kind.nouns), "Check the file first: nothing is written until you import it.", html! {}))
        form.import method="post" action=(action) enctype="multipart/form-data" data-stream="#import-results" {
            (card("1. Choose a file", "", html! {
                (drop_area(errors.get("file")))
                p.hint {
                    "CSV in UTF-8, up to " (MAX_FILE >> 20) " MiB. The first line names the columns; columns with the name of an attribute, such as "
                    code { (example(kind)) } ", are recognized. An exported file can be imported as it is."
                }
            }))
            (card("2. How to read it", "", meaning(kind, choices, errors)))
            div.form-actions {
                button class=(ButtonStyle::Primary.class()) type="submit" name="mode" value="check" { "Check the file" }
                button class=(ButtonStyle::Secondary.class()) type="submit" name="mode" value="run" { "Import" }
            }
        }
        section.import-results #import-results aria-live="polite" aria-label="Result" { (results) }
    }
}

fn example(kind: &RecordKind) -> &'static str {
    if kind.entity == Entity::Contact {
        "first_name, last_name, email, phone, company"
    } else {
        "name, phone, website, category"
    }
}

/// The input of the file, onto which a file can be dropped.
fn drop_area(error: Option<&str>) -> Markup {
    html! {
        label.drop for="field-file" data-drop {
            (icon(Icon::Upload))
            strong { "Choose a CSV file, or drop one here" }
            span.drop-name data-drop-name {}
            input #field-file type="file" name="file" accept=".csv,.tsv,.txt,text/csv" required aria-invalid=[error.map(|_| "true")]
                aria-describedby=[error.map(|_| "error-file")];
        }
        @if let Some(error) = error { p.error #error-file { (icon(Icon::Warning)) (error) } }
    }
}

fn meaning(kind: &RecordKind, choices: &ImportChoices, errors: &FieldErrors) -> Markup {
    const ROLES: [Choice<'_>; 4] = [
        Choice { value: "", label: "From the file’s column “role”", hint: None },
        Choice { value: "Lead", label: "Lead", hint: None },
        Choice { value: "Prospect", label: "Prospect", hint: None },
        Choice { value: "Client", label: "Client", hint: None },
    ];
    let key = if kind.entity == Entity::Contact { "email" } else { "name" };
    html! {
        p.muted { "A line whose " (key) " is known changes that " (kind.noun) "; any other line creates one." }
        (select(FormField {
            value: &choices.role, error: errors.get("role"), is_required: false,
            hint: Some("The role of every line. A role that is chosen here replaces that of the column."), ..FormField::new("role", "Role")
        }, &ROLES))
        (text_field(FormField {
            value: &choices.origin, error: errors.get("origin"), max_length: Some(MAX_KEY_NAME),
            hint: Some("The name of the system that the file comes from. The history shows it, and an import can be undone by it."),
            ..FormField::new("origin", "Origin")
        }))
        details.more open[errors.get("columns").is_some() || !choices.columns.is_empty() || !choices.reference.is_empty()] {
            summary { "More options" }
            (text_field(FormField {
                value: &choices.reference, error: errors.get("reference"), is_required: false,
                hint: Some("The column with the record's id in the other system, by which it is found again."),
                ..FormField::new("reference", "Reference column")
            }))
            (textarea(FormField {
                value: &choices.columns, error: errors.get("columns"), is_required: false,
                hint: Some("One line per column with a name of its own: Surname = last_name. A custom field is named by its label. Without an attribute, the column is not read."),
                ..FormField::new("columns", "Columns")
            }))
            (checkbox("clear_empty", "Empty cells clear values", Some("Otherwise an empty cell leaves the attribute as it is."), choices.clears_empty))
        }
    }
}

/// The errors of the form's fields, where a script shows them.
pub(super) fn field_errors(errors: &FieldErrors) -> Markup {
    let all = ["file", "role", "origin", "reference", "columns"]
        .into_iter()
        .filter_map(|field| Some((field, errors.get(field)?)));
    notice(Tone::Danger, html! { ul { @for (field, error) in all { li { strong { (field) } ": " (error) } } } })
}

/// A line of progress. The page shows the last one.
pub(super) fn progress_line(progress: ImportProgress) -> Markup {
    let (done, lines) = (text::thousands(progress.done), text::count(progress.lines, "line", "lines"));
    html! {
        div.import-step {
            p { (done) " of " (lines) }
            (meter(&format!("{done} of {lines}"), progress.done, progress.lines.max(1)))
        }
    }
}

/// The result of a check or of an import.
pub(super) fn report(report: &ImportReport, is_check: bool) -> Markup {
    let would = |word: &str| if is_check { format!("Would be {word}") } else { capital(word) };
    html! {
        div.import-report {
            @if is_check {
                (notice(Tone::Info, html! {
                    p { strong { "Nothing was written." } " This is what the import would do now, with " (text::count(report.lines, "line", "lines")) "." }
                    p { "Press Import to carry it out. Without scripts, choose the same file again first." }
                }))
            } @else {
                (notice(Tone::Success, html! {
                    p { strong { "The file was imported." } " " (text::count(report.lines, "line", "lines")) "." }
                    @if report.replayed > 0 { p { (text::count(report.replayed, "line was", "lines were")) " executed by an earlier import of the same file, and not again." } }
                }))
            }
            dl.figures {
                (figure(&would("created"), report.created, None))
                (figure(&would("linked"), report.linked, Some(&format!("{} changed, {} as they are", text::thousands(report.updated), text::thousands(report.unchanged)))))
                (figure("Would duplicate", report.duplicates, Some("not imported")))
                (figure("Refused", report.refused, Some("not imported")))
                (figure("With conflicts", report.conflicts, None))
            }
            @if !report.ignored.is_empty() { p { "Columns that are not read: " strong { (report.ignored.join(", ")) } "." } }
            @if !report.exact { p { "The file repeats very many records, so that the numbers of the import may differ." } }
            @if !report.noted.is_empty() { (noted(report)) }
        }
    }
}

fn capital(word: &str) -> String {
    let mut word = word.to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

fn figure(name: &str, number: u64, note: Option<&str>) -> Markup {
    html! {
        div.figure { dt { (name) } dd { strong { (text::thousands(number)) } @if let Some(note) = note { small { (note) } } } }
    }
}

fn noted(report: &ImportReport) -> Markup {
    let shown = report.noted.len().min(MAX_SHOWN);
    let beyond = report.unlisted() + u64::try_from(report.noted.len() - shown).unwrap_or_default();
    html! {
        (table("Lines that are not imported as they are", &["Line", "Result", "Reason"], html! {
            @for Noted { line, result, reason } in report.noted.iter().take(MAX_SHOWN) {
                tr { th scope="row" data-label="Line" { (line) } td data-label="Result" { (result) } td data-label="Reason" { (reason) } }
            }
        }))
        @if beyond > 0 { p.muted { "And " (text::count(beyond, "further line", "further lines")) "." } }
    }
}

/// An import that did not end, with what to do.
pub(super) fn failure(error: &ImportError, is_check: bool) -> Markup {
    let sentence = match error {
        ImportError::File(FileError::OtherDelimiter(_)) => {
            "The first line has a single column. Separate the columns by commas, semicolons or tabs.".to_owned()
        }
        ImportError::File(error) => format!("{}.", capital(&error.to_string())),
        ImportError::Mapping(message) => message.clone(),
        ImportError::NoAccount(_) => "The account no longer exists.".to_owned(),
        ImportError::Changed => "The file changed while it was read.".to_owned(),
        ImportError::Stopped { line, .. } => {
            format!("The import stopped behind line {line}: the database was too busy.")
        }
        ImportError::Store(_) => "The database cannot be reached.".to_owned(),
    };
    let may_have_written = !is_check && matches!(error, ImportError::Stopped { .. } | ImportError::Store(_));
    html! {
        div.import-report {
            (notice(Tone::Danger, html! {
                p { (sentence) }
                @if may_have_written { p { "Import the same file again: it continues where it stopped, and executes no line twice." } }
            }))
        }
    }
}
