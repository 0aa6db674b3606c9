//! Every operation on every instruction set against a scalar statement of it, bit by bit.

mod rows;

use super::{Kernel, LANES, Simd, TURNED, tree_sum};
use crate::isa::Isa;

/// How many random triples of each of the five kinds.
const TRIPLES: usize = 300_000;

type Triple = [f32; 3];

/// Where arithmetic goes wrong: zeros, ones and their neighbours, subnormals, the
/// ends of the range, halfway cases, values without a number.
const SPECIALS: [f32; 28] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1.0 + f32::EPSILON,
    1.0 - f32::EPSILON / 2.0,
    -1.0 - f32::EPSILON,
    f32::EPSILON / 2.0, // Half a unit in the last place of 1.
    -f32::EPSILON / 4.0,
    1.5,
    -3.0,
    0.1,
    8_388_609.0, // 2²³ + 1: the product of two such is a halfway case.
    16_777_215.0,
    f32::from_bits(1),           // The smallest subnormal.
    f32::from_bits(0x8000_0001), // Its negative.
    f32::from_bits(0x007f_ffff), // The largest subnormal.
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    1e-23, // Its square is subnormal.
    1.8446744e19,
    -1.8446744e19, // ±2⁶⁴: the square overflows.
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    f32::from_bits(0xffc1_2345), // Another NaN.
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> i32 {
        (self.bits() % n) as i32
    }

    /// Any bit pattern.
    fn any(&mut self) -> f32 {
        f32::from_bits(self.bits() as u32)
    }

    /// Any sign and significand, with this exponent: ±[2^e, 2^(e+1)), or a subnormal.
    fn with_exponent(&mut self, e: i32) -> f32 {
        let biased = (e + 127).clamp(0, 254) as u32;
        f32::from_bits((self.bits() as u32 & 0x807f_ffff) | biased << 23)
    }

    /// c lies at most 50 binades from a·b: all that alignment and cancellation can do.
    fn near(&mut self) -> Triple {
        let (i, j) = (self.below(100) - 50, self.below(100) - 50);
        let c = i + j + self.below(101) - 50;
        [
            self.with_exponent(i),
            self.with_exponent(j),
            self.with_exponent(c),
        ]
    }

    /// c is the negative of the rounded product: what is left is its rounding error.
    fn cancelling(&mut self) -> Triple {
        let (i, j) = (self.below(80) - 40, self.below(80) - 40);
        let (a, b) = (self.with_exponent(i), self.with_exponent(j));
        [a, b, -(a * b)]
    }

    /// a·b is half a unit in the last place of c, give or take one part in 2⁸ to 2⁴⁶:
    /// a sum rounded twice, by way of `f64`, falls on the wrong side.
    fn halfway(&mut self) -> Triple {
        let e = self.below(60) - 30;
        let k = self.below(40) - 20;
        let c = self.with_exponent(e);
        let tail = 2f32.powi(-4 - self.below(20));
        let other = if self.bits() & 1 == 0 { tail } else { 0.0 };
        let sign = if self.bits() & 1 == 0 { 1.0 } else { -1.0 };
        let a = (1.0 - tail) * 2f32.powi(k);
        let b = (1.0 + other) * 2f32.powi(e - 24 - k);
        [sign * a, b, c]
    }

    /// The product, the addend and so the result are subnormal or close to it.
    fn tiny(&mut self) -> Triple {
        let i = self.below(60) - 100;
        let j = -150 + self.below(30) - i;
        let c = -127 + self.below(4);
        [
            self.with_exponent(i),
            self.with_exponent(j),
            self.with_exponent(c),
        ]
    }
}

/// All triples of [`SPECIALS`], then the random ones.
fn triples() -> Vec<Triple> {
    let mut all = Vec::new();
    for a in SPECIALS {
        for b in SPECIALS {
            all.extend(SPECIALS.map(|c| [a, b, c]));
        }
    }
    let mut random = Random(1);
    for _ in 0..TRIPLES {
        all.push([random.any(), random.any(), random.any()]);
        all.push(random.near());
        all.push(random.cancelling());
        all.push(random.halfway());
        all.push(random.tiny());
    }
    all
}

