//! Bandwidth of one core: caches and memory.

use super::Monitor;
use super::machine::Machine;
use super::timing::{Rate, Spread, repetitions, rounds, seconds};
use crate::Isa;
use fanin_kernels::{AlignedBuffer, peak};
use serde::Serialize;
use std::hint::black_box;
use std::time::Duration;

/// Seconds of a round, at least.
const ROUND: f64 = 0.3e-3;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Buffers that memory is measured with: beyond most caches, and within most memories.
const SMALLEST_MEMORY: usize = 64 * MIB;
const LARGEST_MEMORY: usize = 256 * MIB;

/// Lines of the table.
pub(super) const LINES: usize = 4 * Pass::ALL.len();

/// What is done to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// All of it is summed.
    Read,
    /// All of it is written. Cores read lines before they write them, which is not counted.
    Write,
    /// `y ← a·x + y`, x and y being its halves: two reads and a write of each element.
    Axpy,
}

impl Pass {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Axpy];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Axpy => "axpy",
        }
    }

    /// Bytes that a pass over `bytes` reads and writes.
    fn traffic(self, bytes: usize) -> f64 {
        match self {
            Self::Read | Self::Write => bytes as f64,
            Self::Axpy => 1.5 * bytes as f64,
        }
    }

    /// Bytes a second of passes over `data`, whose length is even; `None` if `monitor` ends
    /// it before the first.
    pub(super) fn rate(
        self,
        isa: Isa,
        data: &mut [f32],
        time: Duration,
        monitor: &dyn Monitor,
    ) -> Option<Rate> {
        // The same in every pass: no subnormal numbers.
        data.fill(1.0);
        let passes = repetitions(ROUND, |n| self.run(isa, n, data));
        let times = rounds(time, monitor, || {
            Some(seconds(|| self.run(isa, passes, data)))
        });
        let work = self.traffic(size_of_val(data)) * passes as f64;
        Spread::of(&times).map(|times| Rate::new(work, times))
    }

    fn run(self, isa: Isa, passes: u64, data: &mut [f32]) {
        match self {
            Self::Read => {
                black_box(peak::read(isa, passes, data));
            }
            Self::Write => peak::write(isa, passes, 1.0, data),
            Self::Axpy => {
                let (x, y) = data.split_at_mut(data.len() / 2);
                // Small: sums of all passes stay finite.
                peak::update(isa, passes, 1e-9, x, y);
            }
        }
    }
}

/// A line of the table: what passes through a core that goes over a buffer.
#[derive(Clone, Debug, Serialize)]
pub struct Bandwidth {
    /// `L1`, `L2`, `L3` or `memory`: what the buffer should lie in.
    pub level: &'static str,
    /// Size of the buffer.
    pub bytes: usize,
    /// What is done to it.
    pub pass: Pass,
    /// 10⁹ bytes a second.
    pub gb_per_s: Rate,
}

/// Half of the first-level cache, half of the second, half of a core's share of the third,
/// and far more; where sizes are not known, such as are common.
fn buffers(machine: &Machine) -> [(&'static str, usize); LINES / Pass::ALL.len()] {
    let cache = |level| machine.data_cache(level);
    let half = |level, unknown| cache(level).map_or(unknown, |c| c.bytes / 2);
    let (first, second) = (half(1, 16 * KIB), half(2, 256 * KIB));
    // More than the second level holds, for this is about the third.
    let share = |c: &super::Cache| (c.bytes / c.shared_by.max(1) / 2).max(second.saturating_mul(4));
    let third = cache(3).map_or(4 * MIB, share);
    let largest = (1..=4).filter_map(|level| cache(level).map(|c| c.bytes));
    let memory = largest.max().unwrap_or(0).saturating_mul(4);
    let memory = memory.clamp(SMALLEST_MEMORY, LARGEST_MEMORY);
    // Whole pages, and nothing absurd, whatever the system says.
    let size = |bytes: usize| (bytes.min(LARGEST_MEMORY) / (4 * KIB)).max(1) * (4 * KIB);
    [
        ("L1", size(first)),
        ("L2", size(second)),
        ("L3", size(third)),
        ("memory", memory),
    ]
}

/// All passes over all buffers; those that there is no memory for are left out.
pub(super) fn measure(
    isa: Isa,
    machine: &Machine,
    time: Duration,
    monitor: &dyn Monitor,
) -> Vec<Bandwidth> {
    let mut lines = Vec::new();
    for (level, bytes) in buffers(machine) {
        let Ok(mut data) = AlignedBuffer::zeroed(bytes / size_of::<f32>()) else {
            continue;
        };
        for pass in Pass::ALL {
            if monitor.stopped() {
                return lines;
            }
            if let Some(gb_per_s) = pass.rate(isa, &mut data, time, monitor) {
                lines.push(Bandwidth {
                    level,
                    bytes,
                    pass,
                    gb_per_s,
                });
                monitor.line();
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Cache;

    fn machine(caches: &[(u32, usize, usize)]) -> Machine {
        let mut machine = Machine::detect(Isa::best()).unwrap();
        let cache = |&(level, bytes, shared_by)| Cache {
            level,
            kind: "Data".into(),
            bytes,
            shared_by,
        };
        machine.caches = caches.iter().map(cache).collect();
        machine
    }

    #[test]
    fn buffers_fit_the_caches() {
        let zen = machine(&[(1, 48 * KIB, 1), (2, MIB, 1), (3, 32 * MIB, 2)]);
        let sizes = buffers(&zen).map(|(_, bytes)| bytes);
        assert_eq!(sizes, [24 * KIB, 512 * KIB, 8 * MIB, 128 * MIB]);
        let unknown = buffers(&machine(&[])).map(|(_, bytes)| bytes);
        assert_eq!(unknown, [16 * KIB, 256 * KIB, 4 * MIB, 64 * MIB]);
        // What no machine has is no reason to fail.
        let absurd = machine(&[(1, 0, 0), (2, usize::MAX, 1), (3, usize::MAX, 0)]);
        let sizes = buffers(&absurd).map(|(_, bytes)| bytes);
        assert_eq!(sizes[0], 4 * KIB);
        assert!(sizes[1..].iter().all(|&bytes| bytes == LARGEST_MEMORY));
    }

    #[test]
    fn a_pass_goes_over_the_whole_buffer() {
        let isa = Isa::best();
        let mut data = [2.0f32; 48];
        Pass::Write.run(isa, 1, &mut data);
        assert_eq!(data, [1.0; 48]);
        data[..24].fill(1e9);
        Pass::Axpy.run(isa, 2, &mut data);
        assert_eq!(data[24..], [3.0; 24]);
        assert_eq!(Pass::Axpy.traffic(48 * 4), 3.0 * 24.0 * 4.0);
        Pass::Read.run(isa, 2, &mut data);
    }
}
