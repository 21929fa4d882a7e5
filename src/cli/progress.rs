//! Shows how far a command is: a bar on a terminal, otherwise a line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use serde_json::json;

use super::say;
use crate::rebuild::RunProgress;

/// The characters of a bar.
const WIDTH: u64 = 30;

/// Where progress goes. Results go to standard output, so that they can be piped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    /// A line of JSON on standard output.
    Json,
    /// One line of standard error that is written again.
    Bar,
    /// Lines on standard error.
    Lines,
}

/// Waits for a command and shows its progress meanwhile, in events, lines or records.
pub(super) async fn shown<T>(progress: &RunProgress, unit: &str, json: bool, work: impl Future<Output = T>) -> T {
    let display = match (json, std::io::stderr().is_terminal()) {
        (true, _) => Display::Json,
        (false, true) => Display::Bar,
        (false, false) => Display::Lines,
    };
    let pause = match display {
        Display::Json => Duration::from_secs(1),
        Display::Bar => Duration::from_millis(100),
        Display::Lines => Duration::from_secs(10),
    };
    let mut ticks = tokio::time::interval(pause);
    let mut work = pin!(work);
    let mut shown = None;
    loop {
        tokio::select! {
            biased;
            result = &mut work => {
                display.clear();
                return result;
            }
            () = progress.next_phase() => {}
            _ = ticks.tick() => {}
        }
        let state = progress.state();
        if !state.0.is_empty() && shown != Some(state) {
            display.show(state, unit);
            shown = Some(state);
        }
    }
}

impl Display {
    fn show(self, (phase, done, total): (&str, u64, u64), unit: &str) {
        match self {
            Self::Json => say(format_args!("{}", json!({"phase": phase, unit: done, "of": total}))),
            Self::Bar if total > 0 => {
                let filled = usize::try_from(WIDTH * done / total).unwrap_or_default();
                let empty = usize::try_from(WIDTH).unwrap_or_default() - filled;
                let bar = ["#".repeat(filled), "-".repeat(empty)].concat();
                report(format_args!("\r{phase} [{bar}] {done} of {total} {unit}\x1b[K"));
            }
            Self::Bar => report(format_args!("\r{phase} ...\x1b[K")),
            Self::Lines if total > 0 => report(format_args!("{phase}: {done} of {total} {unit}\n")),
            Self::Lines => report(format_args!("{phase}\n")),
        }
    }

    fn clear(self) {
        if self == Self::Bar {
            report(format_args!("\r\x1b[K"));
        }
    }
}

/// Writes to standard error. Where that is closed, the command goes on without.
fn report(text: std::fmt::Arguments<'_>) {
    let mut stderr = std::io::stderr().lock();
    let _nobody_reads = stderr.write_fmt(text).and_then(|()| stderr.flush());
}
