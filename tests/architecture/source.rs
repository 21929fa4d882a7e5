//! A Rust file as the rules read it: its text, its code without literals and comments, its tokens and its paths.

use crate::architecture::scanner::{Scan, Text, is_word, scan};

/// One file of the package. `path` is relative to the package and uses `/`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) raw: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) literals: Vec<Text>,
    pub(crate) comments: Vec<Text>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A path as written, groups unfolded: `use a::{b, c::d}` is `a::b` and `a::c::d`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
    /// How many inline modules (`mod tests { … }`) it stands in.
    pub(crate) inline_modules: usize,
    pub(crate) imported: bool,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let Scan { code, literals, comments } = scan(raw);
        Self { path: path.into(), raw: raw.into(), tokens: tokens(&code), literals, comments }
    }

    pub(crate) fn line_count(&self) -> usize {
        self.raw.lines().count()
    }

    /// Whether the file is this one, or lies in this folder (written with a `/` at its end).
    pub(crate) fn is_in(&self, place: &str) -> bool {
        lies_in(&self.path, place)
    }

    pub(crate) fn is_test(&self) -> bool {
        self.is_in("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// Where these tokens stand one after the other.
    pub(crate) fn find(&self, sequence: &[&str]) -> Vec<usize> {
        let matches = |window: &[Token]| window.iter().zip(sequence).all(|(token, text)| token.text == *text);
        self.tokens
            .windows(sequence.len())
            .filter(|window| matches(window))
            .filter_map(|w| w.first())
            .map(|t| t.line)
            .collect()
    }

    pub(crate) fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        let mut blocks = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "{" => blocks.push(at >= 2 && self.word(at - 2) == "mod"),
                "}" => {
                    blocks.pop();
                }
                text if is_name(text) && !self.continues_a_path(at) => {
                    let context = Context {
                        inline_modules: blocks.iter().filter(|is_module| **is_module).count(),
                        imported: self.is_imported(at),
                    };
                    at = self.read_path(at, &[], context, &mut paths);
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        paths
    }

    /// `b` in `a::b` and `a.b`; `std` in `::std` begins a path.
    fn continues_a_path(&self, at: usize) -> bool {
        let before = |n: usize| at.checked_sub(n).map_or("", |at| self.word(at));
        match before(1) {
            "." => before(2) != ".",
            "::" => is_name(before(2)) || before(2) == ">",
            _ => false,
        }
    }

    fn is_imported(&self, at: usize) -> bool {
        let before = |n: usize| at.checked_sub(n).map_or("", |at| self.word(at));
        before(1) == "use"
            || (before(1) == "::" && before(2) == "use")
            || (before(1) == "crate" && before(2) == "extern")
    }

    /// Reads the path that begins at a word and says where it ends.
    fn read_path(&self, mut at: usize, prefix: &[String], context: Context, paths: &mut Vec<Path>) -> usize {
        let Some(first) = self.tokens.get(at) else { return at };
        let mut segments = prefix.to_vec();
        segments.push(first.text.clone());
        at += 1;
        while self.word(at) == "::" {
            let next = self.word(at + 1);
            if next == "{" {
                return self.read_group(at + 2, &segments, context, paths);
            }
            if !next.starts_with(is_word) && next != "*" {
                break;
            }
            segments.push(next.into());
            at += 2;
        }
        let Context { inline_modules, imported } = context;
        paths.push(Path { line: first.line, segments, inline_modules, imported });
        at
    }

    fn read_group(&self, mut at: usize, prefix: &[String], context: Context, paths: &mut Vec<Path>) -> usize {
        loop {
            at = match self.word(at) {
                "" => return at,
                "}" => return at + 1,
                "as" => at + 2,
                text if text.starts_with(is_word) || text == "*" => self.read_path(at, prefix, context, paths),
                _ => at + 1,
            };
        }
    }
}

/// Whether a word may begin a path: `use` in `use ::std::fmt` does not.
fn is_name(text: &str) -> bool {
    text.starts_with(is_word)
        && !matches!(text, "use" | "return" | "as" | "in" | "dyn" | "impl" | "mut" | "else" | "match")
}

#[derive(Clone, Copy)]
struct Context {
    inline_modules: usize,
    imported: bool,
}

pub(crate) fn lies_in(path: &str, place: &str) -> bool {
    if place.ends_with('/') { path.starts_with(place) } else { path == place }
}

/// Words, `::` and single signs.
pub(crate) fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            tokens.push(Token { line: number + 1, text: token.into() });
            rest = after.trim_start();
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::Source;

    fn paths(code: &str) -> Vec<String> {
        let paths = Source::new("src/a.rs", code).paths();
        paths.iter().filter(|p| p.segments.len() > 1).map(|p| format!("{}:{}", p.line, p.segments.join("::"))).collect()
    }

    #[test]
    fn groups_are_unfolded_at_every_depth() {
        let code = "use crate::{\n a::b,\n c::{self, d as e, f::*},\n};\nuse ::std::fmt;";
        assert_eq!(
            paths(code),
            ["2:crate::a::b", "3:crate::c::self", "3:crate::c::d", "3:crate::c::f::*", "5:std::fmt"]
        );
    }

    #[test]
    fn a_path_is_found_wherever_it_is_written() {
        assert_eq!(paths("pub(in crate::a) fn f() {}"), ["1:crate::a"]);
        assert_eq!(paths("<T as crate::a::B>::C"), ["1:crate::a::B"]);
        assert_eq!(paths("x.map(crate :: a\n :: b)"), ["1:crate::a::b"]);
        assert_eq!(paths("#[tokio::test] let y = ..b::C; Vec::<u8>::new()"), ["1:tokio::test", "1:b::C"]);
        assert_eq!(paths("// crate::a::b\nlet s = \"crate::a\";"), [""; 0]);
    }

    #[test]
    fn a_path_knows_the_inline_modules_around_it() {
        let source = Source::new("src/a.rs", "fn f() { b::c() }\nmod tests { mod deeper { use b::c; } }\nb::c();");
        let depths =
            source.paths().iter().filter(|p| p.segments.len() == 2).map(|p| p.inline_modules).collect::<Vec<_>>();
        assert_eq!(depths, [0, 2, 0]);
    }

    #[test]
    fn an_import_is_told_from_a_use() {
        let source = Source::new("src/a.rs", "use tokio; use tokio::spawn; tokio::spawn(x)");
        let imported = source
            .paths()
            .iter()
            .filter(|p| p.segments.first().is_some_and(|s| s == "tokio"))
            .map(|p| p.imported)
            .collect::<Vec<_>>();
        assert_eq!(imported, [true, true, false]);
    }
}
