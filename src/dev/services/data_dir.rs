//! The data directory of both servers, and the lock on it.
//!
//! ```text
//! lock              locked while a process uses the directory
//! ports.toml        the ports of the last start
//! credentials.toml  the servers' passwords
//! postgres/         the cluster           postgres.log
//! nats/             JetStream's store     nats.log       nats.conf
//! ```

use std::fs::{DirBuilder, File, Metadata, Permissions, TryLockError, create_dir_all, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, geteuid};
use tokio::time::{sleep, timeout};

/// The OS user of Postgres when this process runs as root, which Postgres refuses.
const POSTGRES_USER: &str = "postgres";

const POLL: Duration = Duration::from_millis(10);
const PREDECESSOR_ENDS: Duration = Duration::from_secs(2);

/// The OS user that owns the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DataDirOwner {
    pub uid: u32,
    pub gid: u32,
}

/// A directory that exists, belongs to this user, is reachable and is locked.
pub(super) struct DataDir {
    path: PathBuf,
    owner: Option<DataDirOwner>,
    /// The lock ends when this file is closed, so also with the process. Children do not inherit it.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing and takes the lock on it.
    ///
    /// # Errors
    /// When it belongs to another user, when user `postgres` cannot reach it, or when another process holds it.
    pub(super) async fn open(path: &Path) -> Result<Self> {
        let owner = if geteuid().is_root() { Some(postgres_user()?) } else { None };
        make(path, owner).with_context(|| format!("making the data directory {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("resolving {}", path.display()))?;
        ours(&path)?;
        if let Some(owner) = owner {
            reachable(&path, owner)?;
        }
        let lock = lock(&path).await?;
        Ok(Self { path, owner, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The OS user of Postgres; none when it is this process's user.
    pub(super) fn owner(&self) -> Option<DataDirOwner> {
        self.owner
    }
}

/// An existing directory keeps its mode, because it may have other uses. The files in it have their own modes.
fn make(path: &Path, owner: Option<DataDirOwner>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir_all(parent)?;
    }
    DirBuilder::new().mode(0o700).create(path)?;
    if let Some(DataDirOwner { gid, .. }) = owner {
        // The group of user postgres may pass through to the cluster, but not list the directory.
        chown(path, None, Some(gid))?;
        set_permissions(path, Permissions::from_mode(0o710))?;
    }
    Ok(())
}

fn ours(path: &Path) -> Result<()> {
    let (owner, us) = (metadata(path)?.uid(), geteuid());
    ensure!(
        owner == us.as_raw(),
        "the data directory {} belongs to user {owner}, and this process runs as user {us}: choose another directory",
        path.display()
    );
    Ok(())
}

fn postgres_user() -> Result<DataDirOwner> {
    let user = User::from_name(POSTGRES_USER).context("looking up the OS user of Postgres")?.with_context(|| {
        format!(
            "this is root, and there is no OS user `{POSTGRES_USER}` to run Postgres as: `make setup` installs both"
        )
    })?;
    Ok(DataDirOwner { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// Fails with the directory that denies access, because Postgres's "permission denied" names only the whole path.
fn reachable(path: &Path, owner: DataDirOwner) -> Result<()> {
    for dir in path.ancestors() {
        if !may_pass(&metadata(dir)?, owner) {
            bail!(
                "user `{POSTGRES_USER}`, which Postgres runs as when this process is root, may not pass through {} on \
                 the way to {}: choose a data directory elsewhere, such as below /var/lib, or run as a normal user",
                dir.display(),
                path.display()
            );
        }
    }
    Ok(())
}

/// The first of the three classes that fits decides, as in the kernel. Supplementary groups and access lists are ignored.
fn may_pass(dir: &Metadata, owner: DataDirOwner) -> bool {
    let bit = if dir.uid() == owner.uid {
        0o100
    } else if dir.gid() == owner.gid {
        0o010
    } else {
        0o001
    };
    dir.mode() & bit != 0
}

/// Waits up to 2 s for a process that is just ending, such as after a `kill -9`.
async fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    let locked = async {
        loop {
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => sleep(POLL).await,
                Err(TryLockError::Error(error)) => break Err(error),
                Ok(()) => break Ok(()),
            }
        }
    };
    let Ok(locked) = timeout(PREDECESSOR_ENDS, locked).await else {
        bail!("another process already runs on {}: stop it, or choose another data directory", dir.display())
    };
    locked.with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

fn metadata(path: &Path) -> Result<Metadata> {
    std::fs::metadata(path).with_context(|| format!("looking at {}", path.display()))
}
