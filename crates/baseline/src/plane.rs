//! Inner loops over planes: runs of neighbours that belong to one channel.
//!
//! Each function takes the planes of a few neighbouring channels sample by sample, a `run` at a time: a
//! slice that holds one plane of `spatial` values for each of them. It is compiled once for every
//! instruction set that `pulp` knows (AVX2 and AVX-512 on x86-64) and chosen when it runs. The loops are plain: over
//! arrays of [`LANES`] they become vector code.

use pulp::Arch;

use crate::coefficients::{Affine, GradSums, Gradient};
use crate::moments::Moments;
use crate::stream::{AHEAD, prefetch, writing};

/// Sums that are kept side by side: enough to hide the latency of an addition.
pub(crate) const LANES: usize = 32;

/// Values that are summed in float32 before they are merged in float64: 128 a lane.
const BLOCK: usize = 4096;

/// Values from which a block's shift is taken. With s of b values, the sums of squares lose at most
/// about b/s times what rounding costs, wherever the shift falls: an outlier among the s, or a
/// jump after them, is itself in the variance.
const SAMPLE: usize = 128;

/// The records of `channels` channels.
pub(crate) fn moments<'a>(
    runs: impl Iterator<Item = &'a [f32]>,
    spatial: usize,
    channels: usize,
) -> Vec<Moments> {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut all = vec![(Moments::default(), MomentsBlock::default()); channels];
            for run in runs {
                for (plane, (moments, block)) in run.chunks(spatial).zip(&mut all) {
                    for values in plane.chunks(BLOCK) {
                        block.add(values);
                        if block.count >= BLOCK {
                            *moments = moments.merge(block.take());
                        }
                    }
                }
            }
            all.into_iter().map(|(moments, mut block)| moments.merge(block.take())).collect()
        },
    )
}

/// The sums of the channels whose means are `mean`; `runs` are pairs of x and dy.
pub(crate) fn gradient_sums<'a>(
    runs: impl Iterator<Item = (&'a [f32], &'a [f32])>,
    spatial: usize,
    mean: &[f32],
) -> Vec<GradSums> {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut all = vec![(GradSums::default(), GradSumsBlock::default()); mean.len()];
            for (x, dy) in runs {
                let planes = x.chunks(spatial).zip(dy.chunks(spatial)).zip(mean);
                for (((x, dy), &mean), (sums, block)) in planes.zip(&mut all) {
                    for (x, dy) in x.chunks(BLOCK).zip(dy.chunks(BLOCK)) {
                        block.add(x, dy, mean);
                        if block.count >= BLOCK {
                            *sums = sums.merge(block.take());
                        }
                    }
                }
            }
            all.into_iter().map(|(sums, mut block)| sums.merge(block.take())).collect()
        },
    )
}

/// `y = affine(x)`, with one of `affines` for each channel; `runs` are pairs of x and y, which is
/// `streamed` or not.
pub(crate) fn normalize<'a>(
    runs: impl Iterator<Item = (&'a [f32], &'a mut [f32])>,
    spatial: usize,
    affines: &[Affine],
    streamed: bool,
) {
    writing(
        streamed,
        #[inline(always)]
        |writer| {
            for (x, y) in runs {
                for ((x, y), affine) in x.chunks(spatial).zip(y.chunks_mut(spatial)).zip(affines) {
                    writer.write(
                        y,
                        #[inline(always)]
                        |range, y| {
                            let x = &x[range];
                            prefetch(x, AHEAD);
                            for_lanes(x, x, y, |x, _| affine.apply(x));
                        },
                    );
                }
            }
        },
    );
}

/// `dx = gradient(x, dy)`, with one of `gradients` for each channel; `runs` are ((x, dy), dx), which is
/// `streamed` or not.
pub(crate) fn apply_gradient<'a>(
    runs: impl Iterator<Item = ((&'a [f32], &'a [f32]), &'a mut [f32])>,
    spatial: usize,
    gradients: &[Gradient],
    streamed: bool,
) {
    writing(
        streamed,
        #[inline(always)]
        |writer| {
            for ((x, dy), dx) in runs {
                let inputs = x.chunks(spatial).zip(dy.chunks(spatial));
                for (((x, dy), dx), gradient) in inputs.zip(dx.chunks_mut(spatial)).zip(gradients) {
                    writer.write(
                        dx,
                        #[inline(always)]
                        |range, dx| {
                            let (x, dy) = (&x[range.clone()], &dy[range]);
                            for_lanes(x, dy, dx, |x, dy| gradient.apply(x, dy));
                        },
                    );
                }
            }
        },
    );
}

/// `output = f(a, b)`, by whole lanes: the last ones may be written twice, with the same values.
#[inline(always)]
fn for_lanes(a: &[f32], b: &[f32], output: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let (chunks, rest) = output.as_chunks_mut::<LANES>();
    let rest = rest.len();
    for ((a, b), output) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0).zip(chunks) {
        for lane in 0..LANES {
            output[lane] = f(a[lane], b[lane]);
        }
    }
    if rest == 0 {
        return;
    }
    if let (Some(a), Some(b), Some(output)) =
        (a.last_chunk::<LANES>(), b.last_chunk::<LANES>(), output.last_chunk_mut::<LANES>())
    {
        for lane in 0..LANES {
            output[lane] = f(a[lane], b[lane]);
        }
        return;
    }
    for ((a, b), output) in a.iter().zip(b).zip(output) {
        *output = f(*a, *b);
    }
}

