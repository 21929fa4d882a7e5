//! Splits Rust text into code, string literals and comments, without parsing it.
//!
//! It knows nested block comments, raw, byte and C strings, character literals against lifetimes, and raw identifiers.
//! It knows nothing of macros: what a macro makes of its tokens is not seen.

/// A piece of a file that is not code: a string literal's value or one line of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The parts of a file. `code` has the layout of the original; literals and comments are blanked in it.
#[derive(Default)]
pub(crate) struct Scan {
    pub(crate) code: String,
    pub(crate) literals: Vec<Text>,
    pub(crate) comments: Vec<Text>,
}

pub(crate) fn scan(raw: &str) -> Scan {
    let mut scanner = Scanner { chars: raw.chars().collect(), at: 0, line: 1, out: Scan::default() };
    while scanner.peek(0).is_some() {
        scanner.step();
    }
    scanner.out
}

struct Scanner {
    chars: Vec<char>,
    at: usize,
    line: usize,
    out: Scan,
}

impl Scanner {
    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('\''), _) => self.quote(),
            (Some(c), _) if is_word(c) => self.word(),
            _ => {
                self.keep();
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    /// Takes a character over into the code.
    fn keep(&mut self) -> Option<char> {
        let c = self.advance()?;
        self.out.code.push(c);
        Some(c)
    }

    /// Takes a character out of the code; a space stands in its place.
    fn blank(&mut self) -> Option<char> {
        let c = self.advance()?;
        self.out.code.push(if c == '\n' { '\n' } else { ' ' });
        Some(c)
    }

    fn advance(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while self.peek(0).is_some_and(|c| c != '\n') {
            text.extend(self.blank());
        }
        self.out.comments.push(Text { line, text });
    }

    fn block_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        let mut depth = 0_usize;
        loop {
            let pair = (self.peek(0), self.peek(1));
            let Some(c) = self.blank() else { break };
            text.push(c);
            match pair {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => continue,
            }
            text.extend(self.blank());
            if depth == 0 {
                break;
            }
        }
        let lines = text.lines().enumerate();
        self.out.comments.extend(lines.map(|(below, text)| Text { line: line + below, text: text.into() }));
    }

    fn string(&mut self) {
        let line = self.line;
        self.keep();
        let mut text = String::new();
        while let Some(c) = self.peek(0).filter(|c| *c != '"') {
            text.extend(self.blank());
            if c == '\\' {
                text.extend(self.blank());
            }
        }
        self.keep();
        self.out.literals.push(Text { line, text: unescape(&text) });
    }

    fn raw_string(&mut self, hashes: usize) {
        let line = self.line;
        for _ in 0..=hashes {
            self.keep();
        }
        let mut text = String::new();
        while self.peek(0).is_some() {
            let closes = self.peek(0) == Some('"') && (1..=hashes).all(|ahead| self.peek(ahead) == Some('#'));
            if closes {
                break;
            }
            text.extend(self.blank());
        }
        for _ in 0..=hashes {
            self.keep();
        }
        self.out.literals.push(Text { line, text });
    }

    /// A character literal, or the tick of a lifetime.
    fn quote(&mut self) {
        let escaped = self.peek(1) == Some('\\');
        if !escaped && self.peek(2) != Some('\'') {
            self.keep();
            return;
        }
        self.keep();
        self.blank();
        if escaped {
            self.blank();
        }
        while self.peek(0).is_some_and(|c| c != '\'') {
            self.blank();
        }
        self.keep();
    }

    /// A word; where it is a string's prefix, the string too.
    fn word(&mut self) {
        let mut word = String::new();
        while self.peek(0).is_some_and(is_word) {
            word.extend(self.keep());
        }
        if matches!(word.as_str(), "r" | "br" | "cr") {
            let hashes = self.chars.iter().skip(self.at).take_while(|c| **c == '#').count();
            if self.peek(hashes) == Some('"') {
                self.raw_string(hashes);
            }
        }
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The value of an escaped literal as far as the rules look at it: line breaks and quotes; other escapes lose their backslash.
fn unescape(literal: &str) -> String {
    let mut value = String::new();
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => value.push('\n'),
            Some('t') => value.push('\t'),
            Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            other => value.extend(other),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::{Scan, scan};

    fn literals(scan: &Scan) -> Vec<(usize, &str)> {
        scan.literals.iter().map(|text| (text.line, text.text.as_str())).collect()
    }

    fn comments(scan: &Scan) -> Vec<(usize, &str)> {
        scan.comments.iter().map(|text| (text.line, text.text.as_str())).collect()
    }

    #[test]
    fn code_keeps_its_layout_and_loses_comments_and_literals() {
        let scan = scan("let a = \"x // y\"; // why\nlet b = 1; /* one\n /* two */ */ c();\n");
        assert_eq!(scan.code, "let a = \"      \";       \nlet b = 1;       \n              c();\n");
        assert_eq!(literals(&scan), [(1, "x // y")]);
        assert_eq!(comments(&scan), [(1, "// why"), (2, "/* one"), (3, " /* two */ */")]);
    }

    #[test]
    fn a_quote_inside_a_literal_does_not_end_it() {
        let scan = scan(r##"f("a\"b", r#"c"d"#, b"e", br"\", c"g", '"', '\'', b'\\', "h")"##);
        assert_eq!(literals(&scan), [(1, "a\"b"), (1, "c\"d"), (1, "e"), (1, "\\"), (1, "g"), (1, "h")]);
    }

    #[test]
    fn a_lifetime_opens_no_literal() {
        let scan = scan("fn f<'a>(x: &'a str, y: &'static str) -> char { '\\u{1F600}' } // 'b");
        assert_eq!(scan.code.trim_end(), "fn f<'a>(x: &'a str, y: &'static str) -> char { '         ' }");
        assert_eq!(comments(&scan), [(1, "// 'b")]);
    }

    #[test]
    fn a_raw_identifier_opens_no_literal() {
        let scan = scan("let r#type = r; call(\"x\")");
        assert_eq!(literals(&scan), [(1, "x")]);
        assert!(scan.code.starts_with("let r#type = r; call("));
    }

    #[test]
    fn escapes_and_continued_lines_are_read_as_the_compiler_does() {
        let scan = scan("const A: &str = \"-- log.append\\n\\\n    insert\\tinto \\\"log\\\"\";\nb(\"c\")");
        assert_eq!(literals(&scan), [(1, "-- log.append\ninsert\tinto \"log\""), (3, "c")]);
    }

    #[test]
    fn unfinished_text_ends_with_the_file() {
        for text in ["\"a", "/* a", "r#\"a", "'\\", "// a"] {
            assert_eq!(scan(text).code.chars().count(), text.chars().count(), "{text}");
        }
    }
}
