//! What the benchmarks of the kernels share.
//!
//! They are a crate of their own, for who tests the kernels should not have to compile criterion and
//! the crates that they are compared with.

use fanin_kernels::Isa;

/// The instruction sets of this machine with vector registers. Portable code, often a call for
/// each multiply-add, would take minutes.
pub fn vector_instruction_sets() -> impl Iterator<Item = Isa> {
    Isa::available().filter(|isa| isa.name() != "portable")
}
