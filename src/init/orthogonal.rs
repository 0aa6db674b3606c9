//! Random matrices with orthonormal columns or rows, by a Householder QR in f64.
//!
//! A [m, n] with m ≥ n is reflected to a triangle, one column after the other:
//!
//! ```text
//! for k in 0..n:   x = A[k.., k],  norm = ‖x‖,  s = sign(x₀)
//!                  v = x + s·norm·e₀,  β = 1 / (norm·(norm + |x₀|))     (= 2 / vᵀv)
//!                  A[k.., k..] −= v·(β·vᵀA[k.., k..]),  which makes R[k, k] = −s·norm
//! Q = H₀·H₁·…·Hₙ₋₁·I [m, n],  Hₖ = I − βₖ·vₖ·vₖᵀ
//! ```
//!
//! (Golub and Van Loan, "Matrix Computations", §5.2.) P columns at a time, a panel, get all
//! their reflections one after the other while they are in cache. Every column has the
//! same operations in the same order whatever P is, and these are + − × ÷ and sqrt only:
//! the same bits everywhere.

use crate::random::Stream;
use fanin_kernels::MatMut;
use std::collections::TryReserveError;

/// The rows of P columns.
type Panel<const P: usize> = [[f64; P]];

/// Sets `w` to gain·Q, Q from the QR decomposition of a standard normal matrix (of its
/// transpose, if it has more columns than rows), R with a positive diagonal.
///
/// # Errors
/// If there is no memory for the decomposition: a matrix of f64 and a panel, which is no
/// larger.
pub(super) fn matrix(stream: &mut Stream, gain: f64, w: MatMut<'_>) -> Result<(), TryReserveError> {
    match w.rows().min(w.cols()) {
        16.. => by_panels::<16>(stream, gain, w),
        4.. => by_panels::<4>(stream, gain, w),
        _ => by_panels::<1>(stream, gain, w),
    }
}

/// [`matrix`], P columns at a time.
pub(super) fn by_panels<const P: usize>(
    stream: &mut Stream,
    gain: f64,
    mut w: MatMut<'_>,
) -> Result<(), TryReserveError> {
    let wide = w.rows() < w.cols();
    let (m, n) = (w.rows().max(w.cols()), w.rows().min(w.cols()));
    // Column j of A is columns[j·m..][..m]; the normals are drawn in the order of W.
    let mut columns = filled(m * n, 0.0)?;
    if wide {
        columns.fill_with(|| stream.normal());
    } else {
        for i in 0..m {
            for j in 0..n {
                columns[j * m + i] = stream.normal();
            }
        }
    }
    let mut panel = filled(m, [0.0; P])?;
    let qr = Qr::new(m, n, columns, &mut panel)?;
    if wide {
        w = w.transposed();
    }
    qr.for_each_q(&mut panel, |i, j, q| w.set(i, j, (gain * q) as f32));
    Ok(())
}

/// Sets `out` to a row of norm `gain`, every direction equally likely.
pub(super) fn vector(stream: &mut Stream, gain: f64, out: &mut [f32]) {
    // Drawn twice, so that it takes no memory.
    let mut again = stream.clone();
    let mut squares = 0.0;
    for _ in 0..out.len() {
        let x = stream.normal();
        squares += x * x;
    }
    let norm = squares.sqrt();
    out.fill_with(|| (gain * (again.normal() / norm)) as f32);
}

/// `len` times `value`.
fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>, TryReserveError> {
    let mut all = Vec::new();
    all.try_reserve_exact(len)?;
    all.resize(len, value);
    Ok(all)
}

/// A QR decomposition: the reflections, and the signs of the diagonal of R.
struct Qr {
    m: usize,
    n: usize,
    /// v of reflection k is `v[k·m + k..(k + 1)·m]`.
    v: Vec<f64>,
    /// β of each reflection.
    beta: Vec<f64>,
    /// ±1: the sign of R[k, k], by which column k of Q is multiplied.
    sign: Vec<f64>,
}

impl Qr {
    /// Decomposes A [m, n], m ≥ n, given by its columns, in place. `panel` has m rows.
    fn new<const P: usize>(
        m: usize,
        n: usize,
        a: Vec<f64>,
        panel: &mut Panel<P>,
    ) -> Result<Self, TryReserveError> {
        let (beta, sign) = (filled(n, 0.0)?, filled(n, 1.0)?);
        let v = a;
        let mut qr = Self {
            m,
            n,
            v,
            beta,
            sign,
        };
        for start in (0..n).step_by(P) {
            let width = P.min(n - start);
            for (i, row) in panel.iter_mut().enumerate() {
                for (c, to) in row[..width].iter_mut().enumerate() {
                    *to = qr.v[(start + c) * m + i];
                }
            }
            for k in 0..start {
                qr.reflect(k, panel);
            }
            for k in start..start + width {
                qr.eliminate(k, k - start, panel);
                // The columns before k change as well, but nobody reads them again.
                qr.reflect(k, panel);
            }
        }
        Ok(qr)
    }

    /// Makes reflection k from column c of the panel, which is column k of A.
    fn eliminate<const P: usize>(&mut self, k: usize, c: usize, panel: &Panel<P>) {
        let v = &mut self.v[k * self.m + k..(k + 1) * self.m];
        let mut squares = 0.0;
        for (to, row) in v.iter_mut().zip(&panel[k..]) {
            *to = row[c];
            squares += row[c] * row[c];
        }
        let norm = squares.sqrt();
        let head = v[0];
        // A column of zeros needs no reflection: β stays 0.
        if norm > 0.0 {
            let s = if head < 0.0 { -1.0 } else { 1.0 };
            v[0] = head + s * norm;
            self.beta[k] = 1.0 / (norm * (norm + head.abs()));
            self.sign[k] = -s;
        }
    }

    /// Applies reflection k to the panel.
    fn reflect<const P: usize>(&self, k: usize, panel: &mut Panel<P>) {
        let v = &self.v[k * self.m + k..(k + 1) * self.m];
        let mut dot = [0.0; P];
        for (&x, row) in v.iter().zip(&panel[k..]) {
            for (sum, &a) in dot.iter_mut().zip(row) {
                *sum += x * a;
            }
        }
        for sum in &mut dot {
            *sum *= self.beta[k];
        }
        for (&x, row) in v.iter().zip(&mut panel[k..]) {
            for (a, &sum) in row.iter_mut().zip(&dot) {
                *a -= x * sum;
            }
        }
    }

    /// Calls `each(i, j, Q[i, j])` for every element. `panel` has m rows.
    fn for_each_q<const P: usize>(
        &self,
        panel: &mut Panel<P>,
        mut each: impl FnMut(usize, usize, f64),
    ) {
        for start in (0..self.n).step_by(P) {
            let end = self.n.min(start + P);
            panel.fill([0.0; P]);
            for k in start..end {
                panel[k][k - start] = 1.0;
            }
            // Reflections after the panel leave its columns of I as they are.
            for k in (0..end).rev() {
                self.reflect(k, panel);
            }
            for (i, row) in panel.iter().enumerate() {
                for (j, q) in (start..end).zip(row) {
                    each(i, j, self.sign[j] * q);
                }
            }
        }
    }
}
