//! The files of `src/` form no import cycle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::architecture::imports::{Modules, Use};
use crate::architecture::source::Source;
use crate::architecture::violation::Violation;

/// One violation for every pair of files `a`, `b` where `a` imports `b` and `b` leads back to `a`; its message names the
/// shortest such cycle.
///
/// * An import leads to the file that defines the item: a re-export is followed, so `super::B`, which the parent re-exports
///   from `b.rs`, leads to `b.rs`. Siblings that meet through their parent's re-exports are therefore seen.
/// * A module and its direct children (`x/mod.rs` or `x.rs`, and `x/a.rs` or `x/a/mod.rs`) are one unit: the edges between
///   them, in either direction, do not count. A grandchild is no child: `x/a/b.rs` that names an item defined in `x/mod.rs`,
///   which names one of `x/a/b.rs`, is a cycle.
/// * Tests do not count: they may use whatever they test.
pub(crate) fn files_form_no_import_cycle(sources: &[Source]) -> Vec<Violation> {
    let modules = sources.iter().filter(|source| source.path != "src/main.rs");
    let modules = modules.map(|source| (source.path.as_str(), source.module())).collect::<BTreeMap<_, _>>();
    let are_parent_and_child = |one: &Use| match (modules.get(one.from.as_str()), modules.get(one.to.as_str())) {
        (Some(from), Some(to)) => is_child(from, to) || is_child(to, from),
        _ => false,
    };
    let uses = Modules::of(sources).uses().into_iter().filter(|one| !are_parent_and_child(one)).collect::<Vec<_>>();
    let mut edges = Edges::new();
    for Use { from, to, .. } in &uses {
        edges.entry(from).or_default().insert(to);
    }
    let mut seen = BTreeSet::new();
    let first = uses.iter().filter(|one| seen.insert((&one.from, &one.to)));
    first
        .filter_map(|Use { from, line, to, path }| {
            let back = shortest_path(&edges, to, from)?;
            let cycle = [from.as_str()].into_iter().chain(back).map(short).collect::<Vec<_>>().join(" -> ");
            Some(Violation::new(from, *line, format!("`{path}` closes an import cycle: {cycle}")))
        })
        .collect()
}

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn is_child(child: &[String], parent: &[String]) -> bool {
    child.split_last().is_some_and(|(_, above)| above == parent)
}

/// The shortest path from one file to another, both included.
fn shortest_path<'a>(edges: &Edges<'a>, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from = BTreeMap::from([(from, from)]);
    let mut next = VecDeque::from([from]);
    while let Some(file) = next.pop_front() {
        if file == to {
            let mut path = vec![to];
            while let Some(before) =
                path.last().and_then(|file| came_from.get(file)).filter(|before| path.last() != Some(*before))
            {
                path.push(before);
            }
            path.reverse();
            return Some(path);
        }
        for target in edges.get(file).into_iter().flatten() {
            if !came_from.contains_key(target) {
                came_from.insert(target, file);
                next.push_back(target);
            }
        }
    }
    None
}

