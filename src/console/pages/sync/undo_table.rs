//! The dry run as a table: record, field, its value now, the value that comes back, and why something stays.

use maud::{Markup, html};

use super::super::super::components::{Tone, badge, table};
use super::super::super::text;
use super::values::{label, record_link, record_name, refusal_words, shown_value};
use crate::domain::sync::{Existence, RevertEffect};
use crate::domain::{Field, FieldConflict, Value};
use crate::sync::preview::{UndoPreview, UndoneRecord};

/// Records of the table.
pub(super) const LISTED: usize = 100;

/// Lines of the table.
const MAX_LINES: usize = 300;

/// One line: a field of a record, or the record as a whole.
struct Line<'a> {
    record: &'a UndoneRecord,
    field: String,
    now: Markup,
    back_to: Markup,
    skipped: Option<String>,
}

/// The table of a preview's listed records.
pub(super) fn effects(caption: &str, preview: &UndoPreview) -> Markup {
    let lines: Vec<Line<'_>> = preview.listed.iter().flat_map(lines_of).take(MAX_LINES).collect();
    html! {
        (table(caption, &["Record", "Field", "Now", "Back to", "Result"], html! {
            // The lines of a record follow each other; the first one names it.
            @for (line, number) in lines.iter().zip(numbers(&lines)) {
                @let UndoneRecord { entity, uid, now, .. } = line.record;
                @let name = now.as_ref().and_then(record_name);
                tr.is-skipped[line.skipped.is_some()].is-further[number.is_none()] {
                    @if let Some(number) = number {
                        th scope="rowgroup" rowspan=(number) data-label="Record" { (record_link(*entity, *uid, name.as_deref())) }
                    }
                    td data-label="Field" { (line.field) }
                    td data-label="Now" { (line.now) }
                    td data-label="Back to" { (line.back_to) }
                    td data-label="Result" {
                        @match &line.skipped {
                            Some(reason) => { (badge(Tone::Warning, "stays")) span.cell-note { (reason) } }
                            None => { (badge(Tone::Success, "will be undone")) }
                        }
                    }
                }
            }
        }))
        @if preview.listed.len() >= LISTED || lines.len() == MAX_LINES { p.muted { "The table shows the first of them." } }
    }
}

/// For each record's first line the number of its lines; `None` for the others.
fn numbers<'a>(lines: &'a [Line<'_>]) -> impl Iterator<Item = Option<usize>> + 'a {
    lines
        .chunk_by(|one, other| std::ptr::eq(one.record, other.record))
        .flat_map(|chunk| std::iter::once(Some(chunk.len())).chain(chunk.iter().skip(1).map(|_| None)))
}

fn lines_of(record: &UndoneRecord) -> Vec<Line<'_>> {
    let whole = |now: &str, back_to: &str, skipped: Option<String>| Line {
        record,
        field: "Whole record".to_owned(),
        now: html! { (now) },
        back_to: html! { (back_to) },
        skipped,
    };
    let RevertEffect { existence, changes, conflicts } = match &record.effect {
        Ok(effect) => effect,
        Err(refusal) => return vec![whole("–", "–", Some(refusal_words(refusal)))],
    };
    let existence = existence.map(|existence| match existence {
        Existence::Deleted => whole("created", "deleted", None),
        Existence::Live => whole("deleted", "live", None),
    });
    let now = |field: Field| record.now.as_ref().and_then(|record| record.fields.get(&field));
    let line = |field: Field, now: Option<&Value>, to: Option<&Value>, skipped: Option<String>| Line {
        record,
        field: label(field.name()),
        now: shown_value(field, now),
        back_to: shown_value(field, to),
        skipped,
    };
    let changed = changes.iter().map(|(field, to)| line(*field, now(*field), to.as_ref(), None));
    let kept = conflicts.iter().map(|conflict| {
        let FieldConflict { field, yours, theirs, theirs_origin, .. } = conflict;
        let reason = match theirs_origin {
            Some(origin) => format!("{origin} changed it since"),
            None => "somebody changed it since".to_owned(),
        };
        line(*field, theirs.as_ref(), yours.as_ref(), Some(reason))
    });
    existence.into_iter().chain(changed).chain(kept).collect()
}

/// The counts of a preview as the parts of a sentence.
pub(super) fn counts(preview: &UndoPreview) -> Markup {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    html! {
        ul.counts {
            li { strong { (text::thousands(number(preview.updated))) } " get earlier values back" }
            li { strong { (text::thousands(number(preview.restored))) } " come back from deletion" }
            li { strong { (text::thousands(number(preview.deleted))) } " were created and are deleted" }
            li { strong { (text::thousands(number(preview.skipped))) } " keep something that changed since" }
        }
        @if preview.examined < preview.records {
            p.muted { "The range has " (text::thousands(number(preview.records))) " records, of which the first " (text::thousands(number(preview.examined))) " were looked at: the counts are at least these." }
        }
    }
}
