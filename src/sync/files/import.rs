//! Imports a file: reads it twice, first to know its hash and its length, then to execute its lines in chunks.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::attributes::FileAttributes;
use super::lines::{FileError, FileSource, Line, Lines, OpenFile};
use super::operations::{Mapping, MappingOptions, Sender};
use super::repeated::RepeatedNames;
use super::report::ImportReport;
use crate::clock::Clock;
use crate::command::{self, CommandEnvelope, CommandResult, Failure, Preview};
use crate::domain::{AccountId, Entity, Record};
use crate::store::{Store, StoreError};

/// The lines that are executed in one transaction.
const CHUNK_LINES: usize = 500;
/// The bytes of lines after which a chunk ends.
const CHUNK_BYTES: usize = 1 << 20;

/// Kinds of names: ids in the other system, and lookup keys.
const REFERENCE: char = 'r';
const KEY: char = 'k';

/// A request to import a file.
#[derive(Debug, Clone)]
pub(crate) struct ImportRequest {
    pub(crate) account: AccountId,
    /// Contacts or companies.
    pub(crate) entity: Entity,
    pub(crate) source: FileSource,
    pub(crate) delimiter: u8,
    /// The origin of the events.
    pub(crate) origin: Arc<str>,
    pub(crate) mapping: MappingOptions,
    /// Whether the lines are only decided.
    pub(crate) dry_run: bool,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportStep {
    /// The file is read for the first time.
    Reading,
    /// This number of lines is to be executed.
    Executing(u64),
    /// This number of further lines is done.
    Done(u64),
}

/// An import that did not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0}")]
    Mapping(String),
    #[error("there is no account {0}")]
    NoAccount(AccountId),
    #[error("the file changed while it was imported: the lines that were executed stay executed")]
    Changed,
    #[error("the import stopped behind line {line}: {failure}. Start it again: it continues")]
    Stopped { line: u64, failure: Failure },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Executes the lines of a file, or only decides them.
pub(crate) async fn import(
    store: &Store,
    clock: &Clock,
    request: &ImportRequest,
    progress: impl Fn(ImportStep),
) -> Result<ImportReport, ImportError> {
    let schema = store.schema(request.account).await?;
    let attributes = FileAttributes::of(request.entity, &schema.custom_fields);
    let mut lines = Lines::open(&request.source, request.delimiter)?;
    let mapping = Mapping::new(request.entity, &request.mapping, &attributes, lines.header());
    let mapping = mapping.map_err(ImportError::Mapping)?;
    progress(ImportStep::Reading);
    let first = read(&mut lines, &mapping, request.dry_run)?;
    progress(ImportStep::Executing(first.lines));
    let sender =
        Sender { account: request.account, origin: Arc::clone(&request.origin), run: run(request, first.hash) };
    let mut execution =
        Execution { store, clock, preview: first.repeated.map(|repeated| (Preview::new(request.entity), repeated)) };
    let mut report = ImportReport { ignored: mapping.ignored.clone(), exact: true, ..ImportReport::default() };
    let mut lines = Lines::open(&request.source, request.delimiter)?;
    let mut chunk = Chunk::read(&mut lines, &mapping, &sender)?;
    let mut done = 1;
    while let Some(current) = chunk {
        // The next chunk is read while the database works on this one.
        let (results, next) = tokio::join!(biased; execution.execute(&current.envelopes), async { Chunk::read(&mut lines, &mapping, &sender) });
        let count = current.lines.len();
        let mut results = results.into_iter();
        for (line, refused) in current.lines {
            if let Some(reason) = refused {
                report.refuse(line, reason);
            } else {
                let result = results.next().unwrap_or(Err(Failure::Unavailable));
                report.add(line, result).map_err(|failure| {
                    if failure == Failure::NoAccount {
                        ImportError::NoAccount(request.account)
                    } else {
                        ImportError::Stopped { line: done, failure }
                    }
                })?;
            }
            done = line;
        }
        progress(ImportStep::Done(u64::try_from(count).unwrap_or_default()));
        chunk = next?;
    }
    if lines.hash() != first.hash {
        return Err(ImportError::Changed);
    }
    report.exact = execution.preview.is_none_or(|(preview, _)| preview.is_complete());
    Ok(report)
}

/// The result of the first reading.
struct FirstReading {
    lines: u64,
    hash: [u8; 32],
    /// For a dry run.
    repeated: Option<RepeatedNames>,
}

fn read(lines: &mut Lines<OpenFile>, mapping: &Mapping, dry_run: bool) -> Result<FirstReading, FileError> {
    let mut repeated = dry_run.then(RepeatedNames::new);
    let mut count = 0;
    while let Some(line) = lines.next()? {
        count += 1;
        let (Line::Cells { cells, .. }, Some(repeated)) = (line, &mut repeated) else { continue };
        let (reference, key) = mapping.names(&cells);
        if let Some(id) = reference {
            repeated.add(REFERENCE, &id);
        }
        if let Some(key) = key {
            repeated.add(KEY, &key);
        }
    }
    Ok(FirstReading { lines: count, hash: lines.hash(), repeated })
}

/// Names a file together with the choices that decide what its lines do.
fn run(request: &ImportRequest, hash: [u8; 32]) -> String {
    let choices = format!("{:?} {:?} {:?}", request.entity, request.delimiter, request.mapping);
    let digest = Sha256::new().chain_update(hash).chain_update(choices).finalize();
    let bytes: Vec<u8> = digest.iter().copied().take(12).collect();
    ["file:", &URL_SAFE_NO_PAD.encode(bytes)].concat()
}

/// Lines that are executed together.
struct Chunk {
    /// The numbers of the lines. A line with a reason has no command.
    lines: Vec<(u64, Option<String>)>,
    envelopes: Vec<CommandEnvelope>,
}

impl Chunk {
    /// The next chunk; `None` at the end of the file.
    fn read(lines: &mut Lines<OpenFile>, mapping: &Mapping, sender: &Sender) -> Result<Option<Self>, FileError> {
        let mut chunk = Self { lines: Vec::new(), envelopes: Vec::new() };
        let mut bytes = 0;
        while chunk.lines.len() < CHUNK_LINES && bytes < CHUNK_BYTES {
            let Some(line) = lines.next()? else { break };
            let (line, envelope) = match line {
                Line::Unusable { line, reason } => (line, Err(reason)),
                Line::Cells { line, cells } => (line, mapping.envelope(sender, line, &cells)),
            };
            let refused = match envelope {
                Ok(envelope) => {
                    bytes += envelope.bytes;
                    chunk.envelopes.push(envelope);
                    None
                }
                Err(reason) => Some(reason),
            };
            chunk.lines.push((line, refused));
        }
        Ok((!chunk.lines.is_empty()).then_some(chunk))
    }
}

/// Executes chunks, or decides them.
struct Execution<'a> {
    store: &'a Store,
    clock: &'a Clock,
    /// For a dry run.
    preview: Option<(Preview, RepeatedNames)>,
}

impl Execution<'_> {
    async fn execute(&mut self, envelopes: &[CommandEnvelope]) -> Vec<Result<CommandResult, Failure>> {
        if envelopes.is_empty() {
            return Vec::new();
        }
        let Some((preview, repeated)) = &mut self.preview else {
            return command::execute_all(self.store, self.clock, envelopes).await;
        };
        let is_repeated = |record: &Record| {
            record.key().is_some_and(|key| repeated.has(KEY, &key))
                || record.refs.iter().any(|reference| repeated.has(REFERENCE, &reference.id))
        };
        preview.decide(self.store, self.clock, envelopes, is_repeated).await
    }
}
