//! Inner loops over rows, whose neighbours belong to different columns: one sum for each column.
//!
//! As in `plane`, each function is compiled for several instruction sets and chosen when it runs. The sums are in vectors
//! of the processor's here: loops over arrays, as there, become anything but vector code when rows are a number apart that
//! is only known when they run. Each function is a type, since a closure that consumes nothing is called through a function
//! of the compiler's, which may stay outside of what has the instruction set.

use pulp::{Arch, Simd, WithSimd};

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
}

impl<'a> Window<'a> {
    /// The window cut into blocks of rows.
    #[inline(always)]
    fn blocks(self) -> impl Iterator<Item = Self> {
        self.rows.chunks(BLOCK * self.stride).map(move |rows| Self { rows, ..self })
    }

    /// The window's part of one of some rows: whole vectors, and what is left.
    #[inline(always)]
    fn row<S: Simd>(self, rows: &'a [f32], row: usize) -> (&'a [S::f32s], &'a [f32]) {
        let start = row * self.stride + self.from;
        S::as_simd_f32s(&rows[start..start + self.width])
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
        Arch::new().dispatch(Merge(self, other));
    }
}

struct Merge<'a>(&'a mut ColumnMoments, &'a ColumnMoments);

impl WithSimd for Merge<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self(all, other) = self;
        let total = all.count + other.count;
        let share = other.count as f64 / total as f64;
        let weight = all.count as f64 * share;
        let others = other.mean.iter().zip(&other.m2);
        for ((mean, m2), (other_mean, other_m2)) in all.mean.iter_mut().zip(&mut all.m2).zip(others) {
            let delta = other_mean - *mean;
            *mean += delta * share;
            *m2 += other_m2 + delta * delta * weight;
        }
        all.count = total;
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
        accumulate(&mut self.sum_dy, &other.sum_dy);
        accumulate(&mut self.sum_dy_x, &other.sum_dy_x);
    }
}

/// The records of the columns of `window`.
pub(crate) fn moments(window: Window) -> ColumnMoments {
    Arch::new().dispatch(MomentsOf(window))
}

struct MomentsOf<'a>(Window<'a>);

impl WithSimd for MomentsOf<'_> {
    type Output = ColumnMoments;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> ColumnMoments {
        let Self(window) = self;
        let width = window.width;
        let mut all = ColumnMoments { count: 0, mean: vec![0.0; width], m2: vec![0.0; width] };
        let [mut shift, mut sums, mut squares] = [(); 3].map(|()| vec![0.0f32; width]);
        for block in window.blocks() {
            if all.count == 0 {
                typical(simd, block, &mut shift, &mut sums, &mut squares);
            } else {
                // As far as this block's mean is from here, so far do the values before it make the variance.
                shift.iter_mut().zip(&all.mean).for_each(|(shift, &mean)| *shift = mean as f32);
            }
            sums.fill(0.0);
            squares.fill(0.0);
            add_block(simd, block, &shift, &mut sums, &mut squares);
            merge_block(&mut all, block.height(), &shift, &sums, &squares);
        }
        all
    }
}

/// The sums of each column, from windows at the same place in x and dy; `mean` is that of each column.
pub(crate) fn gradient_sums(x: Window, dy: Window, mean: &[f32]) -> ColumnGradSums {
    Arch::new().dispatch(GradSumsOf { x, dy, mean })
}

struct GradSumsOf<'a> {
    x: Window<'a>,
    dy: Window<'a>,
    mean: &'a [f32],
}

impl WithSimd for GradSumsOf<'_> {
    type Output = ColumnGradSums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> ColumnGradSums {
        let Self { x, dy, mean } = self;
        let width = x.width;
        let mut all = ColumnGradSums { sum_dy: vec![0.0; width], sum_dy_x: vec![0.0; width] };
        let [mut dys, mut products] = [(); 2].map(|()| vec![0.0f32; width]);
        for (x, dy) in x.blocks().zip(dy.blocks()) {
            dys.fill(0.0);
            products.fill(0.0);
            add_gradient_block(simd, x, dy, mean, &mut dys, &mut products);
            accumulate(&mut all.sum_dy, &dys);
            accumulate(&mut all.sum_dy_x, &products);
        }
        all
    }
}

#[inline(always)]
fn accumulate<T: Copy + Into<f64>>(all: &mut [f64], part: &[T]) {
    for (all, part) in all.iter_mut().zip(part) {
        *all += (*part).into();
    }
}

