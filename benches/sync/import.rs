//! `unificus import` of a file into an empty account, beside the idle service.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::Bench;
use crate::service::{Dir, QUOTA};
use crate::table::say;
use crate::tally::median;

const RECORDS: u64 = 100_000;
/// Each takes many seconds.
const MAX_ROUNDS: usize = 3;
const TIMEOUT: Duration = Duration::from_mins(5);

/// Records per second.
pub(crate) async fn measure(bench: &Bench) -> Result<Option<f64>> {
    let dir = Dir::make("import")?;
    let file = dir.path().join("contacts.csv");
    write(&file)?;
    let mut rates = Vec::new();
    for round in 0..bench.rounds.min(MAX_ROUNDS) {
        let account = bench.account(&format!("import-{round}")).await?;
        let began = Instant::now();
        let mut import = Command::new(env!("CARGO_BIN_EXE_unificus"));
        import.args(["import", "contacts"]).arg(&file).args(["--ref-column", "id", "--json", "--account"]);
        import.arg(&account.public_id).envs(QUOTA).env("UNIFICUS_DATABASE__URL", &bench.service.urls.database);
        let output = timeout(TIMEOUT, import.stdin(Stdio::null()).kill_on_drop(true).output()).await;
        let output = output.context("unificus import timed out")?.context("running unificus import")?;
        let time = began.elapsed();
        let (printed, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let is_done = output.status.success() && printed.contains(&format!("\"created\":{RECORDS}"));
        ensure!(is_done, "unificus import ended with {}: {printed} {error}", output.status);
        rates.push(RECORDS as f64 / time.as_secs_f64());
    }
    say(&format!("import: {rates:.0?} records/s"));
    Ok(median(rates))
}

fn write(path: &Path) -> Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path).context("creating the file to import")?);
    writeln!(file, "id,role,first_name,last_name,email,phone,title,tags,city,company")?;
    for number in 1..=RECORDS {
        let company = number % 1_000;
        writeln!(
            file,
            "{number},Lead,Ann {number},Lee,contact.{number}@example.org,+31 20 {number:07},Engineer,\"new, vip\",Delft,\
             Company {company}"
        )?;
    }
    file.flush().context("writing the file to import")
}
