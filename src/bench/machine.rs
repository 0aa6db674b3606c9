//! The machine that was measured.

use super::yardstick::cores;
use crate::{Error, Isa};
use fanin_kernels::Gemm;
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest text that is read from the system's files: the first processor is at the start.
const LONGEST: u64 = 64 << 10;

/// Most entries that are looked for: no core has so many caches.
const MOST_CACHES: usize = 16;

/// What a measurement depends on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    /// Version of fanin.
    pub fanin: &'static str,
    /// Model of the processor as `/proc/cpuinfo` has it, else the architecture.
    pub cpu: String,
    /// As Rust names them: `x86_64`, `linux`.
    pub arch: &'static str,
    /// The operating system.
    pub os: &'static str,
    /// Cores that this process may use.
    pub cores: usize,
    /// Caches of the first core; none if the system does not tell.
    pub caches: Vec<Cache>,
    /// The instruction set in use.
    pub isa: &'static str,
    /// All that the processor has, best first.
    pub instruction_sets: Vec<&'static str>,
    /// Blocks that matrix products are cut into.
    pub gemm_blocks: Blocks,
}

/// [`fanin_kernels::Blocking`], in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Blocks {
    /// Rows of A.
    pub mc: usize,
    /// Of the dimension that is summed over.
    pub kc: usize,
    /// Columns of B.
    pub nc: usize,
}

/// A cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// From 1.
    pub level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub kind: String,
    /// Its size.
    pub bytes: usize,
    /// Logical processors that share it.
    pub shared_by: usize,
}

impl Machine {
    /// This one, with `isa` in use.
    ///
    /// # Errors
    /// If there is no memory for a matrix product.
    pub fn detect(isa: Isa) -> Result<Self, Error> {
        let cpuinfo = read(Path::new("/proc/cpuinfo")).unwrap_or_default();
        let blocks = Gemm::new(isa)?.blocking();
        Ok(Self {
            fanin: env!("CARGO_PKG_VERSION"),
            cpu: model(&cpuinfo).unwrap_or(std::env::consts::ARCH).into(),
            arch: std::env::consts::ARCH,
            os: std::env::consts::OS,
            cores: cores(),
            caches: caches(Path::new("/sys/devices/system/cpu/cpu0/cache")),
            isa: isa.name(),
            instruction_sets: Isa::available().map(Isa::name).collect(),
            gemm_blocks: Blocks {
                mc: blocks.mc,
                kc: blocks.kc,
                nc: blocks.nc,
            },
        })
    }

    /// The cache of this level that holds data.
    #[must_use]
    pub fn data_cache(&self, level: u32) -> Option<&Cache> {
        let holds = |c: &&Cache| c.level == level && c.kind != "Instruction";
        self.caches.iter().find(holds)
    }
}

impl std::fmt::Display for Cache {
    /// `L1d 48 KiB`, `L3 32 MiB for 8 processors`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        write!(f, "L{}{kind} {}", self.level, size(self.bytes))?;
        match self.shared_by {
            0 | 1 => Ok(()),
            n => write!(f, " for {n} processors"),
        }
    }
}

/// `48 KiB`, `1.25 MiB`
pub(super) fn size(bytes: usize) -> String {
    let (unit, name) = match bytes {
        0x10_0000.. => (f64::from(1 << 20), "MiB"),
        _ => (f64::from(1 << 10), "KiB"),
    };
    format!("{} {name}", (bytes as f64 / unit * 100.0).round() / 100.0)
}

/// The start of a text file; `None` if it cannot be read.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The processor's name in `/proc/cpuinfo`; ARM's often has none.
fn model(cpuinfo: &str) -> Option<&str> {
    let value = |key: &str| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = pairs.find(|(k, _)| k.trim() == key)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    };
    ["model name", "Model", "Hardware", "cpu model"]
        .into_iter()
        .find_map(value)
}

/// The caches that a folder of sysfs tells of.
fn caches(folder: &Path) -> Vec<Cache> {
    let cache = |index: usize| {
        let entry = folder.join(format!("index{index}"));
        let text = |name: &str| read(&entry.join(name)).map(|text| text.trim().to_string());
        Some(Cache {
            level: text("level")?.parse().ok()?,
            kind: text("type")?,
            bytes: bytes(&text("size")?)?,
            shared_by: text("shared_cpu_list").map_or(1, |list| listed(&list)),
        })
    };
    (0..MOST_CACHES).map_while(cache).collect()
}

/// `48K` in bytes.
fn bytes(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(['K', 'M']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// How many processors `0-3,8` names; 1 if it cannot be read.
fn listed(list: &str) -> usize {
    let count = |part: &str| match part.split_once('-') {
        Some((first, last)) => {
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            last.checked_sub(first)?.checked_add(1)
        }
        None => part.parse::<usize>().ok().map(|_| 1),
    };
    let counts: Option<Vec<usize>> = list.split(',').map(count).collect();
    let total = counts.map(|counts| counts.into_iter().fold(0, usize::saturating_add));
    total.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_the_first_that_is_named() {
        let text = "processor\t: 0\nmodel\t\t: 2\nmodel name\t: A: B\n\nmodel name\t: C\n";
        assert_eq!(model(text), Some("A: B"));
        assert_eq!(
            model("processor : 0\nModel : Raspberry Pi 5\n"),
            Some("Raspberry Pi 5")
        );
        assert_eq!(model("processor : 0\nmodel name :\n"), None);
        assert_eq!(model(""), None);
    }

    #[test]
    fn caches_are_read_from_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let write = |index: usize, fields: &[(&str, &str)]| {
            let entry = folder.path().join(format!("index{index}"));
            std::fs::create_dir(&entry).unwrap();
            for (name, text) in fields {
                std::fs::write(entry.join(name), text).unwrap();
            }
        };
        write(
            0,
            &[("level", "1\n"), ("type", "Data\n"), ("size", "48K\n")],
        );
        let third = [
            ("level", "3\n"),
            ("type", "Unified\n"),
            ("size", "32768K\n"),
            ("shared_cpu_list", "0-3,8\n"),
        ];
        write(1, &third);
        write(
            2,
            &[("level", "9\n"), ("type", "Unified\n"), ("size", "lots\n")],
        );
        let found = caches(folder.path());
        let texts: Vec<String> = found.iter().map(Cache::to_string).collect();
        assert_eq!(texts, ["L1d 48 KiB", "L3 32 MiB for 5 processors"]);
        assert_eq!(caches(&folder.path().join("none")), []);
    }

    #[test]
    fn sizes_and_lists() {
        assert_eq!(bytes("48K"), Some(48 << 10));
        assert_eq!(bytes("2M"), Some(2 << 20));
        assert_eq!(bytes("512"), Some(512));
        for wrong in ["", "K", "4KK", "-1K", "18446744073709551615K", "4G"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
        assert_eq!(size(1_310_720), "1.25 MiB");
        for (list, expected) in [("0", 1), ("0-7", 8), ("0,2,4-5", 4), ("", 1), ("5-2", 1)] {
            assert_eq!(listed(list), expected, "{list}");
        }
        assert_eq!(listed("0-18446744073709551614,1"), usize::MAX);
    }
}
