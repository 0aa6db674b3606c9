//! Which instruction set the kernels run on: detected, or asked for by name.

use crate::simd::portable::Portable;
use crate::simd::{Kernel, Simd};
use std::fmt;

#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2::Avx2, avx512::Avx512};

#[cfg(target_arch = "aarch64")]
use crate::simd::neon::Neon;

/// An instruction set that this CPU has.
///
/// A value is a proof: it can only be had by detection, so every kernel that takes
/// one is safe to call. The results do not depend on it, to the last bit.
#[derive(Clone, Copy)]
pub struct Isa(Token);

#[derive(Clone, Copy)]
enum Token {
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
    Portable(Portable),
}

/// Every name that [`Isa::by_name`] knows, fastest first.
pub const ISA_NAMES: [&str; 4] = ["avx512", "avx2", "neon", "portable"];

/// The environment variable that asks for an instruction set by name.
pub const ISA_VARIABLE: &str = "FANIN_ISA";

/// Why an instruction set cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// No instruction set has this name.
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This CPU does not have it.
    Unavailable {
        /// What was asked for.
        name: String,
    },
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = Isa::available().map(Isa::name).collect::<Vec<_>>();
        match self {
            Self::Unknown { name } => write!(
                f,
                "unknown instruction set '{name}': expected one of {}",
                ISA_NAMES.join(", ")
            ),
            Self::Unavailable { name } => write!(
                f,
                "this CPU has no '{name}' instruction set: it has {}",
                here.join(", ")
            ),
        }
    }
}

impl std::error::Error for IsaError {}

impl Isa {
    /// The instruction sets of this CPU, fastest first; `portable` is always the last.
    pub fn available() -> impl Iterator<Item = Isa> {
        let tokens = [
            #[cfg(target_arch = "x86_64")]
            Avx512::detect().map(Token::Avx512),
            #[cfg(target_arch = "x86_64")]
            Avx2::detect().map(Token::Avx2),
            #[cfg(target_arch = "aarch64")]
            Neon::detect().map(Token::Neon),
            Some(Token::Portable(Portable)),
        ];
        tokens.into_iter().flatten().map(Isa)
    }

    /// The fastest instruction set of this CPU.
    pub fn best() -> Isa {
        Self::available()
            .next()
            .unwrap_or(Isa(Token::Portable(Portable)))
    }

    /// The one with this name: `avx512`, `avx2`, `neon` or `portable`.
    ///
    /// # Errors
    /// If the name is none of these, or the CPU lacks it. There is no fallback.
    pub fn by_name(name: &str) -> Result<Isa, IsaError> {
        if !ISA_NAMES.contains(&name) {
            return Err(IsaError::Unknown { name: name.into() });
        }
        Self::available()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| IsaError::Unavailable { name: name.into() })
    }

    /// What the environment variable `FANIN_ISA` asks for, else the fastest.
    ///
    /// # Errors
    /// As [`Isa::by_name`], for what the variable holds.
    pub fn from_env() -> Result<Isa, IsaError> {
        match std::env::var_os(ISA_VARIABLE) {
            None => Ok(Self::best()),
            Some(name) => Self::by_name(&name.to_string_lossy()),
        }
    }

    /// `avx512`, `avx2`, `neon` or `portable`.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Token::Neon(_) => "neon",
            Token::Portable(_) => "portable",
        }
    }

    #[inline]
    pub(crate) fn dispatch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Token::Avx512(token) => token.run(kernel),
            #[cfg(target_arch = "x86_64")]
            Token::Avx2(token) => token.run(kernel),
            #[cfg(target_arch = "aarch64")]
            Token::Neon(token) => token.run(kernel),
            Token::Portable(token) => token.run(kernel),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_errors() {
        for isa in Isa::available() {
            assert_eq!(Isa::by_name(isa.name()).unwrap().name(), isa.name());
        }
        assert!(matches!(
            Isa::by_name("sse9"),
            Err(IsaError::Unknown { .. })
        ));
        let missing = if cfg!(target_arch = "x86_64") {
            "neon"
        } else {
            "avx512"
        };
        assert!(matches!(
            Isa::by_name(missing),
            Err(IsaError::Unavailable { .. })
        ));
    }
}
