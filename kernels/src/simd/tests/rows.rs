//! Rows that are turned, and products of rows.

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

/// The products of 4 rows with `C` others, lines of `n` floats in `memory`.
struct Dots<'a, const C: usize> {
    n: usize,
    memory: &'a [f32],
}

impl<const C: usize> Kernel for Dots<'_, C> {
    type Output = [[f32; 4]; C];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let lines = self.memory.as_ptr();
        assert!(self.memory.len() >= (4 + C) * self.n);
        let rows = std::array::from_fn(|r| lines.wrapping_add(r * self.n));
        let others = std::array::from_fn(|c| lines.wrapping_add((4 + c) * self.n));
        let mut sums = [[f32::NAN; 4]; C];
        let to = sums.each_mut().map(|sums| sums.as_mut_ptr());
        // SAFETY: all lines are inside (asserted), `sums` are locals.
        unsafe { s.dots(self.n, rows, others, to) };
        sums
    }
}

fn check_dots<const C: usize>(n: usize, memory: &[f32]) {
    let expected: [[f32; 4]; C] = std::array::from_fn(|c| {
        std::array::from_fn(|r| {
            let mut lanes = [0.0f32; LANES];
            for i in 0..n {
                let (w, d) = (memory[r * n + i], memory[(4 + c) * n + i]);
                lanes[i % LANES] = w.mul_add(d, lanes[i % LANES]);
            }
            tree_sum(lanes)
        })
    });
    for isa in Isa::available() {
        let found = isa.dispatch(Dots::<C> { n, memory });
        assert_eq!(
            found.map(|sums| sums.map(f32::to_bits)),
            expected.map(|sums| sums.map(f32::to_bits)),
            "{isa:?} {n} {C}"
        );
    }
}

#[test]
fn dots_are_chains_and_one_tree() {
    let mut random = Random(7);
    for n in [0, 16, 32, 48, 160] {
        let memory: Vec<f32> = (0..8 * n).map(|_| random.with_exponent(0)).collect();
        check_dots::<1>(n, &memory);
        check_dots::<2>(n, &memory);
        check_dots::<3>(n, &memory);
        check_dots::<4>(n, &memory);
    }
}
