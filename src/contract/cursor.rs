//! The cursor of the feed: opaque to clients, epoch and position to this service.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::Seq;

/// A position in an account's log. The epoch changes when a log is restored from a backup that lacks events which were sent
/// already; then cursors of earlier epochs are invalid and clients must synchronise again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Cursor {
    pub epoch: i32,
    pub seq: Seq,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 12];
        let (epoch, seq) = bytes.split_at_mut(4);
        epoch.copy_from_slice(&self.epoch.to_be_bytes());
        seq.copy_from_slice(&self.seq.0.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// The text is not a cursor of this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that this service gave out")]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes: [u8; 12] = URL_SAFE_NO_PAD.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or(NotACursor)?;
        let (epoch, seq) = bytes.split_at(4);
        let epoch = epoch.try_into().map(i32::from_be_bytes).map_err(|_| NotACursor)?;
        let seq = seq.try_into().map(i64::from_be_bytes).map_err(|_| NotACursor)?;
        if seq < 0 { Err(NotACursor) } else { Ok(Self { epoch, seq: Seq(seq) }) }
    }
}
