//! The direction of dependencies between the modules of a folder.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::imports::anchor;
use crate::architecture::source::{Path, Source};
use crate::architecture::violation::Violation;

/// The layers of one folder: of `src/`, or of a folder inside it.
pub(crate) struct Layers {
    /// Ends with `/`.
    pub(crate) inside: &'static str,
    /// The modules of the folder, lowest layer first. A module may use every lower layer and nothing else.
    pub(crate) layers: &'static [&'static [&'static str]],
    /// Modules that stand beside the layers: all but the lowest layer may use them; they use that layer and each other.
    pub(crate) beside: &'static [&'static str],
    /// Edges that are allowed inside one layer: `(from, to, why)`.
    pub(crate) siblings: &'static [(&'static str, &'static str, &'static str)],
    /// Edges that are forbidden although they point downward: `(from, to, why)`.
    pub(crate) apart: &'static [(&'static str, &'static str, &'static str)],
}

impl Layers {
    pub(crate) fn modules_use_only_what_lies_below(&self, sources: &[Source]) -> Vec<Violation> {
        let sources = self.sources(sources);
        let (known, unknown): (Vec<_>, Vec<_>) = sources.iter().partition(|source| self.knows(self.module_of(source)));
        let unknown = unknown.into_iter().map(|source| {
            let module = self.module_of(source);
            Violation::new(
                &source.path,
                1,
                format!("module `{module}` stands in no layer: give it a place in tables.rs"),
            )
        });
        let upward = known.into_iter().flat_map(|source| {
            let from = self.module_of(source);
            self.uses(source).into_iter().filter_map(move |(line, to)| {
                let reason = self.objection(from, &to)?;
                Some(Violation::new(&source.path, line, reason))
            })
        });
        unknown.chain(upward).collect()
    }

    pub(crate) fn modules_form_no_cycle(&self, sources: &[Source]) -> Vec<Violation> {
        let sources = self.sources(sources);
        let mut edges = Edges::new();
        for source in &sources {
            let uses = self.uses(source).into_iter().map(|(_, to)| to);
            edges.entry(self.module_of(source).into()).or_default().extend(uses);
        }
        let uses = sources.iter().flat_map(|source| self.uses(source).into_iter().map(move |to| (source, to)));
        uses.filter_map(|(source, (line, to))| {
            let from = self.module_of(source);
            let is_cycle = to != from && leads_to(&edges, &to, from);
            is_cycle.then(|| {
                Violation::new(&source.path, line, format!("`{from}` uses `{to}`, which leads back to `{from}`"))
            })
        })
        .collect()
    }

    /// The files of the folder.
    fn sources<'a>(&self, sources: &'a [Source]) -> Vec<&'a Source> {
        sources.iter().filter(|source| source.is_in(self.inside)).collect()
    }

    /// Why `from` may not use `to`, where it may not.
    fn objection(&self, from: &str, to: &str) -> Option<String> {
        let layer = |module: &str| self.layers.iter().position(|layer| layer.contains(&module));
        if from == to {
            return None;
        }
        if !self.knows(to) {
            let is_top = layer(from) == self.layers.len().checked_sub(1);
            return (!is_top).then(|| format!("`{to}` is no module of {}: name things by their module", self.inside));
        }
        let listed = |edges: &[(&str, &str, &str)]| edges.iter().any(|(a, b, _)| (*a, *b) == (from, to));
        match (layer(from), layer(to)) {
            (Some(0), None) => Some(format!("`{from}` is pure and may not use `{to}`")),
            (_, None) | (None, Some(0)) => None,
            (None, Some(_)) => {
                Some(format!("`{from}` stands beside the layers and may use only the lowest of them, not `{to}`"))
            }
            (Some(above), Some(below)) if below < above => {
                listed(self.apart).then(|| format!("`{from}` and `{to}` stand apart"))
            }
            (Some(one), Some(other)) if one == other => (!listed(self.siblings))
                .then(|| format!("`{from}` and `{to}` are of one layer and its siblings do not list the edge")),
            _ => Some(format!("`{to}` lies above `{from}`: dependencies point downward")),
        }
    }

    fn knows(&self, module: &str) -> bool {
        self.beside.contains(&module) || self.layers.iter().any(|layer| layer.contains(&module))
    }

    /// `store` of `src/store/log.rs`, `relay` of `src/relay.rs`, `mod` of the folder's own front door.
    fn module_of<'a>(&self, source: &'a Source) -> &'a str {
        let inside = source.path.strip_prefix(self.inside).unwrap_or(&source.path);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// The modules of the folder that a file names, with their lines.
    fn uses(&self, source: &Source) -> Vec<(usize, String)> {
        let folder = self.inside.split('/').skip(1).filter(|part| !part.is_empty()).collect::<Vec<_>>();
        let target = |path: &Path| {
            let named = absolute(source, path)?;
            let is_inside = named.iter().zip(&folder).all(|(one, other)| one == other);
            named.get(folder.len()).filter(|segment| is_inside && *segment != "self").cloned()
        };
        source.paths().iter().filter_map(|path| Some((path.line, target(path)?))).collect()
    }
}

type Edges = BTreeMap<String, BTreeSet<String>>;

fn leads_to(edges: &Edges, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        let targets = edges.get(module).into_iter().flatten().map(String::as_str);
        next.extend(targets.filter(|target| seen.insert(*target)));
    }
    seen.contains(to)
}

