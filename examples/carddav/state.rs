//! The connector's state, in one file that is replaced at once.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::connector::Connector;
use crate::dav::Seen;

/// Everything that a connector must not forget.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// The synchronisation of the records, with its cursor.
    pub(crate) connector: Connector,
    /// The address book as it was seen last, with its token.
    pub(crate) seen: Seen,
    /// The address book and the account, because the state of one is no state of another.
    pub(crate) pair: String,
}

/// The file, which one process at a time has open.
pub(crate) struct StateFile {
    path: PathBuf,
    _lock: Flock<File>,
}

impl StateFile {
    /// Fails where another process uses it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let lock_path = path.with_extension("lock");
        let file = File::options().create(true).append(true).open(&lock_path);
        let file = file.with_context(|| format!("{} cannot be opened", lock_path.display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err((_, error)) => bail!("another connector uses {}: {error}", path.display()),
        }
    }

    /// The saved state; `None` where there is none.
    pub(crate) fn load(&self, pair: &str) -> anyhow::Result<Option<State>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", self.path.display())),
        };
        let state: State =
            serde_json::from_slice(&text).with_context(|| format!("{} is no state", self.path.display()))?;
        if state.pair != pair {
            bail!("{} belongs to {}, not to {pair}", self.path.display(), state.pair);
        }
        Ok(Some(state))
    }

    /// Replaces the state: written beside, flushed to the disk, then renamed. A crash leaves the old one or the new one.
    pub(crate) fn save(&self, state: &State) -> anyhow::Result<()> {
        let next = self.path.with_extension("next");
        let write = || {
            let mut file = File::create(&next)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            let directory =
                self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            File::open(directory)?.sync_all()
        };
        write().with_context(|| format!("{} cannot be saved", self.path.display()))
    }
}
