//! The files of a report in its folder, and those that an earlier one left there.

use super::ReportError;
use crate::files::write_whole;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// What was written, as `sha256sum` lists it: of each file the hash and the name.
const LIST: &str = "files.sha256";
/// More of a list is not read, in bytes.
const MAX_LIST: u64 = 1 << 20;
/// Nor more of a file than a report has in one.
const MAX_FILE: u64 = 1 << 30;

/// A folder that gets a report.
pub(super) struct Folder<'a> {
    dir: &'a Path,
    /// Hashes by name.
    earlier: BTreeMap<String, String>,
    written: BTreeMap<String, String>,
}

impl<'a> Folder<'a> {
    /// Makes the folder if need be.
    pub fn open(dir: &'a Path) -> Result<Self, ReportError> {
        std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
        let list = dir.join(LIST);
        let text = read(&list, MAX_LIST).map_err(|e| failed(&list, e))?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once("  "));
        let ours = lines.filter(|(_, name)| is_ours(name));
        let earlier = ours.map(|(hash, name)| (name.into(), hash.into()));
        Ok(Self {
            dir,
            earlier: earlier.collect(),
            written: BTreeMap::new(),
        })
    }

    /// Writes a file, whole or not at all. Its name is one that [`is_ours`] takes.
    pub fn write(&mut self, name: &str, text: &str) -> Result<(), ReportError> {
        let path = self.dir.join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        }
        write_whole(&path, text.as_bytes()).map_err(|e| failed(&path, e))?;
        self.written.insert(name.into(), hash(text.as_bytes()));
        Ok(())
    }

    /// Removes what an earlier report wrote and this one did not, unless it was changed since,
    /// and lists what was written.
    pub fn finish(self) -> Result<(), ReportError> {
        for (name, wanted) in &self.earlier {
            if self.written.contains_key(name) {
                continue;
            }
            let path = self.dir.join(name);
            // Not what a link leads to.
            let is_file = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
            if is_file && read(&path, MAX_FILE).is_ok_and(|bytes| hash(&bytes) == *wanted) {
                std::fs::remove_file(&path).map_err(|e| failed(&path, e))?;
            }
        }
        let lines = self.written.iter();
        let lines = lines.map(|(name, hash)| format!("{hash}  {name}\n"));
        let (list, text) = (self.dir.join(LIST), lines.collect::<String>());
        write_whole(&list, text.as_bytes()).map_err(|e| failed(&list, e))
    }
}

/// Whether a report may have a file of this name.
fn is_ours(name: &str) -> bool {
    let parts = [("tables/", ".csv"), ("figures/", ".svg")];
    let inner = parts.iter().find_map(|(folder, ending)| {
        let name = name.strip_prefix(folder)?;
        name.strip_suffix(ending)
    });
    matches!(name, "report.html" | "report.md") || inner.is_some_and(super::is_name)
}

/// The start of a file; nothing where there is none.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hash(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn failed(path: &Path, source: io::Error) -> ReportError {
    let path = path.into();
    ReportError::Io { path, source }
}
