//! Every promise of docs/operations.md names the test that holds it.

use std::collections::BTreeSet;
use std::path::Path;

use super::repository;

/// The names of all tests below a directory.
fn tests(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.append(&mut tests(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.lines().filter_map(|line| line.trim_start().split_once("fn ")?.1.split_once('('));
            names.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
    names
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let operations = std::fs::read_to_string(repository("docs/operations.md")).unwrap();
    let (_, section) = operations.split_once("\n## Promises\n").expect("a section with promises");
    let section = section.split("\n## ").next().unwrap();
    let known = tests(&repository("tests/it"));
    let mut promises = 0;
    for row in section.lines().filter(|line| line.starts_with("| ")).skip(2) {
        let (_, named) = row.trim_end_matches(['|', ' ']).rsplit_once('|').unwrap();
        let named: Vec<&str> = named.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "a promise without a test: {row}");
        for name in named {
            assert!(known.contains(name), "there is no test {name}");
        }
        promises += 1;
    }
    assert!(promises >= 15, "{promises}");
}
