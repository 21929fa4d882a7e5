//! A line for every contact whose creation was answered: every channel must have it afterwards.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};

use crate::accounts::Account;

/// `public_id uid`, one line per 201, written before the next request is sent.
pub(crate) struct Receipts {
    file: Mutex<File>,
    public_ids: Vec<String>,
}

impl Receipts {
    pub(crate) fn open(path: &Path, accounts: &[Account]) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        let public_ids = accounts.iter().map(|account| account.public_id.clone()).collect();
        Ok(Self { file: Mutex::new(file), public_ids })
    }

    /// `body` is the response to a create of the account at `index`. A response without a uid gets a line that the
    /// verification reports as lost.
    pub(crate) fn append(&self, index: usize, body: &[u8]) {
        let public_id = self.public_ids.get(index).map_or("unknown-account", String::as_str);
        let line = format!("{public_id} {}\n", uid(body).unwrap_or("answered-without-uid"));
        let written = match self.file.lock() {
            // One write of a whole line: readers never see half of one.
            Ok(mut file) => file.write_all(line.as_bytes()),
            Err(_) => Ok(()),
        };
        if let Err(error) = written {
            crate::figures::say(&format!("writing a receipt failed: {error}"));
        }
    }
}

/// The first `"uid":"…"`: the record's own, since it is its first key.
pub(crate) fn uid(body: &[u8]) -> Option<&str> {
    const KEY: &str = r#""uid":""#;
    const LENGTH: usize = 36;
    let text = std::str::from_utf8(body).ok()?;
    let start = text.find(KEY)? + KEY.len();
    text.get(start..start + LENGTH)
}