/// The table of operations: its rows make a kernel, `Operations`, that does all of
/// them on registers, and a function, `scalar`, that does them on one lane.
macro_rules! operations {
    (|$s:ident, $a:ident, $b:ident, $c:ident| $($name:literal: $vector:expr, $scalar:expr;)+) => {
        const NAMES: &[&str] = &[$($name),+];

        struct Operations([[f32; LANES]; 3]);

        impl Kernel for Operations {
            type Output = [[f32; LANES]; NAMES.len()];

            #[inline(always)]
            fn run<S: Simd>(self, $s: S) -> Self::Output {
                let [$a, $b, $c] = self.0.map(#[inline(always)] |x| $s.from_array(x));
                [$($s.to_array($vector)),+]
            }
        }

        fn scalar([$a, $b, $c]: Triple) -> [f32; NAMES.len()] {
            [$($scalar),+]
        }
    };
}

/// The bits of a float as the integer that the integer operations take.
fn int(x: f32) -> i32 {
    x.to_bits() as i32
}

/// The float that has the bits of an integer, in which the table carries integers.
fn float(x: i32) -> f32 {
    f32::from_bits(x as u32)
}

operations! { |s, a, b, c|
    "splat": s.splat(2.5), 2.5;
    "zero": s.zero(), 0.0;
    "add": s.add(a, b), a + b;
    "sub": s.sub(a, b), a - b;
    "mul": s.mul(a, b), a * b;
    "div": s.div(a, b), a / b;
    "sqrt": s.sqrt(a), a.sqrt();
    "fma": s.fma(a, b, c), a.mul_add(b, c);
    "max": s.max(a, b), if a > b { a } else { b };
    "min": s.min(a, b), if a < b { a } else { b };
    "abs": s.abs(a), a.abs();
    "neg": s.neg(a), -a;
    "lt": s.select(s.lt(a, b), s.splat(1.0), s.splat(2.0)), if a < b { 1.0 } else { 2.0 };
    "eq": s.select(s.eq(a, b), s.splat(1.0), s.splat(2.0)), if a == b { 1.0 } else { 2.0 };
    "select": s.select(s.lt(a, b), b, c), if a < b { b } else { c };
    "splat_i": s.from_bits(s.splat_i(-7)), float(-7);
    "add_i": s.from_bits(s.add_i(s.bits(a), s.bits(b))), float(int(a).wrapping_add(int(b)));
    "sub_i": s.from_bits(s.sub_i(s.bits(a), s.bits(b))), float(int(a).wrapping_sub(int(b)));
    "and_i": s.from_bits(s.and_i(s.bits(a), s.bits(b))), float(int(a) & int(b));
    "or_i": s.from_bits(s.or_i(s.bits(a), s.bits(b))), float(int(a) | int(b));
    "xor_i": s.from_bits(s.xor_i(s.bits(a), s.bits(b))), float(int(a) ^ int(b));
    "shl 0": s.from_bits(s.shl::<0>(s.bits(a))), a;
    "shl 1": s.from_bits(s.shl::<1>(s.bits(a))), float(int(a) << 1);
    "shl 23": s.from_bits(s.shl::<23>(s.bits(a))), float(int(a) << 23);
    "shl 31": s.from_bits(s.shl::<31>(s.bits(a))), float(int(a) << 31);
    "shr 0": s.from_bits(s.shr::<0>(s.bits(a))), a;
    "shr 1": s.from_bits(s.shr::<1>(s.bits(a))), f32::from_bits(a.to_bits() >> 1);
    "shr 23": s.from_bits(s.shr::<23>(s.bits(a))), f32::from_bits(a.to_bits() >> 23);
    "shr 31": s.from_bits(s.shr::<31>(s.bits(a))), f32::from_bits(a.to_bits() >> 31);
    "to_f32": s.to_f32(s.bits(a)), int(a) as f32;
    "to_f32 of small": s.to_f32(s.shr::<6>(s.bits(a))), (a.to_bits() >> 6) as f32;
}

/// The operations whose NaN may be any NaN: IEEE 754 does not say which.
const ARITHMETIC: [&str; 6] = ["add", "sub", "mul", "div", "sqrt", "fma"];

#[test]
fn every_operation_has_the_bits_of_its_scalar_statement() {
    let arithmetic: Vec<bool> = NAMES.iter().map(|n| ARITHMETIC.contains(n)).collect();
    let triples = triples();
    let expected: Vec<_> = triples.iter().copied().map(scalar).collect();
    for isa in Isa::available() {
        for (t, e) in triples.chunks(LANES).zip(expected.chunks(LANES)) {
            let operand = |i: usize| std::array::from_fn(|l| t[l % t.len()][i]);
            let got = isa.dispatch(Operations([operand(0), operand(1), operand(2)]));
            for (op, name) in NAMES.iter().enumerate() {
                for l in 0..t.len() {
                    let (got, expected) = (got[op][l], e[l][op]);
                    let any_nan = arithmetic[op] && got.is_nan() && expected.is_nan();
                    assert!(
                        any_nan || got.to_bits() == expected.to_bits(),
                        "{isa:?} {name} of {:e} {:e} {:e} ({:x?}): {got:e} ({:x}), expected {expected:e} ({:x})",
                        t[l][0],
                        t[l][1],
                        t[l][2],
                        t[l].map(f32::to_bits),
                        got.to_bits(),
                        expected.to_bits(),
                    );
                }
            }
        }
    }
}

/// The triples are hard enough: an fma by way of `f64`, rounded twice, and one that
/// rounds the product first, both fail on many of them.
#[test]
fn triples_tell_a_fused_sum_from_others() {
    let mut random = Random(1);
    let (mut twice, mut unfused) = (0, 0);
    for _ in 0..10_000 {
        let [a, b, c] = random.halfway();
        let fused = a.mul_add(b, c);
        let by_f64 = (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
        twice += usize::from(by_f64 != fused);
        let [a, b, c] = random.cancelling();
        unfused += usize::from(a * b + c != a.mul_add(b, c));
    }
    assert!(twice > 500, "{twice} of 10000 are rounded twice");
    assert!(unfused > 9_000, "{unfused} of 10000 keep their error");
}

/// The tree as it is defined: the lanes ≡ i (mod step), halved by the parity of the
/// index last.
fn tree(a: &[f32; LANES], i: usize, step: usize) -> f32 {
    if step == LANES {
        a[i]
    } else {
        tree(a, i, 2 * step) + tree(a, i + step, 2 * step)
    }
}

/// Adds by the same tree, over neighbours first: what a horizontal add would do.
fn neighbours_first(a: &[f32]) -> f32 {
    match a {
        [x] => *x,
        _ => {
            let (lo, hi) = a.split_at(a.len() / 2);
            neighbours_first(lo) + neighbours_first(hi)
        }
    }
}

struct SumEach([[f32; LANES]; LANES]);

impl Kernel for SumEach {
    type Output = ([f32; LANES], [f32; LANES]);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let rows = self.0.map(
            #[inline(always)]
            |row| s.from_array(row),
        );
        let one_by_one = std::array::from_fn(
            #[inline(always)]
            |r| s.sum(rows[r]),
        );
        (s.to_array(s.sum_each(rows)), one_by_one)
    }
}

#[test]
fn sums_have_the_bits_of_the_tree() {
    let mut random = Random(2);
    let (mut rows, mut order_matters) = (0, 0);
    for round in 0..2_000 {
        let mut matrix = [[0.0f32; LANES]; LANES];
        for row in &mut matrix {
            for x in row {
                let e = random.below(12);
                *x = match (round, random.below(100)) {
                    (0, _) => -0.0,
                    (1, special) => SPECIALS[special as usize % SPECIALS.len()],
                    _ => random.with_exponent(e),
                };
            }
        }
        let expected = matrix.map(|row| tree(&row, 0, 1));
        for (row, expected) in matrix.iter().zip(expected) {
            let others = [row.iter().sum(), neighbours_first(row)];
            rows += 1;
            order_matters += usize::from(others.iter().all(|other| *other != expected));
            let sum = tree_sum(*row);
            assert!(sum.to_bits() == expected.to_bits() || sum.is_nan() && expected.is_nan());
        }
        for isa in Isa::available() {
            let (each, one_by_one) = isa.dispatch(SumEach(matrix));
            for r in 0..LANES {
                for got in [each[r], one_by_one[r]] {
                    assert!(
                        got.to_bits() == expected[r].to_bits()
                            || got.is_nan() && expected[r].is_nan(),
                        "{isa:?} row {r}: {got:e}, expected {:e}, of {:?}",
                        expected[r],
                        matrix[r],
                    );
                }
            }
        }
    }
    assert!(
        3 * order_matters > rows,
        "the order of addition shows in {order_matters} of {rows} rows only"
    );
}

/// Copies `n` floats with `load_first` and `store_first`; the register between them.
struct CopyFirst {
    n: usize,
    from: *const f32,
    to: *mut f32,
}

impl Kernel for CopyFirst {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; LANES] {
        // SAFETY: whoever makes a `CopyFirst` has `n` floats to read and `n` to write.
        unsafe {
            let v = s.load_first(self.n, self.from);
            // The lanes that must not be stored hold something that would be seen.
            let line = s.to_array(v);
            let marked = std::array::from_fn(|l| if l < self.n { line[l] } else { 99.0 });
            s.store_first(self.n, self.to, s.from_array(marked));
            line
        }
    }
}

