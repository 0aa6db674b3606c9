//! IDX, the format of MNIST: `00 00`, a type code, the rank, each dimension as a big-endian `u32`,
//! then the elements, row-major. Raw or gzipped, told apart by content.
//!
//! A header is a claim, not a fact. Sizes are checked in 64 bits against [`MAX_FILE_BYTES`], the buffer
//! grows only as bytes arrive (to at most twice what has come), and no more raw bytes are taken
//! than the header says and one, which must not be there.

use std::collections::TryReserveError;
use std::fmt;
use std::io::Read;

use sha2::{Digest, Sha256};

use super::CLASSES;
pub use super::error::IdxError;
use crate::pool;

mod source;
use source::{GZIP_MAGIC, Source};

/// The most raw bytes, header included, that a file may claim: 1 GiB.
pub const MAX_FILE_BYTES: u64 = 1 << 30;

/// The only element type in use here: unsigned byte.
const UNSIGNED_BYTE: u8 = 0x08;
/// The most bytes that are read, hashed and handed on at a time: few enough to stay in the cache.
pub const PIECE: usize = 64 << 10;
/// Fewer bytes are not worth a thread.
const SMALL: usize = 1 << 20;

/// What a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Three dimensions: count, rows, columns.
    Images,
    /// One dimension: count. Each label is below [`CLASSES`].
    Labels,
}

impl Kind {
    /// The number of dimensions.
    pub const fn rank(self) -> u8 {
        match self {
            Kind::Images => 3,
            Kind::Labels => 1,
        }
    }

    /// The first four bytes of such a file.
    pub const fn magic(self) -> u32 {
        u32::from_be_bytes([0, 0, UNSIGNED_BYTE, self.rank()])
    }

    /// Bytes before the first element.
    pub const fn header_len(self) -> usize {
        match self {
            Kind::Images => 16,
            Kind::Labels => 8,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Images => "images",
            Kind::Labels => "labels",
        })
    }
}

/// A checked header: no dimension is zero, and the whole is at most [`MAX_FILE_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    kind: Kind,
    dims: [u32; 3],
    payload: usize,
}

impl Header {
    /// Reads the header off `bytes`, which may be longer than it.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it, in the order of the bytes.
    pub fn parse(kind: Kind, bytes: &[u8]) -> Result<Header, IdxError> {
        if bytes.is_empty() {
            return Err(IdxError::Empty(kind));
        }
        let truncated = IdxError::Truncated {
            expected: kind.header_len() as u64,
            found: bytes.len() as u64,
        };
        let Some((&magic, dims)) = bytes.split_first_chunk::<4>() else {
            return Err(truncated);
        };
        match magic {
            [0, 0, UNSIGNED_BYTE, rank] if rank == kind.rank() => {}
            [0, 0, UNSIGNED_BYTE, found] => return Err(IdxError::Rank { found, kind }),
            [0, 0, code, _] => return Err(IdxError::ElementType { code }),
            found => return Err(IdxError::Magic { found, kind }),
        }
        if bytes.len() < kind.header_len() {
            return Err(truncated);
        }
        let mut checked = [1; 3];
        let (words, _) = dims.as_chunks::<4>();
        for (i, (dim, word)) in checked
            .iter_mut()
            .zip(words)
            .take(kind.rank().into())
            .enumerate()
        {
            *dim = u32::from_be_bytes(*word);
            if *dim == 0 {
                return Err(IdxError::ZeroDimension {
                    offset: 4 + 4 * i as u64,
                    axis: ["count", "rows", "columns"][i],
                });
            }
        }
        Header::new(kind, checked)
    }

    fn new(kind: Kind, dims: [u32; 3]) -> Result<Header, IdxError> {
        let room = MAX_FILE_BYTES - kind.header_len() as u64;
        dims.iter()
            .try_fold(1u64, |product, &dim| product.checked_mul(dim.into()))
            .filter(|&payload| payload <= room)
            .and_then(|payload| usize::try_from(payload).ok())
            .map(|payload| Header {
                kind,
                dims,
                payload,
            })
            .ok_or_else(|| IdxError::TooLarge {
                dims: shape(&dims[..kind.rank().into()]),
            })
    }

