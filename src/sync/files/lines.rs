//! Reads a file of comma-separated values line by line.
//!
//! Guarantees: a line of any length takes at most [`MAX_LINE`] bytes of memory, and a bit more. Lines that cannot be used are
//! returned with the reason, and reading goes on behind them.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use bytes::Bytes;
use csv::{ByteRecord, ReaderBuilder};
use sha2::{Digest as _, Sha256};

/// The longest line, in bytes. A record's JSON is shorter.
const MAX_LINE: usize = 1 << 20;

/// The bytes that are read at once.
const BUFFER: usize = 64 << 10;

/// The file as a whole cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read the file")]
    Unreadable(#[from] io::Error),
    #[error("the file is no regular file, which can be read twice")]
    NotRegular,
    #[error("the file is empty: its first line must have the names of the columns")]
    Empty,
    #[error("the file is in UTF-16: save it as \"CSV UTF-8\"")]
    Utf16,
    #[error("the names of the columns are not in UTF-8: save the file as \"CSV UTF-8\"")]
    HeaderNotUtf8,
    #[error("the file has two columns {0:?}: rename one of them")]
    RepeatedColumn(String),
    #[error("the file has the single column {0:?}: name its separator by --delimiter")]
    OtherDelimiter(String),
    #[error("line {line} or a later one is longer than {MAX_LINE} bytes: a quotation mark may be missing")]
    TooLong { line: u64 },
}

/// The file of an import, which is read twice.
#[derive(Debug, Clone)]
pub(crate) enum FileSource {
    Path(PathBuf),
    /// A file that was uploaded.
    Bytes(Bytes),
}

/// A source that is being read.
pub(super) type OpenFile = Box<dyn Read + Send>;

/// A line below the header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A cell per column.
    Cells { line: u64, cells: csv::StringRecord },
    /// A line that cannot be used, with the reason.
    Unusable { line: u64, reason: String },
}

/// The lines of an open file.
pub(super) struct Lines<R> {
    reader: csv::Reader<Source<R>>,
    header: Vec<String>,
    record: ByteRecord,
}

/// Computes the hash of the bytes that are read, and bounds the bytes of a line.
struct Source<R> {
    inner: R,
    hash: Sha256,
    /// The bytes that may be read until the line ends.
    budget: usize,
    /// The bytes that were read last, and the position of the first of them.
    block: Vec<u8>,
    begins: u64,
}

impl<R> Source<R> {
    /// Whether the byte before this position, which was read last, is a line feed.
    fn is_after_line_feed(&self, position: u64) -> bool {
        let index = position.checked_sub(self.begins + 1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.block.get(index)) == Some(&b'\n')
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        self.hash.update(bytes);
        if read > 0 {
            self.begins += self.block.len() as u64;
            self.block.clear();
            self.block.extend_from_slice(bytes);
        }
        self.budget = self.budget.saturating_sub(read);
        Ok(read)
    }
}

impl Lines<OpenFile> {
    /// Opens a file and reads its header.
    pub(super) fn open(source: &FileSource, delimiter: u8) -> Result<Self, FileError> {
        let opened: OpenFile = match source {
            FileSource::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
            FileSource::Path(path) => {
                let file = File::open(path)?;
                // A pipe would be empty when it is read for the second time.
                if !file.metadata()?.is_file() {
                    return Err(FileError::NotRegular);
                }
                Box::new(file)
            }
        };
        Self::new(opened, delimiter)
    }
}

