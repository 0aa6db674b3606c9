//! Random numbers with bits that stay: streams, uniforms, normals, integers, shuffles.
//!
//! The bits come from Xoshiro256++; all that is made of them is made here, with
//! operations that IEEE 754 defines, so the same seed gives the same numbers on every
//! platform and with every version of every library.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// What a stream of random numbers is for: no two purposes share bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The weights of a layer.
    Weights,
    /// The biases of a layer.
    Biases,
    /// The order of the training samples in an epoch.
    Order,
    /// Gaussian inputs of a probe.
    Inputs,
    /// The gradient that a probe sends back from the output.
    OutputGradient,
    /// The decoder's weights of a layer's autoencoder.
    DecoderWeights,
    /// The order of the samples in pre-training: a layer's epoch.
    PretrainingOrder,
    /// Which inputs of a layer's autoencoder are set to 0.
    MaskingNoise,
}

impl Purpose {
    fn tag(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Biases => "biases",
            Self::Order => "order",
            Self::Inputs => "inputs",
            Self::OutputGradient => "output gradient",
            Self::DecoderWeights => "decoder weights",
            Self::PretrainingOrder => "pre-training order",
            Self::MaskingNoise => "masking noise",
        }
    }
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    bits: Xoshiro256PlusPlus,
    /// The second of the pair of normals that one draw gives.
    spare: Option<f64>,
}

impl Stream {
    /// The stream of (seed, purpose, index): a layer's or an epoch's own.
    ///
    /// Its state is SHA-256("fanin/PURPOSE" ‖ seed ‖ index), little-endian, so streams
    /// are independent and one layer's numbers do not depend on another's.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"fanin/");
        hash.update(purpose.tag());
        hash.update(seed.to_le_bytes());
        hash.update(index.to_le_bytes());
        Self {
            bits: Xoshiro256PlusPlus::from_seed(hash.finalize().into()),
            spare: None,
        }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.bits.next_u64()
    }

    /// Uniform on [0, 1): a multiple of 2⁻⁵³.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Standard normal, by the polar method (Marsaglia and Bray, "A convenient method
    /// for generating normal variables", SIAM Review 6(3), 1964).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let u = 2.0 * self.uniform() - 1.0;
            let v = 2.0 * self.uniform() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let scale = (-2.0 * ln(s) / s).sqrt();
                self.spare = Some(v * scale);
                return u * scale;
            }
        }
    }

    /// Uniform on 0 … n − 1, without bias (Lemire, "Fast random integer generation in
    /// an interval", ACM TOMACS 29(1), 2019). 0 for n = 0.
    pub fn below(&mut self, n: u32) -> u32 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = (self.next_u64() >> 32) * u64::from(n);
            // The low half is below `threshold` for the surplus values only.
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }

    /// Shuffles in place, every order equally likely (Fisher and Yates; Durstenfeld).
    pub fn shuffle(&mut self, items: &mut [u32]) {
        for last in (1..items.len()).rev() {
            let bound = u32::try_from(last + 1).unwrap_or(u32::MAX);
            items.swap(last, self.below(bound) as usize);
        }
    }
}

