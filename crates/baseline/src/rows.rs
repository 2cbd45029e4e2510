//! Channels last, and channels first with few positions: the tensor as rows of columns.
//!
//! A row is one position with all its channels (channels last) or one sample (channels first); short
//! ones are joined. Each column belongs to one channel and has sums of its own, so that all loops run
//! over neighbours; at the end the columns of a channel are merged.

use std::iter::repeat_n;
use std::ops::{Range, RangeInclusive};

use rayon::prelude::*;
use wgpu_batchnorm::{Layout, Shape};

use crate::coefficients::{Affine, GradSums, Gradient};
use crate::columns::{self, ColumnGradSums, ColumnMoments, Window};
use crate::elementwise::Columns;
use crate::moments::Moments;
use crate::stream;

/// A row is joined from shorter ones up to about this length.
const SHORTEST_ROW: usize = 1024;

/// Columns that are summed together: their sums stay in the first-level cache.
const TILE: usize = 1024;

/// Parts that a tensor is cut into, about, and the least and the most values of a part.
const PARTS: usize = 32;
const PART_VALUES: RangeInclusive<usize> = 1 << 14..=1 << 18;

/// How a tensor is taken as rows.
pub(crate) struct Rows {
    shape: Shape,
    /// The length of a row before joining: C, or C·S with channels first.
    period: usize,
    /// Columns of a period that neighbour each other and belong to one channel: 1, or S.
    run: usize,
    /// The length of a row.
    width: usize,
    /// The number of whole rows; what is left after them is shorter than a row.
    height: usize,
}

impl Rows {
    pub(crate) fn new(shape: Shape) -> Self {
        let run = match shape.layout() {
            Layout::ChannelsFirst => shape.spatial(),
            Layout::ChannelsLast => 1,
        };
        let period = shape.channels() * run;
        let periods = shape.elements() / period;
        let width = period * SHORTEST_ROW.div_ceil(period).min(periods);
        Self { shape, period, run, width, height: shape.elements() / width }
    }

