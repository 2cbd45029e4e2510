//! Channels first: a channel is N planes of S neighbours each.
//!
//! Where there are enough channels, each is one task: its second read then finds it in the cache.
//! Otherwise both halves of a pass are shared out by themselves, over pieces of planes.

use std::ops::Range;

use rayon::prelude::*;
use wgpu_batchnorm::Shape;

use crate::coefficients::{Affine, GradSums, Gradient};
use crate::moments::Moments;
use crate::{plane, stream};

/// Tasks for each thread, at least, so that no thread waits long for the last one.
const TASKS_PER_THREAD: usize = 4;

/// Planes of at least this length are taken one by one, even if there are few channels.
const LONG_PLANE: usize = 1024;

/// Planes of at least this length are streamed.
const STREAMED_PLANE: usize = 256;

/// Neighbouring values that a task reads at once, at least.
const RUN: usize = 1024;

/// Values of a piece, where channels are too few.
const PIECE: usize = 1 << 15;

/// Normalizes `x` with its own statistics; `affine` gives a channel's coefficients. Returns the records.
pub(crate) fn forward(
    shape: Shape,
    x: &[f32],
    y: &mut [f32],
    affine: impl Fn(usize, Moments) -> Affine + Sync,
) -> Vec<Moments> {
    let affines = |first: usize, moments: &[Moments]| -> Vec<_> {
        moments.iter().enumerate().map(|(i, &moments)| affine(first + i, moments)).collect()
    };
    if channels_suffice(shape) {
        let streamed = streamed(shape, y);
        return by_group(shape, y, |channels, runs| {
            let x = || group_runs(shape, x, channels.clone());
            let moments = plane::moments(x(), shape.spatial(), channels.len());
            // Backwards: what was read last is still in the cache.
            let affines = affines(channels.start, &moments);
            plane::normalize(x().zip(runs).rev(), shape.spatial(), &affines, streamed);
            moments
        });
    }
    let moments = over_pieces(shape, |_, pieces| {
        let parts = plane::moments(pieces.map(|piece| &x[piece]), shape.spatial(), 1);
        merged(parts, Moments::merge)
    });
    let moments: Vec<_> = moments.into_iter().map(|parts| merged(parts, Moments::merge)).collect();
    normalize(shape, x, &affines(0, &moments), y);
    moments
}

/// `y = affine(x)`, with one of `affines` for each channel.
pub(crate) fn normalize(shape: Shape, x: &[f32], affines: &[Affine], y: &mut [f32]) {
    let streamed = streamed(shape, y);
    for_pieces(shape, y, |channels, range, y| {
        plane::normalize(std::iter::once((&x[range], y)), shape.spatial(), &affines[channels], streamed);
    });
}

/// Writes dx; `gradient` gives a channel's coefficients. Returns the sums.
pub(crate) fn backward(
    shape: Shape,
    x: &[f32],
    dy: &[f32],
    mean: &[f32],
    dx: &mut [f32],
    gradient: impl Fn(usize, GradSums) -> Gradient + Sync,
) -> Vec<GradSums> {
    let gradients = |first: usize, sums: &[GradSums]| -> Vec<_> {
        sums.iter().enumerate().map(|(i, &sums)| gradient(first + i, sums)).collect()
    };
    let streamed = streamed(shape, dx);
    if channels_suffice(shape) {
        return by_group(shape, dx, |channels, runs| {
            let inputs =
                || group_runs(shape, x, channels.clone()).zip(group_runs(shape, dy, channels.clone()));
            let sums = plane::gradient_sums(inputs(), shape.spatial(), &mean[channels.clone()]);
            let gradients = gradients(channels.start, &sums);
            plane::apply_gradient(inputs().zip(runs).rev(), shape.spatial(), &gradients, streamed);
            sums
        });
    }
    let sums = over_pieces(shape, |channel, pieces| {
        let inputs = pieces.map(|piece| (&x[piece.clone()], &dy[piece]));
        merged(plane::gradient_sums(inputs, shape.spatial(), &mean[channel..=channel]), GradSums::merge)
    });
    let sums: Vec<_> = sums.into_iter().map(|parts| merged(parts, GradSums::merge)).collect();
    let gradients = gradients(0, &sums);
    for_pieces(shape, dx, |channels, range, dx| {
        let run = ((&x[range.clone()], &dy[range]), dx);
        plane::apply_gradient(std::iter::once(run), shape.spatial(), &gradients[channels], streamed);
    });
    sums
}

fn merged<T: Default>(parts: Vec<T>, merge: impl Fn(T, T) -> T) -> T {
    parts.into_iter().reduce(merge).unwrap_or_default()
}

