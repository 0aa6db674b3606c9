//! Multiply-adds and nothing else: what a core can do at most.

use crate::simd::{Kernel, Simd};
use crate::{Isa, LANES};

/// Independent chains: more than latency × throughput of any known core, and few
/// enough for the register file.
const CHAINS_WIDE: usize = 16;
const CHAINS: usize = 6;

/// Runs `rounds` rounds of independent FMAs; returns the floating-point operations done
/// (two for each lane of an FMA) and a number that depends on all of them.
pub fn fma_chains(isa: Isa, rounds: u64) -> (f64, f32) {
    isa.dispatch(Chains { rounds })
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
