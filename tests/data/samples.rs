//! Samples read from files: they are those made of the data set, whatever the images are like.

use std::fs;
use std::path::Path;

use fanin::data::{DataError, DataFile, Dataset};
use fanin::samples::SamplesError;
use fanin::{Error, InputPath, Samples};
use tempfile::TempDir;

use super::{gzip, labels};

/// Images of which about `density` of 256 bytes are not 0, the two splits unlike.
fn images(count: u32, rows: u32, cols: u32, density: u8, seed: u32) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3];
    bytes.extend([count, rows, cols].into_iter().flat_map(u32::to_be_bytes));
    let mut state = seed;
    bytes.extend((0..count * rows * cols).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [value, chance, ..] = state.to_be_bytes();
        if chance < density { value.max(1) } else { 0 }
    }));
    bytes
}

fn folder(train: Vec<u8>, test: Vec<u8>, counts: [u8; 2]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = [train, labels(counts[0]), test, labels(counts[1])];
    for (i, (file, bytes)) in DataFile::ALL.into_iter().zip(files).enumerate() {
        let bytes = if i % 2 == 0 { gzip(&bytes) } else { bytes };
        fs::write(dir.path().join(file.name()), bytes).unwrap();
    }
    dir
}

fn open(dir: &Path, hold_out: usize, path: InputPath) -> Result<(Samples, Samples), Error> {
    Samples::open(dir.to_str().unwrap(), hold_out, path)
}

#[test]
fn are_those_of_the_data_set() {
    const PATHS: [InputPath; 3] = [InputPath::Auto, InputPath::Sparse, InputPath::Dense];
    // One piece of a file; several, of whole rows; images of 65,535 and 65,536 bytes.
    for (rows, cols, counts) in [
        (2, 3, [12, 11]),
        (28, 28, [200, 90]),
        (255, 257, [3, 2]),
        (256, 256, [3, 2]),
    ] {
        for density in [0, 50, 200] {
            let dir = folder(
                images(counts[0].into(), rows, cols, density, 1),
                images(counts[1].into(), rows, cols, density / 2, 2),
                counts,
            );
            let data = Dataset::from_dir(dir.path()).unwrap();
            for path in PATHS {
                for hold_out in [0, 1, 2, 100, usize::MAX] {
                    let expected = Samples::from_dataset(&data, hold_out, path).unwrap();
                    let found = open(dir.path(), hold_out, path).unwrap();
                    // Every entry, band and class is in it; an assertion's message would not be read.
                    let same = format!("{found:?}") == format!("{expected:?}");
                    assert!(same, "{rows}×{cols}, {density}, {path}, {hold_out}");
                }
            }
            let (train, test) = open(dir.path(), 0, InputPath::Auto).unwrap();
            assert_eq!((train.is_sparse(), test.is_sparse()), (density < 200, true));
        }
    }
}

#[test]
fn with_images_too_wide_to_be_sparse() {
    let dir = folder(
        images(2, 1, 65_537, 9, 1),
        images(1, 1, 65_537, 9, 2),
        [2, 1],
    );
    let data = Dataset::from_dir(dir.path()).unwrap();
    let expected = Samples::from_dataset(&data, 1, InputPath::Auto).unwrap();
    let found = open(dir.path(), 1, InputPath::Auto).unwrap();
    assert!(format!("{found:?}") == format!("{expected:?}"));
    assert!(matches!(
        open(dir.path(), 0, InputPath::Sparse),
        Err(Error::Samples(SamplesError::TooMany { found: 65_537, .. }))
    ));
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let [train, test] = [images(20, 28, 28, 50, 1), images(10, 28, 28, 50, 2)];
    let mut short = train.clone();
    short.pop();
    let mut wide = test.clone();
    wide.push(1);
    for (train, test) in [(short, test), (train, wide)] {
        let dir = folder(train, test, [20, 10]);
        let expected = Dataset::from_dir(dir.path()).unwrap_err();
        match open(dir.path(), 0, InputPath::Auto) {
            Err(Error::Data(error @ DataError::Idx { .. })) => {
                assert_eq!(error.to_string(), expected.to_string());
            }
            other => panic!("{other:?}"),
        }
    }
}
