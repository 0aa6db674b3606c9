//! The parsers, on bytes and on streams.

use std::io::{self, Read};

use fanin::data::idx::{Header, Idx, IdxError, Kind, MAX_FILE_BYTES, Reader, parse};

use super::{gzip, images, labels, largest_allocation};

const KINDS: [Kind; 2] = [Kind::Images, Kind::Labels];
/// More than any hostile input may make us allocate at once: a few buffers of 64 KiB.
const SMALL: usize = 256 << 10;

/// A good file of either kind.
fn good(kind: Kind) -> Vec<u8> {
    match kind {
        Kind::Images => images(3, 2, 5),
        Kind::Labels => labels(13),
    }
}

/// Gives at most `chunk` bytes a read, and counts them.
struct Stream<R> {
    inner: R,
    chunk: usize,
    taken: u64,
}

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.chunk);
        let n = self.inner.read(&mut buffer[..wanted])?;
        self.taken += n as u64;
        Ok(n)
    }
}

/// Reads a stream to the end or an error; says how many bytes were taken from it.
fn stream(kind: Kind, inner: impl Read + Send) -> (Result<Idx, IdxError>, u64) {
    let mut stream = Stream {
        inner,
        chunk: usize::MAX,
        taken: 0,
    };
    let result = Reader::new(kind, &mut stream).and_then(Reader::read);
    (result, stream.taken)
}

/// Parses as bytes and as streams cut in different ways: all must agree, with little memory.
fn parse_all(kind: Kind, bytes: &[u8]) -> Result<Idx, IdxError> {
    let (result, largest) = largest_allocation(|| parse(kind, bytes));
    assert!(largest <= SMALL, "allocated {largest}");
    for chunk in [1, 2, 3, 7, 64, usize::MAX] {
        let cut = Stream {
            inner: bytes,
            chunk,
            taken: 0,
        };
        let (streamed, largest) =
            largest_allocation(|| Reader::new(kind, cut).and_then(Reader::read));
        assert!(largest <= SMALL, "allocated {largest}");
        match (&result, &streamed) {
            (Ok(a), Ok(b)) => assert_eq!(a, b),
            // How far a damaged gzip stream can be followed depends on how it is cut.
            (Err(IdxError::Gzip { .. }), Err(_)) | (Err(_), Err(IdxError::Gzip { .. })) => {}
            (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
            (a, b) => panic!("bytes {a:?}, stream of {chunk} {b:?}"),
        }
    }
    result
}

/// The error for `bytes` as they are, which must be the same when they come gzipped.
fn error(kind: Kind, bytes: &[u8]) -> IdxError {
    let error = parse_all(kind, bytes).unwrap_err();
    let zipped = parse_all(kind, &gzip(bytes)).unwrap_err();
    assert_eq!(error.to_string(), zipped.to_string());
    error
}

#[test]
fn reads_images_and_labels() {
    for bytes in [images(3, 2, 5), gzip(&images(3, 2, 5))] {
        let idx = parse_all(Kind::Images, &bytes).unwrap();
        let header = idx.header();
        assert_eq!((header.count(), header.rows(), header.cols()), (3, 2, 5));
        assert_eq!((header.payload_len(), header.file_len()), (30, 46));
        assert_eq!(header.shape(), "3×2×5");
        assert!(idx.data().iter().copied().eq(0..30));
        assert_eq!(idx.gzipped(), bytes[0] == 0x1f);
    }
    for bytes in [labels(13), gzip(&labels(13))] {
        let idx = parse_all(Kind::Labels, &bytes).unwrap();
        assert_eq!(idx.header().count(), 13);
        assert_eq!(idx.data(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2]);
        // sha256sum's word for these 21 bytes.
        let sha256 = "475ffa17904dfe8673560832e1ae157fcf77c1bd633177e93e859f011fdbbcd0";
        assert_eq!(idx.sha256(), sha256);
    }
}

/// A file that is inflated beside what takes it: what is wrong with it comes out as with a small one.
#[test]
fn errors_of_a_large_file() {
    let mut good = vec![0, 0, 8, 3, 0, 0, 10, 0, 0, 0, 0, 28, 0, 0, 0, 28];
    good.extend((0..=250u8).cycle().take(2560 * 28 * 28));
    let [mut short, mut long, mut late] = [good.clone(), good.clone(), gzip(&good)];
    short.pop();
    long.push(0);
    late.push(0);
    for (bytes, expected) in [
        (short.clone(), "truncated"),
        (gzip(&short), "truncated"),
        (long.clone(), "trailing"),
        (gzip(&long), "trailing"),
        (late, "gzip"),
    ] {
        let (streamed, _) = stream(Kind::Images, bytes.as_slice());
        let found = match streamed {
            Err(IdxError::Truncated { expected, found }) if found + 1 == expected => "truncated",
            Err(IdxError::Trailing { .. }) => "trailing",
            Err(IdxError::GzipTrailing) => "gzip",
            other => panic!("{expected}: {other:?}"),
        };
        assert_eq!(found, expected);
    }
    // Whoever takes it may have no room for it.
    let reader = Reader::new(Kind::Images, good.as_slice()).unwrap();
    let mut taken = 0;
    let full = reader.read_rows(|rows| {
        assert!(rows.len().is_multiple_of(28 * 28));
        taken += rows.len();
        match taken < 500_000 {
            true => Ok(()),
            false => Vec::<u8>::new().try_reserve(usize::MAX),
        }
    });
    match full {
        Err(IdxError::OutOfMemory { bytes }) => assert_eq!(bytes, taken),
        other => panic!("{other:?}"),
    }
}

#[test]
fn large_payload_grows_in_steps() {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 1, 44, 0, 0, 0, 28, 0, 0, 0, 28];
    bytes.extend((0..=250u8).cycle().take(300 * 28 * 28));
    for bytes in [bytes.clone(), gzip(&bytes)] {
        let (streamed, _) = stream(Kind::Images, bytes.as_slice());
        let streamed = streamed.unwrap();
        assert_eq!(streamed, parse(Kind::Images, &bytes).unwrap());
        assert_eq!(streamed.into_data().capacity(), 300 * 28 * 28);
    }
}

