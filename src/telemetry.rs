//! Logs: one line per event on standard error, as text or as JSON.
//!
//! A message is `verb noun failed`, or the thing that happened, and can be read alone. Values stand in fields, so that a
//! search for a message finds all of its events. Personal data is never logged.
//!
//! The same thing has the same field everywhere:
//!
//! | field | value |
//! | --- | --- |
//! | `account` | an account's public id |
//! | `endpoint` | a push endpoint's id |
//! | `key_id` | a secret key's id |
//! | `request_id` | one request's id, which is in its response as `X-Request-Id` |
//! | `method`, `route`, `status` | of a request; `route` is the template, such as `/contact/{uid}` |
//! | `lane` | the command lane that runs a batch |
//! | `seq` | a position in an account's log; `from` and `through` for a range |
//! | `stream_sequence` | a position in the JetStream stream |
//! | `error` | an error with its sources: `format!("{error:#}")` |
//! | `attempt` | the number of an attempt, from 1 |
//! | `reason` | why something was done: one of a few fixed words |
//! | `duration_ms` | a duration in milliseconds |
//! | `worker`, `task`, `server` | a background worker, a task of the process, a private server of `unificus dev` |
//! | `accounts`, `commands`, `events`, … | a count of the noun |
//!
//! Fields of a span stand in each event inside it: before the message in text, in `spans` in JSON. A filter drops spans
//! as it drops events. A span whose fields each event needs is therefore made by `error_span!`, which every filter keeps
//! that keeps any event.

use std::backtrace::{Backtrace, BacktraceStatus};

use tracing::Dispatch;
use tracing::dispatcher::set_global_default;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging to standard error; a second call in one process does nothing. Events are lost, and the service goes
/// on, where standard error is closed or its disk is full.
pub(crate) fn start(log: &LogConfig) -> anyhow::Result<()> {
    // An error here says that logging has started already, as in tests.
    if set_global_default(dispatch(log, std::io::stderr)?).is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

fn dispatch<W>(log: &LogConfig, writer: W) -> anyhow::Result<Dispatch>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.filter)?)
        .log_internal_errors(false)
        .with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => builder.finish().into(),
        // The list of spans has the current one too.
        LogFormat::Json => builder.json().with_current_span(false).finish().into(),
    })
}

/// A panic becomes an event like others, with the fields of the spans that it happened in. The backtrace is there where
/// `RUST_BACKTRACE` asks for it.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let error = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string);
    let backtrace = Some(Backtrace::capture()).filter(|trace| trace.status() == BacktraceStatus::Captured);
    let backtrace = backtrace.map(|trace| trace.to_string());
    tracing::error!(error, location, backtrace, "thread panicked");
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The line that is logged of an event inside two spans.
    fn logged(format: LogFormat) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = LogConfig { filter: "warn".to_owned(), format };
        tracing::dispatcher::with_default(&dispatch(&log, move || writer.clone()).unwrap(), || {
            let request = tracing::error_span!("request", request_id = "r1", status = tracing::field::Empty);
            request.in_scope(|| {
                request.record("status", 503);
                tracing::error_span!("batch", commands = 2)
                    .in_scope(|| tracing::warn!(account = "a1", "save cursor failed"));
            });
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_event_has_the_fields_of_its_spans_whatever_the_filter() {
        let json: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!(json["fields"], serde_json::json!({"message": "save cursor failed", "account": "a1"}));
        let spans = serde_json::json!([
            {"name": "request", "request_id": "r1", "status": 503}, {"name": "batch", "commands": 2},
        ]);
        assert_eq!(json["spans"], spans);

        // Colours stand between a field's name and its value.
        let text = logged(LogFormat::Text);
        for part in
            ["request", "request_id", "r1", "status", "503", "batch", "commands", "account", "a1", "save cursor failed"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
