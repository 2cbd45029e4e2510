//! The elementwise halves of the passes over rows, with coefficients for each column.

use pulp::Arch;

use crate::coefficients::{Affine, Gradient};

/// Columns whose coefficients stay in the first-level cache while rows pass by.
const TILE: usize = 1024;

/// [`Affine`] for each column of a row.
#[derive(Default)]
pub(crate) struct Affines {
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Affines {
    pub(crate) fn new(columns: impl Iterator<Item = Affine>) -> Self {
        let mut all = Self::default();
        for Affine { mean, scale, shift } in columns {
            all.mean.push(mean);
            all.scale.push(scale);
            all.shift.push(shift);
        }
        all
    }

    /// `y = affine(x)`; both start with a row and may end within one.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32]) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let width = self.mean.len();
                for from in (0..width).step_by(TILE) {
                    for (x, y) in x.chunks(width).zip(y.chunks_mut(width)) {
                        let to = x.len().min(from + TILE);
                        if from < to {
                            self.apply_row(from, &x[from..to], &mut y[from..to]);
                        }
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn apply_row(&self, from: usize, x: &[f32], y: &mut [f32]) {
        let n = x.len();
        let y = &mut y[..n];
        let [mean, scale, shift] = [&self.mean, &self.scale, &self.shift].map(|v| &v[from..from + n]);
        for i in 0..n {
            y[i] = Affine { mean: mean[i], scale: scale[i], shift: shift[i] }.apply(x[i]);
        }
    }
}

/// [`Gradient`] for each column of a row.
#[derive(Default)]
pub(crate) struct Gradients {
    mean: Vec<f32>,
    dy_scale: Vec<f32>,
    x_scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Gradients {
    pub(crate) fn new(columns: impl Iterator<Item = Gradient>) -> Self {
        let mut all = Self::default();
        for Gradient { mean, dy_scale, x_scale, shift } in columns {
            all.mean.push(mean);
            all.dy_scale.push(dy_scale);
            all.x_scale.push(x_scale);
            all.shift.push(shift);
        }
        all
    }

    /// `dx = gradient(x, dy)`; all start with a row and may end within one.
    pub(crate) fn apply(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                let width = self.mean.len();
                for from in (0..width).step_by(TILE) {
                    let inputs = x.chunks(width).zip(dy.chunks(width));
                    for ((x, dy), dx) in inputs.zip(dx.chunks_mut(width)) {
                        let to = x.len().min(from + TILE);
                        if from < to {
                            self.apply_row(from, &x[from..to], &dy[from..to], &mut dx[from..to]);
                        }
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn apply_row(&self, from: usize, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let n = x.len();
        let (dy, dx) = (&dy[..n], &mut dx[..n]);
        let [mean, dy_scale, x_scale, shift] =
            [&self.mean, &self.dy_scale, &self.x_scale, &self.shift].map(|v| &v[from..from + n]);
        for i in 0..n {
            let column =
                Gradient { mean: mean[i], dy_scale: dy_scale[i], x_scale: x_scale[i], shift: shift[i] };
            dx[i] = column.apply(x[i], dy[i]);
        }
    }
}
