//! Rolling upgrades: a migration runs while replicas of the version before still serve. So it expands the schema, and takes
//! away nothing that they use.
//!
//! A rename takes nothing away where the same migration makes a view under the former name that PostgreSQL can write
//! through: `create view former as select … from renamed`, of one table and without a condition, in which a renamed column
//! is called as before.
//!
//! A migration that contracts is for a later release than the one that stopped using what goes. Its head says so in a line
//! `-- Contracts: <what>, unused since <version>`, and its name begins with `contract_`: by that, an older build that meets
//! it knows that it must not start.

use crate::architecture::migrations::{Migration, name_after, statements, words};
use crate::architecture::source::Token;
use crate::architecture::violation::Violation;

pub(crate) fn no_migration_breaks_replicas_of_the_version_before(migrations: &[Migration]) -> Vec<Violation> {
    migrations
        .iter()
        .flat_map(|migration| if is_contract(migration) { Vec::new() } else { broken(migration) })
        .collect()
}

/// The head names what goes and the version that stopped using it, and the file's name says it to older builds.
fn is_contract(migration: &Migration) -> bool {
    let mut head = migration.raw.lines().take_while(|line| line.starts_with("--"));
    let line =
        head.find_map(|line| line.strip_prefix("-- Contracts: ")).and_then(|line| line.split_once("unused since "));
    let version = line.map(|(_, version)| version.trim_end_matches('.'));
    let is_version = |text: &str| text.contains('.') && text.split('.').all(|part| part.parse::<u32>().is_ok());
    version.is_some_and(is_version)
        && file(migration).split_once("__").is_some_and(|(_, name)| name.starts_with("contract_"))
}

fn file(migration: &Migration) -> &str {
    migration.path.rsplit('/').next().unwrap_or(&migration.path)
}

fn broken(migration: &Migration) -> Vec<Violation> {
    let statements = statements(migration);
    let made: Vec<String> = statements.iter().filter_map(|statement| made_table(&words(statement))).collect();
    let views: Vec<View> = statements.iter().filter_map(|statement| View::of(&words(statement))).collect();
    let broken = |statement: &Vec<Token>| {
        let line = statement.first()?.line;
        let words = words(statement);
        if views.iter().any(|view| view.keeps_what_is_renamed(&words)) {
            return None;
        }
        let what = breaks(&words, &made)?;
        let reason = format!("{what}: replicas of the version before still use it");
        Some(Violation::new(&migration.path, line, reason).about(file(migration)))
    };
    statements.iter().filter_map(broken).collect()
}

/// A view that PostgreSQL can write through to its table.
struct View {
    name: String,
    table: String,
    /// The columns, each with its name in the view.
    columns: Vec<(String, String)>,
}

impl View {
    /// The view that a statement creates. Anything behind the table's name (a join, a condition, a limit) or a column that
    /// is computed makes it another kind of view.
    fn of(words: &[&str]) -> Option<Self> {
        let ["create", "view", name, rest @ ..] = words else { return None };
        let select = rest.iter().position(|word| *word == "select")?;
        let from = rest.iter().position(|word| *word == "from")?;
        let [table] = rest.get(from + 1..)? else { return None };
        let column = |column: &[&str]| match column {
            [name] => Some(((*name).to_owned(), (*name).to_owned())),
            [name, "as", shown] => Some(((*name).to_owned(), (*shown).to_owned())),
            _ => None,
        };
        let columns = rest.get(select + 1..from)?.split(|word| *word == ",").map(column).collect::<Option<_>>()?;
        Some(Self { name: (*name).to_owned(), table: (*table).to_owned(), columns })
    }

    /// Whether a statement only gives the view's table, a column that the view shows, or an index of the table another name.
    fn keeps_what_is_renamed(&self, words: &[&str]) -> bool {
        match words {
            ["alter", "table", former, "rename", "to", renamed] => *former == self.name && *renamed == self.table,
            ["alter", "table", table, "rename", "column", former, "to", renamed] => {
                *table == self.table && self.columns.iter().any(|(name, shown)| name == renamed && shown == former)
            }
            // No statement names an index.
            ["alter", "index", former, "rename", "to", renamed] => {
                let of_former = former.strip_prefix(&format!("{}_", self.name));
                of_former.is_some() && of_former == renamed.strip_prefix(&format!("{}_", self.table))
            }
            _ => false,
        }
    }
}

