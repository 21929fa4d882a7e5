//! `unificus import` and `unificus export`: records in files of comma-separated values.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::{clock_of, progress, say};
use crate::clock;
use crate::domain::{AccountId, Entity};
use crate::keys::MAX_KEY_NAME;
use crate::rebuild::RunProgress;
use crate::store::Store;
use crate::sync::files::{
    self, ExportRequest, Exported, FileSource, ImportReport, ImportRequest, ImportStep, MappingOptions, MatchBy,
};

/// The kinds of records that files have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Records {
    Contacts,
    Companies,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MatchOption {
    Email,
    Name,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EmptyCells {
    Keep,
    Clear,
}

/// The file, the account and the meaning of the columns.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(super) struct ImportOptions {
    records: Records,
    /// The file. Its first line has the names of the columns.
    file: PathBuf,
    /// The account's Public ID.
    #[arg(long)]
    account: Uuid,
    /// Attributes of columns: `column=attribute,…`, may be repeated. A custom field is named by its label or UUID. `column=`
    /// leaves a column out. Columns with an attribute's name need no entry.
    #[arg(long, value_name = "COLUMN=ATTRIBUTE,…")]
    map: Vec<String>,
    /// A value that every line has: `role=Lead`. May be repeated.
    #[arg(long, value_name = "ATTRIBUTE=VALUE")]
    set: Vec<String>,
    /// The column with the record's id in the system that the file comes from.
    #[arg(long, value_name = "COLUMN")]
    ref_column: Option<String>,
    /// How a line is matched with an existing record. By default contacts by email and companies by name.
    #[arg(long = "match", value_enum)]
    match_by: Option<MatchOption>,
    /// Whether an empty cell leaves the attribute as it is, or clears it.
    #[arg(long, value_enum, default_value = "keep")]
    empty: EmptyCells,
    /// Refuse contacts whose company does not exist, instead of creating it.
    #[arg(long)]
    existing_companies: bool,
    /// The origin of the events.
    #[arg(long, default_value = "import")]
    origin: String,
    /// The character between cells, or `tab`.
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Write nothing, and report what the import would do now.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: lines with the progress, and one with the report.
    #[arg(long)]
    json: bool,
}

/// The account, and where its records go.
#[derive(Debug, Args)]
pub(super) struct ExportOptions {
    records: Records,
    /// The file; by default standard output. An existing file is replaced when the export is complete.
    file: Option<PathBuf>,
    /// The account's Public ID.
    #[arg(long)]
    account: Uuid,
    /// The character between cells, or `tab`.
    #[arg(long, default_value = ",", value_parser = delimiter)]
    delimiter: u8,
    /// Begin with a byte order mark, by which some spreadsheets recognise UTF-8.
    #[arg(long)]
    bom: bool,
    /// Print the number of records as JSON, and lines with the progress. Needs a file.
    #[arg(long, requires = "file")]
    json: bool,
}

impl Records {
    fn entity(self) -> Entity {
        match self {
            Self::Contacts => Entity::Contact,
            Self::Companies => Entity::Company,
        }
    }
}

pub(super) async fn import(store: &Store, options: ImportOptions) -> anyhow::Result<()> {
    store.check_schema().await?;
    let origin = options.origin.trim();
    let is_usable = !origin.is_empty() && origin.chars().count() <= MAX_KEY_NAME && !origin.contains(char::is_control);
    ensure!(is_usable, "the origin must have 1 to {MAX_KEY_NAME} characters, none of them a control character");
    let matching = match (options.match_by, options.records) {
        (Some(MatchOption::Email), _) | (None, Records::Contacts) => MatchBy::Email,
        (Some(MatchOption::Name), _) | (None, Records::Companies) => MatchBy::Name,
        (Some(MatchOption::None), _) => MatchBy::None,
    };
    let mapping = MappingOptions {
        map: pairs(&options.map, "--map", true)?,
        set: pairs(&options.set, "--set", false)?,
        ref_column: options.ref_column.clone(),
        matching,
        clear_empty: options.empty == EmptyCells::Clear,
        create_companies: !options.existing_companies,
    };
    let request = ImportRequest {
        account: AccountId(options.account),
        entity: options.records.entity(),
        source: FileSource::Path(options.file.clone()),
        delimiter: options.delimiter,
        origin: origin.into(),
        mapping,
        dry_run: options.dry_run,
    };
    let (clock, began) = (clock_of(store).await?, clock::instant());
    let progress = RunProgress::default();
    let report_step = |step| match step {
        ImportStep::Reading => progress.begin("reading", 0),
        ImportStep::Executing(lines) if request.dry_run => progress.begin("checking", lines),
        ImportStep::Executing(lines) => progress.begin("importing", lines),
        ImportStep::Done(lines) => progress.add(lines),
    };
    let work = Box::pin(files::import(store, &clock, &request, report_step));
    let report = progress::shown(&progress, "lines", options.json, work);
    let report = report.await.with_context(|| format!("cannot import {}", options.file.display()))?;
    show(&report, &options, began.elapsed().as_secs_f64());
    Ok(())
}