/// Runs `add` for each whole group of lanes of `a` and `b`, with a factor of 1, and for the last values,
/// with a factor of 0 for those that were there before. (If these are not finite, so are the sums.) `ahead` asks for values
/// of `a` before they are needed; from two inputs the processor itself reads far enough ahead.
#[inline(always)]
fn by_lanes(a: &[f32], b: &[f32], ahead: bool, mut add: impl FnMut(usize, f32, f32, f32)) {
    let (chunks, rest) = a.as_chunks::<LANES>();
    for (a, b) in chunks.iter().zip(b.as_chunks::<LANES>().0) {
        if ahead {
            prefetch(a, AHEAD);
        }
        for lane in 0..LANES {
            add(lane, a[lane], b[lane], 1.0);
        }
    }
    if rest.is_empty() {
        return;
    }
    if let (Some(last_a), Some(last_b)) = (a.last_chunk::<LANES>(), b.last_chunk::<LANES>()) {
        let seen = (LANES - rest.len()) as i32;
        for lane in 0..LANES {
            add(lane, last_a[lane], last_b[lane], if lane as i32 >= seen { 1.0 } else { 0.0 });
        }
        return;
    }
    for (lane, (a, b)) in a.iter().zip(b).enumerate() {
        add(lane % LANES, *a, *b, 1.0);
    }
}

/// Sums of (v − shift) and (v − shift)² over about a block of values.
#[derive(Clone, Default)]
struct MomentsBlock {
    count: usize,
    shift: f32,
    sums: [f32; LANES],
    squares: [f32; LANES],
}

impl MomentsBlock {
    #[inline(always)]
    fn add(&mut self, values: &[f32]) {
        if self.count == 0 {
            self.shift = typical(values);
        }
        let (mut sums, mut squares, shift) = (self.sums, self.squares, self.shift);
        by_lanes(values, values, true, |lane, value, _, factor| {
            let delta = (value - shift) * factor;
            sums[lane] += delta;
            squares[lane] += delta * delta;
        });
        (self.sums, self.squares) = (sums, squares);
        self.count += values.len();
    }

    /// The record of the block; leaves an empty one.
    #[inline(always)]
    fn take(&mut self) -> Moments {
        let block = std::mem::take(self);
        if block.count == 0 {
            return Moments::default();
        }
        Moments::from_shifted(block.count, block.shift, total(block.sums), total(block.squares))
    }
}

/// Sums of dy and dy·(x − mean) over about a block of values.
#[derive(Clone, Default)]
struct GradSumsBlock {
    count: usize,
    dys: [f32; LANES],
    products: [f32; LANES],
}

impl GradSumsBlock {
    #[inline(always)]
    fn add(&mut self, x: &[f32], dy: &[f32], mean: f32) {
        let (mut dys, mut products) = (self.dys, self.products);
        by_lanes(x, dy, false, |lane, x, dy, factor| {
            let dy = dy * factor;
            dys[lane] += dy;
            products[lane] += dy * (x - mean);
        });
        (self.dys, self.products) = (dys, products);
        self.count += x.len();
    }

    /// The sums of the block; leaves an empty one.
    #[inline(always)]
    fn take(&mut self) -> GradSums {
        let block = std::mem::take(self);
        GradSums { sum_dy: f64::from(total(block.dys)), sum_dy_x: f64::from(total(block.products)) }
    }
}

/// A value near the mean of the first few `values`, and the value itself if they are all the same.
#[inline(always)]
fn typical(values: &[f32]) -> f32 {
    let sample = &values[..values.len().min(SAMPLE)];
    let Some(&first) = sample.first() else { return 0.0 };
    let (chunks, rest) = sample.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane] - first;
        }
    }
    for (sum, value) in lanes.iter_mut().zip(rest) {
        *sum += value - first;
    }
    // Hidden from the compiler, which would else take the lanes one by one above, for the sake of this sum.
    first + total(std::hint::black_box(lanes)) / sample.len() as f32
}

/// The sum of all lanes.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streamed_planes_are_those_of_ordinary_stores() {
        for (spatial, channels) in [(1, 3), (49, 5), (70, 2), (1000, 3)] {
            let length = spatial * channels;
            let value = |i: usize| (i * 7919 % 1000) as f32 / 500.0 - 1.0;
            let (x, dy): (Vec<_>, Vec<_>) = (0..length).map(|i| (value(i), value(3 * i))).unzip();
            let (affines, gradients): (Vec<_>, Vec<_>) = (0..channels)
                .map(|i| {
                    let (mean, scale, shift) = (value(5 * i), value(i + 9), value(i));
                    let gradient = Gradient { mean, dy_scale: scale, x_scale: 0.3, shift };
                    (Affine { mean, scale, shift }, gradient)
                })
                .unzip();
            for start in 0..4 {
                let [ordinary, streamed] = [false, true].map(|streamed| {
                    let [mut y, mut dx] = [(); 2].map(|()| vec![f32::NAN; start + length]);
                    normalize(std::iter::once((&x[..], &mut y[start..])), spatial, &affines, streamed);
                    let run = ((&x[..], &dy[..]), &mut dx[start..]);
                    apply_gradient(std::iter::once(run), spatial, &gradients, streamed);
                    (y.split_off(start), dx.split_off(start))
                });
                assert_eq!(ordinary, streamed, "planes of {spatial} from {start}");
            }
        }
    }
}
