//! The direction of dependencies between the top-level modules of `src/`.

use std::collections::{BTreeMap, BTreeSet};

use crate::architecture::source::{Path, Source};
use crate::architecture::tables::{CROSS_CUTTING, LAYERS, SIBLINGS};
use crate::architecture::violation::Violation;

pub(crate) fn modules_use_only_what_lies_below(sources: &[Source]) -> Vec<Violation> {
    let unknown = sources.iter().filter(|source| !is_known(module_of(source))).map(|source| {
        Violation::new(
            &source.path,
            1,
            format!("module `{}` stands in no layer: give it a place in LAYERS", module_of(source)),
        )
    });
    let placed = sources.iter().filter(|source| is_known(module_of(source)));
    let upward = placed.flat_map(|source| {
        let from = module_of(source);
        uses(source).into_iter().filter_map(move |(line, to)| {
            let reason = objection(from, &to)?;
            Some(Violation::new(&source.path, line, reason))
        })
    });
    unknown.chain(upward).collect()
}

pub(crate) fn modules_form_no_cycle(sources: &[Source]) -> Vec<Violation> {
    let mut edges = Edges::new();
    for source in sources {
        edges.entry(module_of(source).into()).or_default().extend(uses(source).into_iter().map(|(_, to)| to));
    }
    let uses = sources.iter().flat_map(|source| uses(source).into_iter().map(move |(line, to)| (source, line, to)));
    uses.filter(|(source, _, to)| to != module_of(source) && leads_to(&edges, to, module_of(source)))
        .map(|(source, line, to)| {
            let from = module_of(source);
            Violation::new(&source.path, line, format!("`{from}` uses `{to}`, which leads back to `{from}`"))
        })
        .collect()
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

/// Why `from` may not use `to`, where it may not.
fn objection(from: &str, to: &str) -> Option<String> {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    if from == to {
        return None;
    }
    if !is_known(to) {
        return Some(format!("`crate::{to}` names no module of LAYERS: name things by their module"));
    }
    match (layer(from), layer(to)) {
        (Some(0), None) => Some(format!("`{from}` is pure and may not use `{to}`")),
        (_, None) | (None, Some(0)) => None,
        (None, Some(_)) => Some(format!("`{from}` stands beside the layers and may use only the domain, not `{to}`")),
        (Some(above), Some(below)) if below < above => None,
        (Some(one), Some(other)) if one == other => {
            let listed = SIBLINGS.iter().any(|(a, b, _)| (*a, *b) == (from, to));
            (!listed).then(|| format!("`{from}` and `{to}` are of one layer and SIBLINGS does not list the edge"))
        }
        _ => Some(format!("`{to}` lies above `{from}`: dependencies point downward")),
    }
}

fn is_known(module: &str) -> bool {
    CROSS_CUTTING.contains(&module) || LAYERS.iter().any(|layer| layer.contains(&module))
}

/// `store` of `src/store/log.rs`, `relay` of `src/relay.rs`.
fn module_of(source: &Source) -> &str {
    let inside = source.path.strip_prefix("src/").unwrap_or(&source.path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The top-level modules that a file names, with their lines.
fn uses(source: &Source) -> Vec<(usize, String)> {
    let file_depth = depth(&source.path);
    source.paths().iter().filter_map(|path| Some((path.line, target(path, file_depth)?))).collect()
}

fn target(path: &Path, file_depth: usize) -> Option<String> {
    let climbed = path.segments.iter().take_while(|segment| *segment == "super").count();
    let segment = match path.segments.first()?.as_str() {
        "crate" | "unificus" => path.segments.get(1),
        "super" if climbed == file_depth + path.inline_modules => path.segments.get(climbed),
        _ => None,
    };
    segment.filter(|segment| *segment != "self").cloned()
}

/// How far a file's module lies below the crate's root.
fn depth(path: &str) -> usize {
    let folders = path.strip_prefix("src/").map_or(0, |inside| inside.matches('/').count());
    let is_root = matches!(path, "src/lib.rs" | "src/main.rs");
    if path.ends_with("/mod.rs") || is_root { folders } else { folders + 1 }
}

#[cfg(test)]
mod tests {
    use super::{modules_form_no_cycle, modules_use_only_what_lies_below};
    use crate::architecture::source::Source;
    use crate::architecture::violation::lines;

    fn broken_lines(path: &str, code: &str) -> Vec<usize> {
        lines(&modules_use_only_what_lies_below(&[Source::new(path, code)]))
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
            lines(&modules_form_no_cycle(&sources))
        };
        assert_eq!(of("\nuse crate::metrics;"), [3, 2]);
        assert_eq!(of("use crate::clock;"), [0; 0]);
    }
}