/// Writes a value near each column's mean over the first few rows to `shift`, and the value itself if all are the same. The sums
/// of these rows are left in the others.
#[inline(always)]
fn typical<S: Simd>(simd: S, block: Window, shift: &mut [f32], sums: &mut [f32], squares: &mut [f32]) {
    let height = block.height().min(SAMPLE);
    let rows = &block.rows[..height * block.stride];
    shift.copy_from_slice(&rows[block.from..block.from + block.width]);
    sums.fill(0.0);
    add_block(simd, Window { rows, ..block }, shift, sums, squares);
    for (shift, sum) in shift.iter_mut().zip(sums) {
        *shift += *sum / height as f32;
    }
}

/// Adds the block's (v − shift) to `sums` and (v − shift)² to `squares`, four rows at a time: the processor reads four
/// places ahead then.
#[inline(always)]
fn add_block<S: Simd>(simd: S, block: Window, shift: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    let (shifts, shift_rest) = S::as_simd_f32s(shift);
    let ((sums, sums_rest), (squares, squares_rest)) =
        (S::as_mut_simd_f32s(sums), S::as_mut_simd_f32s(squares));
    let n = shifts.len();
    let (sums, squares) = (&mut sums[..n], &mut squares[..n]);
    let mut fours = block.rows.chunks_exact(4 * block.stride);
    for rows in &mut fours {
        let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = [
            block.row::<S>(rows, 0),
            block.row::<S>(rows, 1),
            block.row::<S>(rows, 2),
            block.row::<S>(rows, 3),
        ];
        let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
        for i in 0..n {
            let shift = shifts[i];
            let (a, b) = (simd.sub_f32s(a[i], shift), simd.sub_f32s(b[i], shift));
            let (c, d) = (simd.sub_f32s(c[i], shift), simd.sub_f32s(d[i], shift));
            let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
            let ab = simd.mul_add_e_f32s(a, a, simd.mul_f32s(b, b));
            let cd = simd.mul_add_e_f32s(c, c, simd.mul_f32s(d, d));
            sums[i] = simd.add_f32s(sums[i], sum);
            squares[i] = simd.add_f32s(squares[i], simd.add_f32s(ab, cd));
        }
        for rest in [a_rest, b_rest, c_rest, d_rest] {
            add_values(rest, shift_rest, sums_rest, squares_rest);
        }
    }
    for row in fours.remainder().chunks_exact(block.stride) {
        let (row, rest) = block.row::<S>(row, 0);
        for i in 0..n {
            let value = simd.sub_f32s(row[i], shifts[i]);
            sums[i] = simd.add_f32s(sums[i], value);
            squares[i] = simd.mul_add_e_f32s(value, value, squares[i]);
        }
        add_values(rest, shift_rest, sums_rest, squares_rest);
    }
}

/// Adds some columns of a row one by one.
#[inline(always)]
fn add_values(row: &[f32], shift: &[f32], sums: &mut [f32], squares: &mut [f32]) {
    for (((value, shift), sum), square) in row.iter().zip(shift).zip(sums).zip(squares) {
        let delta = value - shift;
        *sum += delta;
        *square += delta * delta;
    }
}

/// Adds the block's dy to `dys` and dy·(x − mean) to `products`, as [`add_block`] does.
#[inline(always)]
fn add_gradient_block<S: Simd>(
    simd: S,
    x: Window,
    dy: Window,
    mean: &[f32],
    dys: &mut [f32],
    products: &mut [f32],
) {
    let (means, mean_rest) = S::as_simd_f32s(mean);
    let ((dys, dys_rest), (products, products_rest)) =
        (S::as_mut_simd_f32s(dys), S::as_mut_simd_f32s(products));
    let n = means.len();
    let (dys, products) = (&mut dys[..n], &mut products[..n]);
    let mut x_fours = x.rows.chunks_exact(4 * x.stride);
    let mut dy_fours = dy.rows.chunks_exact(4 * dy.stride);
    for (x_rows, dy_rows) in (&mut x_fours).zip(&mut dy_fours) {
        let [(xa, xa_rest), (xb, xb_rest), (xc, xc_rest), (xd, xd_rest)] =
            [x.row::<S>(x_rows, 0), x.row::<S>(x_rows, 1), x.row::<S>(x_rows, 2), x.row::<S>(x_rows, 3)];
        let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] = [
            dy.row::<S>(dy_rows, 0),
            dy.row::<S>(dy_rows, 1),
            dy.row::<S>(dy_rows, 2),
            dy.row::<S>(dy_rows, 3),
        ];
        let (xa, xb, xc, xd) = (&xa[..n], &xb[..n], &xc[..n], &xd[..n]);
        let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
        for i in 0..n {
            let mean = means[i];
            let (xa, xb) = (simd.sub_f32s(xa[i], mean), simd.sub_f32s(xb[i], mean));
            let (xc, xd) = (simd.sub_f32s(xc[i], mean), simd.sub_f32s(xd[i], mean));
            let (a, b, c, d) = (a[i], b[i], c[i], d[i]);
            let sum = simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d));
            let ab = simd.mul_add_e_f32s(a, xa, simd.mul_f32s(b, xb));
            let cd = simd.mul_add_e_f32s(c, xc, simd.mul_f32s(d, xd));
            dys[i] = simd.add_f32s(dys[i], sum);
            products[i] = simd.add_f32s(products[i], simd.add_f32s(ab, cd));
        }
        for (x, dy) in [(xa_rest, a_rest), (xb_rest, b_rest), (xc_rest, c_rest), (xd_rest, d_rest)] {
            add_gradients(x, dy, mean_rest, dys_rest, products_rest);
        }
    }
    let left = x_fours.remainder().chunks_exact(x.stride).zip(dy_fours.remainder().chunks_exact(dy.stride));
    for (x_row, dy_row) in left {
        let ((x_row, x_rest), (dy_row, dy_rest)) = (x.row::<S>(x_row, 0), dy.row::<S>(dy_row, 0));
        for i in 0..n {
            dys[i] = simd.add_f32s(dys[i], dy_row[i]);
            products[i] = simd.mul_add_e_f32s(dy_row[i], simd.sub_f32s(x_row[i], means[i]), products[i]);
        }
        add_gradients(x_rest, dy_rest, mean_rest, dys_rest, products_rest);
    }
}