fn show(report: &ImportReport, options: &ImportOptions, seconds: f64) {
    let ImportReport { lines, created, linked, updated, unchanged, duplicates, refused, conflicts, replayed, .. } =
        *report;
    if options.json {
        let noted: Vec<_> = report
            .noted
            .iter()
            .map(|noted| json!({"line": noted.line, "result": noted.result, "reason": noted.reason}))
            .collect();
        let shown = json!({"public_id": options.account, "dry_run": options.dry_run, "exact": report.exact,
            "lines": lines, "created": created, "linked": linked, "updated": updated, "unchanged": unchanged,
            "would_duplicate": duplicates, "refused": refused, "conflicts": conflicts, "replayed": replayed,
            "ignored_columns": report.ignored, "noted": noted, "noted_beyond": report.unlisted(),
            "seconds": seconds, "per_second": per_second(lines, seconds)});
        say(format_args!("{shown}"));
        return;
    }
    for noted in &report.noted {
        say(format_args!("line {}: {}: {}", noted.line, noted.result, noted.reason));
    }
    if report.unlisted() > 0 {
        say(format_args!("Further lines that are not listed: {}.", report.unlisted()));
    }
    if !report.ignored.is_empty() {
        say(format_args!("Columns that are not read: {}.", report.ignored.join(", ")));
    }
    let outcome = if options.dry_run { "would be imported" } else { "were imported" };
    say(format_args!("{lines} lines {outcome} in {seconds:.1} s ({:.0} per second):", per_second(lines, seconds)));
    say(format_args!("  created           {created}"));
    say(format_args!("  linked            {linked} ({updated} updated, {unchanged} unchanged)"));
    say(format_args!("  would duplicate   {duplicates}"));
    say(format_args!("  refused           {refused}"));
    say(format_args!("  with conflicts    {conflicts}"));
    if replayed > 0 {
        say(format_args!("  of an earlier run {replayed}"));
    }
    if !report.exact {
        say(format_args!("The file repeats too many records: the numbers of the import may differ."));
    }
}

fn per_second(lines: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { lines as f64 / seconds } else { 0.0 }
}

pub(super) async fn export(store: &Store, options: ExportOptions) -> anyhow::Result<()> {
    store.check_schema().await?;
    let account = AccountId(options.account);
    let is_there = store.accounts().await?.iter().any(|listed| listed.account == account);
    ensure!(is_there, "there is no account {account}");
    let request = ExportRequest::all(account, options.records.entity(), options.delimiter);
    let Some(file) = &options.file else {
        write(store, request, &options, BufWriter::new(std::io::stdout())).await?;
        return Ok(());
    };
    let unfinished = beside(file);
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let opened = opened.with_context(|| format!("cannot write {}", unfinished.display()))?;
    let written = write(store, request, &options, BufWriter::new(opened)).await;
    if written.is_err() {
        let _nothing_is_left = std::fs::remove_file(&unfinished);
    }
    let exported = written?;
    std::fs::rename(&unfinished, file).with_context(|| format!("cannot write {}", file.display()))?;
    if options.json {
        let as_of = exported.as_of.map(|as_of| as_of.to_string());
        let shown = json!({"public_id": account, "records": exported.records, "as_of": as_of});
        say(format_args!("{shown}"));
    } else {
        say(format_args!("{} records were exported to {}.", exported.records, file.display()));
    }
    Ok(())
}

/// Writes the records.
async fn write(
    store: &Store,
    request: ExportRequest,
    options: &ExportOptions,
    mut out: impl Write,
) -> anyhow::Result<Exported> {
    if options.bom {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let progress = RunProgress::default();
    let report_page = |done: u64, total: u64| {
        let (_, before, _) = progress.state();
        if before == 0 {
            progress.begin("exporting", total);
        }
        progress.add(done.saturating_sub(before));
    };
    let work = Box::pin(files::export(store, request, &mut out, report_page));
    let exported = progress::shown(&progress, "records", options.json, work).await?;
    out.flush()?;
    Ok(exported)
}

/// The file that becomes this one when it is complete.
fn beside(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".part");
    name.into()
}

/// Reads `one=other` pairs. With `several`, an argument has pairs between commas, and a pair with a comma stands in
/// quotation marks.
fn pairs(arguments: &[String], option: &str, several: bool) -> anyhow::Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for argument in arguments {
        let parts = if several { files::cells_of(argument) } else { vec![argument.clone()] };
        for part in parts.iter().filter(|part| !part.trim().is_empty()) {
            // The column of a map may have the sign in its name, and so may the value of a constant.
            let split = if several { part.rsplit_once('=') } else { part.split_once('=') };
            let Some((one, other)) = split else { bail!("{option} must be name=name, not {part:?}") };
            pairs.push((one.trim().to_owned(), other.trim().to_owned()));
        }
    }
    Ok(pairs)
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text.eq_ignore_ascii_case("tab") || text == "\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !b"\"'\r\n".contains(byte) => Ok(*byte),
        _ => Err("one ASCII character, or tab".to_owned()),
    }
}
