//! All passes against two passes in float64, over both layouts and awkward shapes.

#![allow(clippy::unwrap_used, clippy::panic)]

use wgpu_batchnorm::{Layout, Shape};
use wgpu_batchnorm_baseline::{Statistics, backward, forward_eval, forward_train};

const EPS: f32 = 1e-5;

/// N, C, S.
const SHAPES: [[usize; 3]; 20] = [
    [2, 1, 1],
    [70, 1, 1],
    [1, 1, 50],
    [7, 3, 1],
    [2, 3, 49],
    [70, 3, 50],
    [1, 3, 3000],
    [3, 5, 64],
    [13, 65, 1],
    [70, 65, 49],
    [5, 65, 130],
    [1, 257, 49],
    [33, 257, 50],
    [2, 257, 63],
    [4, 2, 70_001],
    [3, 1, 33_000],
    [1_001, 2, 2],
    [9_000, 1, 1],
    [2, 5_000, 1],
    [6, 40, 512],
];

/// `y`, mean and variance of each channel, dγ, dβ and dx.
struct Reference {
    y: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    dweight: Vec<f64>,
    dbias: Vec<f64>,
    dx: Vec<f64>,
}

fn reference(shape: Shape, x: &[f32], dy: &[f32], weight: &[f32], bias: &[f32]) -> Reference {
    let zeros = || vec![0.0; shape.channels()];
    let [mut y, mut dx] = [(); 2].map(|()| vec![0.0; shape.elements()]);
    let [mut mean, mut variance, mut dweight, mut dbias] = [zeros(), zeros(), zeros(), zeros()];
    let count = shape.values_per_channel() as f64;
    for c in 0..shape.channels() {
        let at = |n, s| shape.index(n, c, s);
        let positions: Vec<usize> =
            (0..shape.samples()).flat_map(|n| (0..shape.spatial()).map(move |s| at(n, s))).collect();
        mean[c] = positions.iter().map(|&i| f64::from(x[i])).sum::<f64>() / count;
        variance[c] = positions.iter().map(|&i| (f64::from(x[i]) - mean[c]).powi(2)).sum::<f64>() / count;
        let inv_std = 1.0 / (variance[c] + f64::from(EPS)).sqrt();
        let x_hat = |i: usize| (f64::from(x[i]) - mean[c]) * inv_std;
        dbias[c] = positions.iter().map(|&i| f64::from(dy[i])).sum();
        dweight[c] = positions.iter().map(|&i| f64::from(dy[i]) * x_hat(i)).sum();
        for &i in &positions {
            y[i] = f64::from(weight[c]) * x_hat(i) + f64::from(bias[c]);
            let centered = f64::from(dy[i]) - dbias[c] / count - x_hat(i) * dweight[c] / count;
            dx[i] = f64::from(weight[c]) * inv_std * centered;
        }
    }
    Reference { y, mean, variance, dweight, dbias, dx }
}

/// Values of mean about 0 and deviation about 1.
fn noise(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    (0..length).map(|_| 2.0 * (uniform() + uniform() + uniform()) - 3.0).collect()
}

fn assert_close(what: &str, shape: Shape, actual: &[f32], expected: &[f64], relative: f64, absolute: f64) {
    assert_eq!(actual.len(), expected.len(), "{what} of {shape}");
    for (i, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(actual) - expected).abs();
        assert!(
            error <= absolute + relative * expected.abs(),
            "{what}[{i}] of {shape} is {actual}, expected {expected}"
        );
    }
}

