//! Inner loops over rows, whose neighbours belong to different columns: one sum for each column.
//!
//! As in `plane`, each function is compiled for several instruction sets and chosen when it runs.

use pulp::Arch;

use crate::stream::{LINES, prefetch};

/// Rows that are summed in float32 before they are merged in float64.
pub(crate) const BLOCK: usize = 128;

/// Rows from which a block's shift is taken; see `plane::SAMPLE`.
const SAMPLE: usize = 16;

/// Some columns of some rows of a tensor.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    /// The rows, whole, one after the other.
    pub(crate) rows: &'a [f32],
    /// The length of a row.
    pub(crate) stride: usize,
    /// The first column.
    pub(crate) from: usize,
    /// The number of columns.
    pub(crate) width: usize,
    /// Whether rows are asked for ahead of their sums.
    pub(crate) far: bool,
}

impl<'a> Window<'a> {
    /// The window's part of each row.
    #[inline(always)]
    fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        self.rows.chunks_exact(self.stride).map(move |row| &row[self.from..self.from + self.width])
    }

    /// The window cut into blocks of rows.
    #[inline(always)]
    fn blocks(self) -> impl Iterator<Item = Self> {
        self.rows.chunks(BLOCK * self.stride).map(move |rows| Self { rows, ..self })
    }

    /// How many columns are summed at once.
    #[inline(always)]
    fn step(self) -> usize {
        if self.far { LINES } else { self.width.max(1) }
    }

    /// Asks for what is four rows below `row`.
    #[inline(always)]
    fn prefetch(self, row: &[f32]) {
        if self.far {
            prefetch(row, 4 * self.stride);
        }
    }

    #[inline(always)]
    fn height(self) -> usize {
        self.rows.len() / self.stride
    }
}

/// The records of some columns, which all have `count` values.
#[derive(Default)]
pub(crate) struct ColumnMoments {
    pub(crate) count: usize,
    pub(crate) mean: Vec<f64>,
    pub(crate) m2: Vec<f64>,
}

impl ColumnMoments {
    /// Adds the values of `other`, which has the same columns.
    pub(crate) fn merge(&mut self, other: &Self) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let total = self.count + other.count;
                let share = other.count as f64 / total as f64;
                let weight = self.count as f64 * share;
                let others = other.mean.iter().zip(&other.m2);
                for ((mean, m2), (other_mean, other_m2)) in self.mean.iter_mut().zip(&mut self.m2).zip(others)
                {
                    let delta = other_mean - *mean;
                    *mean += delta * share;
                    *m2 += other_m2 + delta * delta * weight;
                }
                self.count = total;
            },
        );
    }
}

/// Σdy and Σdy·(x − mean) of some columns.
#[derive(Default)]
pub(crate) struct ColumnGradSums {
    pub(crate) sum_dy: Vec<f64>,
    pub(crate) sum_dy_x: Vec<f64>,
}

impl ColumnGradSums {
    /// Adds the sums of `other`, which has the same columns.
    pub(crate) fn merge(&mut self, other: &Self) {
        add(&mut self.sum_dy, &other.sum_dy);
        add(&mut self.sum_dy_x, &other.sum_dy_x);
    }
}

/// The records of the columns of `window`.
pub(crate) fn moments(window: Window) -> ColumnMoments {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let width = window.width;
            let mut all = ColumnMoments { count: 0, mean: vec![0.0; width], m2: vec![0.0; width] };
            let [mut shift, mut sums, mut squares] = [(); 3].map(|()| vec![0.0f32; width]);
            for block in window.blocks() {
                typical(block, &mut shift, &mut sums);
                sums.fill(0.0);
                squares.fill(0.0);
                add_block(block, &shift, &mut sums, &mut squares);
                merge_block(&mut all, block.height(), &shift, &sums, &squares);
            }
            all
        },
    )
}

/// The sums of each column, from windows at the same place in x and dy; `mean` is that of each column.
pub(crate) fn gradient_sums(x: Window, dy: Window, mean: &[f32]) -> ColumnGradSums {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let width = x.width;
            let mut all = ColumnGradSums { sum_dy: vec![0.0; width], sum_dy_x: vec![0.0; width] };
            let [mut dys, mut products] = [(); 2].map(|()| vec![0.0f32; width]);
            for (x, dy) in x.blocks().zip(dy.blocks()) {
                dys.fill(0.0);
                products.fill(0.0);
                add_gradient_block(x, dy, mean, &mut dys, &mut products);
                add(&mut all.sum_dy, &dys);
                add(&mut all.sum_dy_x, &products);
            }
            all
        },
    )
}

#[inline(always)]
fn add<T: Copy + Into<f64>>(all: &mut [f64], part: &[T]) {
    for (all, part) in all.iter_mut().zip(part) {
        *all += (*part).into();
    }
}