/// Copies 16 floats with `load` and `store`.
struct Copy16 {
    from: *const f32,
    to: *mut f32,
}

impl Kernel for Copy16 {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: whoever makes a `Copy16` has 16 floats to read and 16 to write.
        unsafe { s.store(self.to, s.load(self.from)) }
    }
}

#[test]
fn memory_operations_touch_their_floats_only() {
    const SIZE: usize = 3 * LANES;
    const POISON: u32 = 0x7fc0_dead;
    let from: [f32; SIZE] = std::array::from_fn(|i| i as f32 + 1.0);
    for isa in Isa::available() {
        for offset in 0..LANES {
            for n in 0..=LANES {
                let mut to = [f32::from_bits(POISON); SIZE];
                // SAFETY: offset + n ≤ 32 < SIZE.
                let (source, target) =
                    unsafe { (from.as_ptr().add(offset), to.as_mut_ptr().add(offset)) };
                let got = isa.dispatch(CopyFirst {
                    n,
                    from: source,
                    to: target,
                });
                for (l, x) in got.iter().enumerate() {
                    let expected = if l < n { from[offset + l] } else { 0.0 };
                    assert_eq!(x.to_bits(), expected.to_bits(), "{isa:?} n {n} lane {l}");
                }
                for (i, x) in to.iter().enumerate() {
                    let inside = (offset..offset + n).contains(&i);
                    let expected = if inside { from[i].to_bits() } else { POISON };
                    assert_eq!(x.to_bits(), expected, "{isa:?} n {n} element {i}");
                }
            }
            let mut to = [f32::from_bits(POISON); SIZE];
            // SAFETY: offset + 16 ≤ 31 < SIZE.
            let (source, target) =
                unsafe { (from.as_ptr().add(offset), to.as_mut_ptr().add(offset)) };
            isa.dispatch(Copy16 {
                from: source,
                to: target,
            });
            for (i, x) in to.iter().enumerate() {
                let inside = (offset..offset + LANES).contains(&i);
                let expected = if inside { from[i].to_bits() } else { POISON };
                assert_eq!(x.to_bits(), expected, "{isa:?} element {i}");
            }
        }
    }
}