impl<R: Read> Lines<R> {
    /// Reads the header.
    pub(super) fn new(inner: R, delimiter: u8) -> Result<Self, FileError> {
        let source = Source { inner, hash: Sha256::new(), budget: 0, block: Vec::new(), begins: 0 };
        let reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(source);
        let mut lines = Self { reader, header: Vec::new(), record: ByteRecord::new() };
        if !lines.read()? {
            return Err(FileError::Empty);
        }
        if lines.record.get(0).is_some_and(|cell| cell.starts_with(&[0xff, 0xfe]) || cell.starts_with(&[0xfe, 0xff])) {
            return Err(FileError::Utf16);
        }
        let names: Result<Vec<&str>, _> = lines.record.iter().map(std::str::from_utf8).collect();
        let names = names.map_err(|_| FileError::HeaderNotUtf8)?;
        let header: Vec<String> = names.into_iter().map(|name| name.trim().to_owned()).collect();
        for (index, name) in header.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            if header.iter().take(index).any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(FileError::RepeatedColumn(name.clone()));
            }
        }
        if let [only] = &header[..]
            && only.contains([',', ';', '\t', '|'])
        {
            return Err(FileError::OtherDelimiter(only.clone()));
        }
        lines.header = header;
        Ok(lines)
    }

    /// The names of the columns. A column without a name has an empty one.
    pub(super) fn header(&self) -> &[String] {
        &self.header
    }

    /// The next line; `None` at the end of the file. Empty lines are left out.
    pub(super) fn next(&mut self) -> Result<Option<Line>, FileError> {
        if !self.read()? {
            return Ok(None);
        }
        let line = self.line();
        let (cells, columns) = (self.record.len(), self.header.len());
        if cells != columns {
            let reason = format!("The line has {cells} cells, but the file has {columns} columns.");
            return Ok(Some(Line::Unusable { line, reason }));
        }
        Ok(Some(match csv::StringRecord::from_byte_record(self.record.clone()) {
            Ok(cells) => Line::Cells { line, cells },
            Err(error) => {
                let column = self.header.get(error.utf8_error().field()).map_or("", String::as_str);
                let reason = format!("The cell in column {column:?} is not in UTF-8: save the file as \"CSV UTF-8\".");
                Line::Unusable { line, reason }
            }
        }))
    }

    /// SHA-256 of all bytes. Complete once [`Self::next`] has returned `None`.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.reader.get_ref().hash.clone().finalize().into()
    }

    /// The number of the line on which the record begins. The parser's own number is that of an empty line before it, or of
    /// the line feed that belongs to the line before.
    fn line(&self) -> u64 {
        let end = self.reader.position();
        let is_ended = self.reader.get_ref().is_after_line_feed(end.byte());
        let line_feeds = self.record.as_slice().split(|byte| *byte == b'\n').count() as u64 - 1;
        end.line().saturating_sub(line_feeds + u64::from(is_ended))
    }

    fn read(&mut self) -> Result<bool, FileError> {
        self.reader.get_mut().budget = MAX_LINE;
        let begins = self.reader.position().line();
        self.reader.read_byte_record(&mut self.record).map_err(|error| {
            let is_too_long =
                matches!(error.kind(), csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::FileTooLarge);
            if is_too_long { FileError::TooLong { line: begins } } else { io::Error::from(error).into() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut lines = Lines::new(bytes, b',').expect("a header");
        let mut read = Vec::new();
        while let Some(line) = lines.next().expect("a readable file") {
            read.push(match line {
                Line::Cells { line, cells } => (line, Ok(cells.iter().map(str::to_owned).collect())),
                Line::Unusable { line, reason } => (line, Err(reason)),
            });
        }
        read
    }

    fn cells(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_line_has_the_number_that_an_editor_shows() {
        let expected = [(2, ["1", "a"]), (3, ["2", "b\nb"]), (5, ["3", "c"]), (7, ["4", "d"])];
        let expected: Vec<_> = expected.iter().map(|(line, texts)| (*line, Ok(cells(texts)))).collect();
        assert_eq!(read(b"n,t\n1,a\n2,\"b\nb\"\n3,c\n\n4,d\n"), expected);
        let with_crlf = read(b"n,t\r\n1,a\r\n2,\"b\nb\"\r\n3,c\r\n\r\n4,d\r\n");
        assert_eq!(with_crlf, expected);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_column() {
        let lines = Lines::new("\u{feff}name,\"e, mail\"\n".as_bytes(), b',').expect("a header");
        assert_eq!(lines.header(), ["name", "e, mail"]);
        assert!(matches!(Lines::new(&b"\xff\xfen\0,\0"[..], b','), Err(FileError::Utf16)));
    }

    #[test]
    fn a_line_of_another_length_or_encoding_is_unusable_and_the_next_one_is_read() {
        let read = read(b"n,t\n1\n2,\xe9t\xe9\n3,c,d\n4,d\n");
        let reason = |index: usize| read[index].1.as_ref().expect_err("a reason").clone();
        assert_eq!(reason(0), "The line has 1 cells, but the file has 2 columns.");
        assert_eq!(reason(1), "The cell in column \"t\" is not in UTF-8: save the file as \"CSV UTF-8\".");
        assert_eq!(reason(2), "The line has 3 cells, but the file has 2 columns.");
        assert_eq!(read[3], (5, Ok(cells(&["4", "d"]))));
    }

    #[test]
    fn a_file_without_usable_column_names_is_refused() {
        let refused = |bytes: &'static [u8]| Lines::new(bytes, b',').err().expect("an error").to_string();
        assert!(refused(b"").contains("empty"));
        assert!(refused(b"a,b,A\n").contains("two columns \"A\""));
        assert!(refused(b"a;b\n1;2\n").contains("--delimiter"));
        assert!(refused(b"\xe9,b\n").contains("UTF-8"));
    }

    /// An endless file.
    struct Endless;

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }

    #[test]
    fn a_quotation_mark_that_is_not_closed_does_not_read_the_whole_file() {
        let mut lines = Lines::new((&b"n,t\n1,a\n2,\""[..]).chain(Endless), b',').expect("a header");
        assert!(matches!(lines.next(), Ok(Some(Line::Cells { line: 2, .. }))));
        assert!(matches!(lines.next(), Err(FileError::TooLong { line: 3 })));
        assert!(lines.record.as_slice().len() <= MAX_LINE + BUFFER);
    }
}
