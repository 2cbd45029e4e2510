//! Count, mean and sum of squared deviations of each column.

use pulp::{Arch, Simd, WithSimd};

use super::Window;

/// Rows from which a block's shift is taken; see `plane::SAMPLE`.
const SAMPLE: usize = 16;

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
