//! How comments begin: with a verb or the thing itself, never with the sentence's object.

use crate::architecture::source::Source;
use crate::architecture::tables::COMMENT_OPENINGS;
use crate::architecture::violation::Violation;

/// No comment, and no sentence inside a comment, opens with one of the table's words; a question may.
///
/// A comment is a block of whole-line comments of one kind, or one comment behind code. Its sentences end with `.`, `!` or
/// `?`; an empty line, an entry of a list and a row of a table begin a sentence of their own; fenced code has none.
pub(crate) fn no_comment_opens_with_its_object(sources: &[Source]) -> Vec<Violation> {
    sources.iter().flat_map(inverted).collect()
}

fn inverted(source: &Source) -> Vec<Violation> {
    let paragraphs = paragraphs(source);
    let sentences = paragraphs.iter().flat_map(|paragraph| sentences(paragraph));
    let openings = sentences.filter_map(|sentence| {
        let (line, _) = sentence.first()?;
        let is_question = sentence.last().is_some_and(|(_, word)| sentence_end(word) == Some('?'));
        opening(&sentence).filter(|_| !is_question).map(|opening| (*line, opening))
    });
    let violations = openings.map(|(line, opening)| {
        let reason = format!("a sentence opens with `{opening}`: begin with a verb, or with the thing itself");
        Violation::new(&source.path, line, reason)
    });
    violations.collect()
}

/// The scripts of the sources' folders, each as a source of nothing but comments.
pub(crate) fn scripts(files: &[(String, String)]) -> Vec<Source> {
    let in_sources =
        files.iter().filter(|(path, _)| ["src/", "tests/", "benches/"].iter().any(|at| path.starts_with(at)));
    let scripts = in_sources.filter_map(|(path, raw)| match path.rsplit_once('.')?.1 {
        "py" | "sh" => Some(Source::new(path, &comments_of_python_or_shell(raw))),
        "js" | "mjs" | "css" => Some(Source::new(path, raw)),
        _ => None,
    });
    scripts.collect()
}