#[test]
fn truncated_at_every_byte() {
    for kind in KINDS {
        let bytes = good(kind);
        assert!(matches!(error(kind, &[]), IdxError::Empty(k) if k == kind));
        for cut in 1..bytes.len() {
            let whole = if cut < kind.header_len() {
                kind.header_len()
            } else {
                bytes.len()
            };
            let IdxError::Truncated { expected, found } = error(kind, &bytes[..cut]) else {
                panic!("cut at {cut}")
            };
            assert_eq!((expected, found), (whole as u64, cut as u64));
        }
    }
}

#[test]
fn gzip_truncated_at_every_byte() {
    for kind in KINDS {
        let zipped = gzip(&good(kind));
        for cut in 0..zipped.len() {
            let error = parse_all(kind, &zipped[..cut]).unwrap_err();
            match cut {
                0 => assert!(matches!(error, IdxError::Empty(_))),
                1 => assert!(
                    matches!(error, IdxError::Truncated { found: 1, .. }),
                    "{error}"
                ),
                _ => assert!(error.to_string().ends_with("ends early"), "{cut}: {error}"),
            }
        }
    }
}

#[test]
fn trailing_bytes() {
    for kind in KINDS {
        for extra in [&[0][..], &[9; 100]] {
            let bytes = [good(kind), extra.to_vec()].concat();
            let IdxError::Trailing { expected } = error(kind, &bytes) else {
                panic!()
            };
            assert_eq!(expected, good(kind).len() as u64);
        }
    }
}

#[test]
fn wrong_magic() {
    for kind in KINDS {
        for (at, value) in [(0, 1), (0, 0x1e), (1, 1), (1, 0x8b), (0, 0xff)] {
            let mut bytes = good(kind);
            bytes[at] = value;
            let error = error(kind, &bytes);
            assert!(
                matches!(error, IdxError::Magic { found, .. } if found[at] == value),
                "{error}"
            );
        }
    }
    let error = error(Kind::Images, b"PNG is no IDX file");
    let text = "byte 0: magic number 0x504e4720, expected 0x00000803 (IDX images)";
    assert_eq!(error.to_string(), text);
}

#[test]
fn every_other_element_type() {
    let named = [
        (0x09, "i8"),
        (0x0B, "i16"),
        (0x0C, "i32"),
        (0x0D, "f32"),
        (0x0E, "f64"),
    ];
    for kind in KINDS {
        for code in (0..=255).filter(|&code| code != 8) {
            let mut bytes = good(kind);
            bytes[2] = code;
            let error = error(kind, &bytes);
            assert!(
                matches!(error, IdxError::ElementType { code: c } if c == code),
                "{error}"
            );
            let name = named
                .iter()
                .find(|named| named.0 == code)
                .map_or("unknown", |named| named.1);
            let text = format!("byte 2: element type {code:#04x} ({name}), expected 0x08 (u8)");
            assert_eq!(error.to_string(), text);
        }
    }
}

