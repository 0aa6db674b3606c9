//! What a core can do at most: multiply-adds and nothing else, and plain passes over
//! memory. For measurements only: the sums depend on the instruction set.

use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES};

/// Independent chains: more than latency × throughput of any known core, and few
/// enough for the register file.
const CHAINS_WIDE: usize = 16;
const CHAINS: usize = 6;

/// Registers that a pass over memory handles at a time, likewise.
const LINES_WIDE: usize = 16;
const LINES: usize = 4;

/// Runs `rounds` rounds of independent FMAs; returns the floating-point operations done
/// (two for each lane of an FMA) and a number that depends on all of them.
pub fn fma_chains(isa: Isa, rounds: u64) -> (f64, f32) {
    isa.dispatch(Chains { rounds })
}

/// Reads all of `x`, `passes` times; returns a sum of what was read.
pub fn read(isa: Isa, passes: u64, x: &[f32]) -> f32 {
    isa.dispatch(Read { passes, x })
}

/// Writes all of `y`, `passes` times; it holds `value` at the end, if there was a pass.
pub fn write(isa: Isa, passes: u64, value: f32, y: &mut [f32]) {
    isa.dispatch(Write { passes, value, y });
}

/// `y ← fma(a, x, y)`, `passes` times: two reads and a write of each element.
///
/// # Panics
/// If the lengths differ.
pub fn update(isa: Isa, passes: u64, a: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "update: x and y differ in length");
    isa.dispatch(Update { passes, a, x, y });
}

struct Chains {
    rounds: u64,
}

impl Kernel for Chains {
    type Output = (f64, f32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f64, f32) {
        if S::REGISTERS >= 32 {
            chains::<S, CHAINS_WIDE>(s, self.rounds)
        } else {
            chains::<S, CHAINS>(s, self.rounds)
        }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, rounds: u64) -> (f64, f32) {
    // The values tend to 1: no overflow, no subnormals.
    let (a, b) = (s.splat(0.999), s.splat(0.001));
    let mut acc = [s.splat(0.5); N];
    for _ in 0..rounds {
        for acc in &mut acc {
            *acc = s.fma(*acc, a, b);
        }
    }
    let flops = 2.0 * (LANES * N) as f64 * rounds as f64;
    let mut total = s.zero();
    for acc in acc {
        total = s.add(total, acc);
    }
    (flops, s.sum(total))
}

/// Where registers lie in a slice: blocks of `lines` of them, single ones, and a rest.
struct Cuts {
    blocks: usize,
    registers: usize,
    len: usize,
}

impl Cuts {
    #[inline(always)]
    fn new(len: usize, lines: usize) -> Self {
        Self {
            blocks: len - len % (lines * LANES),
            registers: len - len % LANES,
            len,
        }
    }

    /// Starts of the single registers.
    #[inline(always)]
    fn singles(&self) -> impl Iterator<Item = usize> + use<> {
        (self.blocks..self.registers).step_by(LANES)
    }

    /// Elements of the rest.
    #[inline(always)]
    fn rest(&self) -> usize {
        self.len - self.registers
    }
}

struct Read<'a> {
    passes: u64,
    x: &'a [f32],
}

impl Read<'_> {
    #[inline(always)]
    fn lines<S: Simd, const N: usize>(self, s: S) -> f32 {
        let cuts = Cuts::new(self.x.len(), N);
        let x = self.x.as_ptr();
        let mut acc = [s.zero(); N];
        for _ in 0..self.passes {
            for i in (0..cuts.blocks).step_by(N * LANES) {
                for (r, acc) in acc.iter_mut().enumerate() {
                    // SAFETY: i + N·16 ≤ blocks ≤ the length of `x`.
                    *acc = s.add(*acc, unsafe { s.load(x.add(i + r * LANES)) });
                }
            }
            for i in cuts.singles() {
                // SAFETY: i + 16 ≤ registers ≤ the length of `x`.
                acc[0] = s.add(acc[0], unsafe { s.load(x.add(i)) });
            }
            // SAFETY: registers + rest is the length of `x`.
            let rest = unsafe { s.load_first(cuts.rest(), x.add(cuts.registers)) };
            acc[0] = s.add(acc[0], rest);
        }
        let mut total = s.zero();
        for acc in acc {
            total = s.add(total, acc);
        }
        s.sum(total)
    }
}

