//! Checked matrix views: the one place from which the kernels get raw pointers.
//!
//! A view is made from a slice with every bound checked; after that the kernels may
//! rely on *every element (r, c) with r < rows and c < cols lies inside the slice*.

use std::marker::PhantomData;

/// A read-only matrix: element (r, c) is at `r·row_stride + c·col_stride`.
///
/// Row-major has `col_stride` 1, column-major has `row_stride` 1.
#[derive(Clone, Copy)]
pub struct MatRef<'a> {
    ptr: *const f32,
    layout: Layout,
    data: PhantomData<&'a [f32]>,
}

/// A mutable matrix; no two elements share an address.
pub struct MatMut<'a> {
    ptr: *mut f32,
    layout: Layout,
    data: PhantomData<&'a mut [f32]>,
}

// SAFETY: a MatRef is a shared borrow of f32s, which are Sync.
unsafe impl Send for MatRef<'_> {}
// SAFETY: as above: only reads go through a MatRef.
unsafe impl Sync for MatRef<'_> {}
// SAFETY: a MatMut is an exclusive borrow of f32s, which are Send.
unsafe impl Send for MatMut<'_> {}
// SAFETY: through a shared MatMut only reads are possible.
unsafe impl Sync for MatMut<'_> {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl Layout {
    fn of([rows, cols]: [usize; 2], [row_stride, col_stride]: [usize; 2]) -> Self {
        Self {
            rows,
            cols,
            row_stride,
            col_stride,
        }
    }

    /// One past the largest offset; `None` if that overflows. 0 for an empty matrix.
    #[inline]
    fn extent(self) -> Option<usize> {
        if self.rows == 0 || self.cols == 0 {
            return Some(0);
        }
        let last_row = (self.rows - 1).checked_mul(self.row_stride)?;
        let last_col = (self.cols - 1).checked_mul(self.col_stride)?;
        last_row.checked_add(last_col)?.checked_add(1)
    }

    /// Whether every element has an address of its own.
    #[inline]
    fn is_injective(self) -> bool {
        if self.rows == 0 || self.cols == 0 {
            return true;
        }
        // The span of one row (column) ends before the next row (column) starts.
        let row_span = (self.cols - 1).saturating_mul(self.col_stride);
        let col_span = (self.rows - 1).saturating_mul(self.row_stride);
        let rows_apart = self.rows == 1 || self.row_stride > row_span;
        let cols_apart = self.cols == 1 || self.col_stride > col_span;
        (rows_apart && (self.cols == 1 || self.col_stride > 0))
            || (cols_apart && (self.rows == 1 || self.row_stride > 0))
    }

    #[inline]
    fn check(self, len: usize) {
        if self.extent().is_none_or(|extent| extent > len) {
            does_not_fit(len, self.shape(), self.strides());
        }
    }

    fn shape(self) -> [usize; 2] {
        [self.rows, self.cols]
    }

    fn strides(self) -> [usize; 2] {
        [self.row_stride, self.col_stride]
    }

    fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    /// The part [start, end) of the rows, and the offset of its first element.
    fn row_range(self, start: usize, end: usize) -> (usize, Self) {
        if start > end || end > self.rows {
            no_such_rows(start, end, self.shape(), self.strides());
        }
        let part = Self {
            rows: end - start,
            ..self
        };
        // An empty part may start one row past the end: keep its pointer inside.
        let offset = if part.rows == 0 || part.cols == 0 {
            0
        } else {
            start * self.row_stride
        };
        (offset, part)
    }
}

// What is wrong is said apart, and by numbers: a layout that a message refers to would have to be
// in memory, and pass through it each time that a view is made.

#[cold]
#[inline(never)]
fn no_such_rows(start: usize, end: usize, shape: [usize; 2], strides: [usize; 2]) -> ! {
    let layout = Layout::of(shape, strides);
    panic!("rows {start}..{end} of {layout:?}")
}

#[cold]
#[inline(never)]
fn does_not_fit(len: usize, shape: [usize; 2], strides: [usize; 2]) -> ! {
    let layout = Layout::of(shape, strides);
    panic!("{layout:?} does not fit into {len} elements")
}

#[cold]
#[inline(never)]
fn elements_overlap(shape: [usize; 2], strides: [usize; 2]) -> ! {
    let layout = Layout::of(shape, strides);
    panic!("elements of {layout:?} overlap")
}