    /// Normalizes `x` with its own statistics; `affine` gives a channel's coefficients. Returns the records.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        y: &mut [f32],
        affine: impl Fn(usize, Moments) -> Affine,
    ) -> Vec<Moments> {
        let moments = self.moments(x);
        let affines: Vec<_> = moments.iter().enumerate().map(|(c, &moments)| affine(c, moments)).collect();
        self.normalize(x, &affines, y);
        moments
    }

    /// `y = affine(x)`, with one of `affines` for each channel.
    pub(crate) fn normalize(&self, x: &[f32], affines: &[Affine], y: &mut [f32]) {
        let columns = Columns::new(self.columns().map(|channel| affines[channel].parts()));
        let length = self.part_length();
        let streamed = stream::suits(y);
        y.par_chunks_mut(length).zip(x.par_chunks(length)).for_each(|(y, x)| {
            columns.write([x], y, streamed, |parts, [x]| Affine::of(parts).apply(x));
        });
    }

    /// Writes dx; `gradient` gives a channel's coefficients. Returns the sums.
    pub(crate) fn backward(
        &self,
        x: &[f32],
        dy: &[f32],
        mean: &[f32],
        dx: &mut [f32],
        gradient: impl Fn(usize, GradSums) -> Gradient,
    ) -> Vec<GradSums> {
        let sums = self.gradient_sums(x, dy, mean);
        let gradients: Vec<_> = sums.iter().enumerate().map(|(c, &sums)| gradient(c, sums)).collect();
        let columns = Columns::new(self.columns().map(|channel| gradients[channel].parts()));
        let length = self.part_length();
        let streamed = stream::suits(dx);
        dx.par_chunks_mut(length).zip(x.par_chunks(length).zip(dy.par_chunks(length))).for_each(
            |(dx, (x, dy))| {
                columns.write([x, dy], dx, streamed, |parts, [x, dy]| Gradient::of(parts).apply(x, dy));
            },
        );
        sums
    }

    fn moments(&self, x: &[f32]) -> Vec<Moments> {
        let (whole, rest) = x.split_at(self.width * self.height);
        let columns =
            self.over_windows(|part, from, width| columns::moments(self.window(whole, part, from, width)));
        let columns = self.joined(columns, |all: &mut ColumnMoments, part| all.merge(&part));

        // The columns of a channel have equally many values: the channel's mean is the mean of theirs,
        // taken relative to the first one, so that equal columns give exactly that.
        let means: Vec<f64> = columns.iter().flat_map(|tile| &tile.mean).copied().collect();
        let m2s = columns.iter().flat_map(|tile| &tile.m2);
        let per_channel = self.width / self.shape.channels();
        let mut channels: Vec<Moments> = (0..self.shape.channels())
            .map(|channel| Moments {
                count: self.height * per_channel,
                mean: means[channel * self.run],
                m2: 0.0,
            })
            .collect();
        for (column, channel) in self.columns().enumerate() {
            channels[channel].mean += (means[column] - means[channel * self.run]) / per_channel as f64;
        }
        for ((channel, mean), m2) in self.columns().zip(&means).zip(m2s) {
            let delta = mean - channels[channel].mean;
            channels[channel].m2 += m2 + delta * delta * self.height as f64;
        }
        for (channel, &value) in self.columns().zip(rest) {
            channels[channel] = channels[channel].merge(Moments::of(value));
        }
        channels
    }

    fn gradient_sums(&self, x: &[f32], dy: &[f32], mean: &[f32]) -> Vec<GradSums> {
        let (x, x_rest) = x.split_at(self.width * self.height);
        let (dy, dy_rest) = dy.split_at(self.width * self.height);
        let means: Vec<f32> = self.columns().map(|channel| mean[channel]).collect();
        let columns = self.over_windows(|part, from, width| {
            let [x, dy] = [x, dy].map(|tensor| self.window(tensor, part.clone(), from, width));
            columns::gradient_sums(x, dy, &means[from..from + width])
        });
        let columns = self.joined(columns, |all: &mut ColumnGradSums, part| all.merge(&part));

        let mut channels = vec![GradSums::default(); self.shape.channels()];
        let sums = columns.iter().flat_map(|tile| tile.sum_dy.iter().zip(&tile.sum_dy_x));
        for (channel, (&sum_dy, &sum_dy_x)) in self.columns().zip(sums) {
            channels[channel] = channels[channel].merge(GradSums { sum_dy, sum_dy_x });
        }
        for (channel, (&x, &dy)) in self.columns().zip(x_rest.iter().zip(dy_rest)) {
            channels[channel] = channels[channel].merge(GradSums::of(x, dy, mean[channel]));
        }
        channels
    }

    /// The channel of each column of a row.
    fn columns(&self) -> impl Iterator<Item = usize> {
        let (channels, run) = (self.shape.channels(), self.run);
        (0..self.width / self.period)
            .flat_map(move |_| (0..channels).flat_map(move |channel| repeat_n(channel, run)))
    }

    /// The number of values that one task takes, about.
    fn part_values(&self) -> usize {
        (self.shape.elements() / PARTS).clamp(*PART_VALUES.start(), *PART_VALUES.end())
    }

    /// The length of whole rows that one task of an elementwise half takes.
    fn part_length(&self) -> usize {
        self.part_values().div_ceil(self.width) * self.width
    }

    fn window<'a>(&self, whole: &'a [f32], part: Range<usize>, from: usize, width: usize) -> Window<'a> {
        Window { rows: &whole[part], stride: self.width, from, width }
    }

    /// Runs `task` for each window of the whole rows, given as the range of its rows, its first column
    /// and its width. Returns the results of each tile of columns, from the first row to the last.
    fn over_windows<T: Send>(&self, task: impl Fn(Range<usize>, usize, usize) -> T + Sync) -> Vec<Vec<T>> {
        let tile = self.width.min(TILE);
        let rows = self.part_values().div_ceil(tile).next_multiple_of(columns::BLOCK);
        (0..self.width.div_ceil(tile))
            .into_par_iter()
            .map(|index| {
                let from = index * tile;
                let width = tile.min(self.width - from);
                (0..self.height.div_ceil(rows))
                    .into_par_iter()
                    .map(|part| {
                        let end = self.height.min((part + 1) * rows);
                        task(part * rows * self.width..end * self.width, from, width)
                    })
                    .collect()
            })
            .collect()
    }

    /// Each tile's results merged in the order of the rows.
    fn joined<T: Default>(&self, tiles: Vec<Vec<T>>, merge: impl Fn(&mut T, T)) -> Vec<T> {
        let tile = |parts: Vec<T>| {
            parts.into_iter().reduce(|mut all, part| {
                merge(&mut all, part);
                all
            })
        };
        tiles.into_iter().map(|parts| tile(parts).unwrap_or_default()).collect()
    }
}