#[test]
fn every_other_rank() {
    for kind in KINDS {
        for rank in (0..=255).filter(|&rank| rank != kind.rank()) {
            let mut bytes = good(kind);
            bytes[3] = rank;
            let error = error(kind, &bytes);
            assert!(
                matches!(error, IdxError::Rank { found, .. } if found == rank),
                "{error}"
            );
        }
    }
}

#[test]
fn swapped_files() {
    let text = error(Kind::Images, &labels(9)).to_string();
    assert_eq!(
        text,
        "byte 3: this looks like labels: 1 dimension(s), expected 3 (IDX images)"
    );
    let text = error(Kind::Labels, &images(1, 2, 3)).to_string();
    assert_eq!(
        text,
        "byte 3: this looks like images: 3 dimension(s), expected 1 (IDX labels)"
    );
}

#[test]
fn zero_dimensions() {
    for kind in KINDS {
        for axis in 0..usize::from(kind.rank()) {
            let mut bytes = good(kind);
            bytes[4 + 4 * axis..8 + 4 * axis].fill(0);
            let error = error(kind, &bytes);
            let at = 4 + 4 * axis as u64;
            let name = ["count", "rows", "columns"][axis];
            assert!(
                matches!(error, IdxError::ZeroDimension { offset, axis } if offset == at && axis == name),
                "{error}"
            );
        }
    }
}

/// A header alone.
fn header(kind: Kind, dims: &[u32]) -> Vec<u8> {
    let words = std::iter::once(kind.magic()).chain(dims.iter().copied());
    words.flat_map(u32::to_be_bytes).collect()
}

#[test]
fn overflowing_dimensions_and_the_cap() {
    const MAX: u32 = u32::MAX;
    let over = [
        [MAX, MAX, MAX],
        [MAX, MAX, 1],
        [1 << 31, 1 << 31, 4], // 2^64: 0 if it wrapped
        [1 << 16, 1 << 16, 1], // 2^32: 0 in 32 bits
        [1 << 30, 1, 1],
        [(1 << 30) - 15, 1, 1],
    ];
    for dims in over {
        let error = error(Kind::Images, &header(Kind::Images, &dims));
        assert!(
            matches!(error, IdxError::TooLarge { .. }),
            "{dims:?}: {error}"
        );
    }
    let most = header(Kind::Images, &[(1 << 30) - 16, 1, 1]);
    assert_eq!(
        Header::parse(Kind::Images, &most).unwrap().file_len(),
        MAX_FILE_BYTES
    );
    let most = header(Kind::Labels, &[(1 << 30) - 8]);
    assert_eq!(
        Header::parse(Kind::Labels, &most).unwrap().file_len(),
        MAX_FILE_BYTES
    );
    let over = error(Kind::Labels, &header(Kind::Labels, &[(1 << 30) - 7]));
    let text = "byte 4: dimensions 1073741817, expected at most 1073741824 bytes in all";
    assert_eq!(over.to_string(), text);
}

#[test]
fn huge_count_on_a_tiny_file() {
    for (kind, dims) in [
        (Kind::Images, &[1_000_000, 32, 32][..]),
        (Kind::Labels, &[1 << 29]),
    ] {
        let bytes = [header(kind, dims), vec![1; 50]].concat();
        // `error` checks the memory too.
        let IdxError::Truncated { found, .. } = error(kind, &bytes) else {
            panic!()
        };
        assert_eq!(found, bytes.len() as u64);
    }
}

#[test]
fn takes_one_byte_more_than_the_header_says() {
    for kind in KINDS {
        let (result, taken) = stream(kind, endless(good(kind)));
        assert!(matches!(result, Err(IdxError::Trailing { .. })));
        assert_eq!(taken, good(kind).len() as u64 + 1);
        // A header that is wrong costs the header at most.
        let (result, taken) = stream(kind, endless(vec![0, 0, 9]));
        assert!(matches!(result, Err(IdxError::ElementType { .. })));
        assert_eq!(taken, 4);
        let (result, taken) = stream(kind, endless(header(kind, &[u32::MAX; 3])));
        assert!(matches!(result, Err(IdxError::TooLarge { .. })));
        assert_eq!(taken, kind.header_len() as u64);
    }
}

/// These bytes, then sevens without end.
fn endless(bytes: Vec<u8>) -> impl Read {
    io::Cursor::new(bytes).chain(io::repeat(7))
}

#[test]
fn labels_out_of_range() {
    for value in 10..=255 {
        let mut bytes = labels(13);
        bytes[8 + 4] = value;
        bytes[8 + 6] = 255;
        let error = error(Kind::Labels, &bytes);
        assert_eq!(
            error.to_string(),
            format!("byte 12: label 4 is {value}, expected 0 to 9")
        );
    }
}

