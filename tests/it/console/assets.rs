//! The files of the pages: htmx is that of its package, and files are cached for ever under the hash of their content.

use unificus::config::program_path;

use super::support::Console;

#[test]
fn htmx_is_the_file_of_the_package_that_the_lock_file_names() {
    let (_, data_home) = program_path();
    let package = data_home.join("unificus/node/node_modules/htmx.org");
    let read = |name: &str| std::fs::read(package.join(name)).expect("htmx.org is missing: run deploy/setup.sh tests");
    let vendored = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/assets/htmx.min.js");
    assert_eq!(std::fs::read(vendored).unwrap(), read("dist/htmx.min.js"));
    let manifest: serde_json::Value = serde_json::from_slice(&read("package.json")).unwrap();
    assert_eq!(manifest["version"], "2.0.11");
    assert_eq!(manifest["license"], "0BSD");
}

#[tokio::test]
async fn files_are_compressed_and_cached_for_ever_under_the_hash_of_their_content() {
    let console = Console::start().await;
    let web = console.visitor();
    let page = web.get("/console/sign-in").await;
    let style = page.between("<link rel=\"stylesheet\" href=\"", "\"").to_owned();
    assert!(style.starts_with("/console/assets/console-"), "{style}");
    let file = web.get(&style).await;
    assert_eq!(
        (file.header("cache-control"), file.header("content-encoding")),
        ("public, max-age=31536000, immutable", "gzip")
    );
    let stranger = console.visitor();
    assert_eq!(stranger.get(&style).await.header("set-cookie"), "", "a shared cache may keep the file");
    web.get("/console/assets/console-0.css").await.expect(404);
    let accent = web.get("/console/brand/style/ffd400.css").await;
    assert!(accent.expect(200).text.contains("--accent: #ffd400;"), "{}", accent.text);
    assert!(accent.text.contains("--on-accent: #000000;"), "{}", accent.text);
    for wrong in ["red.css", "ffd400", "ffd4000.css", "%3Cscript%3E.css"] {
        web.get(&format!("/console/brand/style/{wrong}")).await.expect(404);
    }
}
