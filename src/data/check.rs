//! `fanin data check`: everything there is to say about a folder, not just the first error.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::DataError;
use super::files::{DataFile, Opened};
use super::folder::{check_folder, cross_check, demand_known};
use super::idx::{Header, Idx};
use super::{known, locate};

/// What is in a data folder.
#[derive(Debug)]
pub struct CheckReport {
    /// The folder.
    pub dir: PathBuf,
    /// The four files, in the order of [`DataFile::ALL`].
    pub files: Vec<FileReport>,
    /// What does not fit between files: counts, shapes.
    pub problems: Vec<DataError>,
    /// The known data set that the four files are, if they are one.
    pub dataset: Option<&'static str>,
}

/// What is known about one file.
#[derive(Debug)]
pub struct FileReport {
    /// Which of the four.
    pub file: DataFile,
    /// What it holds, or what is wrong with it.
    pub result: Result<FileFacts, DataError>,
}

/// What a good file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFacts {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is compressed.
    pub gzipped: bool,
    /// Size on disk.
    pub disk_bytes: u64,
    /// Its header: kind, shape, raw size.
    pub header: Header,
    /// SHA-256 of the raw bytes, in lower-case hex.
    pub sha256: String,
    /// The known file with this digest, such as `mnist train-images-idx3-ubyte`.
    pub known: Option<String>,
}

impl CheckReport {
    /// Whether [`Dataset::open`](super::Dataset::open) would take it.
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty() && self.files.iter().all(|file| file.result.is_ok())
    }
}

/// Checks any folder of MNIST-shaped files.
pub fn check(dir: &Path) -> CheckReport {
    check_as(dir, None)
}

/// Checks what [`Dataset::open`](super::Dataset::open) would open for `spec`; for a data set known
/// by name other bytes than the known ones are an error.
///
/// # Errors
///
/// Only if a data set known by name is not found; what is wrong with the files is in the report.
pub fn check_spec(spec: &str) -> Result<CheckReport, DataError> {
    Ok(match known::by_name(spec) {
        Some(known) => check_as(&locate::locate_known(known)?, Some(known)),
        None => check(Path::new(spec)),
    })
}

fn check_as(dir: &Path, demanded: Option<&'static known::Known>) -> CheckReport {
    if let Err(problem) = check_folder(dir) {
        return CheckReport {
            dir: dir.into(),
            files: Vec::new(),
            problems: vec![problem],
            dataset: None,
        };
    }
    let files: Vec<_> = DataFile::ALL
        .into_iter()
        .map(|file| FileReport {
            file,
            result: check_file(dir, file, demanded),
        })
        .collect();
    let headers: [Option<Header>; 4] =
        std::array::from_fn(|i| files[i].result.as_ref().ok().map(|facts| facts.header));
    let hash = |i: usize| {
        files[i]
            .result
            .as_ref()
            .map(|facts| facts.sha256.clone())
            .unwrap_or_default()
    };
    let dataset = known::by_hashes(&std::array::from_fn(hash)).map(|known| known.name);
    CheckReport {
        dir: dir.into(),
        problems: cross_check(dir, &headers),
        files,
        dataset,
    }
}

fn check_file(
    dir: &Path,
    file: DataFile,
    demanded: Option<&'static known::Known>,
) -> Result<FileFacts, DataError> {
    let missing = || DataError::Missing {
        dir: dir.into(),
        missing: vec![file.name()],
    };
    let opened = Opened::open(file.find(dir).ok_or_else(missing)?, file.kind())?;
    let (path, disk_bytes) = (opened.path.clone(), opened.disk_bytes);
    let idx: Idx = opened.read()?;
    if let Some(known) = demanded {
        demand_known(known, file, &path, idx.sha256())?;
    }
    Ok(FileFacts {
        path,
        gzipped: idx.gzipped(),
        disk_bytes,
        header: *idx.header(),
        sha256: idx.sha256().to_owned(),
        known: known::by_hash(idx.sha256())
            .map(|(known, file)| format!("{} {}", known.name, file.name())),
    })
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.dir.display())?;
        for FileReport { file, result } in &self.files {
            match result {
                Ok(facts) => {
                    let name = facts.path.file_name().unwrap_or_default().display();
                    let form = if facts.gzipped { "gzip" } else { "raw" };
                    let (bytes, raw) = (facts.disk_bytes, facts.header.file_len());
                    writeln!(
                        f,
                        "  ok     {name}: {} {}",
                        facts.header.shape(),
                        facts.header.kind()
                    )?;
                    writeln!(f, "         {form}, {bytes} bytes on disk, {raw} raw")?;
                    let known = facts.known.as_deref().unwrap_or("no known file");
                    writeln!(f, "         sha256 {} ({known})", facts.sha256)?;
                }
                Err(error) => writeln!(f, "  ERROR  {}: {error}", file.name())?,
            }
        }
        for problem in &self.problems {
            writeln!(f, "  ERROR  {problem}")?;
        }
        match (self.is_ok(), self.dataset) {
            (true, Some(name)) => write!(f, "ok: this is {name}"),
            (true, None) => write!(f, "ok: four files that fit together, no known data set"),
            (false, _) => write!(f, "not a usable data set"),
        }
    }
}
