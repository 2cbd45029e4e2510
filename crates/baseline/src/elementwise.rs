//! The elementwise halves of the passes over rows, with coefficients for each column.

use crate::stream::{AHEAD, prefetch, writing};

/// Columns whose coefficients stay in the first-level cache while rows pass by.
const TILE: usize = 1024;

/// `K` coefficients for each column of a row.
pub(crate) struct Columns<const K: usize> {
    coefficients: [Vec<f32>; K],
}

impl<const K: usize> Columns<K> {
    pub(crate) fn new(columns: impl Iterator<Item = [f32; K]>) -> Self {
        let mut coefficients = [(); K].map(|()| Vec::new());
        for column in columns {
            for (all, one) in coefficients.iter_mut().zip(column) {
                all.push(one);
            }
        }
        Self { coefficients }
    }

    /// Writes `f` of a column's coefficients and of the `inputs`; all start with a row and may end within one. `output` is
    /// `streamed` or not.
    pub(crate) fn write<const N: usize>(
        &self,
        inputs: [&[f32]; N],
        output: &mut [f32],
        streamed: bool,
        f: impl Fn([f32; K], [f32; N]) -> f32 + Copy,
    ) {
        let width = self.coefficients.first().map_or(0, Vec::len);
        for from in (0..width).step_by(TILE) {
            let rows = output.chunks_mut(width).enumerate();
            writing(
                streamed,
                #[inline(always)]
                |writer| {
                    for (row, output) in rows {
                        let to = output.len().min(from + TILE);
                        if from >= to {
                            continue;
                        }
                        let start = row * width;
                        let inputs = inputs.map(|input| &input[start + from..start + to]);
                        writer.write(
                            &mut output[from..to],
                            #[inline(always)]
                            |range, output| {
                                let inputs = inputs.map(|input| &input[range.clone()]);
                                // Of two inputs the processor itself reads far enough ahead.
                                if let [input] = inputs.as_slice() {
                                    prefetch(input, AHEAD);
                                }
                                self.write_part(from + range.start, inputs, output, f);
                            },
                        );
                    }
                },
            );
        }
    }

    /// Part of a row, from the column `from` on.
    #[inline(always)]
    fn write_part<const N: usize>(
        &self,
        from: usize,
        inputs: [&[f32]; N],
        output: &mut [f32],
        f: impl Fn([f32; K], [f32; N]) -> f32,
    ) {
        let n = output.len();
        let inputs = inputs.map(|input| &input[..n]);
        let coefficients: [&[f32]; K] = std::array::from_fn(|k| &self.coefficients[k][from..from + n]);
        for i in 0..n {
            output[i] = f(coefficients.map(|all| all[i]), inputs.map(|input| input[i]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coefficients::{Affine, Gradient};

    #[test]
    fn streamed_rows_are_those_of_ordinary_stores() {
        // Rows of less than a line, of one tile and of two; the last row is cut short.
        for (width, length) in [(5, 52), (96, 1000), (TILE, 3 * TILE - 7), (TILE + 70, 4 * TILE)] {
            let value = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
            let [mean, scale, shift] = [1, 2, 3].map(|part| move |i: usize| value(31 * i + part));
            let (x, dy): (Vec<_>, Vec<_>) = (0..length).map(|i| (value(i), value(3 * i))).unzip();
            let affines = Columns::new((0..width).map(|i| [mean(i), scale(i), shift(i)]));
            let gradients = Columns::new((0..width).map(|i| [mean(i), value(i), scale(i), shift(i)]));
            for start in 0..4 {
                let [ordinary, streamed] = [false, true].map(|streamed| {
                    let [mut y, mut dx] = [(); 2].map(|()| vec![f32::NAN; start + length]);
                    affines.write([&x], &mut y[start..], streamed, |parts, [x]| Affine::of(parts).apply(x));
                    gradients.write([&x, &dy], &mut dx[start..], streamed, |parts, [x, dy]| {
                        Gradient::of(parts).apply(x, dy)
                    });
                    (y.split_off(start), dx.split_off(start))
                });
                assert_eq!(ordinary, streamed, "rows of {width} from {start}");
            }
        }
    }
}
