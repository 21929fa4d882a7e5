//! SQL in the code: where it stands, what its statements are called, and that each takes the account.

use std::collections::BTreeSet;

use crate::architecture::scanner::{Text, is_word};
use crate::architecture::source::Source;
use crate::architecture::tables::SQL_HOMES;
use crate::architecture::violation::Violation;

pub(crate) fn sql_stays_in_the_store(sources: &[Source]) -> Vec<Violation> {
    let outside = sources.iter().filter(|source| !SQL_HOMES.iter().any(|home| source.is_in(home)));
    let literals = outside.flat_map(|source| source.literals.iter().map(move |literal| (source, literal)));
    let sql = literals.filter(|(_, literal)| is_sql(&literal.text) || literal.text.ends_with(".sql"));
    sql.map(|(source, literal)| {
        let beginning = literal.text.trim_start().chars().take(30).collect::<String>();
        Violation::new(&source.path, literal.line, format!("SQL outside of store/: {beginning:?}"))
    })
    .collect()
}

pub(crate) fn every_statement_has_a_name_of_its_own(sources: &[Source]) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let nameless = statements(sources).filter_map(|(source, statement)| {
        let reason = match name_of(&statement.text) {
            None => "a statement whose first line is not `-- area.name`".into(),
            Some(name) if !seen.insert(name) => format!("a second statement called `{name}`"),
            Some(_) => return None,
        };
        Some(Violation::new(&source.path, statement.line, reason))
    });
    nameless.collect()
}

pub(crate) fn every_statement_takes_the_account_id(sources: &[Source]) -> Vec<Violation> {
    let wide = statements(sources).filter(|(_, statement)| {
        !statement.text.split(|c| !is_word(c)).any(|word| word == "account_id" || word == "account_ids")
    });
    wide.map(|(source, statement)| {
        let name = name_of(&statement.text).unwrap_or("nameless");
        let reason = format!("`{name}` does not mention account_id");
        Violation::new(&source.path, statement.line, reason).about(name)
    })
    .collect()
}

fn statements(sources: &[Source]) -> impl Iterator<Item = (&Source, &Text)> {
    let store = sources.iter().filter(|source| source.is_in("src/store/") && !source.is_test());
    let literals = store.flat_map(|source| source.literals.iter().map(move |literal| (source, literal)));
    literals.filter(|(_, literal)| is_sql(&literal.text))
}

/// Whether a literal is a statement or the beginning of one. Keywords are all small or all capital:
/// "Select a tier from the list" is prose.
fn is_sql(text: &str) -> bool {
    let text = text.trim_start();
    if name_of(text).is_some() {
        return true;
    }
    let keyword = text.split(|c| !is_word(c)).next().unwrap_or("");
    let lower = text.to_lowercase();
    if keyword != keyword.to_lowercase() && keyword != keyword.to_uppercase() {
        return false;
    }
    let words = lower.split_whitespace().collect::<Vec<_>>();
    match words.as_slice() {
        ["insert", "into", ..]
        | ["delete", "from", ..]
        | ["create" | "alter" | "drop" | "truncate", "table" | "index", ..] => true,
        ["select", rest @ ..] => rest.contains(&"from") || rest.iter().any(|word| word.contains(['(', '$', '*'])),
        ["update", _, rest @ ..] => rest.contains(&"set"),
        ["with", rest @ ..] => rest.windows(2).any(|pair| matches!(pair, ["as", next] if next.starts_with('('))),
        _ => false,
    }
}

/// `log.append` of a statement whose first line is `-- log.append`.
fn name_of(statement: &str) -> Option<&str> {
    let name = statement.lines().next()?.strip_prefix("-- ")?.trim_end();
    let is_part =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (name.contains('.') && name.split('.').all(is_part)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::{
        every_statement_has_a_name_of_its_own, every_statement_takes_the_account_id, is_sql, sql_stays_in_the_store,
    };
    use crate::architecture::source::Source;
    use crate::architecture::violation::{Violation, hold, lines};

    type Rule = fn(&[Source]) -> Vec<Violation>;

    fn broken_lines(rule: Rule, path: &str, code: &str) -> Vec<usize> {
        lines(&rule(&[Source::new(path, code)]))
    }

    #[test]
    fn statements_are_told_from_prose() {
        for sql in [
            "select 1 from x",
            "SELECT pg_advisory_lock($1)",
            "\n  insert into log (a)",
            "update head set seq = $1",
            "delete from log",
            "with a as (select 1)",
            "WITH RECURSIVE a AS (",
            "-- log.append\nanything",
            "create table a ()",
        ] {
            assert!(is_sql(sql), "{sql}");
        }
        for prose in [
            "Update a contact",
            "Delete the contact",
            "Select a tier from the list",
            "with a key",
            "update the record",
            "select a tier",
            "-- see below",
            "insertion",
            "",
        ] {
            assert!(!is_sql(prose), "{prose}");
        }
    }

    #[test]
    fn sql_outside_of_the_store_is_seen() {
        let code = "const A: &str = \"x\";\nconst B: &str = r#\"\n select a from b\"#;\ninclude_str!(\"a.sql\");";
        assert_eq!(broken_lines(sql_stays_in_the_store, "src/feed/mod.rs", code), [2, 3 + 1]);
        assert_eq!(broken_lines(sql_stays_in_the_store, "src/store/feed.rs", code), [0; 0]);
    }

    #[test]
    fn a_statement_without_a_name_of_its_own_is_seen() {
        let code = "const A: &str = \"-- log.read\\n\\\n select a from b\";\nlet b = \"delete from c\";\nlet d = \"-- log.read\\ndelete from c\";";
        assert_eq!(broken_lines(every_statement_has_a_name_of_its_own, "src/store/log.rs", code), [3, 4]);
        assert_eq!(broken_lines(every_statement_has_a_name_of_its_own, "src/store/tests.rs", code), [0; 0]);
    }

    #[test]
    fn a_statement_without_the_account_is_seen_and_can_be_excused_by_name() {
        let code =
            "(\"-- shard.claim\\nselect 1 from shard\",\n\"-- log.read\\nselect 1 from log where account_id = $1\")";
        let sources = [Source::new("src/store/shard.rs", code)];
        let violations = every_statement_takes_the_account_id(&sources);
        assert_eq!(lines(&violations), [1]);
        hold(&violations, &[("shard.claim", "a shard is no account's")]);
    }
}
