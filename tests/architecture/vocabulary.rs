//! The words of the field instead of private ones: what must not be an identifier.

use crate::architecture::migrations::{Migration, name_after, statements, words};
use crate::architecture::source::Source;
use crate::architecture::tables::{LAST_MIGRATION_OF_OLD_WORDS, OLD_PREFIXES, VOCABULARY};
use crate::architecture::violation::Violation;

/// A row of the glossary.
pub(crate) struct Word {
    /// The word as it must not be written; several forms of one word stand in one row.
    pub(crate) old: &'static [&'static str],
    pub(crate) standard: &'static str,
    pub(crate) allowed: &'static [Allowed],
}

/// Where a word means something else, and why.
pub(crate) struct Allowed {
    pub(crate) at: At,
    pub(crate) why: &'static str,
}

pub(crate) enum At {
    /// In these files and folders.
    Files(&'static [&'static str]),
    /// As a part of one of these token sequences.
    Tokens(&'static [&'static [&'static str]]),
}

/// No identifier of the sources is one of the table's words, or begins with one of its prefixes.
pub(crate) fn no_word_of_the_private_vocabulary_is_an_identifier(sources: &[Source]) -> Vec<Violation> {
    let identifiers = sources.iter().flat_map(|source| (0..source.tokens.len()).map(move |at| (source, at)));
    let violations = identifiers.filter_map(|(source, at)| {
        let name = source.word(at);
        let reason = match row_of(name) {
            Some(row) if !row.allowed.iter().any(|allowed| allowed.covers(source, at)) => complaint(name, row),
            None if is_of_an_old_prefix(name) => format!("`{name}`: a limit's name begins with `MAX_`"),
            _ => return None,
        };
        Some(Violation::new(&source.path, source.tokens.get(at)?.line, reason).about(name))
    });
    violations.collect()
}

/// No table and no column that a later migration creates or renames has one of the table's words as its name.
pub(crate) fn no_word_of_the_private_vocabulary_names_a_table_or_column(migrations: &[Migration]) -> Vec<Violation> {
    let later = migrations.iter().filter(|migration| version(&migration.path) > LAST_MIGRATION_OF_OLD_WORDS);
    let violations = later.flat_map(|migration| {
        let statements = statements(migration);
        let named = statements.iter().flat_map(|statement| {
            let line = statement.first().map_or(1, |token| token.line);
            new_names(&words(statement)).into_iter().map(|name| (line, name.to_owned())).collect::<Vec<_>>()
        });
        let old = named.filter_map(|(line, name)| Some((line, row_of(&name)?, name)));
        old.map(|(line, row, name)| Violation::new(&migration.path, line, complaint(&name, row)).about(name))
            .collect::<Vec<_>>()
    });
    violations.collect()
}

/// Every exemption of the table excuses something, so that the table does not outgrow the code.
pub(crate) fn every_allowed_word_is_used(sources: &[Source]) -> Vec<Violation> {
    let rows = VOCABULARY.iter().flat_map(|row| row.allowed.iter().map(move |allowed| (row, allowed)));
    let unused = rows.filter(|(row, allowed)| {
        let is_used = |source: &Source| {
            let is_excused = |at: usize| row.old.contains(&source.word(at)) && allowed.covers(source, at);
            (0..source.tokens.len()).any(is_excused)
        };
        !sources.iter().any(is_used)
    });
    let violations = unused.map(|(row, allowed)| {
        let reason = format!("`{}` is allowed ({}) where it does not occur", row.old.join("`, `"), allowed.why);
        Violation::new("tests/architecture/tables.rs", 1, reason)
    });
    violations.collect()
}

impl Allowed {
    /// Whether it covers the word at `at`.
    fn covers(&self, source: &Source, at: usize) -> bool {
        match self.at {
            At::Files(files) => files.iter().any(|file| source.is_in(file)),
            At::Tokens(sequences) => sequences.iter().any(|sequence| {
                let begins = (0..sequence.len()).filter_map(|before| at.checked_sub(before));
                let mut begins = begins.filter(|begin| begin + sequence.len() > at);
                begins.any(|begin| sequence.iter().enumerate().all(|(ahead, text)| source.word(begin + ahead) == *text))
            }),
        }
    }
}

fn row_of(name: &str) -> Option<&'static Word> {
    VOCABULARY.iter().find(|row| row.old.contains(&name))
}

fn complaint(name: &str, row: &Word) -> String {
    format!("`{name}` is a private word: write `{}`, or name the thing itself where it is another one", row.standard)
}

