//! Logs. A message can be read alone; the same thing has the same field name everywhere; never personal data.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging to standard error; a second call in one process does nothing. Where nobody reads it, or the disk that
/// it goes to is full, what was to be said is lost, and the service goes on.
pub fn start(log: &LogConfig) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&log.filter)?)
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // An error here says that a subscriber is already set, as in tests.
    let _already = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
