//! Matrix products that a team shares.

use super::shape::Shape;
use super::{Gemm, ShapeOf};
use crate::team::Team;
use crate::{Isa, MatMut, MatRef};
use std::collections::TryReserveError;
use std::sync::{Mutex, PoisonError};

/// Multiplies matrices on the threads of a [`Team`]: each has a part of C, and packs what
/// it needs for that by itself.
///
/// The result is that of [`Gemm`] to the last bit, whatever the number of threads.
///
/// ```
/// use fanin_kernels::team::Team;
/// use fanin_kernels::{Isa, MatMut, MatRef, SharedGemm};
///
/// let mut team = Team::new(2)?;
/// let mut gemm = SharedGemm::new(Isa::best(), team.threads())?;
/// let (a, mut c) = ([1.0; 64 * 64], [0.0; 64 * 64]);
/// let a = MatRef::new(&a, 64, 64);
/// gemm.run(&mut team, 1.0, a, a, 0.0, MatMut::new(&mut c, 64, 64));
/// assert_eq!(c, [64.0; 64 * 64]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedGemm {
    /// One for each thread; locked by that thread only.
    members: Vec<Mutex<Gemm>>,
    shape: Shape,
}

impl SharedGemm {
    /// For teams of up to `threads`.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(isa: Isa, threads: usize) -> Result<Self, TryReserveError> {
        let shape = isa.dispatch(ShapeOf);
        let mut members = Vec::new();
        members.try_reserve_exact(threads)?;
        for _ in 0..threads {
            members.push(Mutex::new(Gemm::new(isa)?));
        }
        Ok(Self { members, shape })
    }

    /// `C ← α·A·B + β·C`, as [`Gemm::run`]; C is cut along its longer side.
    ///
    /// Shapes: A \[m, k\], B \[k, n\], C \[m, n\], with any strides.
    ///
    /// # Panics
    /// If the shapes do not fit together, or the team has more threads than this was made
    /// for.
    pub fn run(
        &mut self,
        team: &mut Team,
        alpha: f32,
        a: MatRef<'_>,
        b: MatRef<'_>,
        beta: f32,
        c: MatMut<'_>,
    ) {
        assert!(
            team.threads() <= self.members.len(),
            "a team of {} for a product of {}",
            team.threads(),
            self.members.len()
        );
        assert!(
            a.rows() == c.rows() && a.cols() == b.rows() && b.cols() == c.cols(),
            "gemm: the shapes of {a:?} · {b:?} and {c:?} do not fit together"
        );
        let members = &self.members;
        let gemm = |member: usize, a: MatRef<'_>, b: MatRef<'_>, c: MatMut<'_>| {
            // A product that panicked has left nothing that the next one reads.
            let gemm = members[member].lock();
            let mut gemm = gemm.unwrap_or_else(PoisonError::into_inner);
            gemm.run(alpha, a, b, beta, c);
        };
        let (m, n) = (c.rows(), c.cols());
        if n >= m {
            team.split_cols(n, self.shape.columns(), [c], |member, cols, [c]| {
                gemm(member, a, b.col_range(cols.start, cols.end), c);
            });
        } else {
            let c = c.transposed();
            team.split_cols(m, self.shape.rows, [c], |member, rows, [c]| {
                let a = a.row_range(rows.start, rows.end);
                gemm(member, a, b, c.transposed());
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bits_are_those_of_one_thread() {
        let isa = Isa::best();
        let mut one = Gemm::new(isa).unwrap();
        for threads in [1, 2, 3] {
            let mut team = Team::new(threads).unwrap();
            let mut shared = SharedGemm::new(isa, threads).unwrap();
            for [m, k, n] in [
                [1, 1, 1],
                [3, 7, 200],
                [200, 7, 3],
                [65, 300, 65],
                [40, 0, 40],
            ] {
                let numbers = |len: usize, step: usize| -> Vec<f32> {
                    let number = |i: usize| (i * step % 1000) as f32 / 999.0 - 0.5;
                    (0..len).map(number).collect()
                };
                let (a, b) = (numbers(m * k, 7919), numbers(k * n, 104_729));
                let (a, b) = (MatRef::new(&a, m, k), MatRef::new(&b, k, n));
                let mut expected = numbers(m * n, 31);
                let mut found = expected.clone();
                one.run(0.7, a, b, 0.3, MatMut::new(&mut expected, m, n));
                let c = MatMut::new(&mut found, m, n);
                shared.run(&mut team, 0.7, a, b, 0.3, c);
                let bits = |c: &[f32]| c.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&expected), "{threads}: {m}×{k}×{n}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a team of 2")]
    fn larger_teams_are_refused() {
        let mut shared = SharedGemm::new(Isa::best(), 1).unwrap();
        let empty = MatRef::new(&[], 0, 0);
        let c = MatMut::new(&mut [], 0, 0);
        shared.run(&mut Team::new(2).unwrap(), 1.0, empty, empty, 0.0, c);
    }
}