/// The table that a statement makes: no replica of the version before knows it.
fn made_table(words: &[&str]) -> Option<String> {
    let is_table = matches!(words, ["create", "table", ..] | ["create", "unlogged", "table", ..]);
    is_table.then(|| name_after(words, "table").to_owned())
}

/// The table or column that a statement takes away.
fn breaks(words: &[&str], made: &[String]) -> Option<String> {
    let is_made = |name: &str| made.iter().any(|made| made == name);
    match words {
        ["drop" | "truncate" | "revoke", what, ..] => Some(format!("{} {what}", words.first()?)),
        ["alter", "table", ..] if is_made(name_after(words, "table")) => None,
        ["alter", "table", ..] => actions(words).iter().find_map(|action| breaks_by(action)),
        ["alter", what, .., "rename", _] | ["alter", what, .., "rename", _, "to", _] => {
            Some(format!("rename of a {what}"))
        }
        ["alter", what, ..] if words.contains(&"rename") => Some(format!("rename in a {what}")),
        ["create", "unique", "index", ..] => {
            let table = words.iter().skip_while(|word| **word != "on").skip(1).find(|word| **word != "only")?;
            (!is_made(table)).then(|| format!("unique index on {table}"))
        }
        _ => None,
    }
}

/// The actions of an `alter table`: what follows the table's name, parted by commas outside of parentheses.
fn actions<'a>(words: &[&'a str]) -> Vec<Vec<&'a str>> {
    let table = name_after(words, "table");
    let after = words.iter().position(|word| *word == table).map_or(0, |at| at + 1);
    let mut actions = vec![Vec::new()];
    let mut depth = 0_usize;
    for word in words.iter().skip(after) {
        match *word {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if *word == "," && depth == 0 {
            actions.push(Vec::new());
        } else if let Some(action) = actions.last_mut() {
            action.push(*word);
        }
    }
    actions
}

