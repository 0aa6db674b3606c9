//! Segments that were cut, flipped, or never were any.

use super::*;
use crate::sweep::store::scan::{Unsound, scan};
use proptest::prelude::*;
use std::io::Read;
use std::path::Path;

/// The sound lines in `bytes`, without newlines.
fn scanned(bytes: impl Read) -> (Vec<String>, Unsound) {
    let mut lines = Vec::new();
    let unsound = scan(Path::new("segment"), bytes, &mut |line| {
        lines.push(line.json().to_owned());
        Ok(())
    });
    (lines, unsound.unwrap())
}

/// Goes on with a store whose segment was tampered with: what is missing is written again,
/// and then all is there.
fn resume(records: &[Record], bytes: &[u8]) -> (Index, usize) {
    let (_folder, store) = store();
    put(&store, 0, bytes);
    let before = store.index().unwrap();
    for found in all(&before) {
        assert!(records.contains(&found), "never written: {found:?}");
    }
    let writer = store.writer().unwrap();
    assert_eq!(writer.cut(), before.torn().first());
    let missing = records.iter().filter(|r| !before.contains(&r.run));
    let mut written = 0;
    for record in missing {
        writer.append(record).unwrap();
        written += 1;
    }
    writer.close().unwrap();
    let after = store.index().unwrap();
    assert_eq!(after.segments().len(), 1);
    assert_eq!((after.torn().len(), after.damage()), (0, before.damage()));
    after.check().unwrap();
    assert_eq!(all(&after), records);
    (before, written)
}

#[test]
fn a_segment_cut_at_any_byte_is_resumed() {
    let records = [record(1), record(2), record(3)];
    let bytes = segment(&records);
    let ends: Vec<usize> = (0..=3).map(|n| segment(&records[..n]).len()).collect();
    for length in 0..=bytes.len() {
        let (before, written) = resume(&records, &bytes[..length]);
        let whole = ends.iter().rposition(|end| *end <= length).unwrap();
        assert_eq!((before.len(), written), (whole, 3 - whole));
        assert!(before.damage().is_empty());
        let torn = before.torn().iter();
        let torn: Vec<_> = torn.map(|t| (t.at.line, t.at.offset, t.bytes)).collect();
        let rest = length - ends[whole];
        match rest {
            0 => assert_eq!(torn, []),
            _ => assert_eq!(torn, [(whole as u64 + 1, ends[whole] as u64, rest as u64)]),
        }
    }
}

#[test]
fn every_flipped_bit_is_reported() {
    let records = [record(1), record(2), record(3)];
    let bytes = segment(&records);
    let lines: Vec<&str> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    let mut flipped = bytes.clone();
    let mut number = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            flipped[at] ^= 1 << bit;
            let (found, unsound) = scanned(&flipped[..]);
            // A line without its newline runs into the next.
            let mut expected = lines.clone();
            let lost = 1 + usize::from(bytes[at] == b'\n' && number < 2);
            expected.drain(number..number + lost);
            assert_eq!(found, expected, "bit {bit} of byte {at}");
            let torn = number + lost == 3;
            assert_eq!(unsound.torn.is_some(), torn);
            let start = segment(&records[..number]).len() as u64;
            // A new newline may make damage of the start of the torn line.
            match unsound.damage.first() {
                Some(damage) => assert_eq!(
                    (damage.at.offset, damage.at.line),
                    (start, number as u64 + 1)
                ),
                None => assert_eq!(unsound.torn.unwrap().at.offset, start),
            }
            flipped[at] ^= 1 << bit;
        }
        number += usize::from(bytes[at] == b'\n');
    }
}

#[test]
fn a_segment_with_a_flipped_bit_is_resumed() {
    let records = [record(1), record(2), record(3)];
    let bytes = segment(&records);
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let (before, written) = resume(&records, &flipped);
        assert!((1..=2).contains(&written), "byte {at}");
        assert!(before.torn().len() + before.damage().len() > 0);
    }
}

#[test]
fn damaged_lines_that_follow_each_other_are_one_report() {
    let bytes = [
        segment(&[record(1)]),
        b"\n\nx\n".to_vec(),
        segment(&[record(2)]),
        b"y\n".to_vec(),
        b"{}\n".to_vec(),
    ]
    .concat();
    let (found, unsound) = scanned(&bytes[..]);
    assert_eq!(found.len(), 2);
    let damage: Vec<_> = unsound
        .damage
        .iter()
        .map(|d| (d.at.line, d.lines, d.bytes))
        .collect();
    assert_eq!(damage, [(2, 3, 4), (6, 1, 2)]);
    let torn = unsound.torn.unwrap();
    assert_eq!((torn.at.line, torn.bytes), (7, 3));
    assert_eq!(
        unsound.damage[0].to_string(),
        format!(
            "segment: line 2 (byte {}): no record, the checksum is wrong; 3 such lines",
            segment(&[record(1)]).len()
        )
    );
}