fn is_of_an_old_prefix(name: &str) -> bool {
    OLD_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// 12 of `migrations/V12__health.sql`.
fn version(path: &str) -> u32 {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.trim_start_matches('V').split("__").next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

/// The names of tables and columns that a statement gives.
fn new_names<'a>(words: &[&'a str]) -> Vec<&'a str> {
    match words {
        ["alter", ..] if words.contains(&"rename") => vec![name_after(words, "to")],
        ["alter", "table", ..] => words.split(|word| *word == "add").skip(1).filter_map(added_column).collect(),
        ["create", "table", ..] | ["create", _, "table", ..] => {
            [vec![name_after(words, "table")], columns(words)].concat()
        }
        _ => Vec::new(),
    }
}

/// `a` of `add column if not exists a int` and of `add a int`.
fn added_column<'a>(words: &[&'a str]) -> Option<&'a str> {
    words.iter().copied().find(|word| !matches!(*word, "column" | "if" | "not" | "exists"))
}

/// The first word of each entry of `create table x (…)`.
fn columns<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut depth = 0_usize;
    let mut columns = Vec::new();
    for pair in words.windows(2) {
        let [sign, name] = pair else { continue };
        match *sign {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && matches!(*sign, "(" | ",") {
            columns.push(*name);
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::{
        every_allowed_word_is_used, no_word_of_the_private_vocabulary_is_an_identifier,
        no_word_of_the_private_vocabulary_names_a_table_or_column,
    };
    use crate::architecture::migrations::Migration;
    use crate::architecture::source::Source;
    use crate::architecture::tables::VOCABULARY;
    use crate::architecture::violation::lines;

    fn broken_lines(path: &str, code: &str) -> Vec<usize> {
        lines(&no_word_of_the_private_vocabulary_is_an_identifier(&[Source::new(path, code)]))
    }

    #[test]
    fn every_word_of_the_table_is_seen_where_it_is_not_allowed() {
        for word in VOCABULARY.iter().flat_map(|row| row.old) {
            let code = format!("fn f() {{\n {word}(1);\n let s = \"{word}\"; // {word}\n my_{word}s();\n}}");
            assert_eq!(broken_lines("src/relay/look.rs", &code), [2], "{word}");
        }
    }

    #[test]
    fn a_word_is_allowed_where_it_means_something_else() {
        let code = "type Item = u8; fn f(a: impl Iterator<Item = u8>) -> I::Item { a.fold(0, g) }\nstruct Item;\nfn fold() {}\nfold(a);\n";
        assert_eq!(broken_lines("src/relay/look.rs", code), [2, 3, 4]);
        let code = "Health::Failing;\nFailing;\nLane;\nrows;";
        assert_eq!(broken_lines("src/push/worker.rs", code), [2, 3, 4]);
        assert_eq!(broken_lines("src/command/writer.rs", code), [2]);
        assert_eq!(broken_lines("src/store/log.rs", code), [2, 3]);
        assert_eq!(broken_lines("tests/it/log.rs", code), [2, 3]);
    }

    #[test]
    fn a_limit_is_called_max() {
        let code = "const MOST_ROWS: u8 = 1;\nLONGEST_NAME;\nx::LARGEST_BODY;\nHIGHEST_SEQ;\nMAX_MOST_; ALMOST_ALL;";
        assert_eq!(broken_lines("benches/micro.rs", code), [1, 2, 3, 4]);
    }

    #[test]
    fn an_exemption_without_use_is_seen() {
        let allowed: usize = VOCABULARY.iter().map(|row| row.allowed.len()).sum();
        assert_eq!(every_allowed_word_is_used(&[]).len(), allowed);
        let source = Source::new("src/relay/look.rs", "type Item = u8;");
        assert_eq!(every_allowed_word_is_used(&[source]).len(), allowed - 1);
    }

    #[test]
    fn a_later_migration_gives_no_table_or_column_an_old_name() {
        let at = |version: u32, raw: &str| {
            let path = format!("migrations/V{version}__a.sql");
            lines(&no_word_of_the_private_vocabulary_names_a_table_or_column(&[Migration { path, raw: raw.into() }]))
        };
        let rename = "alter table push_order rename to cursor_command;\nalter table relay rename column place to passed;\nalter table a\n rename place to b;";
        assert_eq!(at(20, rename), [2]);
        let create = "create table a (account_id uuid, parcel text, b numeric(3, 1),\n primary key (account_id));\ncreate table if not exists push_order (a int);\ncreate index a on b (place);";
        assert_eq!(at(21, create), [1, 3]);
        let add = "alter table a add column if not exists b int, add place int;\nalter table a add column passed int;\nalter table a drop column place;";
        assert_eq!(at(22, add), [1, 2]);
        assert_eq!(at(19, &format!("{rename}{create}{add}")), [0; 0], "released migrations stay as they are");
    }
}
