//! Reads a segment line by line.

use super::error::{Location, StoreError};
use super::record::{self, MAX_LINE, Rank, Record};
use serde::Deserialize;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A line with a sound record.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) run: &'a str,
    pub(super) status: &'a str,
    pub(super) rank: Rank,
    pub(super) path: &'a Path,
    pub(super) line: u64,
    pub(super) offset: u64,
}

impl<'a> Line<'a> {
    /// The id of the run.
    pub fn run(&self) -> &'a str {
        self.run
    }

    /// How the run ended.
    pub fn status(&self) -> &'a str {
        self.status
    }

    /// The JSON object, without newline; `crc32` is one of its members.
    pub fn json(&self) -> &'a str {
        self.text
    }

    /// Where it is.
    pub fn location(&self) -> Location {
        Location {
            path: self.path.to_owned(),
            line: self.line,
            offset: self.offset,
        }
    }

    /// Everything.
    ///
    /// # Errors
    /// If it has a number that is out of range or is nested deeper than 128 levels: nothing
    /// that [`Writer::append`](super::Writer::append) writes.
    pub fn record(&self) -> Result<Record, serde_json::Error> {
        record::whole(self.text)
    }

    /// The members that `T` has, which is faster than [`Self::record`].
    ///
    /// # Errors
    /// If they are missing or not of its types.
    pub fn parse<T: Deserialize<'a>>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.text)
    }
}

/// The last line of a segment, incomplete or with a wrong checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where it starts.
    pub at: Location,
    /// Its bytes.
    pub bytes: u64,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bytes of a torn record", self.at, self.bytes)
    }
}

/// Lines that follow each other and hold no records, with sound ones or a torn one behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where the first starts.
    pub at: Location,
    /// How many lines.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong with the first.
    pub reason: &'static str,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: no record, {}", self.at, self.reason)?;
        if self.lines > 1 {
            write!(f, "; {} such lines", self.lines)?;
        }
        Ok(())
    }
}

/// What is not sound in a segment.
#[derive(Debug, Default)]
pub(super) struct Unsound {
    pub damage: Vec<Damage>,
    pub torn: Option<Torn>,
}

