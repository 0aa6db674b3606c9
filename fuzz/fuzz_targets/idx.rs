//! The IDX parsers on hostile bytes. The first byte of an input chooses how the rest is read:
//! bit 0 the kind, bit 1 whether we compress it first, the other six the size of the reads.
//!
//! `cargo +nightly fuzz run idx` (or `RUSTC_BOOTSTRAP=1 cargo fuzz run idx`).
#![no_main]

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use fanin::data::CLASSES;
use fanin::data::idx::{Header, Idx, IdxError, Kind, MAX_FILE_BYTES, Reader, parse};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Gives at most `chunk` bytes a read, and counts them.
struct Stream<'a> {
    bytes: &'a [u8],
    chunk: usize,
    taken: &'a AtomicU64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.chunk);
        let n = self.bytes.read(&mut buffer[..wanted])?;
        self.taken.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&control, bytes)) = input.split_first() else {
        return;
    };
    let kind = if control & 1 == 0 {
        Kind::Images
    } else {
        Kind::Labels
    };
    let chunk = usize::from(control >> 2) + 1;

    let result = both(kind, chunk, bytes);
    if control & 2 != 0 && !bytes.starts_with(&GZIP_MAGIC) {
        let zipped = gzip(bytes);
        match (&result, &both(kind, chunk, &zipped)) {
            (Ok(raw), Ok(zipped)) => {
                assert!(zipped.gzipped());
                assert_eq!((raw.header(), raw.data()), (zipped.header(), zipped.data()));
                assert_eq!(raw.sha256(), zipped.sha256());
            }
            (Err(raw), Err(zipped)) => assert_eq!(raw.to_string(), zipped.to_string()),
            (raw, zipped) => panic!("raw {raw:?}, gzipped {zipped:?}"),
        }
    }
});

/// Parses as bytes and as a stream, which must agree.
fn both(kind: Kind, chunk: usize, bytes: &[u8]) -> Result<Idx, IdxError> {
    let result = parse(kind, bytes);
    let taken = AtomicU64::new(0);
    let stream = Stream {
        bytes,
        chunk,
        taken: &taken,
    };
    let streamed = Reader::new(kind, stream).and_then(Reader::read);
    match (&result, &streamed) {
        (Ok(a), Ok(b)) => assert_eq!(a, b),
        // How far a damaged gzip stream can be followed depends on how it is cut into reads.
        (Err(IdxError::Gzip { .. }), Err(_)) | (Err(_), Err(IdxError::Gzip { .. })) => {}
        (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
        (a, b) => panic!("bytes {a:?}, stream {b:?}"),
    }

    let raw = !bytes.starts_with(&GZIP_MAGIC);
    if raw {
        let allowed = match Header::parse(kind, bytes) {
            Ok(header) => header.file_len() + 1,
            Err(_) => kind.header_len() as u64,
        };
        assert!(
            taken.load(Ordering::Relaxed) <= allowed,
            "took {}, allowed {allowed}",
            taken.load(Ordering::Relaxed)
        );
    }
    if let Ok(idx) = &result {
        consistent(kind, idx);
        assert_eq!(idx.gzipped(), !raw);
        assert!(!raw || [idx.header().to_bytes(), idx.data().to_vec()].concat() == bytes);
    }
    if let Ok(idx) = streamed {
        let len = idx.header().payload_len();
        assert!(
            idx.into_data().capacity() <= len,
            "more memory than the header's size"
        );
    }
    result
}

fn consistent(kind: Kind, idx: &Idx) {
    let header = idx.header();
    assert_eq!(header.kind(), kind);
    assert!(header.file_len() <= MAX_FILE_BYTES);
    assert!(header.count() > 0 && header.rows() > 0 && header.cols() > 0);
    assert_eq!(idx.data().len(), header.payload_len());
    assert_eq!(
        idx.data().len(),
        header.count() * header.rows() * header.cols()
    );
    assert_eq!(Header::parse(kind, &header.to_bytes()).unwrap(), *header);
    if kind == Kind::Labels {
        assert!(idx.data().iter().all(|&label| usize::from(label) < CLASSES));
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