/// Natural logarithm of a positive normal number, to about 1e-15.
///
/// x = m·2ᵉ with m in [√½, √2); ln m = 2·artanh(s), s = (m − 1)/(m + 1), by its series.
fn ln(x: f64) -> f64 {
    const SQRT_2: u64 = 0x3FF6_A09E_667F_3BCD;
    let bits = x.to_bits();
    let mantissa = bits & ((1 << 52) - 1);
    let one = 1023u64 << 52;
    let mut exponent = ((bits >> 52) & 0x7FF) as i32 - 1023;
    let mut m = f64::from_bits(mantissa | one);
    if m.to_bits() >= SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    // s² ≤ 0.0295: the first term left out is below 1e-17.
    let mut sum = 0.0;
    let mut k = 21;
    while k >= 1 {
        sum = sum * square + 1.0 / f64::from(k);
        k -= 2;
    }
    f64::from(exponent) * std::f64::consts::LN_2 + 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bits() {
        // Part of the numerics contract: these may never change. Computed by a separate
        // implementation in Python (hashlib's SHA-256, Xoshiro256++ as published, math.log).
        let mut stream = Stream::new(1, Purpose::Weights, 0);
        let bits = [stream.next_u64(), stream.next_u64()];
        let mut stream = Stream::new(1, Purpose::Weights, 0);
        let normals: Vec<u64> = (0..3).map(|_| stream.normal().to_bits()).collect();
        let mut stream = Stream::new(7, Purpose::Order, 3);
        let mut order: Vec<u32> = (0..10).collect();
        stream.shuffle(&mut order);
        assert_eq!(
            format!("{bits:016x?} {normals:016x?} {order:?}"),
            "[5e2abe3461e05623, cd37d35c56276fe3] [bfe098f94e2c1c8e, 3ff2f0c66aed3bb4, bff6ee2db22abf19] [7, 2, 1, 4, 9, 0, 5, 3, 6, 8]"
        );
    }

    #[test]
    fn ln_is_accurate() {
        let mut stream = Stream::new(2, Purpose::Order, 0);
        for i in 0..100_000 {
            let x = if i % 2 == 0 {
                stream.uniform().max(1e-300)
            } else {
                f64::from_bits((stream.next_u64() >> 2).clamp(1 << 52, 0x7FE << 52))
            };
            let error = (ln(x) - x.ln()).abs();
            assert!(error <= 4e-16 * x.ln().abs().max(1.0), "ln({x}): {error}");
        }
    }

    #[test]
    fn normals_have_the_moments_and_tails_of_a_normal() {
        let mut stream = Stream::new(3, Purpose::Weights, 0);
        let n = 1_000_000;
        let (mut sum, mut squares, mut fourth) = (0.0, 0.0, 0.0);
        let (mut within_1, mut within_2, mut beyond_4) = (0, 0, 0);
        for _ in 0..n {
            let x = stream.normal();
            sum += x;
            squares += x * x;
            fourth += x * x * x * x;
            within_1 += u32::from(x.abs() < 1.0);
            within_2 += u32::from(x.abs() < 2.0);
            beyond_4 += u32::from(x.abs() > 4.0);
        }
        let n = f64::from(n);
        // Five standard errors of each estimate.
        assert!((sum / n).abs() < 5.0 / n.sqrt());
        assert!((squares / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
        assert!((fourth / n - 3.0).abs() < 5.0 * (96.0 / n).sqrt());
        assert!((f64::from(within_1) / n - 0.682_689_49).abs() < 0.0024);
        assert!((f64::from(within_2) / n - 0.954_499_74).abs() < 0.0011);
        assert!((30..105).contains(&beyond_4), "{beyond_4} of about 63");
    }

    #[test]
    fn integers_and_shuffles_are_uniform() {
        let mut stream = Stream::new(4, Purpose::Order, 0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&c| c.abs_diff(10_000) < 500),
            "{counts:?}"
        );
        let mut places = [[0u32; 5]; 5];
        for _ in 0..50_000 {
            let mut items: Vec<u32> = (0..5).collect();
            stream.shuffle(&mut items);
            for (place, &item) in items.iter().enumerate() {
                places[place][item as usize] += 1;
            }
        }
        assert!(
            places.iter().flatten().all(|&c| c.abs_diff(10_000) < 500),
            "{places:?}"
        );
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn streams_differ_by_each_of_their_coordinates() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).next_u64();
        let values = [
            first(1, Purpose::Weights, 0),
            first(2, Purpose::Weights, 0),
            first(1, Purpose::Biases, 0),
            first(1, Purpose::Weights, 1),
        ];
        for i in 0..4 {
            for j in 0..i {
                assert_ne!(values[i], values[j]);
            }
        }
    }
}