/// Floats that end, or begin, where memory does: a read or write beyond is a fault.
#[cfg(target_os = "linux")]
mod guarded {
    use std::ffi::{c_int, c_void};

    // The C library that `std` links; the values are those of Linux on x86-64 and aarch64.
    const PROT_NONE: c_int = 0;
    const PROT_READ_WRITE: c_int = 3;
    const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;

    unsafe extern "C" {
        fn mmap(
            p: *mut c_void,
            size: usize,
            prot: c_int,
            flags: c_int,
            file: c_int,
            offset: isize,
        ) -> *mut c_void;
        fn mprotect(p: *mut c_void, size: usize, prot: c_int) -> c_int;
        fn munmap(p: *mut c_void, size: usize) -> c_int;
    }

    /// A multiple of every page size in use.
    const PAGE: usize = 64 * 1024;
    const FLOATS: usize = PAGE / size_of::<f32>();

    /// One page of zeros between two that cannot be touched.
    pub struct Page(*mut c_void);

    impl Page {
        pub fn new() -> Self {
            // SAFETY: a new anonymous mapping touches no memory of ours.
            let p = unsafe {
                mmap(
                    std::ptr::null_mut(),
                    3 * PAGE,
                    PROT_NONE,
                    MAP_PRIVATE_ANONYMOUS,
                    -1,
                    0,
                )
            };
            assert_ne!(p.addr(), usize::MAX, "mmap failed");
            // SAFETY: the middle one of the three pages just mapped.
            let failed = unsafe { mprotect(p.byte_add(PAGE), PAGE, PROT_READ_WRITE) };
            assert_eq!(failed, 0, "mprotect failed");
            Self(p)
        }

