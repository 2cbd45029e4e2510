//! Inner loops over rows, whose neighbours belong to different columns: one sum for each column.
//!
//! As in `plane`, each function is compiled for several instruction sets and chosen when it runs. The sums are in vectors
//! of the processor's here: loops over arrays, as there, become anything but vector code when rows are a number apart that
//! is only known when they run. Each function is a type, since a closure that consumes nothing is called through a function
//! of the compiler's, which may stay outside of what has the instruction set.

mod gradients;
mod moments;

use pulp::Simd;

pub(crate) use gradients::{ColumnGradSums, gradient_sums};
pub(crate) use moments::{ColumnMoments, moments};

/// Rows that are summed in float32 before they are merged in float64.
pub(crate) const BLOCK: usize = 128;

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