fn check(shape: Shape, offset: f32) {
    let c = shape.channels();
    let x: Vec<f32> = noise(shape.elements(), 1).iter().map(|v| v + offset).collect();
    let dy: Vec<f32> = noise(shape.elements(), 2).iter().map(|v| v + 0.25).collect();
    let weight: Vec<f32> = (0..c).map(|c| 0.5 + (c % 7) as f32 / 4.0).collect();
    let bias: Vec<f32> = (0..c).map(|c| (c % 5) as f32 - 2.0).collect();
    let expected = reference(shape, &x, &dy, &weight, &bias);
    let mut out = vec![f32::NAN; shape.elements()];

    let statistics = forward_train(shape, &x, Some(&weight), Some(&bias), EPS, &mut out).unwrap();
    // With two values a channel may be nearly constant: 1/σ then magnifies what x itself was rounded by.
    let magnified = expected.variance.iter().fold(1.0f64, |most, v| most.max(1.0 / (v + 1e-5).sqrt()));
    assert_close("mean", shape, &statistics.mean, &expected.mean, 2e-7, 3e-7);
    assert_close("variance", shape, &statistics.variance, &expected.variance, 5e-6, 1e-12);
    assert_close("y", shape, &out, &expected.y, 2e-6, 4e-6 * magnified);

    // The mean is float32: x̂ is off by what rounding it costs.
    let rounded = f64::from(offset) * 6e-8 * magnified;
    let (dweight, dbias) = backward(shape, &x, &dy, Some(&weight), &statistics, &mut out).unwrap();
    let sums = shape.values_per_channel() as f64;
    assert_close("dbias", shape, &dbias, &expected.dbias, 2e-6, 2e-7 * sums);
    assert_close("dweight", shape, &dweight, &expected.dweight, 4e-6, (4e-7 + rounded) * magnified * sums);
    assert_close("dx", shape, &out, &expected.dx, 5e-6, (5e-6 + 4.0 * rounded) * magnified.powi(2));

    let Statistics { mean, variance, .. } = &statistics;
    forward_eval(shape, &x, Some(&weight), Some(&bias), mean, variance, EPS, &mut out).unwrap();
    assert_close("y of forward_eval", shape, &out, &expected.y, 5e-6, (6e-6 + 4.0 * rounded) * magnified);
}

fn shapes() -> impl Iterator<Item = Shape> {
    SHAPES.into_iter().flat_map(|[n, c, s]| {
        [(Layout::ChannelsFirst, [n, c, s]), (Layout::ChannelsLast, [n, s, c])]
            .map(|(layout, sizes)| Shape::new(&sizes, layout).unwrap())
    })
}

#[test]
fn all_passes_are_those_of_float64() {
    shapes().for_each(|shape| check(shape, 0.0));
}

#[test]
fn a_mean_of_ten_thousand_deviations_costs_nothing_but_its_own_rounding() {
    shapes().filter(|shape| shape.values_per_channel() > 2).for_each(|shape| check(shape, 1e4));
}

#[test]
fn every_batch_size_is_right() {
    for n in 1..=70 {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            check(Shape::new(&[n, 5, 7], layout).unwrap(), 1.0);
        }
    }
}

#[test]
fn any_number_of_threads_will_do() {
    for threads in [1, 16] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| shapes().for_each(|shape| check(shape, 0.0)));
    }
}

#[test]
fn a_first_value_far_away_does_not_cost_the_others_their_digits() {
    for shape in shapes().filter(|shape| shape.values_per_channel() > 40) {
        let mut x = noise(shape.elements(), 3);
        for c in 0..shape.channels() {
            x[shape.index(0, c, 0)] = 1e6;
        }
        let (weight, bias) = (vec![1.0; shape.channels()], vec![0.0; shape.channels()]);
        let expected = reference(shape, &x, &x, &weight, &bias);
        let mut y = vec![f32::NAN; shape.elements()];
        let statistics = forward_train(shape, &x, None, None, EPS, &mut y).unwrap();
        let deviation = expected.variance.iter().fold(0.0f64, |most, v| most.max(v.sqrt()));
        assert_close("mean", shape, &statistics.mean, &expected.mean, 1e-6, 2e-7 * deviation);
        assert_close("variance", shape, &statistics.variance, &expected.variance, 5e-6, 0.0);
    }
}
