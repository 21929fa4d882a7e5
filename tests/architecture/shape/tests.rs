use super::{
    every_folder_has_a_front_door, every_folder_that_the_tables_name_exists, files_stay_small, functions_stay_small,
    no_test_is_ignored, no_test_sleeps, no_work_is_left_unfinished,
};
use crate::architecture::source::Source;
use crate::architecture::violation::{hold, lines};

fn file(path: &str, lines: usize) -> [Source; 1] {
    [Source::new(path, &"//! x\n".repeat(lines))]
}

fn function(lines: usize) -> String {
    format!("struct A;\nfn f(a: [u8; 2]) {{\n{}}}\nfn g();", "if a { b } // }\n".repeat(lines - 2))
}

#[test]
fn a_long_file_is_seen() {
    assert_eq!(lines(&files_stay_small(&file("src/store/log.rs", 601))), [601]);
    assert_eq!(lines(&files_stay_small(&file("src/store/mod.rs", 251))), [251]);
    assert!(files_stay_small(&file("src/store/log.rs", 600)).is_empty());
    assert!(files_stay_small(&file("src/store/mod.rs", 250)).is_empty());
}

#[test]
fn a_long_function_is_seen_and_can_be_excused_by_name() {
    let long = [Source::new("src/http/mod.rs", &function(81))];
    assert_eq!(lines(&functions_stay_small(&long)), [2]);
    hold(&functions_stay_small(&long), &[("src/http/mod.rs::f", "one readable list")]);
    assert!(functions_stay_small(&[Source::new("src/http/mod.rs", &function(80))]).is_empty());
}

#[test]
fn a_long_function_inside_another_item_is_seen() {
    let nested = format!("trait T {{\n fn g(&self) -> fn(u8);\n {}\n}}", function(81));
    assert_eq!(lines(&functions_stay_small(&[Source::new("src/a.rs", &nested)])), [4]);
}

#[test]
fn a_folder_without_a_documented_mod_is_seen() {
    let doors = |files: &[(&str, &str)]| {
        let sources = files.iter().map(|(path, raw)| Source::new(path, raw)).collect::<Vec<_>>();
        every_folder_has_a_front_door(&sources).len()
    };
    assert_eq!(doors(&[("src/a/b.rs", "")]), 1);
    assert_eq!(doors(&[("src/a/b.rs", ""), ("src/a/mod.rs", "mod b;")]), 1);
    assert_eq!(
        doors(&[("src/a/b.rs", ""), ("src/a/mod.rs", "//! A.\nmod b;"), ("src/a/b/tests.rs", ""), ("src/lib.rs", "")]),
        0
    );
}

#[test]
fn a_folder_of_the_tables_that_is_missing_is_seen() {
    let missing = |path: &str| {
        every_folder_that_the_tables_name_exists(&[("src/domain/endpoint/", "a home")], &[Source::new(path, "")]).len()
    };
    assert_eq!(missing("src/domain/endpoint.rs"), 1);
    assert_eq!(missing("src/domain/endpoint/mod.rs"), 0);
}

#[test]
fn an_ignored_test_is_seen() {
    let code =
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n#[cfg_attr(feature = \"x\", ignore)]\nfn ignore() { a[ignore] }";
    assert_eq!(lines(&no_test_is_ignored(&[Source::new("tests/it/a.rs", code)])), [2, 4]);
}

#[test]
fn a_sleeping_test_is_seen() {
    let code =
        "std::thread::sleep(D);\ntokio::time::sleep(D).await;\nuse tokio::time::{sleep, timeout};\ntimeout(D, f);";
    assert_eq!(lines(&no_test_sleeps(&[Source::new("tests/it/a.rs", code)])), [1, 2, 3]);
    assert_eq!(lines(&no_test_sleeps(&[Source::new("src/push/tests.rs", code)])), [1, 2, 3]);
    assert_eq!(lines(&no_test_sleeps(&[Source::new("src/worker.rs", code)])), [1]);
}

#[test]
fn unfinished_work_is_seen() {
    let code = "todo!();\ndbg!(x);\nunimplemented!();\n// FIXME this\n/* XXX */\n/// TODO: later\n// TODO(#12): then\nlet s = \"TODO\";";
    assert_eq!(lines(&no_work_is_left_unfinished(&[Source::new("src/a.rs", code)])), [1, 3, 2, 4, 5, 6]);
}
