//! The package on disk: its sources, migrations and manifest, and the rules about files that are not Rust.

use std::fs;
use std::path::Path;

use crate::architecture::migrations::Migration;
use crate::architecture::source::Source;
use crate::architecture::tables::{FOREIGN_TEXT, LOCK_SOURCE};
use crate::architecture::violation::Violation;

/// Every file of the package that is text, path and content, ordered by path.
pub(crate) struct Package {
    files: Vec<(String, String)>,
}

impl Package {
    /// Reads the package that this test belongs to: all but `.git`, `target` and what `.gitignore` names by a whole word.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut skipped = ignored.lines().map(|line| line.trim_matches('/').to_owned()).collect::<Vec<_>>();
        skipped.extend([".git".into(), "target".into()]);
        let mut files = Vec::new();
        collect(root, "", &skipped, &mut files);
        files.sort();
        Self { files }
    }

    /// The Rust files below a folder such as `src/`, but for generated ones.
    pub(crate) fn sources(&self, folder: &str) -> Vec<Source> {
        let rust = self.files.iter().filter(|(path, _)| path.starts_with(folder) && path.ends_with(".rs"));
        let written = rust.filter(|(path, _)| !path.contains("/generated/"));
        written.map(|(path, raw)| Source::new(path, raw)).collect()
    }

    /// The Rust files of `src`, `tests`, `benches` and `examples`.
    pub(crate) fn all_sources(&self) -> Vec<Source> {
        ["src/", "tests/", "benches/", "examples/"].iter().flat_map(|folder| self.sources(folder)).collect()
    }

    pub(crate) fn migrations(&self) -> Vec<Migration> {
        let sql = self.files.iter().filter(|(path, _)| path.starts_with("migrations/") && path.ends_with(".sql"));
        sql.map(|(path, raw)| Migration { path: path.clone(), raw: raw.clone() }).collect()
    }

    pub(crate) fn file(&self, path: &str) -> &str {
        self.files.iter().find(|(own, _)| own == path).map_or("", |(_, raw)| raw)
    }

    pub(crate) fn files(&self) -> &[(String, String)] {
        &self.files
    }
}

fn collect(root: &Path, folder: &str, skipped: &[String], files: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("read folder {folder:?}: {error}"));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if skipped.contains(&name) || skipped.contains(&path) {
            continue;
        }
        match fs::symlink_metadata(entry.path()) {
            Ok(kind) if kind.is_dir() => collect(root, &path, skipped, files),
            Ok(kind) if kind.is_file() => files.extend(fs::read_to_string(entry.path()).ok().map(|raw| (path, raw))),
            _ => {}
        }
    }
}

pub(crate) fn no_file_names_the_machine_or_a_registry(files: &[(String, String)]) -> Vec<Violation> {
    let lines = files.iter().flat_map(|(path, raw)| raw.lines().zip(1..).map(move |(text, line)| (path, text, line)));
    lines
        .filter_map(|(path, text, line)| {
            let foreign = FOREIGN_TEXT.iter().find(|(foreign, _)| text.contains(foreign));
            let source = text.strip_prefix("source = \"").filter(|_| path == "Cargo.lock");
            let mirror = source.is_some_and(|source| source.trim_end_matches('"') != LOCK_SOURCE);
            let reason = match foreign {
                Some((foreign, why)) => format!("names `{foreign}`, {why}"),
                None if mirror => format!("names a source other than {LOCK_SOURCE}"),
                None => return None,
            };
            Some(Violation::new(path, line, reason))
        })
        .collect()
}

pub(crate) fn every_dependency_writes_its_features_out(manifest: &str) -> Vec<Violation> {
    let mut section = "";
    let mut violations = Vec::new();
    for (line, text) in (1..).zip(manifest.lines()) {
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
        }
        let (kind, single) = match section.rsplit_once("dependencies") {
            Some((_, "")) => (true, false),
            Some((_, name)) => (name.starts_with('.'), true),
            None => (false, false),
        };
        let begins = if single { text.starts_with('[') } else { text.starts_with(|c: char| c.is_alphabetic()) };
        if kind && begins && !turns_defaults_off(manifest, line, single) {
            let name = if single { section } else { text.split([' ', '=', '.']).next().unwrap_or(text) };
            violations.push(
                Violation::new("Cargo.toml", line, format!("`{name}` lacks default-features = false")).about(name),
            );
        }
    }
    violations
}

/// Looks from the entry's line to where the next entry, or the next section, begins.
fn turns_defaults_off(manifest: &str, line: usize, is_section: bool) -> bool {
    let mut lines = manifest.lines().skip(line - 1);
    let first = lines.next().unwrap_or("");
    let ends = |text: &&str| text.starts_with('[') || !is_section && text.starts_with(|c: char| c.is_alphabetic());
    let entry = first.to_owned() + &lines.take_while(|text| !ends(text)).collect::<String>();
    entry.split_whitespace().collect::<String>().contains("default-features=false")
}

#[cfg(test)]
mod tests {
    use super::{every_dependency_writes_its_features_out, no_file_names_the_machine_or_a_registry};
    use crate::architecture::violation::lines;

    #[test]
    fn a_path_of_the_machine_and_a_registrys_host_are_seen() {
        let foreign =
            |path: &str, raw: &str| lines(&no_file_names_the_machine_or_a_registry(&[(path.into(), raw.into())]));
        assert_eq!(foreign("Makefile", concat!("run:\n\tcd /work", "/main")), [2]);
        assert_eq!(foreign(".cargo/config.toml", concat!("replace", "-with = \"mirror\"")), [1]);
        assert_eq!(
            foreign(
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\"\nsource = \"sparse+https://mirror\""
            ),
            [2]
        );
        assert_eq!(foreign("README.md", "https://crates.io/crates/tokio and /network/main"), [0; 0]);
    }

    #[test]
    fn a_dependency_with_silent_features_is_seen() {
        let manifest = "\
[package]
name = \"x\"

[dependencies]
a = \"1\"
b = { version = \"1\", default-features = false, features = [
  \"x\",
] }
c = { version = \"1\", features = [\"y\"] }
# d = \"1\"

[dev-dependencies.e]
version = \"1\"
default-features = false

[target.'cfg(unix)'.dependencies.f]
version = \"1\"

[features]
g = []
";
        assert_eq!(lines(&every_dependency_writes_its_features_out(manifest)), [5, 9, 16]);
    }
}
