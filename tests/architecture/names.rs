//! One public type has one name, so that a search for the name leads to one definition.

use std::collections::BTreeMap;

use crate::architecture::source::Source;
use crate::architecture::violation::Violation;

/// No two types of production code that other modules may see have one name: `struct`, `enum`, `union`, `trait` and `type`
/// that begin with `pub`, however far it reaches.
pub(crate) fn one_public_type_has_one_name(sources: &[Source]) -> Vec<Violation> {
    let production = sources.iter().filter(|source| !source.is_test()).map(Source::without_tests).collect::<Vec<_>>();
    let mut definitions: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for source in &production {
        for (line, name) in public_types(source) {
            definitions.entry(name).or_default().push((&source.path, line));
        }
    }
    let several = definitions.into_iter().filter(|(_, all)| all.len() > 1);
    let violations = several.flat_map(|(name, all)| {
        let here = |at: usize, (path, line): (&str, usize)| {
            let others = all.iter().enumerate().filter(|(other, _)| *other != at);
            let others = others.map(|(_, (path, line))| format!("{path}:{line}")).collect::<Vec<_>>().join(", ");
            Violation::new(path, line, format!("`{name}` is also the name of the type at {others}")).about(name)
        };
        all.iter().enumerate().map(|(at, definition)| here(at, *definition)).collect::<Vec<_>>()
    });
    violations.collect()
}

fn public_types(source: &Source) -> Vec<(usize, &str)> {
    let keywords = source.tokens.iter().enumerate().filter(|(at, token)| {
        matches!(token.text.as_str(), "struct" | "enum" | "union" | "trait" | "type") && is_public(source, *at)
    });
    keywords.map(|(at, token)| (token.line, source.word(at + 1))).filter(|(_, name)| *name != "$").collect()
}

/// Whether `pub`, `pub(…)` or `pub unsafe` stands before the keyword at `at`.
fn is_public(source: &Source, at: usize) -> bool {
    let before = (0..at).rev().filter(|at| source.word(*at) != "unsafe");
    let mut words = before.map(|at| source.word(at));
    match words.next() {
        Some("pub") => true,
        Some(")") => words.find(|word| *word == "(").and_then(|_| words.next()) == Some("pub"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::one_public_type_has_one_name;
    use crate::architecture::source::Source;

    fn violations(files: &[(&str, &str)]) -> Vec<String> {
        let sources = files.iter().map(|(path, code)| Source::new(path, code)).collect::<Vec<_>>();
        one_public_type_has_one_name(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn two_public_types_of_one_name_are_seen_however_far_they_reach() {
        assert_eq!(
            violations(&[("src/a.rs", "pub struct Secret;"), ("src/b.rs", "\npub(crate) enum Secret {}")]),
            [
                "src/a.rs:1: `Secret` is also the name of the type at src/b.rs:2 [Secret]",
                "src/b.rs:2: `Secret` is also the name of the type at src/a.rs:1 [Secret]"
            ]
        );
        let code = "pub type A = u8; mod b { pub(in crate::a) trait A {} } mod c { pub unsafe trait A {} pub(super) union A {} }";
        assert_eq!(violations(&[("src/a.rs", code)]).len(), 4);
    }

    #[test]
    fn private_types_tests_and_uses_do_not_count() {
        let code = "pub struct A; mod b { struct A; pub use super::A; pub fn f(a: A) {} pub struct $name; pub enum $name {} } mod tests { pub struct A; }";
        assert!(violations(&[("src/a.rs", code), ("src/a/tests.rs", "pub struct A;")]).is_empty());
    }
}
