//! The log file of a server.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::private;

/// A log larger than this, in bytes, is emptied at the start; nothing else rotates it.
const MAX_LOG: u64 = 16 << 20;

const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 15;

/// Opens the log for appending. Only its owner can read it, because it contains failed statements with their values.
pub(super) fn open(path: &Path) -> Result<File> {
    let open = || -> std::io::Result<File> {
        let file = File::options().create(true).append(true).mode(private::MODE).open(path)?;
        // An existing file would keep its mode.
        private::close_to_others(path)?;
        if file.metadata()?.len() > MAX_LOG {
            file.set_len(0)?;
        }
        Ok(file)
    };
    open().with_context(|| format!("opening the log {}", path.display()))
}

/// The last lines, for an error message; empty when the file cannot be read.
pub(super) fn tail(path: &Path) -> String {
    let text = end_of(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)).copied().collect::<Vec<_>>().join("\n")
}

fn end_of(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines() {
        let path = std::env::temp_dir().join(format!("unificus-log-{}", std::process::id()));
        let lines: Vec<String> = (0..5_000).map(|n| format!("line {n}")).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        let tail = tail(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("line 4985\n") && tail.ends_with("line 4999"), "{tail}");
    }

    #[test]
    fn a_missing_log_has_an_empty_tail() {
        assert_eq!(tail(Path::new("/nonexistent/log")), "");
    }
}
