//! Sizes of files and functions, front doors of folders, and marks of unfinished work.

use std::collections::BTreeSet;

use crate::architecture::source::Source;
use crate::architecture::tables::{FILE_LINES, FUNCTION_LINES, MOD_LINES};
use crate::architecture::violation::Violation;

pub(crate) fn files_stay_small(sources: &[Source]) -> Vec<Violation> {
    let limit = |source: &Source| if source.path.ends_with("/mod.rs") { MOD_LINES } else { FILE_LINES };
    let long = sources.iter().filter(|source| source.line_count() > limit(source));
    long.map(|source| {
        let (lines, limit) = (source.line_count(), limit(source));
        Violation::new(&source.path, limit + 1, format!("{lines} lines, {limit} at most: find the seam"))
    })
    .collect()
}

pub(crate) fn functions_stay_small(sources: &[Source]) -> Vec<Violation> {
    let functions =
        sources.iter().flat_map(|source| functions(source).into_iter().map(move |function| (source, function)));
    let long = functions.filter(|(_, function)| function.lines > FUNCTION_LINES);
    long.map(|(source, Function { name, line, lines })| {
        let reason = format!("`{name}` has {lines} lines, {FUNCTION_LINES} at most");
        Violation::new(&source.path, line, reason).about(format!("{}::{name}", source.path))
    })
    .collect()
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every `fn name … { … }`, from its first line to its closing brace.
fn functions(source: &Source) -> Vec<Function> {
    let starts = source.tokens.iter().zip(source.tokens.iter().skip(1)).enumerate();
    starts
        .filter(|(_, (token, name))| token.text == "fn" && name.text.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .filter_map(|(at, (token, name))| {
            let lines = last_line(source, at)? - token.line + 1;
            Some(Function { name: name.text.clone(), line: token.line, lines })
        })
        .collect()
}

/// The line of the brace that closes the function at `at`; a declaration without a body has none.
fn last_line(source: &Source, at: usize) -> Option<usize> {
    let mut brackets = 0_usize;
    let mut braces = 0_usize;
    for token in source.tokens.iter().skip(at) {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" if braces == 1 => return Some(token.line),
            "}" => braces = braces.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A folder that holds only the tests of the file beside it needs no door.
pub(crate) fn every_folder_has_a_front_door(sources: &[Source]) -> Vec<Violation> {
    let inside = sources.iter().filter_map(|source| source.path.rsplit_once('/'));
    let folders = inside.filter(|(folder, file)| *folder != "src" && *file != "tests.rs").map(|(folder, _)| folder);
    let folders = folders.collect::<BTreeSet<_>>();
    let doors = folders.into_iter().filter_map(|folder| {
        let door = format!("{folder}/mod.rs");
        match sources.iter().find(|source| source.path == door) {
            None => Some(Violation::new(&door, 1, "is missing: a folder's front door says what the folder is")),
            Some(source) if !source.raw.starts_with("//!") => Some(Violation::new(
                &door,
                1,
                "begins with no `//!` that says what the folder is, guarantees and does not know",
            )),
            Some(_) => None,
        }
    });
    doors.collect()
}

/// A folder that a rule is about is there, so that the rule does not pass because a folder was renamed.
pub(crate) fn every_folder_that_the_tables_name_exists(folders: &[(&str, &str)], sources: &[Source]) -> Vec<Violation> {
    let missing = folders.iter().filter(|(folder, _)| !sources.iter().any(|source| source.is_in(folder)));
    missing.map(|(folder, why)| Violation::new(folder, 1, format!("is missing: {why}"))).collect()
}

pub(crate) fn no_test_is_ignored(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        let mut depth = 0_usize;
        for (at, token) in source.tokens.iter().enumerate() {
            match token.text.as_str() {
                "[" if depth > 0 || at > 0 && source.word(at - 1) == "#" => depth += 1,
                "]" => depth = depth.saturating_sub(1),
                "ignore" if depth > 0 => {
                    violations.push(Violation::new(&source.path, token.line, "a test that is not run proves nothing"));
                }
                _ => {}
            }
        }
    }
    violations
}

/// No thread sleeps anywhere; no test sleeps at all. A bench may: it paces load.
pub(crate) fn no_test_sleeps(sources: &[Source]) -> Vec<Violation> {
    let sleeps = |source: &Source, segments: &[String]| {
        let last = segments.last().map_or("", String::as_str);
        let in_thread = segments.windows(2).any(|pair| pair == ["thread", "sleep"]);
        in_thread || source.is_test() && segments.len() > 1 && matches!(last, "sleep" | "sleep_until" | "sleep_ms")
    };
    let paths = sources.iter().flat_map(|source| source.paths().into_iter().map(move |path| (source, path)));
    let sleeping = paths.filter(|(source, path)| sleeps(source, &path.segments));
    sleeping
        .map(|(source, path)| Violation::new(&source.path, path.line, "sleeps: wait for the thing itself"))
        .collect()
}

pub(crate) fn no_work_is_left_unfinished(sources: &[Source]) -> Vec<Violation> {
    sources.iter().flat_map(unfinished).collect()
}

fn unfinished(source: &Source) -> Vec<Violation> {
    let macros = ["todo", "unimplemented", "dbg"].into_iter().flat_map(|name| {
        source.find(&[name, "!"]).into_iter().map(move |line| (line, format!("`{name}!` does not belong in the tree")))
    });
    let marks = source.comments.iter().filter_map(|comment| {
        let words = comment.text.split(|c: char| !c.is_alphanumeric()).collect::<Vec<_>>();
        if let Some(mark) = ["FIXME", "XXX"].into_iter().find(|mark| words.contains(mark)) {
            return Some((comment.line, format!("`{mark}`: fix it, or file an issue")));
        }
        let nameless = words.contains(&"TODO") && !names_an_issue(&comment.text);
        nameless.then(|| (comment.line, "`TODO` without the number of its issue (#N)".into()))
    });
    macros.chain(marks).map(|(line, reason)| Violation::new(&source.path, line, reason)).collect()
}

fn names_an_issue(comment: &str) -> bool {
    comment.split('#').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
