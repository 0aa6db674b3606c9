//! The SIMD numerics of fanin: the same bits on every instruction set.
//!
//! No I/O, no random numbers, no allocation in a hot call. Threads are here only as the
//! [`team::Team`], for the sake of its `unsafe`; the kernels themselves know nothing of it.
//!
//! # Conventions
//!
//! - Matrices are views, [`MatRef`] and [`MatMut`], over slices of `f32`. W is
//!   \[in, out\], a batch \[samples, units\], both row-major: `y = f(x·W + b)`.
//! - The layer kernels want rows padded to a multiple of [`LANES`] = 16 floats
//!   ([`padded`]). Padding in W, b and δ is 0 and stays 0; padding in y is f(0) and is
//!   never read as an input.
//! - Shapes are checked by real assertions, once a call: a mismatch panics.
//! - An [`Isa`] is a proof that the CPU has an instruction set; every kernel takes one.
//!
//! # The numerics contract
//!
//! - An output of a matrix product is one chain of FMAs in ascending k that starts from
//!   its bias, or from C. Loops are split and vectorized over rows and columns only.
//! - A reduction along the contiguous axis has 16 partial sums (lane i sums elements i,
//!   i + 16, …, by FMAs where there is a product) and one tree: lanes 8 apart, 4, 2, 1.
//! - Zero inputs may be skipped: fma(0, w, acc) = acc for finite w, but for the sign of a
//!   zero. No kernel's non-zero result depends on the sign of a zero operand, and
//!   whoever compares or hashes results takes −0 as +0 and all NaNs as one.
//! - Only + − × ÷ √ fma, comparison, selection and integer operations. No estimates, no
//!   library functions: [`math`] has one written sequence for each function.
//!
//! # Safety model
//!
//! `unsafe` is for three things: loads and stores through pointers that a checked view
//! gave ([`matrix`]), calls into code compiled for an instruction set that a token proves
//! to be there (`simd`), and the hand-over of a closure to the team's threads
//! ([`team`]). Each block says why it holds.
//!
//! # Glossary
//!
//! `mr`, `nr`: rows and registers of a tile; *register*: 16 floats, whatever the hardware
//! has (`simd`); *panel*: a block of columns; *epilogue*: what is done to a tile before it
//! leaves the cache; *δ*: dL/dz of a layer; *scaled*: δ times what an update needs.

pub mod activation;
pub mod buffer;
pub mod dense;
mod fetch;
pub mod fused;
pub mod gemm;
pub mod isa;
pub mod loss;
pub mod math;
pub mod matrix;
pub mod norm;
pub mod optimizer;
mod parts;
pub mod peak;
#[doc(hidden)]
pub mod reference;
mod simd;
pub mod sparse;
pub mod team;
pub use activation::Activation;
pub use buffer::{AlignedBuffer, padded};
pub use fetch::fetch;
pub use gemm::{Blocking, Gemm, SharedGemm};
pub use isa::{ISA_NAMES, ISA_VARIABLE, Isa, IsaError};
pub use loss::{Loss, Targets};
pub use matrix::{MatMut, MatRef};
pub use simd::LANES;