        pub fn first(&mut self) -> *mut f32 {
            // SAFETY: inside the mapping of three pages.
            unsafe { self.0.byte_add(PAGE).cast() }
        }

        /// The last `n` floats.
        pub fn last(&mut self, n: usize) -> *mut f32 {
            assert!(n <= FLOATS);
            // SAFETY: inside the middle page, or at its end for n = 0.
            unsafe { self.first().add(FLOATS - n) }
        }
    }

    impl Drop for Page {
        fn drop(&mut self) {
            // SAFETY: the mapping made in `new`, which nothing refers to any more.
            unsafe { munmap(self.0, 3 * PAGE) };
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_operations_do_not_fault_at_the_edge_of_memory() {
    let (mut source, mut target) = (guarded::Page::new(), guarded::Page::new());
    for isa in Isa::available() {
        for n in 0..=LANES {
            let ends = [
                (source.first(), target.first()),
                (source.last(n), target.last(n)),
            ];
            for (from, to) in ends {
                for i in 0..n {
                    // SAFETY: both have `n` floats.
                    unsafe {
                        from.add(i).write(i as f32 + 1.0);
                        to.add(i).write(0.0);
                    }
                }
                isa.dispatch(CopyFirst { n, from, to });
                for i in 0..n {
                    // SAFETY: `to` has `n` floats.
                    assert_eq!(unsafe { to.add(i).read() }, i as f32 + 1.0, "{isa:?}");
                }
            }
        }
        let (from, to) = (source.last(LANES), target.last(LANES));
        isa.dispatch(Copy16 { from, to });
    }
}

/// So that a run on this kind of CPU cannot pass without its own code.
#[test]
fn the_instruction_sets_of_the_target_are_tested() {
    let names: Vec<_> = Isa::available().map(Isa::name).collect();
    assert_eq!(names.last(), Some(&"portable"));
    #[cfg(target_arch = "aarch64")]
    assert_eq!(names, ["neon", "portable"]);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(
        names.contains(&"avx2"),
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    );
}
