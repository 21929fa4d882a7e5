//! Files that only their owner can read.

use std::fs::{OpenOptions, Permissions, remove_file, rename, set_permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use anyhow::{Context, Result};

use super::data_dir::DataDirOwner;

/// Read and write for the owner, nothing for others.
pub(super) const MODE: u32 = 0o600;

/// Writes a file that only its owner can read, completely or not at all. It belongs to this process's user, unless another
/// owner is given, which needs root.
pub(super) fn write_for(owner: Option<DataDirOwner>, file: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot write {}", file.display());
    let part = file.with_extension("part");
    match remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(context),
        Ok(()) | Err(_) => {}
    }
    let mut open = OpenOptions::new();
    let mut handle = open.write(true).create_new(true).mode(MODE).open(&part).with_context(context)?;
    if let Some(DataDirOwner { uid, gid }) = owner {
        fchown(&handle, Some(uid), Some(gid)).with_context(context)?;
    }
    handle.write_all(text.as_bytes()).with_context(context)?;
    rename(&part, file).with_context(context)
}

/// The same for this process's user.
pub(in crate::dev) fn write(file: &Path, text: &str) -> Result<()> {
    write_for(None, file, text)
}

/// Removes the permissions of others from an existing file.
pub(super) fn close_to_others(file: &Path) -> io::Result<()> {
    set_permissions(file, Permissions::from_mode(MODE))
}