/// Adds some columns of a row one by one.
#[inline(always)]
fn add_gradients(x: &[f32], dy: &[f32], mean: &[f32], dys: &mut [f32], products: &mut [f32]) {
    for ((((x, dy), mean), sum), product) in x.iter().zip(dy).zip(mean).zip(dys).zip(products) {
        *sum += dy;
        *product += dy * (x - mean);
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

    /// A window at the end of rows, and what is beside it is no number.
    fn window(values: &[f32], stride: usize, width: usize) -> Window<'_> {
        Window { rows: values, stride, from: stride - width, width }
    }

    #[test]
    fn sums_are_those_of_float64_wherever_vectors_and_blocks_end() {
        for (width, stride, height) in
            [(1, 3, 9), (31, 31, 7), (70, 200, BLOCK + 6), (64, 64, 4), (37, 40, 3 * BLOCK)]
        {
            let value = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
            let inside = |i: usize| i % stride >= stride - width;
            // The second block is far from the first one, and the third one from both.
            let jump = |i: usize| [0.0, 1e4, -3e3][i / stride / BLOCK];
            let tensor = |part: usize, jump: &dyn Fn(usize) -> f32| -> Vec<f32> {
                (0..stride * height)
                    .map(|i| if inside(i) { value(part * i) + jump(i) } else { f32::NAN })
                    .collect()
            };
            let (x, dy) = (tensor(1, &jump), tensor(3, &|_| 0.0));
            let mean: Vec<f32> = (0..width).map(value).collect();
            let moments = moments(window(&x, stride, width));
            let sums = gradient_sums(window(&x, stride, width), window(&dy, stride, width), &mean);
            assert_eq!(moments.count, height);
            for column in 0..width {
                let at =
                    |values: &[f32], row: usize| f64::from(values[row * stride + stride - width + column]);
                let rows = 0..height;
                let expected = rows.clone().map(|row| at(&x, row)).sum::<f64>() / height as f64;
                let m2 = rows.clone().map(|row| (at(&x, row) - expected).powi(2)).sum::<f64>();
                let deviation = (m2 / height as f64).sqrt();
                let case = format!("column {column} of {height} rows of {width}");
                assert!((moments.mean[column] - expected).abs() <= 2e-7 * deviation, "the mean of {case}");
                assert!((moments.m2[column] - m2).abs() <= 2e-6 * m2, "m2 of {case}");
                let dys = rows.clone().map(|row| at(&dy, row)).sum::<f64>();
                let term = |row| at(&dy, row) * (at(&x, row) - f64::from(mean[column]));
                let products = rows.clone().map(term).sum::<f64>();
                let size = rows.map(|row| term(row).abs()).sum::<f64>();
                assert!((sums.sum_dy[column] - dys).abs() <= 1e-6 * height as f64, "Σdy of {case}");
                assert!((sums.sum_dy_x[column] - products).abs() <= 1e-6 * size, "Σdy·(x − mean) of {case}");
            }
        }
    }

    #[test]
    fn equal_values_have_exactly_their_mean_and_no_variance() {
        let rows = vec![1234.567f32; 24 * (2 * BLOCK + 5)];
        let moments = moments(window(&rows, 24, 19));
        assert!(moments.mean.iter().all(|&mean| mean == f64::from(1234.567f32)));
        assert!(moments.m2.iter().all(|&m2| m2 == 0.0));
    }
}