fn breaks_by(action: &[&str]) -> Option<String> {
    let has = |wanted: &[&str]| action.windows(wanted.len()).any(|pair| pair == wanted);
    match action {
        ["drop" | "rename", ..] | ["set", "schema", ..] => Some(action.join(" ")),
        ["alter", ..] if has(&["set", "not", "null"]) || has(&["type"]) || has(&["drop"]) => Some(action.join(" ")),
        ["add", "constraint" | "check" | "unique" | "primary" | "foreign" | "exclude", ..] => Some(action.join(" ")),
        ["add", ..] if has(&["not", "null"]) && !has(&["default"]) && !has(&["generated"]) => {
            Some(format!("{}, which they do not write", action.join(" ")))
        }
        ["add", ..] if ["unique", "check", "references", "primary"].iter().any(|word| action.contains(word)) => {
            Some(action.join(" "))
        }
        ["enable" | "force", "row", ..] => Some(action.join(" ")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::violation::{hold, lines};

    fn named(path: &str, raw: &str) -> Vec<usize> {
        let migration = Migration { path: path.into(), raw: raw.into() };
        lines(&no_migration_breaks_replicas_of_the_version_before(&[migration]))
    }

    fn broken_lines(raw: &str) -> Vec<usize> {
        named("migrations/V1__a.sql", raw)
    }

    #[test]
    fn what_takes_away_is_seen() {
        for breaking in [
            "drop table a",
            "drop index a_b",
            "drop function f",
            "truncate a",
            "alter table a drop column b",
            "alter table a drop b",
            "alter table if exists only a drop column if exists b, add column c text",
            "alter table a add column c text, drop column b",
            "alter table a rename column b to c",
            "alter table a rename to b",
            "alter index a rename to b",
            "alter type t rename value 'x' to 'y'",
            "alter table a alter column b set not null",
            "alter table a alter b type bigint",
            "alter table a alter column b set data type bigint using b::bigint",
            "alter table a alter column b drop default",
            "alter table a alter column b drop not null",
            "alter table a add column b text not null",
            "alter table a add b text not null",
            "alter table a add column b text default 'x', add column c text not null",
            "alter table a add column b text unique",
            "alter table a add column b integer check (b in (1, 2))",
            "alter table a add constraint k check (b > 0)",
            "alter table a add unique (account_id, b)",
            "alter table a enable row level security",
            "create unique index a_b on a (account_id, b)",
            "create table b (account_id uuid primary key); create unique index a_b on only a (account_id, b)",
            "revoke select on a from public",
        ] {
            assert_eq!(broken_lines(&format!("-- On a full table: fine.\n{breaking};")), [2], "{breaking}");
        }
    }

    #[test]
    fn what_expands_is_let_pass() {
        for expanding in [
            "create table a (account_id uuid primary key, b text not null unique)",
            "create table a (account_id uuid primary key); create unique index a_b on a (account_id, b)",
            "create table a (account_id uuid primary key); alter table a add column b text not null",
            "create index concurrently if not exists a_b on a (account_id, b)",
            "create extension pg_trgm",
            "alter table a add column b text",
            "alter table a add column b text not null default 'x', add column c numeric(3, 1) not null default 0",
            "alter table a add column b bigint generated always as identity not null",
            "alter table a set (fillfactor = 50)",
            "alter table a alter column b set statistics 1000, alter column b set default 1",
            "update a set b = 'drop table a'",
            "comment on table a is 'rename'",
            "create function f() returns trigger language plpgsql as $$ begin drop table a; end $$",
        ] {
            assert_eq!(broken_lines(&format!("-- On a full table: fine.\n{expanding};")), [0; 0], "{expanding}");
        }
    }

    /// One line per statement, the first of which is line 2.
    fn broken_of(statements: &[&str]) -> Vec<usize> {
        broken_lines(&format!("-- On a full table: fine.\n{};", statements.join(";\n")))
    }

    #[test]
    fn a_rename_is_let_pass_with_a_view_under_the_former_name() {
        let (table, column) = ("alter table a rename to b", "alter table b rename column c to d");
        let index = "alter index a_pkey rename to b_pkey";
        let view = "create view a with (security_invoker = true) as select account_id, d as c from b";
        assert_eq!(broken_of(&[table, index, column, view]), [0; 0]);
        assert_eq!(broken_of(&[view, "alter table z rename to y", table]), [3], "another table");
        assert_eq!(broken_of(&[table, "alter table b rename column e to f", view]), [3], "a column it does not show");
        assert_eq!(broken_of(&[table, "alter index a_pkey rename to b_key", view]), [3], "an index of another kind");
        assert_eq!(broken_of(&[table, column, "create view a as select account_id, d from b"]), [3], "no former name");
        assert_eq!(broken_of(&[table, "alter table b drop column c", view]), [3], "more than a name goes");
        for view in [
            "create view z as select account_id from b",
            "create view a as select account_id from z",
            "create view a as select account_id from b where c > 0",
            "create view a as select account_id from b join z using (account_id)",
            "create view a as select account_id from b limit 1",
            "create view a as select account_id, lower(c) as c from b",
            "create view a as select distinct account_id from b",
            "create materialized view a as select account_id from b",
        ] {
            assert_eq!(broken_of(&[table, view]), [2], "{view}");
        }
    }

    #[test]
    fn a_contract_says_so_in_its_head_and_its_name() {
        let contract = "migrations/V30__contract_a_b.sql";
        let head = "-- On a full table: from the catalogue alone.\n-- Contracts: a.b, unused since 0.4.0.\n";
        let drop = "alter table a drop column b;";
        assert_eq!(named(contract, &format!("{head}{drop}")), [0; 0]);
        assert_eq!(named("migrations/V30__a_b.sql", &format!("{head}{drop}")), [3], "an older build would start on it");
        assert_eq!(named(contract, drop), [1]);
        assert_eq!(named(contract, &format!("-- Contracts: a.b.\n{drop}")), [2], "no version");
        assert_eq!(named(contract, &format!("-- Contracts: a.b, unused since long.\n{drop}")), [2]);
        assert_eq!(named(contract, &format!("{drop}\n-- Contracts: a.b, unused since 0.4.0.")), [1], "not in the head");
    }

    #[test]
    fn a_released_migration_can_be_excused_by_its_file() {
        let migration =
            Migration { path: "migrations/V8__push.sql".into(), raw: "alter table a drop column b;".into() };
        hold(&no_migration_breaks_replicas_of_the_version_before(&[migration]), &[("V8__push.sql", "released")]);
    }
}