/// A value near each column's mean over the first few rows, and the value itself if all are the same.
#[inline(always)]
fn typical(block: Window, shift: &mut [f32], scratch: &mut [f32]) {
    let height = block.height().min(SAMPLE);
    let Some(first) = block.iter().next() else { return };
    scratch.fill(0.0);
    for row in block.iter().take(height) {
        for ((sum, value), first) in scratch.iter_mut().zip(row).zip(first) {
            *sum += value - first;
        }
    }
    for ((shift, sum), first) in shift.iter_mut().zip(scratch).zip(first) {
        *shift = first + *sum / height as f32;
    }
}

/// Adds the block's (v − shift) to `sums` and (v − shift)² to `squares`, four rows at a time.
#[inline(always)]
fn add_block(block: Window, shift: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    let width = block.width;
    let (shift, sums, squares) = (&shift[..width], &mut sums[..width], &mut squares[..width]);
    let mut rows = block.iter();
    let mut left = block.height();
    while left >= 4 {
        let [Some(a), Some(b), Some(c), Some(d)] = std::array::from_fn(|_| rows.next()) else { return };
        let (a, b, c, d) = (&a[..width], &b[..width], &c[..width], &d[..width]);
        for from in (0..width).step_by(block.step()) {
            for row in [a, b, c, d] {
                block.prefetch(&row[from..]);
            }
            for i in from..width.min(from + block.step()) {
                let (a, b, c, d) = (a[i] - shift[i], b[i] - shift[i], c[i] - shift[i], d[i] - shift[i]);
                sums[i] += (a + b) + (c + d);
                squares[i] += (a * a + b * b) + (c * c + d * d);
            }
        }
        left -= 4;
    }
    for row in rows {
        let row = &row[..width];
        for i in 0..width {
            let delta = row[i] - shift[i];
            sums[i] += delta;
            squares[i] += delta * delta;
        }
    }
}

/// Adds the block's dy to `dys` and dy·(x − mean) to `products`, four rows at a time.
#[inline(always)]
fn add_gradient_block(x: Window, dy: Window, mean: &[f32], dys: &mut [f32], products: &mut [f32]) {
    let width = x.width;
    let (mean, dys, products) = (&mean[..width], &mut dys[..width], &mut products[..width]);
    let mut rows = x.iter().zip(dy.iter()).map(|(x, dy)| (&x[..width], &dy[..width]));
    let mut left = x.height();
    while left >= 4 {
        let [Some((xa, a)), Some((xb, b)), Some((xc, c)), Some((xd, d))] =
            std::array::from_fn(|_| rows.next())
        else {
            return;
        };
        for from in (0..width).step_by(x.step()) {
            for row in [a, b, c, d, xa, xb, xc, xd] {
                x.prefetch(&row[from..]);
            }
            for i in from..width.min(from + x.step()) {
                let mean = mean[i];
                dys[i] += (a[i] + b[i]) + (c[i] + d[i]);
                products[i] += (a[i] * (xa[i] - mean) + b[i] * (xb[i] - mean))
                    + (c[i] * (xc[i] - mean) + d[i] * (xd[i] - mean));
            }
        }
        left -= 4;
    }
    for (x, dy) in rows {
        for i in 0..width {
            dys[i] += dy[i];
            products[i] += dy[i] * (x[i] - mean[i]);
        }
    }
}

/// Merges a block of `height` rows, given by its shifted sums, into `all`.
#[inline(always)]
fn merge_block(all: &mut ColumnMoments, height: usize, shift: &[f32], sums: &[f32], squares: &[f32]) {
    let total = all.count + height;
    let (per_row, share) = (1.0 / height as f64, height as f64 / total as f64);
    let weight = all.count as f64 * share;
    let parts = shift.iter().zip(sums).zip(squares);
    for ((mean, m2), ((shift, sum), square)) in all.mean.iter_mut().zip(&mut all.m2).zip(parts) {
        let (sum, square) = (f64::from(*sum), f64::from(*square));
        let delta = f64::from(*shift) + sum * per_row - *mean;
        *mean += delta * share;
        *m2 += square - sum * sum * per_row + delta * delta * weight;
    }
    all.count = total;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_ahead_changes_no_bit_of_the_sums() {
        for (width, stride, height) in [(1, 3, 9), (31, 31, 7), (70, 200, BLOCK + 6), (64, 64, 4)] {
            let value = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
            let (x, dy): (Vec<_>, Vec<_>) = (0..stride * height).map(|i| (value(i), value(3 * i))).unzip();
            let mean: Vec<f32> = (0..width).map(value).collect();
            let [near, far] = [false, true].map(|far| {
                let [x, dy] = [&x, &dy].map(|rows| Window { rows, stride, from: stride - width, width, far });
                let (moments, sums) = (moments(x), gradient_sums(x, dy, &mean));
                (moments.count, moments.mean, moments.m2, sums.sum_dy, sums.sum_dy_x)
            });
            assert_eq!(near, far, "{height} rows of {width}");
        }
    }
}
