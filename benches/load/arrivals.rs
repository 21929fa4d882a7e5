//! Events as they arrive at a reader, and the latency of each.
//!
//! An event's `time` is taken when it is decided, just before its transaction commits, by the clock of this machine. A
//! latency here therefore contains the commit and the delivery after it.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, sleep};

use crate::tally::Latencies;

/// The events that a reader received. Shared between the reader's thread and the thread that evaluates them.
#[derive(Default)]
pub(crate) struct Arrivals {
    events: AtomicU64,
    unreadable: AtomicU64,
    seen: Mutex<Seen>,
    /// Takes every event as a line.
    copy: Option<Mutex<File>>,
}

#[derive(Default)]
struct Seen {
    latencies: Latencies,
    ids: HashSet<String>,
}

impl Arrivals {
    /// Keeps a copy of every body.
    pub(crate) fn copied_to(path: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { copy: Some(Mutex::new(file)), ..Self::default() })
    }

    /// Takes a CloudEvent that has just arrived.
    pub(crate) fn take(&self, body: &[u8]) {
        let arrived = wall_clock_micros();
        if let Some(Ok(mut file)) = self.copy.as_ref().map(Mutex::lock) {
            let line = [body, b"\n"].concat();
            if let Err(error) = file.write_all(&line) {
                crate::figures::say(&format!("copying an event failed: {error}"));
            }
        }
        let text = std::str::from_utf8(body).unwrap_or_default();
        let id = attribute(text, "\"id\":\"");
        let decided = attribute(text, "\"time\":\"").and_then(micros);
        let (Some(id), Some(decided), Ok(mut seen)) = (id, decided, self.seen.lock()) else {
            self.unreadable.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // A redelivery is ignored; its first arrival was counted.
        if seen.ids.insert(id.to_owned()) {
            seen.latencies.add(arrived - decided);
            self.events.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Arrivals that were not CloudEvents.
    pub(crate) fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// The latencies so far.
    pub(crate) fn latencies(&self) -> Latencies {
        self.seen.lock().map(|seen| seen.latencies.clone()).unwrap_or_default()
    }

    /// Waits until `expected` events have arrived, or none has arrived for `idle_timeout`.
    pub(crate) async fn wait_for(&self, expected: u64, idle_timeout: Duration) {
        let mut last = (self.events(), Instant::now());
        while self.events() < expected && last.1.elapsed() < idle_timeout {
            sleep(Duration::from_millis(50)).await;
            if self.events() > last.0 {
                last = (self.events(), Instant::now());
            }
        }
    }
}

/// Microseconds since 1970.
pub(crate) fn wall_clock_micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// The text after `key`, up to its closing quote. An event's own attributes stand before its data, so the first match
/// is the attribute.
fn attribute<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let start = text.find(key)? + key.len();
    let rest = text.get(start..)?;
    rest.get(..rest.find('"')?)
}

fn micros(rfc3339: &str) -> Option<i64> {
    let at = OffsetDateTime::parse(rfc3339, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000).ok()
}
