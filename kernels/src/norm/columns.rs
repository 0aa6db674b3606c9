//! The loops of batch normalization: each column by itself, a few registers at a time.

use crate::parts::even_parts;
use crate::simd::{Kernel, Simd};
use crate::{LANES, MatMut, MatRef};

/// Something that is done to each column by itself.
pub(super) trait Columns {
    /// Does it to `W` registers of columns, of all rows, from column `first` on.
    ///
    /// # Safety
    /// - `first` + 16·`W` is at most the number of columns of all matrices and the length
    ///   of all vectors; all matrices have the same number of rows, and contiguous columns.
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize);
}

/// Takes the columns a few registers at a time: enough chains of sums to keep the
/// adders busy, and of a row enough bytes for memory to stream.
pub(super) struct Panels<C> {
    pub(super) cols: usize,
    pub(super) work: C,
}

impl<C: Columns> Kernel for Panels<C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let widest = if S::REGISTERS >= 32 { 4 } else { 2 };
        for (first, registers) in even_parts(self.cols / LANES, widest) {
            let first = first * LANES;
            // SAFETY: the registers lie inside `cols`, to which all shapes were asserted
            // to be equal by whoever made this.
            unsafe {
                match registers {
                    1 => self.work.run::<S, 1>(s, first),
                    2 => self.work.run::<S, 2>(s, first),
                    3 if S::REGISTERS >= 32 => self.work.run::<S, 3>(s, first),
                    4 if S::REGISTERS >= 32 => self.work.run::<S, 4>(s, first),
                    _ => unreachable!("{registers} registers"),
                }
            }
        }
    }
}

/// # Safety
/// - `p` is valid for reads of 16·`W` floats.
#[inline(always)]
unsafe fn load<S: Simd, const W: usize>(s: S, p: *const f32) -> [S::F; W] {
    let mut v = [s.zero(); W];
    for (j, v) in v.iter_mut().enumerate() {
        // SAFETY: register j < W.
        *v = unsafe { s.load(p.add(j * LANES)) };
    }
    v
}

/// # Safety
/// - `p` is valid for writes of 16·`W` floats.
#[inline(always)]
unsafe fn store<S: Simd, const W: usize>(s: S, p: *mut f32, v: [S::F; W]) {
    for (j, &v) in v.iter().enumerate() {
        // SAFETY: register j < W.
        unsafe { s.store(p.add(j * LANES), v) };
    }
}

pub(super) struct Statistics<'a> {
    pub(super) n: f32,
    pub(super) x: MatRef<'a>,
    pub(super) mean: &'a mut [f32],
    pub(super) variance: &'a mut [f32],
}

impl Columns for Statistics<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize) {
        let n = s.splat(self.n);
        let start = self.x.as_ptr().wrapping_add(first);
        let (rows, stride) = (self.x.rows(), self.x.row_stride());

        let mut mean = [s.zero(); W];
        let mut row = start;
        for _ in 0..rows {
            // SAFETY: the columns of the contract, of each row of x in turn.
            let x = unsafe { load::<S, W>(s, row) };
            for (sum, &x) in mean.iter_mut().zip(&x) {
                *sum = s.add(*sum, x);
            }
            row = row.wrapping_add(stride);
        }
        for mean in &mut mean {
            *mean = s.div(*mean, n);
        }

        let mut variance = [s.zero(); W];
        let mut row = start;
        for _ in 0..rows {
            // SAFETY: as above.
            let x = unsafe { load::<S, W>(s, row) };
            for (j, &x) in x.iter().enumerate() {
                let d = s.sub(x, mean[j]);
                variance[j] = s.fma(d, d, variance[j]);
            }
            row = row.wrapping_add(stride);
        }
        for variance in &mut variance {
            *variance = s.div(*variance, n);
        }

        // SAFETY: the columns of the contract, of both vectors.
        unsafe {
            store(s, self.mean.as_mut_ptr().add(first), mean);
            store(s, self.variance.as_mut_ptr().add(first), variance);
        }
    }
}

pub(super) struct InverseDeviation<'a> {
    pub(super) variance: &'a [f32],
    pub(super) epsilon: f32,
    pub(super) inverse: &'a mut [f32],
}

impl Columns for InverseDeviation<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize) {
        let (one, epsilon) = (s.splat(1.0), s.splat(self.epsilon));
        // SAFETY: the columns of the contract, of both vectors.
        unsafe {
            let mut v = load::<S, W>(s, self.variance.as_ptr().add(first));
            for v in &mut v {
                *v = s.div(one, s.sqrt(s.add(*v, epsilon)));
            }
            store(s, self.inverse.as_mut_ptr().add(first), v);
        }
    }
}

pub(super) struct Normalize<'a> {
    pub(super) x: MatMut<'a>,
    pub(super) mean: &'a [f32],
    pub(super) inverse: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) beta: &'a [f32],
    /// `None`: x takes what would go here, and x̂ is not kept.
    pub(super) u: Option<MatMut<'a>>,
}

