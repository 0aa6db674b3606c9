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