/// Calls `visit` with every sound line of the segment `path`, from `file`, which stands at
/// its start.
pub(super) fn scan(
    path: &Path,
    file: impl Read,
    visit: &mut dyn FnMut(Line<'_>) -> Result<(), StoreError>,
) -> Result<Unsound, StoreError> {
    let mut lines = Lines {
        reader: BufReader::with_capacity(1 << 18, file),
        buffer: Vec::new(),
        ended: false,
    };
    let mut unsound = Unsound::default();
    let (mut line, mut offset) = (0, 0);
    // Whether the line before this one was damaged.
    let mut damaged = false;
    while let Some((length, last)) = lines.next().map_err(StoreError::io("read", path))? {
        line += 1;
        let sound = match lines.buffer.strip_suffix(b"\n") {
            _ if length > MAX_LINE as u64 => Err("it is longer than 16 MiB"),
            Some(bytes) => record::decode(bytes),
            None => Err("it has no end"),
        };
        let at = || Location {
            path: path.to_owned(),
            line,
            offset,
        };
        let reason = sound.as_ref().err().copied();
        match (sound, last) {
            (Ok((text, head)), _) => visit(Line {
                text,
                run: &head.run,
                status: &head.status,
                rank: Rank::of(&head.status, head.steps),
                path,
                line,
                offset,
            })?,
            (Err(_), true) => {
                unsound.torn = Some(Torn {
                    at: at(),
                    bytes: length,
                });
            }
            (Err(reason), false) => match unsound.damage.last_mut() {
                Some(damage) if damaged => {
                    damage.lines += 1;
                    damage.bytes += length;
                }
                _ => unsound.damage.push(Damage {
                    at: at(),
                    lines: 1,
                    bytes: length,
                    reason,
                }),
            },
        }
        damaged = reason.is_some();
        offset += length;
    }
    Ok(unsound)
}

struct Lines<R> {
    reader: BufReader<R>,
    /// The line with its newline, if it is not too long.
    buffer: Vec<u8>,
    /// The end was met. A file that is being written may have grown since, but what was read
    /// before is no line then: it is not asked again.
    ended: bool,
}

impl<R: Read> Lines<R> {
    /// Takes the next line: its length in bytes, and whether it is the last; `None` at the
    /// end. Of a line longer than [`MAX_LINE`] only the length is true.
    fn next(&mut self) -> io::Result<Option<(u64, bool)>> {
        if self.ended {
            return Ok(None);
        }
        let mut length = self.take(MAX_LINE)?;
        if length == 0 {
            return Ok(None);
        }
        // The rest, in small pieces: it may be as long as the disk.
        while !self.ended && self.buffer.last() != Some(&b'\n') {
            length += self.take(1 << 16)?;
        }
        while !self.ended {
            match self.reader.fill_buf() {
                Ok([]) => self.ended = true,
                Ok(_) => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Some((length, self.ended)))
    }

    /// Reads up to and with a newline, `limit` bytes at most.
    fn take(&mut self, limit: usize) -> io::Result<u64> {
        self.buffer.clear();
        let mut part = (&mut self.reader).take(limit as u64);
        let found = part.read_until(b'\n', &mut self.buffer)?;
        self.ended = found < limit && self.buffer.last() != Some(&b'\n');
        Ok(found as u64)
    }
}

/// Opens a segment for reading, and looks through it.
pub(super) fn scan_file(
    path: &Path,
    visit: &mut dyn FnMut(Line<'_>) -> Result<(), StoreError>,
) -> Result<Unsound, StoreError> {
    let file = File::open(path).map_err(StoreError::io("read", path))?;
    scan(path, file, visit)
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Number in [`Index::segments`](super::Index::segments).
    pub segment: u32,
    pub line: u64,
    pub offset: u64,
    /// With its newline, bytes.
    pub length: u32,
}

/// A segment, read at any place.
pub(super) struct Places<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    offset: u64,
    buffer: Vec<u8>,
}

impl<'a> Places<'a> {
    /// For places that follow each other.
    pub(super) fn open(path: &'a Path) -> Result<Self, StoreError> {
        Self::with_capacity(path, 1 << 18)
    }

    /// For places in any order: reads little that is not asked for.
    pub(super) fn scattered(path: &'a Path) -> Result<Self, StoreError> {
        Self::with_capacity(path, 1 << 12)
    }

    fn with_capacity(path: &'a Path, bytes: usize) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(StoreError::io("read", path))?;
        Ok(Self {
            path,
            reader: BufReader::with_capacity(bytes, file),
            offset: 0,
            buffer: Vec::new(),
        })
    }

    /// The line at `place`, with the record of `run`.
    pub(super) fn read<T>(
        &mut self,
        place: Place,
        run: &str,
        (status, rank): (&str, Rank),
        visit: impl FnOnce(Line<'_>) -> T,
    ) -> Result<T, StoreError> {
        let Place {
            line,
            offset,
            length,
            ..
        } = place;
        let path = self.path;
        let read = |e| StoreError::io("read", path)(e);
        // Forward within the buffer when visited in order, which costs nothing.
        let step = offset as i64 - self.offset as i64;
        self.reader.seek_relative(step).map_err(read)?;
        self.offset = offset;
        self.buffer.clear();
        let mut part = (&mut self.reader).take(u64::from(length));
        let found = part.read_to_end(&mut self.buffer).map_err(read)?;
        self.offset += found as u64;
        let text = match self.buffer.strip_suffix(b"\n").map(record::checked) {
            Some(Ok(text)) if found == length as usize => Some(text),
            _ => None,
        };
        // That it is this run's need not be parsed: it has been, and the bytes are sound.
        match text.filter(|text| text.contains(run)) {
            Some(text) => Ok(visit(Line {
                text,
                run,
                status,
                rank,
                path,
                line,
                offset,
            })),
            None => Err(StoreError::Changed(Location {
                path: PathBuf::from(path),
                line,
                offset,
            })),
        }
    }
}