impl Kernel for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        if S::REGISTERS >= 32 {
            self.lines::<S, LINES_WIDE>(s)
        } else {
            self.lines::<S, LINES>(s)
        }
    }
}

struct Write<'a> {
    passes: u64,
    value: f32,
    y: &'a mut [f32],
}

impl Kernel for Write<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cuts = Cuts::new(self.y.len(), LINES);
        for _ in 0..self.passes {
            // Opaque, so that no pass is dropped because the next one writes the same.
            let y = std::hint::black_box(self.y.as_mut_ptr());
            let v = s.splat(self.value);
            for i in (0..cuts.blocks).step_by(LINES * LANES) {
                for r in 0..LINES {
                    // SAFETY: i + LINES·16 ≤ blocks ≤ the length of `y`.
                    unsafe { s.store(y.add(i + r * LANES), v) };
                }
            }
            for i in cuts.singles() {
                // SAFETY: i + 16 ≤ registers ≤ the length of `y`.
                unsafe { s.store(y.add(i), v) };
            }
            // SAFETY: registers + rest is the length of `y`.
            unsafe { s.store_first(cuts.rest(), y.add(cuts.registers), v) };
        }
    }
}

struct Update<'a> {
    passes: u64,
    a: f32,
    x: &'a [f32],
    /// As long as `x`.
    y: &'a mut [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let cuts = Cuts::new(self.y.len(), LINES);
        let (a, x, y) = (s.splat(self.a), self.x.as_ptr(), self.y.as_mut_ptr());
        for _ in 0..self.passes {
            for i in (0..cuts.blocks).step_by(LINES * LANES) {
                for r in 0..LINES {
                    let at = i + r * LANES;
                    // SAFETY: i + LINES·16 ≤ blocks ≤ the length of both.
                    unsafe {
                        let v = s.fma(a, s.load(x.add(at)), s.load(y.add(at)));
                        s.store(y.add(at), v);
                    }
                }
            }
            for i in cuts.singles() {
                // SAFETY: i + 16 ≤ registers ≤ the length of both.
                unsafe { s.store(y.add(i), s.fma(a, s.load(x.add(i)), s.load(y.add(i)))) };
            }
            let (i, n) = (cuts.registers, cuts.rest());
            // SAFETY: registers + rest is the length of both.
            unsafe {
                let v = s.fma(a, s.load_first(n, x.add(i)), s.load_first(n, y.add(i)));
                s.store_first(n, y.add(i), v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Empty, a rest alone, whole registers, whole blocks, and all of them.
    const LENGTHS: [usize; 8] = [0, 1, 15, 16, 64, 256, 271, 1000];

    #[test]
    fn every_element_is_read_in_every_pass() {
        for isa in Isa::available() {
            for len in LENGTHS {
                // Integers: their sums are exact in any order.
                let x: Vec<f32> = (0..len).map(|i| (i % 31) as f32 + 1.0).collect();
                let sum: f32 = x.iter().sum();
                for passes in [0u8, 1, 3] {
                    let expected = f32::from(passes) * sum;
                    assert_eq!(read(isa, passes.into(), &x), expected, "{isa:?} {len}");
                }
            }
        }
    }

    #[test]
    fn every_element_is_written() {
        for isa in Isa::available() {
            for len in LENGTHS {
                let mut y = vec![1.0; len];
                write(isa, 0, 2.0, &mut y);
                assert!(y.iter().all(|&v| v == 1.0));
                write(isa, 2, 3.0, &mut y);
                assert!(y.iter().all(|&v| v == 3.0), "{isa:?} {len}");
            }
        }
    }

    #[test]
    fn every_element_is_updated_in_every_pass() {
        for isa in Isa::available() {
            for len in LENGTHS {
                let x: Vec<f32> = (0..len).map(|i| i as f32).collect();
                let mut y: Vec<f32> = (0..len).map(|i| (i % 7) as f32).collect();
                update(isa, 3, 0.5, &x, &mut y);
                let expected: Vec<f32> =
                    (0..len).map(|i| (i % 7) as f32 + 1.5 * i as f32).collect();
                assert_eq!(y, expected, "{isa:?} {len}");
            }
        }
    }
}