/// Whether planes are long enough for the loops of `plane`, and enough to share out.
pub(crate) fn suit(shape: Shape) -> bool {
    shape.spatial() >= LONG_PLANE || shape.spatial() >= plane::LANES && channels_suffice(shape)
}

/// Whether channels alone keep all threads busy.
fn channels_suffice(shape: Shape) -> bool {
    shape.channels() >= TASKS_PER_THREAD * rayon::current_num_threads()
}

/// Whether the result is streamed: where planes are short, too much of each is in lines that it shares.
fn streamed(shape: Shape, output: &[f32]) -> bool {
    shape.spatial() >= STREAMED_PLANE && stream::suits(output)
}

/// The number of neighbouring channels that one task takes, so that it reads long runs.
fn group_size(shape: Shape) -> usize {
    let most = shape.channels() / (TASKS_PER_THREAD * rayon::current_num_threads());
    RUN.div_ceil(shape.spatial()).clamp(1, most.max(1))
}

/// The planes of `channels`, sample by sample.
fn group_runs(
    shape: Shape,
    tensor: &[f32],
    channels: Range<usize>,
) -> impl DoubleEndedIterator<Item = &[f32]> + ExactSizeIterator {
    (0..shape.samples()).map(move |sample| {
        let start = shape.index(sample, channels.start, 0);
        &tensor[start..start + channels.len() * shape.spatial()]
    })
}

/// Runs `task` for each group of channels with their planes of `output`, sample by sample; returns what
/// it returns for each channel.
fn by_group<T: Send>(
    shape: Shape,
    output: &mut [f32],
    task: impl Fn(Range<usize>, std::vec::IntoIter<&mut [f32]>) -> Vec<T> + Sync,
) -> Vec<T> {
    let size = group_size(shape);
    let groups = shape.channels().div_ceil(size);
    let mut runs: Vec<Vec<_>> = (0..groups).map(|_| Vec::with_capacity(shape.samples())).collect();
    for sample in output.chunks_exact_mut(shape.channels() * shape.spatial()) {
        for (runs, run) in runs.iter_mut().zip(sample.chunks_mut(size * shape.spatial())) {
            runs.push(run);
        }
    }
    let results: Vec<Vec<T>> = runs
        .into_par_iter()
        .enumerate()
        .map(|(group, runs)| {
            let channels = group * size..shape.channels().min((group + 1) * size);
            task(channels, runs.into_iter())
        })
        .collect();
    results.into_iter().flatten().collect()
}

/// Runs `task` for pieces of `output`, each with its channels and its range in the tensor: a sample's
/// planes of a group of channels or, where a plane is long, a piece of one.
fn for_pieces(
    shape: Shape,
    output: &mut [f32],
    task: impl Fn(Range<usize>, Range<usize>, &mut [f32]) + Sync,
) {
    let (channels, spatial) = (shape.channels(), shape.spatial());
    if spatial > PIECE {
        output.par_chunks_mut(spatial).enumerate().for_each(|(plane, values)| {
            let channel = plane % channels;
            values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
                let start = plane * spatial + piece * PIECE;
                task(channel..channel + 1, start..start + values.len(), values);
            });
        });
        return;
    }
    let together = (PIECE / spatial).min(channels);
    output.par_chunks_mut(channels * spatial).enumerate().for_each(|(sample, values)| {
        values.par_chunks_mut(together * spatial).enumerate().for_each(|(group, values)| {
            let (first, last) = (group * together, channels.min((group + 1) * together));
            let start = shape.index(sample, first, 0);
            task(first..last, start..start + values.len(), values);
        });
    });
}

/// Runs `task` for each part of each channel, given as ranges in the tensor: some neighbouring
/// samples' planes or, where a plane is long, a piece of one. Returns the results in order.
fn over_pieces<T: Send>(
    shape: Shape,
    task: impl Fn(usize, &mut dyn Iterator<Item = Range<usize>>) -> T + Sync,
) -> Vec<Vec<T>> {
    let (samples, spatial) = (shape.samples(), shape.spatial());
    let together = (PIECE / spatial).max(1);
    let pieces = spatial.div_ceil(PIECE);
    let parts = samples.div_ceil(together) * pieces;
    (0..shape.channels())
        .into_par_iter()
        .map(|channel| {
            (0..parts)
                .into_par_iter()
                .map(|part| {
                    let first = part / pieces * together;
                    let from = part % pieces * PIECE;
                    let length = if pieces == 1 { spatial } else { PIECE.min(spatial - from) };
                    let mut ranges = (first..samples.min(first + together)).map(|sample| {
                        let start = shape.index(sample, channel, from);
                        start..start + length
                    });
                    task(channel, &mut ranges)
                })
                .collect()
        })
        .collect()
}
