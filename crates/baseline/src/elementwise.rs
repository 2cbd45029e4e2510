//! The elementwise halves of the passes over rows, with coefficients for each column.

use crate::coefficients::{Affine, Gradient};
use crate::stream::{AHEAD, prefetch, writing};

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

    /// `y = affine(x)`; both start with a row and may end within one. `y` is `streamed` or not.
    pub(crate) fn apply(&self, x: &[f32], y: &mut [f32], streamed: bool) {
        let width = self.mean.len();
        for from in (0..width).step_by(TILE) {
            let rows = x.chunks(width).zip(y.chunks_mut(width));
            writing(
                streamed,
                #[inline(always)]
                |writer| {
                    for (x, y) in rows {
                        let to = x.len().min(from + TILE);
                        if from < to {
                            writer.write(
                                &mut y[from..to],
                                #[inline(always)]
                                |range, y| {
                                    let x = &x[from..to][range.clone()];
                                    prefetch(x, AHEAD);
                                    self.apply_row(from + range.start, x, y);
                                },
                            );
                        }
                    }
                },
            );
        }
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

    /// `dx = gradient(x, dy)`; all start with a row and may end within one. `dx` is `streamed` or not.
    pub(crate) fn apply(&self, x: &[f32], dy: &[f32], dx: &mut [f32], streamed: bool) {
        let width = self.mean.len();
        for from in (0..width).step_by(TILE) {
            let rows = x.chunks(width).zip(dy.chunks(width)).zip(dx.chunks_mut(width));
            writing(
                streamed,
                #[inline(always)]
                |writer| {
                    for ((x, dy), dx) in rows {
                        let to = x.len().min(from + TILE);
                        if from < to {
                            let (x, dy) = (&x[from..to], &dy[from..to]);
                            writer.write(
                                &mut dx[from..to],
                                #[inline(always)]
                                |range, dx| {
                                    let (x, dy) = (&x[range.clone()], &dy[range.clone()]);
                                    prefetch(x, AHEAD);
                                    prefetch(dy, AHEAD);
                                    self.apply_row(from + range.start, x, dy, dx);
                                },
                            );
                        }
                    }
                },
            );
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streamed_rows_are_those_of_ordinary_stores() {
        // Rows of less than a line, of one tile and of two; the last row is cut short.
        for (width, length) in [(5, 52), (96, 1000), (TILE, 3 * TILE - 7), (TILE + 70, 4 * TILE)] {
            let value = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
            let [mean, scale, shift] = [1, 2, 3].map(|part| move |i: usize| value(31 * i + part));
            let (x, dy): (Vec<_>, Vec<_>) = (0..length).map(|i| (value(i), value(3 * i))).unzip();
            let affines =
                Affines::new((0..width).map(|i| Affine { mean: mean(i), scale: scale(i), shift: shift(i) }));
            let gradients = Gradients::new((0..width).map(|i| Gradient {
                mean: mean(i),
                dy_scale: value(i),
                x_scale: scale(i),
                shift: shift(i),
            }));
            for start in 0..4 {
                let [ordinary, streamed] = [false, true].map(|streamed| {
                    let [mut y, mut dx] = [(); 2].map(|()| vec![f32::NAN; start + length]);
                    affines.apply(&x, &mut y[start..], streamed);
                    gradients.apply(&x, &dy, &mut dx[start..], streamed);
                    (y.split_off(start), dx.split_off(start))
                });
                assert_eq!(ordinary, streamed, "rows of {width} from {start}");
            }
        }
    }
}
