//! Rows that are turned, products of rows, and bytes that are not 0.

use super::*;

/// Reads the first 4 floats of the first `n` rows of 7.
struct Turned<'a> {
    n: usize,
    rows: &'a [f32],
}

impl Kernel for Turned<'_> {
    type Output = [[f32; LANES]; TURNED];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        assert!(self.rows.len() >= 7 * (self.n - 1) + TURNED);
        // SAFETY: 4 floats from 7·(n − 1) on are inside (asserted).
        let lines = unsafe { s.load_turned(self.n, self.rows.as_ptr(), 7) };
        lines.map(
            #[inline(always)]
            |line| s.to_array(line),
        )
    }
}

#[test]
fn rows_are_turned_and_the_last_one_repeated() {
    let memory: Vec<f32> = (0..7 * LANES as u16).map(f32::from).collect();
    for isa in Isa::available() {
        for n in 1..=LANES {
            // Nothing behind the last row's 4 floats.
            let rows = &memory[..7 * (n - 1) + TURNED];
            let expected: [[f32; LANES]; TURNED] =
                std::array::from_fn(|i| std::array::from_fn(|j| rows[7 * j.min(n - 1) + i]));
            assert_eq!(isa.dispatch(Turned { n, rows }), expected, "{isa:?} {n}");
        }
    }
}

/// Which of 32 bytes are not 0.
struct Nonzero<'a>(&'a [u8; 32]);

impl Kernel for Nonzero<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u32 {
        s.nonzero(self.0)
    }
}

#[test]
fn each_byte_that_is_not_zero_has_a_bit() {
    for isa in Isa::available() {
        for bits in (0..32).map(|i| 1u32 << i).chain([0, u32::MAX, 0x8001_f00d]) {
            for byte in [1, 0x7f, 0x80, 0xff] {
                let bytes = std::array::from_fn(|i| if bits >> i & 1 == 1 { byte } else { 0 });
                assert_eq!(isa.dispatch(Nonzero(&bytes)), bits, "{isa:?} {byte}");
            }
        }
    }
}

/// The products of `R` rows with `C` others, lines of `n` floats in `memory`.
struct Dots<'a, const R: usize, const C: usize> {
    n: usize,
    memory: &'a [f32],
}

impl<const R: usize, const C: usize> Kernel for Dots<'_, R, C> {
    type Output = [[f32; R]; C];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let lines = self.memory.as_ptr();
        assert!(self.memory.len() >= (R + C) * self.n);
        let rows: [_; R] = std::array::from_fn(|r| lines.wrapping_add(r * self.n));
        let others = std::array::from_fn(|c| lines.wrapping_add((R + c) * self.n));
        let mut sums = [[f32::NAN; R]; C];
        let to = sums.each_mut().map(|sums| sums.as_mut_ptr());
        // SAFETY: all lines are inside (asserted), `sums` are locals.
        unsafe { s.dots(self.n, rows, others, to) };
        sums
    }
}

fn check_dots<const R: usize, const C: usize>(n: usize, memory: &[f32]) {
    let expected: [[f32; R]; C] = std::array::from_fn(|c| {
        std::array::from_fn(|r| {
            let mut lanes = [0.0f32; LANES];
            for i in 0..n {
                let (w, d) = (memory[r * n + i], memory[(R + c) * n + i]);
                lanes[i % LANES] = w.mul_add(d, lanes[i % LANES]);
            }
            tree_sum(lanes)
        })
    });
    for isa in Isa::available() {
        let found = isa.dispatch(Dots::<R, C> { n, memory });
        assert_eq!(
            found.map(|sums| sums.map(f32::to_bits)),
            expected.map(|sums| sums.map(f32::to_bits)),
            "{isa:?} {n} {R} {C}"
        );
    }
}

#[test]
fn dots_are_chains_and_one_tree() {
    let mut random = Random(7);
    for n in [0, 16, 32, 48, 160] {
        let memory: Vec<f32> = (0..17 * n).map(|_| random.with_exponent(0)).collect();
        check_dots::<4, 1>(n, &memory);
        check_dots::<16, 1>(n, &memory);
        check_dots::<4, 2>(n, &memory);
        check_dots::<8, 2>(n, &memory);
        check_dots::<4, 3>(n, &memory);
        check_dots::<4, 4>(n, &memory);
    }
}
