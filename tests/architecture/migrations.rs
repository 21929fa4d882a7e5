//! The migrations: each says how it behaves on a full table, and every key begins with the account (invariant 10).

use crate::architecture::source::{Source, Token, tokens};
use crate::architecture::violation::Violation;

/// A `.sql` file as it is.
pub(crate) struct Migration {
    pub(crate) path: String,
    pub(crate) raw: String,
}

pub(crate) fn every_migration_says_how_it_behaves_on_a_full_table(migrations: &[Migration]) -> Vec<Violation> {
    let silent = migrations.iter().filter(|migration| {
        let head = migration.raw.lines().take_while(|line| line.starts_with("--")).collect::<Vec<_>>().join(" ");
        !head.to_lowercase().contains("full table")
    });
    silent
        .map(|migration| {
            Violation::new(&migration.path, 1, "begins with no `--` line that says how it behaves on a full table")
        })
        .collect()
}

pub(crate) fn every_tables_key_begins_with_the_account_id(migrations: &[Migration]) -> Vec<Violation> {
    migrations.iter().flat_map(broken_keys).collect()
}

fn broken_keys(migration: &Migration) -> Vec<Violation> {
    let statements = statements(migration);
    let keys = statements.iter().flat_map(|statement| keys(statement)).filter(|key| key.first != "account_id");
    keys.map(|Key { subject, line, first }| {
        let beginning = if first.is_empty() { "has no primary key".into() } else { format!("begins with `{first}`") };
        let reason = format!("the key of `{subject}` {beginning}: every key begins with account_id");
        Violation::new(&migration.path, line, reason).about(subject)
    })
    .collect()
}

/// The statements, without comments and strings.
pub(crate) fn statements(migration: &Migration) -> Vec<Vec<Token>> {
    let tokens = tokens(&code(&migration.raw));
    tokens.split(|token| token.text == ";").filter(|statement| !statement.is_empty()).map(<[Token]>::to_vec).collect()
}

/// A primary key, a unique constraint or a unique index; `first` is empty where a table has no key.
struct Key {
    subject: String,
    line: usize,
    first: String,
}