fn short(path: &str) -> &str {
    path.strip_prefix("src/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::files_form_no_import_cycle;
    use crate::architecture::source::Source;

    /// The violations of a crate of these files and an empty root; a root among the files takes its place.
    fn cycles(files: &[(&str, &str)]) -> Vec<String> {
        let sources =
            [("src/lib.rs", "")].iter().chain(files).map(|(path, code)| Source::new(path, code)).collect::<Vec<_>>();
        files_form_no_import_cycle(&sources).iter().map(ToString::to_string).collect()
    }

    fn count(files: &[(&str, &str)]) -> usize {
        cycles(files).len()
    }

    #[test]
    fn a_cycle_of_two_files_is_seen_with_its_way() {
        let seen = cycles(&[
            ("src/lib.rs", "pub mod a;\npub mod b;"),
            ("src/a.rs", "\nuse crate::b::{self, B};\npub struct A;"),
            ("src/b.rs", "pub struct B(crate::a::A);"),
        ]);
        assert_eq!(
            seen,
            [
                "src/a.rs:2: `crate::b::B` closes an import cycle: a.rs -> b.rs -> a.rs",
                "src/b.rs:1: `crate::a::A` closes an import cycle: b.rs -> a.rs -> b.rs"
            ]
        );
    }

    #[test]
    fn a_cycle_of_three_files_is_seen_and_files_beside_it_are_not() {
        let seen = cycles(&[
            ("src/x/mod.rs", "mod a; mod b; mod c; mod d;"),
            ("src/x/a.rs", "use super::b::B; use crate::x::d::D;"),
            ("src/x/b.rs", "fn f() { super::c::f() }"),
            ("src/x/c.rs", "use crate::x::{a::A as Other, d};\nfn g() { d::f() }"),
            ("src/x/d.rs", "pub fn f() {}"),
        ]);
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().any(|seen| seen.ends_with(": x/a.rs -> x/b.rs -> x/c.rs -> x/a.rs")), "{seen:?}");
    }

    #[test]
    fn a_cycle_through_a_re_export_is_seen() {
        let through = |front_door: &str, a: &str| {
            count(&[
                ("src/x/mod.rs", front_door),
                ("src/x/a.rs", a),
                ("src/x/b.rs", "pub struct B(super::a::A); pub fn b() {}"),
            ])
        };
        assert_eq!(through("mod a; mod b; pub use self::b::B;", "use super::B;"), 2);
        assert_eq!(through("mod a; mod b; pub(crate) use b::{B as Public, b};", "fn f(b: crate::x::Public) {}"), 2);
        assert_eq!(through("mod a; mod b; pub use b::*;", "use crate::x; fn f(b: x::B) {}"), 2);
        assert_eq!(through("mod a; mod b; use b::b;", "fn f() { super::b() }"), 2, "the function of a module's name");
        assert_eq!(through("mod a; mod b; pub struct B(b::B);", "use super::B;"), 0, "the parent's own item");
    }

    #[test]
    fn re_exports_are_followed_over_several_doors_and_end_where_they_name_each_other() {
        let files = [
            ("src/x/mod.rs", "mod deep; pub use deep::D; pub use crate::y::Loop;"),
            ("src/x/deep/mod.rs", "mod d; pub use d::D;"),
            ("src/x/deep/d.rs", "pub struct D; use crate::y::Y; use crate::x::Loop;"),
            ("src/y.rs", "pub struct Y(crate::x::D); pub use crate::x::Loop;"),
        ];
        assert_eq!(count(&files), 2);
    }

    #[test]
    fn a_parent_and_its_own_children_are_one_unit() {
        for parent in ["src/x/mod.rs", "src/x.rs"] {
            let files = [
                (parent, "mod a; mod b; use self::a::A; pub struct X(A, b::B);"),
                ("src/x/a.rs", "pub struct A; use super::X;"),
                ("src/x/b.rs", "pub struct B; use crate::x::X;"),
            ];
            assert_eq!(count(&files), 0);
        }
    }

    #[test]
    fn a_grandchild_is_no_child() {
        let of = |grandchild: &str| {
            count(&[
                ("src/x/mod.rs", "mod a; pub struct X(a::B);"),
                ("src/x/a/mod.rs", "mod b; pub use b::B;"),
                ("src/x/a/b.rs", grandchild),
            ])
        };
        assert_eq!(of("pub struct B; use crate::x::X;"), 2);
        assert_eq!(of("pub struct B;"), 0);
    }

    #[test]
    fn a_cycle_between_a_folder_and_another_folders_file_is_seen() {
        let files = [
            ("src/x/mod.rs", "pub struct X(crate::y::b::B);"),
            ("src/y/mod.rs", "pub mod b;"),
            ("src/y/b.rs", "pub struct B; fn f(x: super::super::x::X) {}"),
        ];
        assert_eq!(count(&files), 2);
        assert_eq!(count(&files[1..]), 0);
    }

    #[test]
    fn tests_do_not_count() {
        let of = |a: &str, more: &[(&str, &str)]| {
            let files = [("src/a.rs", a), ("src/b.rs", "pub fn b() { crate::a::a() }")];
            count(&[&files, more].concat())
        };
        assert_eq!(of("use crate::b::b;", &[]), 2);
        assert_eq!(of("mod tests { use crate::b::b; }", &[]), 0);
        assert_eq!(of("#[cfg(test)]\nuse crate::b::b;", &[]), 0);
        assert_eq!(of("#[cfg(test)] mod check { use crate::b::b; }", &[]), 0);
        assert_eq!(of("mod inner { use crate::b::b; }", &[]), 2, "an inline module that is no test");
        assert_eq!(of("#[cfg(test)] mod tests;", &[("src/a/tests.rs", "use crate::b::b;")]), 0);
        let fixture = ("src/fixture.rs", "pub use crate::b::b;");
        assert_eq!(of("use crate::fixture::b;", &[("src/lib.rs", "mod fixture;"), fixture]), 2);
        assert_eq!(of("use crate::fixture::b;", &[("src/lib.rs", "#[cfg(test)] mod fixture;"), fixture]), 0);
    }

    #[test]
    fn names_of_other_crates_and_of_modules_alone_lead_nowhere() {
        let files = [
            ("src/a.rs", "use ::http::Uri; use tokio::{self, b::B}; use crate::b; pub(in crate::b) fn f() { T::b() }"),
            ("src/b.rs", "use crate::a; fn g(a: serde::A) { a::f(); }"),
        ];
        assert_eq!(count(&files), 0);
        assert_eq!(count(&[("src/main.rs", "use unificus::a::f; pub struct M;"), ("src/a.rs", "pub fn f() {}")]), 0);
    }
}
