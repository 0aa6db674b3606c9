//! The bytes of a file, from a stream that gives them as they are or gzipped.

use std::io::{self, BufRead, BufReader, Read, Take};

use flate2::bufread::GzDecoder;

use super::{IdxError, PIECE};

/// Compressed bytes allowed beyond twice the raw size. Deflate can go on forever
/// without giving a byte (empty blocks); real streams are never larger than their content by much.
const GZIP_SLACK: u64 = 1 << 20;

/// How a gzip stream begins.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Raw bytes, from a stream that gives them as they are or compressed.
#[derive(Debug)]
pub(super) enum Source<R: Read> {
    Raw(Sniffed<R>),
    Gzip(Box<GzDecoder<BufReader<Take<Sniffed<R>>>>>),
}

impl<R: Read> Source<R> {
    pub(super) fn sniff(stream: R) -> Result<Self, IdxError> {
        let mut stream = Sniffed {
            prefix: [0; 2],
            len: 0,
            given: 0,
            stream,
        };
        let mut prefix = [0; 2];
        let mut len = 0;
        while len < prefix.len() {
            match stream.read(&mut prefix[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(source) => {
                    return Err(IdxError::Io {
                        offset: len as u64,
                        source,
                    });
                }
            }
        }
        (stream.prefix, stream.len) = (prefix, len);
        Ok(if prefix[..len] == GZIP_MAGIC {
            let compressed = BufReader::with_capacity(PIECE, stream.take(GZIP_SLACK));
            Source::Gzip(Box::new(GzDecoder::new(compressed)))
        } else {
            Source::Raw(stream)
        })
    }

    /// Allows so many compressed bytes more as `raw` bytes may take.
    pub(super) fn allow(&mut self, raw: u64) {
        if let Source::Gzip(gzip) = self {
            let compressed = raw.saturating_mul(2).saturating_add(GZIP_SLACK);
            gzip.get_mut().get_mut().set_limit(compressed);
        }
    }

    /// Whether it comes compressed.
    pub(super) fn gzipped(&self) -> bool {
        matches!(self, Source::Gzip(_))
    }

    /// Fills `buffer`, or less of it if the data ends; `offset` is where the next raw byte stands.
    pub(super) fn fill(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, IdxError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let read = match self {
                Source::Raw(stream) => stream.read(&mut buffer[filled..]),
                Source::Gzip(gzip) => gzip.read(&mut buffer[filled..]),
            };
            match read {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) => return Err(self.error(error, offset + filled as u64)),
            }
        }
        Ok(filled)
    }

    fn error(&self, source: io::Error, offset: u64) -> IdxError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        match self {
            Source::Gzip(gzip)
                if matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) =>
            {
                let reason = if gzip.get_ref().get_ref().limit() == 0 {
                    "far more compressed bytes than data".to_owned()
                } else if source.kind() == UnexpectedEof {
                    "the compressed stream ends early".to_owned()
                } else {
                    source.to_string()
                };
                IdxError::Gzip { offset, reason }
            }
            _ => IdxError::Io { offset, source },
        }
    }

    /// Makes sure that the data ends here, after `expected` raw bytes. For gzip this checks the CRC too.
    pub(super) fn finish(&mut self, expected: u64) -> Result<(), IdxError> {
        if self.fill(&mut [0], expected)? > 0 {
            return Err(IdxError::Trailing { expected });
        }
        let Source::Gzip(gzip) = self else {
            return Ok(());
        };
        let rest = gzip.get_mut();
        match rest.fill_buf().map(|bytes| bytes.is_empty()) {
            // At the limit nothing is known of what follows.
            Ok(ended) if ended && rest.get_ref().limit() > 0 => Ok(()),
            Ok(_) => Err(IdxError::GzipTrailing),
            Err(error) => Err(self.error(error, expected)),
        }
    }
}

/// A stream whose first bytes have been looked at and are given again. Retries interrupted reads,
/// which the decoder would take for the end.
#[derive(Debug)]
pub(super) struct Sniffed<R> {
    prefix: [u8; 2],
    len: usize,
    given: usize,
    stream: R,
}

impl<R: Read> Read for Sniffed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given < self.len {
            let n = (&self.prefix[self.given..self.len]).read(buffer)?;
            self.given += n;
            return Ok(n);
        }
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
