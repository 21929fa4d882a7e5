//! The home of each kind of name: crates, the clock, the environment, tasks, status codes.
//!
//! A name ending with `::` is a crate, `a::b` a piece of a path, `.a(` a call of a method, a single word any piece of a path.

use crate::architecture::imports::{Modules, Use};
use crate::architecture::source::{Path, Source, lies_in};
use crate::architecture::violation::Violation;

/// Names that only their homes use.
pub(crate) struct Only {
    pub(crate) names: &'static [&'static str],
    pub(crate) homes: &'static [&'static str],
    pub(crate) why: &'static str,
}

/// Names that a folder never uses.
pub(crate) struct Never {
    pub(crate) inside: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) why: &'static str,
}

/// A folder whose production code reaches no file of another one: re-exports are followed.
pub(crate) struct Apart {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) why: &'static str,
}

impl Apart {
    pub(crate) fn violations(&self, sources: &[Source]) -> Vec<Violation> {
        let uses = Modules::of(sources).uses().into_iter();
        let crossing = uses.filter(|one| lies_in(&one.from, self.from) && lies_in(&one.to, self.to));
        crossing
            .map(|Use { from, line, to, path }| {
                Violation::new(&from, line, format!("`{path}` leads to {to}: {}", self.why))
            })
            .collect()
    }
}

impl Only {
    pub(crate) fn violations(&self, sources: &[Source]) -> Vec<Violation> {
        let outside = sources.iter().filter(|source| !self.homes.iter().any(|home| source.is_in(home)));
        outside.flat_map(|source| named(source, self.names, self.why)).collect()
    }
}

impl Never {
    pub(crate) fn violations(&self, sources: &[Source]) -> Vec<Violation> {
        let inside = sources.iter().filter(|source| source.is_in(self.inside));
        inside.flat_map(|source| named(source, self.names, self.why)).collect()
    }
}

fn named(source: &Source, names: &[&str], why: &str) -> Vec<Violation> {
    let paths = source.paths();
    let lines = |name: &str| match name.strip_prefix('.').and_then(|method| method.strip_suffix('(')) {
        Some(method) => source.find(&[".", method, "("]),
        None => paths.iter().filter(|path| names_piece(path, name)).map(|path| path.line).collect(),
    };
    let uses = names.iter().flat_map(|name| lines(name).into_iter().map(move |line| (line, name)));
    let mut uses = uses.collect::<Vec<_>>();
    uses.sort_unstable();
    uses.into_iter().map(|(line, name)| Violation::new(&source.path, line, format!("names `{name}`: {why}"))).collect()
}

fn names_piece(path: &Path, name: &str) -> bool {
    if let Some(krate) = name.strip_suffix("::") {
        let is_path = path.segments.len() > 1 || path.imported;
        return is_path && path.segments.first().is_some_and(|first| first == krate);
    }
    let piece = name.split("::").collect::<Vec<_>>();
    path.segments.windows(piece.len()).any(|window| window.iter().zip(&piece).all(|(segment, part)| segment == part))
}

#[cfg(test)]
mod tests {
    use crate::architecture::borders::Only;
    use crate::architecture::source::Source;
    use crate::architecture::tables::{APART, BROKER, DATABASE, ENVIRONMENT, NEVER, STATUS, TASKS, TIME};
    use crate::architecture::violation::lines;

    fn never(path: &str, code: &str) -> Vec<usize> {
        let sources = [Source::new(path, code)];
        NEVER.iter().flat_map(|rule| lines(&rule.violations(&sources))).collect()
    }

    /// The lines that break the rule outside its home; at home all is well.
    fn only(rule: &Only, code: &str) -> Vec<usize> {
        for home in rule.homes {
            let home = if home.ends_with('/') { format!("{home}x.rs") } else { (*home).into() };
            assert!(rule.violations(&[Source::new(&home, code)]).is_empty(), "{home} is its home");
        }
        lines(&rule.violations(&[Source::new("src/sync/mod.rs", code)]))
    }

    #[test]
    fn the_domain_names_no_machinery() {
        let code = "use tokio::sync::mpsc;\nfn f(v: &serde_json::Value) {}\nuse {tracing::info};\nuse time::Duration;\nlet http = 1;";
        assert_eq!(never("src/domain/ids.rs", code), [1, 2, 3]);
        assert_eq!(never("src/domain/ids.rs", "use tokio;\n#[tokio::test]\nasync fn f() {}"), [1, 2]);
        assert_eq!(never("src/feed/mod.rs", code), [0; 0]);
    }

    #[test]
    fn http_names_neither_postgres_nor_nats() {
        assert_eq!(
            never("src/http/problem.rs", "use async_nats::Client;\nuse axum::Json;\ntokio_postgres::Error"),
            [1, 3]
        );
    }

    #[test]
    fn the_scheduler_reaches_no_type_of_the_store_however_it_is_named() {
        let reached = |scheduler: &str| {
            let sources = [
                Source::new("src/lib.rs", ""),
                Source::new("src/store/mod.rs", "pub mod owner;"),
                Source::new("src/store/owner.rs", "pub struct Cursor;"),
                Source::new("src/push/mod.rs", "pub use crate::store::owner::Cursor; pub struct Rate;"),
                Source::new("src/push/scheduler/state.rs", scheduler),
            ];
            APART.iter().flat_map(|rule| lines(&rule.violations(&sources))).collect::<Vec<_>>()
        };
        assert_eq!(reached("use crate::push::{Rate,\nCursor};"), [2]);
        assert_eq!(reached("fn f(a: super::super::super::store::owner::Cursor) {}"), [1]);
        assert_eq!(reached("use super::super::Rate; mod tests { use crate::push::Cursor; }"), [0; 0]);
    }

    #[test]
    fn drivers_stay_at_home() {
        assert_eq!(
            only(
                &DATABASE,
                "use tokio_postgres::Row;\nuse deadpool_postgres::Pool;\nimpl postgres_types::ToSql for X {}"
            ),
            [1, 2, 3]
        );
        assert_eq!(only(&BROKER, "fn f(c: async_nats::Client) {}\nlet async_nats = 1;"), [1]);
    }

    #[test]
    fn the_time_is_read_by_the_clock() {
        let code = "let a = std::time::Instant::now();\nOffsetDateTime::now_utc();\nUuid::now_v7();\nuse std::time::Instant;\nclock.now()";
        assert_eq!(only(&TIME, code), [1, 2, 3]);
    }

    #[test]
    fn the_environment_is_read_by_config() {
        assert_eq!(only(&ENVIRONMENT, "std::env::var(\"A\");\nuse std::env::{args, vars};\nenv!(\"A\");"), [1, 2]);
    }

    #[test]
    fn tasks_are_started_by_app() {
        assert_eq!(
            only(&TASKS, "tokio::spawn(f());\nset.spawn(f());\nuse tokio::task::{spawn, JoinSet};\nfn spawn() {}"),
            [1, 2, 3]
        );
    }

    #[test]
    fn statuses_are_chosen_by_problem() {
        let code = "StatusCode::NOT_FOUND\nStatusCode::CREATED\naxum::http::StatusCode::BAD_GATEWAY";
        assert_eq!(only(&STATUS, code), [1, 3]);
    }
}