impl<'a> MatRef<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` holds fewer than `rows·cols` elements.
    #[inline]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides, in elements.
    ///
    /// # Panics
    /// If an element would lie outside of `data`.
    #[inline]
    pub fn with_strides(
        data: &'a [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        let layout = Layout::of([rows, cols], [row_stride, col_stride]);
        layout.check(data.len());
        Self {
            ptr: data.as_ptr(),
            layout,
            data: PhantomData,
        }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.layout.cols
    }

    /// Distance between two rows, in elements.
    #[inline]
    pub fn row_stride(&self) -> usize {
        self.layout.row_stride
    }

    /// Distance between two columns, in elements.
    #[inline]
    pub fn col_stride(&self) -> usize {
        self.layout.col_stride
    }

    /// The address of element (0, 0).
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.ptr
    }

    /// Element (r, c).
    ///
    /// # Panics
    /// If it lies outside.
    #[inline]
    pub fn get(&self, r: usize, c: usize) -> f32 {
        assert!(r < self.rows() && c < self.cols());
        // SAFETY: (r, c) lies inside the matrix, hence inside its slice (constructor).
        unsafe { *self.ptr.add(r * self.row_stride() + c * self.col_stride()) }
    }

    /// The transpose; nothing is moved.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            layout: self.layout.transposed(),
            ..self
        }
    }

    /// Rows `start..end`.
    ///
    /// # Panics
    /// Unless `start ≤ end ≤ rows`.
    #[must_use]
    pub fn row_range(self, start: usize, end: usize) -> Self {
        let (offset, layout) = self.layout.row_range(start, end);
        Self {
            // SAFETY: `offset` is that of an element of the matrix, or 0.
            ptr: unsafe { self.ptr.add(offset) },
            layout,
            data: PhantomData,
        }
    }

    /// Columns `start..end`.
    ///
    /// # Panics
    /// Unless `start ≤ end ≤ cols`.
    #[must_use]
    pub fn col_range(self, start: usize, end: usize) -> Self {
        self.transposed().row_range(start, end).transposed()
    }

    /// Row `r` as a slice.
    ///
    /// # Panics
    /// If there is no such row, or the columns are not contiguous.
    pub fn row(&self, r: usize) -> &'a [f32] {
        assert!(r < self.rows() && (self.col_stride() == 1 || self.cols() <= 1));
        if self.cols() == 0 {
            return &[];
        }
        // SAFETY: elements (r, 0) … (r, cols − 1) lie inside the slice (constructor)
        // and next to each other (asserted).
        unsafe { std::slice::from_raw_parts(self.ptr.add(r * self.row_stride()), self.cols()) }
    }
}