#[test]
fn a_line_that_is_too_long_is_skipped() {
    let good = segment(&[record(1)]);
    for length in [
        MAX_LINE - 1,
        MAX_LINE,
        MAX_LINE + 1,
        MAX_LINE + (1 << 16),
        MAX_LINE + 70_000,
    ] {
        let garbage = || std::io::repeat(b'x').take(length as u64 - 1);
        let (found, unsound) = scanned(garbage().chain(&b"\n"[..]).chain(&good[..]));
        assert_eq!(found.len(), 1);
        assert_eq!(unsound.damage[0].bytes, length as u64);
        assert!(unsound.torn.is_none());
        let (found, unsound) = scanned((&good[..]).chain(garbage()));
        assert_eq!(found.len(), 1);
        assert_eq!(unsound.torn.unwrap().bytes, length as u64 - 1);
    }
}

/// Another process writes the rest of a line when its beginning has been read.
struct Growing<'a> {
    /// Between them the end of the file is met once.
    parts: std::vec::IntoIter<&'a [u8]>,
    now: &'a [u8],
}

impl Read for Growing<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self.now.read(into)? {
            0 => {
                self.now = self.parts.next().unwrap_or_default();
                Ok(0)
            }
            n => Ok(n),
        }
    }
}

#[test]
fn a_line_that_grows_while_it_is_read_is_torn() {
    let bytes = segment(&[record(1), record(2), record(3)]);
    let first = segment(&[record(1)]).len();
    for (cut, lines) in [
        (first + 9, 1),
        (first, 1),
        (2 * first - 1, 1),
        (2 * first, 2),
    ] {
        let growing = Growing {
            now: &bytes[..cut],
            parts: vec![&bytes[cut..]].into_iter(),
        };
        let (found, unsound) = scanned(growing);
        assert_eq!(
            (found.len(), &unsound.damage[..]),
            (lines, &[][..]),
            "{cut}"
        );
        let torn = unsound.torn.map(|t| (t.at.line, t.bytes));
        let rest = (cut - lines * first) as u64;
        assert_eq!(torn, (rest > 0).then_some((lines as u64 + 1, rest)));
    }
    // In the part of a long line that is skipped.
    let long = vec![b'x'; MAX_LINE + 100_000];
    let growing = Growing {
        now: &long,
        parts: vec![&b"x\n"[..], &bytes[..]].into_iter(),
    };
    let (found, unsound) = scanned(growing);
    assert_eq!((found.len(), unsound.damage.len()), (0, 0));
    assert_eq!(unsound.torn.unwrap().bytes, long.len() as u64);
}

/// Reading goes on where a file is truncated while it is visited.
#[test]
fn a_segment_that_shrinks_is_an_error() {
    let (_folder, store) = filled(&[&[record(1), record(2)]]);
    let index = store.index().unwrap();
    let path = &store.segments().unwrap()[0];
    let bytes = std::fs::read(path).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], &bytes[1..], b""] {
        std::fs::write(path, damaged).unwrap();
        let error = index.visit(|_| ControlFlow::Continue(())).unwrap_err();
        assert!(matches!(error, StoreError::Changed(_)), "{error}");
    }
}

/// Pieces of segments: sound lines, their parts, and noise.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let good = segment(&[record(1), record(2)]);
    let noise = prop::collection::vec(any::<u8>(), 0..80);
    let cut = (0..good.len(), 0..good.len()).prop_map({
        let good = good.clone();
        move |(a, b)| good[a.min(b)..a.max(b)].to_vec()
    });
    prop_oneof![
        noise,
        cut,
        Just(good),
        Just(b"\n".to_vec()),
        Just(vec![0; 300])
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_a_panic_or_a_wrong_record(
        pieces in prop::collection::vec(pieces(), 0..8)
    ) {
        let bytes = pieces.concat();
        let good = segment(&[record(1), record(2)]);
        let good = std::str::from_utf8(&good).unwrap();
        let (found, unsound) = scanned(&bytes[..]);
        for line in &found {
            prop_assert!(good.lines().any(|g| g == line), "never written: {}", line);
        }
        // Every byte belongs to a record or to a report.
        let sound: usize = found.iter().map(|line| line.len() + 1).sum();
        let damaged: u64 = unsound.damage.iter().map(|d| d.bytes).sum();
        let torn = unsound.torn.map_or(0, |t| t.bytes);
        prop_assert_eq!(sound as u64 + damaged + torn, bytes.len() as u64);
    }
}
