//! Finds the servers' programs.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The oldest NATS with auth callout. Older ones silently ignore the subject filters of a consumer.
const MIN_NATS: (u32, u32) = (2, 10);

/// The directory in which Debian and its derivatives keep the servers of each major version, off the PATH.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// The programs of a start, as absolute paths.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The directory with `postgres` and `initdb`.
    pub postgres_bin: PathBuf,
    /// `nats-server`.
    pub nats: PathBuf,
    /// `setpriv` of util-linux, which ends a child with its parent and drops root. Only Linux has it.
    pub setpriv: Option<PathBuf>,
}

impl Binaries {
    /// Looks on `path` (the value of PATH), then in the directories of `make setup` and of the distribution.
    ///
    /// `data_home` is the user's data directory (`$XDG_DATA_HOME`, else `~/.local/share`): `make setup` keeps a
    /// `nats-server` in `unificus/bin` below it. Runs `nats-server --version`, so it takes some milliseconds.
    ///
    /// # Errors
    /// When a program is missing; the error says how to install it.
    pub fn find(path: &str, data_home: &Path) -> Result<Self> {
        let dirs: Vec<PathBuf> = std::env::split_paths(path).filter(|dir| dir.is_absolute()).collect();
        Ok(Self {
            postgres_bin: postgres_bin(&dirs)
                .context("no Postgres server found: `make setup` installs it (package postgresql)")?,
            nats: nats_server(&dirs, data_home).with_context(|| {
                let (major, minor) = MIN_NATS;
                format!("no nats-server of version {major}.{minor} or newer found: `make setup` installs it")
            })?,
            setpriv: setpriv(&dirs)?,
        })
    }
}

fn postgres_bin(dirs: &[PathBuf]) -> Option<PathBuf> {
    on_path(dirs, "postgres")
        // A link on the PATH may point at one program; the others are beside its target.
        .filter_map(|program| program.canonicalize().ok()?.parent().map(Path::to_path_buf))
        .chain(newest_first(Path::new(DEBIAN_POSTGRES)))
        .find(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
}

/// The `bin` directories of the versions below `root`, by number: 9 is older than 15.
fn newest_first(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_unstable_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, bin)| bin).collect()
}

fn nats_server(dirs: &[PathBuf], data_home: &Path) -> Option<PathBuf> {
    on_path(dirs, "nats-server")
        // Without a home directory the path is relative, and names whatever the working directory has there.
        .chain(Some(data_home.join("unificus/bin/nats-server")).filter(|program| program.is_absolute()))
        .find(|program| version_of(program).is_some_and(|version| version >= MIN_NATS))
}

/// The program's major and minor version; none when it does not run.
fn version_of(program: &Path) -> Option<(u32, u32)> {
    let output = Command::new(program).arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// Reads `nats-server: v2.15.1`, with or without the `v`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().last()?.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn setpriv(dirs: &[PathBuf]) -> Result<Option<PathBuf>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let program = on_path(dirs, "setpriv").next();
    program.map(Some).context("no setpriv found: `make setup` installs it (package util-linux)")
}

fn on_path<'a>(dirs: &'a [PathBuf], name: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    dirs.iter().map(move |dir| dir.join(name)).filter(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_what_the_server_prints() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(parse_version("nats-server: 2.10.27-RC.1"), Some((2, 10)));
        assert_eq!(parse_version(""), None);
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn two_ten_is_newer_than_two_nine() {
        assert!((2, 9) < MIN_NATS);
        assert!((2, 10) >= MIN_NATS);
        assert!((3, 0) >= MIN_NATS);
    }

    #[test]
    fn versions_of_postgres_are_ordered_by_number() {
        let root = std::env::temp_dir().join(format!("unificus-binaries-{}", std::process::id()));
        for name in ["9", "15", "17", "notes"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        let versions = newest_first(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(versions, ["17", "15", "9"].map(|version| root.join(version).join("bin")));
    }

    #[test]
    fn what_is_missing_is_said_with_its_cure() {
        let error = Binaries::find("", Path::new("/nonexistent")).unwrap_err();
        assert!(format!("{error:#}").contains("make setup"), "{error:#}");
    }
}
