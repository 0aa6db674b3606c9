//! Moves between registers.

use super::*;

struct Halves([f32; LANES], [f32; LANES]);

impl Kernel for Halves {
    type Output = [[f32; LANES]; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (a, b) = s.halves(s.from_array(self.0), s.from_array(self.1));
        [s.to_array(a), s.to_array(b)]
    }
}

#[test]
fn halves_go_together() {
    let a = std::array::from_fn(|i| i as f32);
    let b = std::array::from_fn(|i| 100.0 + i as f32);
    let first = std::array::from_fn(|i| if i < 8 { i as f32 } else { 92.0 + i as f32 });
    let second = std::array::from_fn(|i| {
        if i < 8 {
            8.0 + i as f32
        } else {
            100.0 + i as f32
        }
    });
    for isa in Isa::available() {
        assert_eq!(isa.dispatch(Halves(a, b)), [first, second], "{isa:?}");
    }
}

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