    /// What the file holds.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many images or labels; at least 1.
    pub fn count(&self) -> usize {
        // No dimension is larger than the product of all, which is a usize.
        self.dims[0] as usize
    }

    /// Rows of an image, at least 1; 1 for labels.
    pub fn rows(&self) -> usize {
        self.dims[1] as usize
    }

    /// Columns of an image, at least 1; 1 for labels.
    pub fn cols(&self) -> usize {
        self.dims[2] as usize
    }

    /// The dimensions as text: `60000×28×28`.
    pub fn shape(&self) -> String {
        shape(&self.dims[..self.kind.rank().into()])
    }

    /// Bytes of elements.
    pub fn payload_len(&self) -> usize {
        self.payload
    }

    /// Bytes of the whole raw file.
    pub fn file_len(&self) -> u64 {
        self.kind.header_len() as u64 + self.payload as u64
    }

    /// The header's bytes: 16 for images, 8 for labels.
    pub fn to_bytes(&self) -> Vec<u8> {
        let dims = &self.dims[..self.kind.rank().into()];
        let words = std::iter::once(self.kind.magic()).chain(dims.iter().copied());
        words.flat_map(u32::to_be_bytes).collect()
    }
}

fn shape(dims: &[u32]) -> String {
    let dims: Vec<_> = dims.iter().map(u32::to_string).collect();
    dims.join("×")
}

/// What a file was, besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// SHA-256 of the raw bytes, header included, in lower-case hex.
    pub sha256: String,
    /// Whether it came compressed.
    pub gzipped: bool,
}

/// The content of one IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    header: Header,
    data: Vec<u8>,
    origin: Origin,
}

impl Idx {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The elements, row-major: `header().payload_len()` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The elements, without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// SHA-256 of the raw bytes, header included, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.origin.sha256
    }

    /// Whether it came compressed.
    pub fn gzipped(&self) -> bool {
        self.origin.gzipped
    }
}

/// Reads a whole file, raw or gzipped, that is already in memory.
///
/// # Errors
///
/// See [`IdxError`]; the same as [`Reader`] gives for the same bytes.
pub fn parse(kind: Kind, bytes: &[u8]) -> Result<Idx, IdxError> {
    if bytes.starts_with(&GZIP_MAGIC) {
        return Reader::new(kind, bytes)?.read();
    }
    let header = Header::parse(kind, bytes)?;
    let (found, expected) = (bytes.len() as u64, header.file_len());
    if found < expected {
        return Err(IdxError::Truncated { expected, found });
    }
    if found > expected {
        return Err(IdxError::Trailing { expected });
    }
    let data = bytes[kind.header_len()..].to_vec();
    check_labels(kind, &data)?;
    let origin = Origin {
        sha256: format!("{:x}", Sha256::digest(bytes)),
        gzipped: false,
    };
    Ok(Idx {
        header,
        data,
        origin,
    })
}

/// Reads from a stream, raw or gzipped: the header first, so that it can be judged before the rest is read.
#[derive(Debug)]
pub struct Reader<R: Read> {
    source: Source<R>,
    header: Header,
}

