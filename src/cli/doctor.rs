//! `unificus doctor`: prints the findings about a deployment.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::say;
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor::{self, Diagnosis, Level};

/// The exit status where a finding is an error.
const UNWELL: u8 = 1;

/// The form of the report.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorOptions {
    /// Print JSON, one line per finding and one with the totals.
    #[arg(long)]
    json: bool,
    /// A directory whose disk is examined too: PostgreSQL's, that of its archive, NATS's. May be given several times.
    #[arg(long = "disk", value_name = "DIRECTORY")]
    disks: Vec<PathBuf>,
}

pub(super) async fn run(config: &Config, options: DoctorOptions) -> anyhow::Result<ExitCode> {
    let findings = doctor::examine(config, &Clock::system(), &options.disks).await?;
    for finding in &findings {
        show(finding, options.json);
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    match (options.json, errors, warnings) {
        (true, ..) => say(format_args!("{}", json!({"errors": errors, "warnings": warnings}))),
        (false, 0, 0) => say(format_args!("All is well.")),
        (false, ..) => say(format_args!("{errors} errors, {warnings} warnings.")),
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(UNWELL) })
}

fn show(finding: &Diagnosis, as_json: bool) {
    let Diagnosis { check, level, message, remedy } = finding;
    let level = level.name();
    if as_json {
        let line = json!({"check": check, "level": level, "message": message, "remedy": remedy});
        return say(format_args!("{line}"));
    }
    say(format_args!("{level:<8}{check:<22}{message}"));
    if let Some(remedy) = remedy {
        say(format_args!("{:<30}→ {remedy}", ""));
    }
}