impl Columns for Normalize<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize) {
        // SAFETY: the columns of the contract, of each vector.
        let (mean, inverse, gamma, beta) = unsafe {
            (
                load::<S, W>(s, self.mean.as_ptr().add(first)),
                load::<S, W>(s, self.inverse.as_ptr().add(first)),
                load::<S, W>(s, self.gamma.as_ptr().add(first)),
                load::<S, W>(s, self.beta.as_ptr().add(first)),
            )
        };
        let (rows, x_stride) = (self.x.rows(), self.x.row_stride());
        let x_start = self.x.as_mut_ptr();
        let (u_start, u_stride) = match &mut self.u {
            Some(u) => (u.as_mut_ptr(), u.row_stride()),
            None => (x_start, x_stride),
        };
        let keep = self.u.is_some();
        let (mut x_row, mut u_row) = (x_start.wrapping_add(first), u_start.wrapping_add(first));
        for _ in 0..rows {
            // SAFETY: the columns of the contract, of each row of x and u in turn.
            unsafe {
                let mut x = load::<S, W>(s, x_row);
                let mut u = [s.zero(); W];
                for (j, x) in x.iter_mut().enumerate() {
                    *x = s.mul(s.sub(*x, mean[j]), inverse[j]);
                    u[j] = s.fma(gamma[j], *x, beta[j]);
                }
                if keep {
                    store(s, x_row, x);
                }
                store(s, u_row, u);
            }
            x_row = x_row.wrapping_add(x_stride);
            u_row = u_row.wrapping_add(u_stride);
        }
    }
}

pub(super) struct Backward<'a> {
    pub(super) n: f32,
    pub(super) x_hat: MatRef<'a>,
    pub(super) gamma: &'a [f32],
    pub(super) inverse: &'a [f32],
    pub(super) delta: MatMut<'a>,
    pub(super) dgamma: &'a mut [f32],
    pub(super) dbeta: &'a mut [f32],
}

impl Columns for Backward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize) {
        let (rows, x_stride) = (self.x_hat.rows(), self.x_hat.row_stride());
        let x_start = self.x_hat.as_ptr().wrapping_add(first);
        let d_stride = self.delta.row_stride();
        let d_start = self.delta.as_mut_ptr().wrapping_add(first);

        let (mut dgamma, mut dbeta) = ([s.zero(); W], [s.zero(); W]);
        let (mut x_row, mut d_row) = (x_start, d_start);
        for _ in 0..rows {
            // SAFETY: the columns of the contract, of each row of x_hat and delta in turn.
            let (x, d) = unsafe { (load::<S, W>(s, x_row), load::<S, W>(s, d_row)) };
            for (j, (&x, &d)) in x.iter().zip(&d).enumerate() {
                dbeta[j] = s.add(dbeta[j], d);
                dgamma[j] = s.fma(d, x, dgamma[j]);
            }
            x_row = x_row.wrapping_add(x_stride);
            d_row = d_row.wrapping_add(d_stride);
        }

        // SAFETY: the columns of the contract, of each vector.
        let (mut scale, inverse) = unsafe {
            store(s, self.dgamma.as_mut_ptr().add(first), dgamma);
            store(s, self.dbeta.as_mut_ptr().add(first), dbeta);
            (
                load::<S, W>(s, self.gamma.as_ptr().add(first)),
                load::<S, W>(s, self.inverse.as_ptr().add(first)),
            )
        };
        let n = s.splat(self.n);
        for (j, scale) in scale.iter_mut().enumerate() {
            *scale = s.mul(*scale, inverse[j]);
            dgamma[j] = s.div(dgamma[j], n);
            dbeta[j] = s.div(dbeta[j], n);
        }

        let (mut x_row, mut d_row) = (x_start, d_start);
        for _ in 0..rows {
            // SAFETY: as above.
            unsafe {
                let x = load::<S, W>(s, x_row);
                let mut d = load::<S, W>(s, d_row);
                for (j, d) in d.iter_mut().enumerate() {
                    let centred = s.sub(*d, dbeta[j]);
                    *d = s.mul(scale[j], s.fma(s.neg(x[j]), dgamma[j], centred));
                }
                store(s, d_row, d);
            }
            x_row = x_row.wrapping_add(x_stride);
            d_row = d_row.wrapping_add(d_stride);
        }
    }
}

pub(super) struct UpdateRunning<'a> {
    pub(super) momentum: f32,
    /// n/(n − 1)
    pub(super) unbias: f32,
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
    pub(super) running_mean: &'a mut [f32],
    pub(super) running_variance: &'a mut [f32],
}

impl Columns for UpdateRunning<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd, const W: usize>(&mut self, s: S, first: usize) {
        let (momentum, unbias) = (s.splat(self.momentum), s.splat(self.unbias));
        // SAFETY: the columns of the contract, of each vector.
        unsafe {
            let (to_mean, to_variance) = (
                self.running_mean.as_mut_ptr().add(first),
                self.running_variance.as_mut_ptr().add(first),
            );
            let batch = load::<S, W>(s, self.mean.as_ptr().add(first));
            let mut running = load::<S, W>(s, to_mean);
            for (running, &batch) in running.iter_mut().zip(&batch) {
                *running = s.fma(momentum, s.sub(batch, *running), *running);
            }
            store(s, to_mean, running);
            let batch = load::<S, W>(s, self.variance.as_ptr().add(first));
            let mut running = load::<S, W>(s, to_variance);
            for (running, &batch) in running.iter_mut().zip(&batch) {
                let batch = s.mul(batch, unbias);
                *running = s.fma(momentum, s.sub(batch, *running), *running);
            }
            store(s, to_variance, running);
        }
    }
}