#[test]
fn gzip_with_any_byte_changed() {
    for kind in KINDS {
        let (bytes, zipped) = (good(kind), gzip(&good(kind)));
        let mut errors = 0;
        for at in 0..zipped.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = zipped.clone();
                damaged[at] ^= change;
                // Some of gzip's header says nothing about the content.
                match parse_all(kind, &damaged) {
                    Ok(idx) => assert_eq!(idx.data(), &bytes[kind.header_len()..], "byte {at}"),
                    Err(_) => errors += 1,
                }
            }
        }
        assert!(errors >= 3 * (zipped.len() - 10), "{errors}");
    }
}

#[test]
fn gzip_with_wrong_crc_is_not_taken() {
    let mut zipped = gzip(&labels(13));
    let crc = zipped.len() - 8;
    zipped[crc] ^= 1;
    let error = parse_all(Kind::Labels, &zipped).unwrap_err();
    assert!(
        matches!(error, IdxError::Gzip { offset: 21, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[test]
fn gzip_with_something_after_it() {
    for kind in KINDS {
        let zipped = gzip(&good(kind));
        for rest in [zipped.clone(), gzip(&[]), vec![0], vec![0; 100_000]] {
            let error = parse_all(kind, &[zipped.clone(), rest].concat()).unwrap_err();
            assert!(matches!(error, IdxError::GzipTrailing), "{error}");
        }
        // Two members that together are a good file are no good file.
        let file = good(kind);
        let (head, tail) = file.split_at(kind.header_len() + 2);
        let error = parse_all(kind, &[gzip(head), gzip(tail)].concat()).unwrap_err();
        assert!(matches!(error, IdxError::Truncated { .. }), "{error}");
    }
}

#[test]
fn gzip_bomb_stops_after_the_data() {
    let mut bytes = images(1, 2, 2);
    bytes.resize(64 << 20, 0);
    let bomb = gzip(&bytes);
    assert!(bomb.len() < 80_000);
    let error = parse_all(Kind::Images, &bomb).unwrap_err();
    assert!(
        matches!(error, IdxError::Trailing { expected: 20 }),
        "{error}"
    );
}

#[test]
fn gzip_that_never_gives_data_is_left() {
    let gzip_header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    // A stored block, not the last, that holds a whole file.
    let file = labels(13);
    let len = u16::try_from(file.len()).unwrap();
    let block = [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), &file].concat();
    for start in [gzip_header.to_vec(), [&gzip_header[..], &block].concat()] {
        let (result, taken) = stream(Kind::Labels, start.as_slice().chain(EmptyBlocks { at: 0 }));
        let error = result.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("far more compressed bytes than data"),
            "{error}"
        );
        assert!(taken < 3 << 20, "took {taken}");
    }
}

/// `00 00 00 ff ff`, again and again: stored deflate blocks with nothing in them.
struct EmptyBlocks {
    at: usize,
}

impl Read for EmptyBlocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in &mut *buffer {
            *byte = [0, 0, 0, 0xff, 0xff][self.at % 5];
            self.at += 1;
        }
        Ok(buffer.len())
    }
}

/// Fails with each of `errors` first, one a read.
struct Failing<'a> {
    errors: Vec<io::ErrorKind>,
    bytes: &'a [u8],
}

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.errors.pop() {
            Some(kind) => Err(kind.into()),
            None => self.bytes.read(buffer),
        }
    }
}

#[test]
fn interrupted_reads_are_tried_again() {
    for bytes in [labels(13), gzip(&labels(13))] {
        for split in 0..bytes.len() {
            let first = Failing {
                errors: vec![io::ErrorKind::Interrupted],
                bytes: &bytes[..split],
            };
            let rest = Failing {
                errors: vec![io::ErrorKind::Interrupted; 3],
                bytes: &bytes[split..],
            };
            let (result, _) = stream(Kind::Labels, first.chain(rest));
            assert_eq!(result.unwrap().data().len(), 13);
        }
    }
}

#[test]
fn read_errors_say_where() {
    let bytes = labels(13);
    for split in 0..bytes.len() {
        let rest = Failing {
            errors: vec![io::ErrorKind::PermissionDenied],
            bytes: &[],
        };
        let (result, _) = stream(Kind::Labels, bytes[..split].chain(rest));
        let Err(IdxError::Io { offset, source }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(
            (offset, source.kind()),
            (split as u64, io::ErrorKind::PermissionDenied)
        );
    }
}