/// A path that says where it begins, from the crate's root on; `None` for others.
fn absolute(source: &Source, path: &Path) -> Option<Vec<String>> {
    let from = [source.module(), path.inline_modules.clone()].concat();
    let (base, rest) = anchor(&from, &path.segments)?;
    (rest.len() < path.segments.len()).then(|| [base, rest.to_vec()].concat())
}

#[cfg(test)]
mod tests {
    use crate::architecture::source::Source;
    use crate::architecture::tables::{HTTP, TOP};
    use crate::architecture::violation::lines;

    fn broken_lines(path: &str, code: &str) -> Vec<usize> {
        lines(&TOP.modules_use_only_what_lies_below(&[Source::new(path, code)]))
    }

    #[test]
    fn a_higher_layer_is_refused_however_it_is_written() {
        assert_eq!(broken_lines("src/store/log.rs", "use crate::domain::Uid;\nuse crate::command::Lane;"), [2]);
        assert_eq!(
            broken_lines("src/store/log.rs", "use crate::{\n  domain::Uid,\n  http::{Problem, self},\n};"),
            [3, 3]
        );
        assert_eq!(broken_lines("src/store/log.rs", "fn f() -> crate::app::App {}"), [1]);
        assert_eq!(broken_lines("src/store/log.rs", "use super::super::http::Problem;\nuse super::pool;"), [1]);
        assert_eq!(broken_lines("src/store/mod.rs", "use super::http::Problem;"), [1]);
        assert_eq!(broken_lines("src/relay.rs", "mod tests { use super::super::http; use super::x; }"), [1]);
        assert_eq!(broken_lines("src/app.rs", "use unificus::cli::Cli;"), [1]);
    }

    #[test]
    fn a_lower_layer_may_be_used() {
        assert_eq!(broken_lines("src/main.rs", "use unificus::cli; use unificus::{app, domain::Uid};"), [0; 0]);
        assert_eq!(broken_lines("src/http/contacts.rs", "use crate::{command, domain, store, clock::Clock};"), [0; 0]);
        assert_eq!(broken_lines("src/metrics.rs", "use crate::domain::account::Tier; use crate::clock;"), [0; 0]);
    }

    #[test]
    fn siblings_need_a_row() {
        assert_eq!(broken_lines("src/relay.rs", "use crate::feed::follow;\nuse crate::shard;\nuse crate::push;"), [3]);
        assert_eq!(broken_lines("src/store/mod.rs", "use crate::projection::Change;"), [1]);
        assert_eq!(broken_lines("src/projection/rebuild.rs", "use crate::store::Store;"), [0; 0]);
    }

    #[test]
    fn the_domain_uses_nothing_and_what_stands_beside_uses_the_domain_alone() {
        assert_eq!(broken_lines("src/domain/ids.rs", "use crate::clock::Clock;\nuse crate::domain::x;"), [1]);
        assert_eq!(broken_lines("src/worker.rs", "use crate::store::Store;"), [1]);
    }

    #[test]
    fn every_module_has_a_place() {
        assert_eq!(broken_lines("src/util.rs", "\nuse crate::store::Store;"), [1]);
        assert_eq!(broken_lines("src/app.rs", "use crate::Error;\nuse crate::*;"), [1, 2]);
    }

    #[test]
    fn modules_that_use_each_other_are_a_cycle() {
        let of = |worker: &str| {
            let sources = [
                Source::new("src/metrics.rs", "use crate::metrics::own;\nuse crate::clock;\nuse crate::worker;"),
                Source::new("src/worker.rs", worker),
                Source::new("src/clock.rs", ""),
            ];
            lines(&TOP.modules_form_no_cycle(&sources))
        };
        assert_eq!(of("\nuse crate::metrics;"), [3, 2]);
        assert_eq!(of("use crate::clock;"), [0; 0]);
    }

    fn broken_in_http(path: &str, code: &str) -> Vec<usize> {
        lines(&HTTP.modules_use_only_what_lies_below(&[Source::new(path, code)]))
    }

    #[test]
    fn http_points_downward_too() {
        let code = "use crate::http::response::Problem;\nuse super::super::request::Caller;\nuse crate::http::resources;\nuse crate::http::{spec, server};";
        assert_eq!(broken_in_http("src/http/response/problem.rs", code), [2, 3, 4, 4]);
        assert_eq!(broken_in_http("src/http/request/auth.rs", code), [3, 4, 4]);
        assert_eq!(broken_in_http("src/http/resources/contacts.rs", code), [4, 4]);
        assert_eq!(broken_in_http("src/http/server/limits.rs", code), [3, 4]);
        assert_eq!(broken_in_http("src/http/spec/openapi.rs", code), [4]);
        assert_eq!(
            broken_in_http("src/http/mod.rs", "use self::spec::S; use crate::http::server; fn f(a: self::Api) {}"),
            [0; 0]
        );
        assert_eq!(broken_in_http("src/store/log.rs", "use crate::http::server;"), [0; 0]);
    }

    #[test]
    fn what_http_assembles_is_for_http_alone() {
        let code = "use crate::http::Api;\nuse super::super::Api;\nuse crate::store::Store;\nuse super::own;\nuse crate::http;";
        assert_eq!(broken_in_http("src/http/resources/contacts.rs", code), [1, 2]);
        assert_eq!(broken_in_http("src/http/records.rs", "use crate::http::Api;"), [1], "a file without a layer");
    }
}