impl<'a> MatMut<'a> {
    /// A row-major matrix without gaps.
    ///
    /// # Panics
    /// If `data` holds fewer than `rows·cols` elements.
    #[inline]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        Self::with_strides(data, rows, cols, cols, 1)
    }

    /// A matrix with any strides, in elements.
    ///
    /// # Panics
    /// If an element would lie outside of `data`, or two would share an address.
    #[inline]
    pub fn with_strides(
        data: &'a mut [f32],
        rows: usize,
        cols: usize,
        row_stride: usize,
        col_stride: usize,
    ) -> Self {
        let layout = Layout::of([rows, cols], [row_stride, col_stride]);
        layout.check(data.len());
        if !layout.is_injective() {
            elements_overlap(layout.shape(), layout.strides());
        }
        Self {
            ptr: data.as_mut_ptr(),
            layout,
            data: PhantomData,
        }
    }

    /// Number of rows.
    #[inline]
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of columns.
    #[inline]
    pub fn cols(&self) -> usize {
        self.layout.cols
    }

    /// Distance between two rows, in elements.
    #[inline]
    pub fn row_stride(&self) -> usize {
        self.layout.row_stride
    }

    /// Distance between two columns, in elements.
    #[inline]
    pub fn col_stride(&self) -> usize {
        self.layout.col_stride
    }

    /// The address of element (0, 0).
    #[inline]
    pub(crate) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.ptr
    }

    /// The same matrix, to read.
    #[inline]
    pub fn as_ref(&self) -> MatRef<'_> {
        MatRef {
            ptr: self.ptr,
            layout: self.layout,
            data: PhantomData,
        }
    }

    /// The same matrix, borrowed for a shorter time.
    #[inline]
    pub fn reborrow(&mut self) -> MatMut<'_> {
        MatMut {
            ptr: self.ptr,
            layout: self.layout,
            data: PhantomData,
        }
    }

    /// Sets element (r, c).
    ///
    /// # Panics
    /// If it lies outside.
    #[inline]
    pub fn set(&mut self, r: usize, c: usize, value: f32) {
        assert!(r < self.rows() && c < self.cols());
        // SAFETY: (r, c) lies inside the matrix, hence inside its slice (constructor).
        unsafe { *self.ptr.add(r * self.row_stride() + c * self.col_stride()) = value }
    }

    /// The transpose; nothing is moved.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            layout: self.layout.transposed(),
            ..self
        }
    }

    /// Rows `0..at` and `at..rows`.
    ///
    /// # Panics
    /// If `at > rows`.
    pub fn split_at_row(self, at: usize) -> (Self, Self) {
        let (_, top) = self.layout.row_range(0, at);
        let (offset, bottom) = self.layout.row_range(at, self.rows());
        // No element belongs to both, for every element has an address of its own.
        let top = Self {
            layout: top,
            ..self
        };
        let bottom = Self {
            // SAFETY: `offset` is that of an element of the matrix, or 0.
            ptr: unsafe { top.ptr.add(offset) },
            layout: bottom,
            data: PhantomData,
        };
        (top, bottom)
    }

    /// Columns `0..at` and `at..cols`.
    ///
    /// # Panics
    /// If `at > cols`.
    pub fn split_at_col(self, at: usize) -> (Self, Self) {
        let (left, right) = self.transposed().split_at_row(at);
        (left.transposed(), right.transposed())
    }

    /// Columns `range`, though the matrix is only borrowed shared.
    ///
    /// # Safety
    /// - While the result lives, nothing else may access these columns of the matrix.
    ///
    /// # Panics
    /// If the range does not lie inside.
    pub(crate) unsafe fn alias_cols(&self, range: std::ops::Range<usize>) -> MatMut<'_> {
        let (offset, layout) = self.layout.transposed().row_range(range.start, range.end);
        MatMut {
            // SAFETY: `offset` is that of an element of the matrix, or 0.
            ptr: unsafe { self.ptr.add(offset) },
            layout: layout.transposed(),
            data: PhantomData,
        }
    }

    /// Row `r` as a slice.
    ///
    /// # Panics
    /// If there is no such row, or the columns are not contiguous.
    pub fn row_mut(&mut self, r: usize) -> &mut [f32] {
        assert!(r < self.rows() && (self.col_stride() == 1 || self.cols() <= 1));
        if self.cols() == 0 {
            return &mut [];
        }
        let stride = self.row_stride();
        // SAFETY: elements (r, 0) … (r, cols − 1) lie inside the slice (constructor),
        // next to each other (asserted), and are borrowed exclusively through `self`.
        unsafe { std::slice::from_raw_parts_mut(self.ptr.add(r * stride), self.cols()) }
    }

    /// Sets every element to `value`.
    pub fn fill(&mut self, value: f32) {
        for r in 0..self.rows() {
            for c in 0..self.cols() {
                self.set(r, c, value);
            }
        }
    }
}

impl std::fmt::Debug for MatRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MatRef({:?})", self.layout)
    }
}

impl std::fmt::Debug for MatMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MatMut({:?})", self.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_and_transposes() {
        let data: Vec<f32> = (0..12u8).map(f32::from).collect();
        let a = MatRef::with_strides(&data, 3, 2, 4, 1);
        assert_eq!(a.get(2, 1), 9.0);
        assert_eq!(a.transposed().get(1, 2), 9.0);
        assert_eq!(a.row_range(1, 3).get(0, 0), 4.0);
        assert_eq!(a.col_range(1, 2).row(2), [9.0]);
        assert_eq!(a.row_range(3, 3).rows(), 0);
    }

    #[test]
    fn splits_are_disjoint_and_complete() {
        let mut data = vec![0.0; 12];
        let m = MatMut::with_strides(&mut data, 3, 3, 4, 1);
        let (mut left, right) = m.split_at_col(1);
        let (mut top, mut bottom) = right.split_at_row(2);
        left.fill(1.0);
        top.fill(2.0);
        bottom.fill(3.0);
        assert_eq!(
            data,
            [1., 2., 2., 0., 1., 2., 2., 0., 1., 3., 3., 0.],
            "the gap is untouched"
        );
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_view_past_the_end_is_refused() {
        let _ = MatRef::with_strides(&[0.0; 9], 3, 1, 4, 1);
        let _ = MatRef::with_strides(&[0.0; 9], 3, 2, 4, 1);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn overflowing_extents_are_refused() {
        let _ = MatRef::with_strides(&[0.0; 9], usize::MAX, 2, usize::MAX, 1);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn overlapping_elements_are_refused() {
        let _ = MatMut::with_strides(&mut [0.0; 9], 3, 2, 1, 1);
    }

    #[test]
    #[should_panic(expected = "overlap")]
    fn a_zero_stride_is_refused_to_write() {
        let _ = MatMut::with_strides(&mut [0.0; 9], 3, 2, 0, 1);
    }
}