/// `# …` and the texts between `"""`, written as `// …` and `/// …` on the same lines.
fn comments_of_python_or_shell(raw: &str) -> String {
    let mut is_text = false;
    let lines = raw.lines().map(|line| {
        let line = line.trim();
        let began_inside = is_text;
        is_text ^= line.matches("\"\"\"").count() % 2 == 1;
        let is_docstring = began_inside || line.starts_with("\"\"\"");
        match line.strip_prefix('#') {
            _ if is_docstring => format!("/// {}", line.replace("\"\"\"", "")),
            Some(comment) => format!("//{comment}"),
            None => String::new(),
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A word of a comment and its line.
type Word<'a> = (usize, &'a str);

fn opening(sentence: &[Word<'_>]) -> Option<&'static str> {
    let is_opened_by = |opening: &&&str| {
        let mut words = sentence.iter().map(|(_, word)| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '`'));
        opening.split(' ').all(|part| words.next() == Some(part))
    };
    COMMENT_OPENINGS.iter().find(is_opened_by).copied()
}

fn sentences<'a>(paragraph: &[Word<'a>]) -> Vec<Vec<Word<'a>>> {
    let ended = paragraph.split_inclusive(|(_, word)| sentence_end(word).is_some());
    ended.map(<[Word<'a>]>::to_vec).collect()
}

/// The sign that ends a sentence at this word; brackets and quotes may follow it.
fn sentence_end(word: &str) -> Option<char> {
    word.trim_end_matches([')', ']', '"', '\'', '`', '*', '_']).chars().last().filter(|c| matches!(c, '.' | '!' | '?'))
}

/// The texts that begin with a sentence: blocks, split where a line begins anew.
fn paragraphs(source: &Source) -> Vec<Vec<Word<'_>>> {
    let lines = source.raw.lines().collect::<Vec<_>>();
    let mut paragraphs: Vec<Vec<Word<'_>>> = Vec::new();
    let mut before = (0, "");
    let mut is_code = false;
    for comment in &source.comments {
        let (kind, text) = split(&comment.text);
        let is_whole = lines.get(comment.line - 1).is_some_and(|line| line.trim_start().starts_with(kind));
        let goes_on = is_whole && before == (comment.line - 1, kind);
        before = if is_whole { (comment.line, kind) } else { (0, "") };
        is_code &= goes_on;
        let is_fence = text.starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence {
            paragraphs.push(Vec::new());
            continue;
        }
        let (marker, text) = list_marker(text);
        if !goes_on || marker || text.is_empty() {
            paragraphs.push(Vec::new());
        }
        if let Some(paragraph) = paragraphs.last_mut() {
            paragraph.extend(text.split_whitespace().map(|word| (comment.line, word)));
        }
    }
    paragraphs
}

/// `///`, and what follows it.
fn split(comment: &str) -> (&str, &str) {
    let comment = comment.trim_start();
    let signs = comment.find(|c| !matches!(c, '/' | '!' | '*')).unwrap_or(comment.len());
    let (kind, text) = comment.split_at(signs);
    (kind, text.trim().trim_end_matches("*/").trim_end())
}

/// Whether a line begins an entry of a list, a heading or a row of a table, and the text behind the marker.
fn list_marker(text: &str) -> (bool, &str) {
    let behind = ["* ", "- ", "+ ", "# ", "## ", "| "].iter().find_map(|marker| text.strip_prefix(marker));
    let numbered = || text.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok()).map(|(_, text)| text);
    behind.or_else(numbered).map_or((false, text), |text| (true, text.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{no_comment_opens_with_its_object, scripts};
    use crate::architecture::source::Source;
    use crate::architecture::violation::lines;

    fn broken_lines(code: &str) -> Vec<usize> {
        lines(&no_comment_opens_with_its_object(&[Source::new("src/a.rs", code)]))
    }

    #[test]
    fn a_comment_that_opens_with_its_object_is_seen_in_every_kind_of_comment() {
        let code = "//! What this is.\n\n// Whoever asks.\nlet a = 1; // So many of them.\n/// As many\n/// as may be.\nfn f() {}\n/* What it\n is. */\n/** What is. */";
        assert_eq!(broken_lines(code), [1, 3, 4, 5, 8, 10]);
    }

    #[test]
    fn a_sentence_inside_a_comment_is_seen_too() {
        assert_eq!(
            broken_lines("/// Returns the first.\n/// What follows is dropped. Whoever\n/// asks waits."),
            [2, 2]
        );
        assert_eq!(broken_lines("// Ends (so it seems.) What\n// is left."), [1]);
        assert_eq!(
            broken_lines("//! Two:\n//!\n//! * What was sent\n//! * the rest\n//! 1. So many\n//!\n//! What"),
            [3, 5, 7]
        );
        assert_eq!(
            broken_lines("// One comment\n/// What another says\nlet a = 1; // x\n// What a third says"),
            [2, 4]
        );
    }

    #[test]
    fn the_words_elsewhere_are_no_opening() {
        let code = "/// Returns what was sent: What it is\n/// What goes on here is one sentence.\n// So much. Somany. Whatever. As few. Many\n// `What` is a type\nlet s = \"// What\"";
        assert_eq!(broken_lines(code), [0; 0]);
    }

    #[test]
    fn questions_and_code_are_exempt() {
        assert_eq!(broken_lines("// What\n// is left?\n// So many? Yes. What then?"), [0; 0]);
        assert_eq!(broken_lines("/// Calls:\n/// ```\n/// What is code\n/// ```\n/// What is text."), [5]);
        assert_eq!(broken_lines("// ```\n// What is code\n\n// What is not"), [4]);
    }

    #[test]
    fn scripts_are_read_too() {
        let files =
            |path: &str, raw: &str| lines(&no_comment_opens_with_its_object(&scripts(&[(path.into(), raw.into())])));
        let code = "#!/bin/sh\n\"\"\"What it is.\n\nWhoever asks.\"\"\"\n# So many\na = 1\n\"\"\"Returns. What\"\"\"";
        assert_eq!(files("tests/attacks/a.py", code), [2, 4, 5, 7]);
        assert_eq!(files("src/http/page.js", "// What\nlet a = '# What';\n/* As many */"), [1, 3]);
        assert_eq!(files("deploy/a.sh", "# What"), [0; 0]);
    }
}
