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
    /// The inline modules (`mod tests { … }`) around it, outermost first.
    pub(crate) inline_modules: Vec<String>,
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
    pub(crate) fn is_in(&self, at: &str) -> bool {
        lies_in(&self.path, at)
    }

    pub(crate) fn is_test(&self) -> bool {
        self.is_in("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The file's module below the crate's root: `["store", "log"]` of `src/store/log.rs`.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path).trim_end_matches(".rs");
        let module = inside.strip_suffix("/mod").unwrap_or(inside);
        let is_root = matches!(module, "lib" | "main");
        if is_root { Vec::new() } else { module.split('/').map(str::to_owned).collect() }
    }

    /// The file without the items that are compiled for tests alone: those below `#[cfg(test)]`, and `mod tests { … }`.
    pub(crate) fn without_tests(&self) -> Self {
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let is_inline = self.starts_with(at, &["mod", "tests", "{"]);
            if is_inline || self.starts_with(at, TEST_ONLY) {
                at = self.item_end(at);
            } else {
                tokens.push(token.clone());
                at += 1;
            }
        }
        Self { path: self.path.clone(), tokens, raw: String::new(), literals: Vec::new(), comments: Vec::new() }
    }

    /// The modules of files that the file declares for tests alone: `#[cfg(test)] mod fixture;`.
    pub(crate) fn test_modules(&self) -> Vec<Vec<String>> {
        let attributes = (0..self.tokens.len()).filter(|at| self.starts_with(*at, TEST_ONLY));
        let declared = attributes.filter_map(|at| {
            let item = (at..self.item_end(at)).find(|at| self.word(*at) == "mod")?;
            (self.word(item + 2) == ";").then(|| self.word(item + 1).to_owned())
        });
        declared.map(|name| [self.module(), vec![name]].concat()).collect()
    }

    fn starts_with(&self, at: usize, sequence: &[&str]) -> bool {
        sequence.iter().enumerate().all(|(ahead, text)| self.word(at + ahead) == *text)
    }

    /// Behind the item at `at`, its attributes included: behind its `;` or its closing brace.
    fn item_end(&self, mut at: usize) -> usize {
        let mut depth = 0_usize;
        loop {
            match self.word(at) {
                "" => return at,
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 0 => return at,
                "}" if depth == 1 => return at + 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                ";" if depth == 0 => return at + 1,
                _ => {}
            }
            at += 1;
        }
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
                "{" => blocks.push(self.inline_module(at)),
                "}" => {
                    blocks.pop();
                }
                text if is_name(text) && !self.continues_a_path(at) => {
                    let context = Context {
                        inline_modules: &blocks.iter().flatten().cloned().collect::<Vec<_>>(),
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

    /// The name of the inline module that the brace at `at` opens.
    pub(crate) fn inline_module(&self, at: usize) -> Option<String> {
        let declares = at >= 2 && self.word(at - 2) == "mod";
        declares.then(|| self.word(at - 1).to_owned())
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
    fn read_path(&self, mut at: usize, prefix: &[String], context: Context<'_>, paths: &mut Vec<Path>) -> usize {
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
        paths.push(Path { line: first.line, segments, inline_modules: inline_modules.to_vec(), imported });
        at
    }

    fn read_group(&self, mut at: usize, prefix: &[String], context: Context<'_>, paths: &mut Vec<Path>) -> usize {
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

const TEST_ONLY: &[&str] = &["#", "[", "cfg", "(", "test", ")", "]"];

/// Whether a word may begin a path: `use` in `use ::std::fmt` does not.
fn is_name(text: &str) -> bool {
    text.starts_with(is_word)
        && !matches!(text, "use" | "return" | "as" | "in" | "dyn" | "impl" | "mut" | "else" | "match")
}

#[derive(Clone, Copy)]
struct Context<'a> {
    inline_modules: &'a [String],
    imported: bool,
}

pub(crate) fn lies_in(path: &str, at: &str) -> bool {
    if at.ends_with('/') { path.starts_with(at) } else { path == at }
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
        let modules = source
            .paths()
            .iter()
            .filter(|p| p.segments.len() == 2)
            .map(|p| p.inline_modules.join("::"))
            .collect::<Vec<_>>();
        assert_eq!(modules, ["", "tests::deeper", ""]);
    }

    #[test]
    fn what_is_compiled_for_tests_alone_can_be_left_out() {
        let code = "a();\n#[cfg(test)]\nuse b::{c, d};\n#[cfg(test)]\n#[x]\nfn e([f]: [u8; 2]) { g() }\nmod tests { h() }\n#[cfg(test)] pub(crate) mod i;\nmod j { k() }";
        let source = Source::new("src/l/mod.rs", code);
        let names = source.without_tests().tokens.into_iter().map(|token| token.text).filter(|text| text.len() == 1);
        let names = names.filter(|text| text.starts_with(char::is_alphabetic)).collect::<String>();
        assert_eq!(names, "ajk");
        assert_eq!(source.test_modules(), [["l", "i"]]);
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