impl<R: Read> Reader<R> {
    /// Reads the header. Of a raw stream no byte beyond it is taken.
    ///
    /// # Errors
    ///
    /// See [`IdxError`].
    pub fn new(kind: Kind, stream: R) -> Result<Self, IdxError> {
        let mut source = Source::sniff(stream)?;
        let mut buffer = [0; 16];
        let buffer = &mut buffer[..kind.header_len()];
        // The magic number first: a stream that is no IDX file need not have 16 bytes.
        let mut filled = source.fill(&mut buffer[..4], 0)?;
        if filled == 4 && buffer[..4] == kind.magic().to_be_bytes() {
            filled += source.fill(&mut buffer[4..], 4)?;
        }
        let header = Header::parse(kind, &buffer[..filled])?;
        source.allow(header.file_len());
        Ok(Reader { source, header })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the elements, and makes sure that nothing follows.
    ///
    /// # Errors
    ///
    /// See [`IdxError`].
    pub fn read(self) -> Result<Idx, IdxError>
    where
        R: Send,
    {
        let header = self.header;
        let mut data = Vec::new();
        let origin = self.read_rows(|rows| {
            if data.capacity() - data.len() < rows.len() {
                let left = header.payload - data.len();
                data.try_reserve_exact(left.min(data.len().max(rows.len())))?;
            }
            data.extend_from_slice(rows);
            Ok(())
        })?;
        check_labels(header.kind, &data)?;
        Ok(Idx {
            header,
            data,
            origin,
        })
    }

    /// Hands the elements to `take` as they come, at most [`PIECE`] bytes at a time and always whole
    /// rows (images, or labels) unless one is larger than that. What they are is not looked at; only
    /// in the end is it made sure that nothing follows, and known what the file was. A file that is
    /// not small is inflated on a thread of its own.
    ///
    /// # Errors
    ///
    /// See [`IdxError`]; [`IdxError::OutOfMemory`] if `take` has no memory.
    pub fn read_rows(
        self,
        mut take: impl FnMut(&[u8]) -> Result<(), TryReserveError>,
    ) -> Result<Origin, IdxError>
    where
        R: Send,
    {
        let gzipped = self.source.gzipped();
        let small = self.header.payload < SMALL;
        let mut hasher = Sha256::new_with_prefix(self.header.to_bytes());
        let mut pieces = Pieces {
            reader: self,
            done: 0,
            ended: false,
        };
        let mut taken = 0;
        let mut take_all = |pieces: &mut dyn Iterator<Item = Result<Vec<u8>, IdxError>>| {
            for piece in pieces {
                let piece = piece?;
                taken += piece.len();
                hasher.update(&piece);
                take(&piece).map_err(|_| IdxError::OutOfMemory { bytes: taken })?;
            }
            Ok(())
        };
        match small {
            true => take_all(&mut pieces)?,
            false => pool::ahead(pieces, take_all)?,
        }
        Ok(Origin {
            sha256: format!("{:x}", hasher.finalize()),
            gzipped,
        })
    }
}

/// The elements of a file, piece by piece; an error is the last one.
struct Pieces<R: Read> {
    reader: Reader<R>,
    /// Bytes of elements that have come.
    done: usize,
    ended: bool,
}

impl<R: Read> Pieces<R> {
    /// The next piece; none at the end, where there must be no more.
    fn read(&mut self) -> Result<Option<Vec<u8>>, IdxError> {
        let Reader { source, header } = &mut self.reader;
        let (len, expected) = (header.payload, header.file_len());
        if self.done == len {
            source.finish(expected)?;
            return Ok(None);
        }
        let row = len / header.count();
        let most = match row <= PIECE {
            true => PIECE - PIECE % row,
            false => PIECE,
        };
        let at = (header.kind.header_len() + self.done) as u64;
        let mut piece = vec![0; most.min(len - self.done)];
        let filled = source.fill(&mut piece, at)?;
        self.done += filled;
        match filled < piece.len() {
            true => Err(IdxError::Truncated {
                expected,
                found: at + filled as u64,
            }),
            false => Ok(Some(piece)),
        }
    }
}

impl<R: Read> Iterator for Pieces<R> {
    type Item = Result<Vec<u8>, IdxError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let piece = self.read().transpose();
        self.ended = !matches!(piece, Some(Ok(_)));
        piece
    }
}

fn check_labels(kind: Kind, data: &[u8]) -> Result<(), IdxError> {
    if kind == Kind::Images {
        return Ok(());
    }
    match data.iter().position(|&label| usize::from(label) >= CLASSES) {
        None => Ok(()),
        Some(index) => Err(IdxError::Label {
            offset: (kind.header_len() + index) as u64,
            index,
            found: data[index],
        }),
    }
}
