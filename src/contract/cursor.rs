//! The cursor that clients of the feed hold: opaque to them, (epoch, seq) to us.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::Seq;

/// A place in an account's log. `epoch` changes when a log was restored from a backup that is older than what was
/// already sent; a cursor of another epoch is of no use and its holder must synchronise anew.
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

/// The text is no cursor of ours.
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