fn keys(statement: &[Token]) -> Vec<Key> {
    let words = words(statement);
    match words.as_slice() {
        ["create", "unique", "index", ..] => index_key(statement, &words).into_iter().collect(),
        ["create", "table", ..] | ["create", _, "table", ..] => table_keys(statement, &words),
        ["alter", "table", ..] => {
            let table = name_after(&words, "table");
            let key = key_of(statement, &words).filter(|_| !words.contains(&"using"));
            key.map(|key| Key { subject: key.subject(table), ..key }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn index_key(statement: &[Token], words: &[&str]) -> Option<Key> {
    let on = words.iter().position(|word| *word == "on")?;
    let open = words.iter().position(|word| *word == "(")?;
    let index = words.get(on.checked_sub(1)?).filter(|word| **word != "index").unwrap_or(&"unnamed");
    let table = words.get(on + 1..)?.iter().find(|word| **word != "only")?;
    let first = words.get(open + 1).map_or_else(String::new, |word| (*word).into());
    Some(Key { subject: format!("{table}.{index}"), line: statement.first()?.line, first })
}

fn table_keys(statement: &[Token], words: &[&str]) -> Vec<Key> {
    let table = name_after(words, "table");
    if words.windows(2).any(|pair| pair == ["partition", "of"]) {
        return Vec::new();
    }
    let items = items(statement);
    let keys = items.iter().filter_map(|item| key_of(item, &self::words(item)));
    let mut keys = keys.map(|key| Key { subject: key.subject(table), ..key }).collect::<Vec<_>>();
    if !keys.iter().any(|key| key.subject == table) {
        keys.extend(statement.first().map(|first| Key {
            subject: table.into(),
            line: first.line,
            first: String::new(),
        }));
    }
    keys
}

/// The columns and constraints of a `create table`.
fn items(statement: &[Token]) -> Vec<Vec<Token>> {
    let mut items = vec![Vec::new()];
    let mut depth = 0_usize;
    for token in statement {
        match token.text.as_str() {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 1 && matches!(token.text.as_str(), "," | "(") {
            items.push(Vec::new());
        } else if depth > 0
            && let Some(item) = items.last_mut()
        {
            item.push(token.clone());
        }
    }
    items
}

/// The key that a column or a constraint declares; the subject is empty for a primary key, else what follows the table's name.
fn key_of(item: &[Token], words: &[&str]) -> Option<Key> {
    let primary = words.windows(2).position(|pair| pair == ["primary", "key"]);
    let unique = words.iter().position(|word| *word == "unique");
    let at = primary.or(unique)?;
    let listed = words.iter().skip(at).position(|word| *word == "(").and_then(|open| words.get(at + open + 1));
    let first = listed.or_else(|| words.first()).map(|word| (*word).to_owned())?;
    let subject = if primary.is_some() { String::new() } else { first.clone() };
    Some(Key { subject, line: item.get(at)?.line, first })
}

impl Key {
    fn subject(&self, table: &str) -> String {
        if self.subject.is_empty() { table.into() } else { format!("{table}.{}", self.subject) }
    }
}

pub(crate) fn name_after<'a>(words: &[&'a str], keyword: &str) -> &'a str {
    let after = words.iter().skip_while(|word| **word != keyword).skip(1);
    after.copied().find(|word| !matches!(*word, "if" | "not" | "exists" | "only")).unwrap_or("")
}

pub(crate) fn words(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map(|token| token.text.as_str()).collect()
}

/// The SQL without comments and strings, in small letters, its lines in place. Dollar-quoted bodies go too.
fn code(raw: &str) -> String {
    let text =
        raw.lines().map(|line| line.split("--").next().unwrap_or("")).collect::<Vec<_>>().join("\n").to_lowercase();
    let outside = |text: &str, quote: &str| {
        let pieces = text.split(quote).enumerate();
        let kept =
            pieces.map(
                |(number, piece)| {
                    if number % 2 == 0 { piece.to_owned() } else { "\n".repeat(piece.matches('\n').count()) }
                },
            );
        kept.collect::<String>()
    };
    outside(&outside(&text, "$$"), "'").replace('"', "")
}

/// The marks of unfinished work are looked for in migrations too: a migration as a source of nothing but comments.
pub(crate) fn as_source(migration: &Migration) -> Source {
    let comments =
        migration.raw.lines().map(|line| line.split_once("--").map_or(String::new(), |(_, text)| format!("// {text}")));
    Source::new(&migration.path, &comments.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{
        Migration, as_source, every_migration_says_how_it_behaves_on_a_full_table,
        every_tables_key_begins_with_the_account_id,
    };
    use crate::architecture::shape::no_work_is_left_unfinished;
    use crate::architecture::violation::{hold, lines};

    fn migration(raw: &str) -> [Migration; 1] {
        [Migration { path: "migrations/V1__a.sql".into(), raw: raw.into() }]
    }

    fn broken_keys(raw: &str) -> Vec<usize> {
        lines(&every_tables_key_begins_with_the_account_id(&migration(raw)))
    }

    #[test]
    fn a_silent_migration_is_seen() {
        let broken = |raw: &str| every_migration_says_how_it_behaves_on_a_full_table(&migration(raw)).len();
        assert_eq!(broken("create table a ();"), 1);
        assert_eq!(broken("-- The log.\ncreate table a (); -- On a full table: nothing."), 1);
        assert_eq!(
            broken("-- The log.\n-- On a full table: takes a short lock, rewrites nothing.\ncreate table a ();"),
            0
        );
    }

    #[test]
    fn a_primary_key_without_the_account_first_is_seen() {
        assert_eq!(
            broken_keys(
                "create table a (\n account_id uuid not null,\n seq bigint,\n primary key (account_id, seq)\n);"
            ),
            [0; 0]
        );
        assert_eq!(
            broken_keys("create table a (\n account_id uuid,\n seq bigint,\n primary key (seq, account_id)\n);"),
            [4]
        );
        assert_eq!(
            broken_keys("create table if not exists a (account_id uuid primary key, b numeric(3, 1) default f(1, 2));"),
            [0; 0]
        );
        assert_eq!(broken_keys("create unlogged table a (id uuid\n primary key, account_id uuid);"), [2]);
        assert_eq!(broken_keys("\ncreate table a (account_id uuid) with (fillfactor = 50);"), [2]);
        assert_eq!(broken_keys("create table a_1 partition of a for values from (1) to (2);"), [0; 0]);
        assert_eq!(broken_keys("alter table a add constraint k primary key (seq);"), [1]);
    }

    #[test]
    fn a_unique_index_or_constraint_without_the_account_first_is_seen() {
        let table = "create table a (account_id uuid, b text unique, primary key (account_id),\n constraint u unique nulls not distinct (account_id, b));";
        assert_eq!(broken_keys(table), [1]);
        assert_eq!(
            broken_keys(
                "create unique index concurrently if not exists a_b on only a using btree (lower(b), account_id);"
            ),
            [1]
        );
        assert_eq!(broken_keys("create unique index on a (account_id, lower(b)) where b is not null;"), [0; 0]);
        assert_eq!(broken_keys("create index a_b on a (b);\nalter table a add unique (b);"), [2]);
    }

    #[test]
    fn comments_and_strings_are_no_statements() {
        assert_eq!(
            broken_keys(
                "-- create table a (b);\ncomment on table c is 'create table; d';\ndo $$ begin; create table e (); end $$;"
            ),
            [0; 0]
        );
    }

    #[test]
    fn a_key_can_be_excused_by_table_or_index() {
        let raw =
            "create table shard (shard smallint primary key);\ncreate unique index api_key_hash on api_key (hash);";
        let violations = every_tables_key_begins_with_the_account_id(&migration(raw));
        hold(
            &violations,
            &[("shard", "a shard is no account's"), ("api_key.api_key_hash", "the key finds the account")],
        );
    }

    #[test]
    fn unfinished_work_in_a_migration_is_seen() {
        let [migration] = migration("-- On a full table: fine.\nselect 1; -- FIXME");
        assert_eq!(lines(&no_work_is_left_unfinished(&[as_source(&migration)])), [2]);
    }
}
