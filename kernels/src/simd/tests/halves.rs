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

struct Zip([f32; LANES], [f32; LANES]);

impl Kernel for Zip {
    type Output = [[f32; LANES]; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (a, b) = s.zip(s.from_array(self.0), s.from_array(self.1));
        [s.to_array(a), s.to_array(b)]
    }
}

struct Transpose([[f32; LANES]; LANES]);

impl Kernel for Transpose {
    type Output = [[f32; LANES]; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let rows = self.0.map(
            #[inline(always)]
            |row| s.from_array(row),
        );
        s.transpose(rows).map(
            #[inline(always)]
            |row| s.to_array(row),
        )
    }
}

#[test]
fn registers_are_zipped_and_transposed() {
    let a = std::array::from_fn(|i| i as f32);
    let b = std::array::from_fn(|i| 100.0 + i as f32);
    let pair = |i: usize| (i / 2 + 100 * (i % 2)) as f32;
    let low = std::array::from_fn(pair);
    let high = std::array::from_fn(|i| pair(i + LANES));
    let matrix = std::array::from_fn(|r| std::array::from_fn(|c| (LANES * r + c) as f32));
    let transposed = std::array::from_fn(|r| std::array::from_fn(|c| (LANES * c + r) as f32));
    for isa in Isa::available() {
        assert_eq!(isa.dispatch(Zip(a, b)), [low, high], "{isa:?}");
        assert_eq!(isa.dispatch(Transpose(matrix)), transposed, "{isa:?}");
    }
}
