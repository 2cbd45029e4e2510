//! Σdy and Σdy·(x − mean) of each column.

use pulp::{Arch, Simd, WithSimd};

use super::Window;

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
