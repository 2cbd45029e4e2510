//! The reference itself, since everything else is tested against it: by PyTorch's float64 results,
//! by finite differences, and by what must hold whatever the data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use approx::assert_relative_eq;
use proptest::prelude::{Strategy, any, prop_assert, prop_oneof, proptest};
use wgpu_batchnorm::{
    Layout, Shape,
    reference::{
        Moments, Parameters, ReferenceError, Running, Source, backward, cumulative_factor, finalize, forward,
        running_stats, statistics,
    },
};
use wgpu_batchnorm_oracle::{self as oracle, Activation, Case, Dtype, Kind, Momentum, Outputs, Stats};

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

// --- PyTorch ---

/// The reference's f64 is rounded to f32 for the judge, which is within every bound: half a unit in the
/// last place of y is 1/16 of its bound, and of the tightest, the mean in `nchw_large_mean`, 0.4.
#[test]
fn pytorch_agrees() {
    let mut judged = Vec::new();
    for path in oracle::find_cases([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases")]).unwrap() {
        let case = Case::load(path).unwrap();
        let is_plain = case.kind == Kind::Step
            && case.activation == Activation::None
            && case.input("residual").is_none()
            && case.dtype == Dtype::F32;
        if is_plain {
            let verdict = oracle::judge(&case, &computed(&case));
            assert!(verdict.passed(), "{verdict}");
            judged.push(case);
        }
    }
    assert!(judged.len() >= 21, "{} cases", judged.len());
    for stats in [Stats::Batch, Stats::Running, Stats::Given] {
        assert!(judged.iter().any(|case| case.stats == stats), "no case with {stats:?} statistics");
    }
}

fn computed(case: &Case) -> Outputs {
    let (x, dy) = (case.input("x").unwrap(), case.values("dy").unwrap());
    let layout = match case.layout {
        oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    };
    let shape = Shape::new(&x.shape, layout).unwrap();
    let parameters =
        Parameters { weight: case.values("weight"), bias: case.values("bias"), epsilon: case.epsilon };
    let held = |mean, variance| Source::Held {
        mean: case.values(mean).unwrap(),
        variance: case.values(variance).unwrap(),
    };
    let source = match case.stats {
        Stats::Batch => Source::Batch,
        Stats::Running => held("running_mean", "running_var"),
        Stats::Given => held("given_mean", "given_var"),
    };
    let forward = forward(&x.values, &shape, &parameters, source).unwrap();
    let backward = backward(&x.values, dy, &shape, &parameters, source).unwrap();

    let mut outputs = Outputs { num_batches_tracked: Some(case.num_batches_tracked), ..Outputs::default() };
    let mut insert = |name: &str, values: Vec<f64>| {
        outputs.insert(name, case.output_shape(name), values.iter().map(|&value| value as f32).collect());
    };
    insert("y", forward.y);
    insert("dx", backward.dx);
    insert("dweight", backward.dweight);
    insert("dbias", backward.dbias);
    if let Some(moments) = forward.moments {
        insert("batch_mean", forward.statistics.mean);
        insert("batch_var", forward.statistics.variance);
        if let (Some(mean), Some(variance)) = (case.values("running_mean"), case.values("running_var")) {
            let before = Running { mean: to_f64(mean), variance: to_f64(variance) };
            let factor = match case.momentum {
                Momentum::Average(momentum) => momentum,
                Momentum::Cumulative => cumulative_factor(case.num_batches_tracked),
            };
            let after = running_stats(&before, &moments, factor).unwrap();
            insert("running_mean", after.mean);
            insert("running_var", after.variance);
            outputs.num_batches_tracked = Some(case.num_batches_tracked + 1);
        }
    }
    outputs
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

// --- Finite differences ---

/// The step: a power of two, so that x ± h is exact in f32 for x on the grid of [`grid`].
const H: f32 = 1.0 / 16_384.0;

/// `count` pseudo-random multiples of h in (−2, 2).
fn grid(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) % 65_535) as f32 - 32_767.0
    };
    (0..count).map(|_| next() * H).collect()
}

/// The derivative of `loss` with respect to every value, by central differences.
fn differences(values: &[f32], loss: impl Fn(&[f32]) -> f64) -> Vec<f64> {
    let mut moved = values.to_vec();
    (0..values.len())
        .map(|i| {
            let value = values[i];
            moved[i] = value + H;
            let above = loss(&moved);
            moved[i] = value - H;
            let below = loss(&moved);
            moved[i] = value;
            (above - below) / (2.0 * f64::from(H))
        })
        .collect()
}

fn assert_close(name: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len());
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let bound = 1e-6 * expected.abs().max(1.0);
        assert!((got - expected).abs() < bound, "{name}[{i}]: {got}, by differences {expected}");
    }
}

#[test]
fn gradients_are_those_of_the_forward_pass() {
    for layout in LAYOUTS {
        let shapes = [vec![5, 3], vec![2, 2, 7], vec![3, 4, 2, 3], vec![2, 3, 2, 2, 2]];
        for (seed, sizes) in shapes.iter().enumerate() {
            let shape = Shape::new(sizes, layout).unwrap();
            let (elements, channels) = (shape.elements(), shape.channels());
            let seed = 10 * seed as u64;
            let (x, dy) = (grid(seed, elements), grid(seed + 1, elements));
            let (weight, bias) = (grid(seed + 2, channels), grid(seed + 3, channels));
            let mean = grid(seed + 4, channels);
            let variance: Vec<f32> = grid(seed + 5, channels).iter().map(|value| value.abs() + 0.5).collect();
            for source in [Source::Batch, Source::Held { mean: &mean, variance: &variance }] {
                let loss = |x: &[f32], weight: &[f32], bias: &[f32]| {
                    let parameters = Parameters { weight: Some(weight), bias: Some(bias), epsilon: 0.125 };
                    let y = forward(x, &shape, &parameters, source).unwrap().y;
                    y.iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum()
                };
                let parameters = Parameters { weight: Some(&weight), bias: Some(&bias), epsilon: 0.125 };
                let gradients = backward(&x, &dy, &shape, &parameters, source).unwrap();
                assert_close("dx", &gradients.dx, &differences(&x, |x| loss(x, &weight, &bias)));
                assert_close("dweight", &gradients.dweight, &differences(&weight, |w| loss(&x, w, &bias)));
                assert_close("dbias", &gradients.dbias, &differences(&bias, |b| loss(&x, &weight, b)));
            }
        }
    }
}

/// The harness above can fail: without the terms through the statistics the gradient is another one.
#[test]
fn finite_differences_see_the_statistics() {
    let shape = Shape::new(&[5, 3], Layout::ChannelsFirst).unwrap();
    let (x, dy) = (grid(1, 15), grid(2, 15));
    let parameters = Parameters { weight: None, bias: None, epsilon: 0.125 };
    let moments = statistics(&x, &shape).unwrap();
    let batch = finalize(&moments, parameters.epsilon);
    let mean: Vec<f32> = batch.mean.iter().map(|&mean| mean as f32).collect();
    let variance: Vec<f32> = batch.variance.iter().map(|&variance| variance as f32).collect();
    let held = Source::Held { mean: &mean, variance: &variance };
    let without = backward(&x, &dy, &shape, &parameters, held).unwrap().dx;
    let with = backward(&x, &dy, &shape, &parameters, Source::Batch).unwrap().dx;
    assert!(with.iter().zip(&without).all(|(with, without)| (with - without).abs() > 1e-4));
}

// --- Invariants ---

proptest! {
    #[test]
    fn dx_is_orthogonal_to_a_shift_and_a_scale(
        sizes in (2..6_usize, 1..5_usize, 1..9_usize),
        layout in prop_oneof![0..2_usize].prop_map(|i| LAYOUTS[i]),
        seed in any::<u64>(),
    ) {
        let (n, c, s) = sizes;
        let memory = match layout {
            Layout::ChannelsFirst => [n, c, s],
            Layout::ChannelsLast => [n, s, c],
        };
        let shape = Shape::new(&memory, layout).unwrap();
        let (x, dy) = (grid(seed, shape.elements()), grid(seed ^ 7, shape.elements()));
        let weight = grid(seed ^ 11, c);
        // Without ε, y does not change if a channel is shifted or scaled: dx has no part along either.
        let parameters = Parameters { weight: Some(&weight), bias: None, epsilon: 0.0 };
        let forward = forward(&x, &shape, &parameters, Source::Batch).unwrap();
        let dx = backward(&x, &dy, &shape, &parameters, Source::Batch).unwrap().dx;
        for channel in 0..c {
            let scale = 1e-10 * forward.statistics.inverse_sigma[channel].max(1.0) * shape.elements() as f64;
            let (mut sum, mut along) = (0.0, 0.0);
            for (n, s) in (0..n).flat_map(|n| (0..s).map(move |s| (n, s))) {
                let i = shape.index(n, channel, s);
                sum += dx[i];
                along += dx[i] * (f64::from(x[i]) - forward.statistics.mean[channel]);
            }
            prop_assert!(sum.abs() < scale, "sum {sum:e}");
            prop_assert!(along.abs() < scale, "along x {along:e}");
        }
    }
}

#[test]
fn both_layouts_are_one_computation() {
    let first = Shape::new(&[3, 4, 5], Layout::ChannelsFirst).unwrap();
    let last = Shape::new(&[3, 5, 4], Layout::ChannelsLast).unwrap();
    let (x, dy, weight) = (grid(1, 60), grid(2, 60), grid(3, 4));
    let positions: Vec<(usize, usize)> = (0..3)
        .flat_map(|n| (0..4).flat_map(move |c| (0..5).map(move |s| (n, c, s))))
        .map(|(n, c, s)| (first.index(n, c, s), last.index(n, c, s)))
        .collect();
    let moved = |values: &[f32]| {
        let mut moved = vec![0.0; values.len()];
        positions.iter().for_each(|&(from, to)| moved[to] = values[from]);
        moved
    };
    let parameters = Parameters { weight: Some(&weight), bias: None, epsilon: 1e-5 };
    let one = forward(&x, &first, &parameters, Source::Batch).unwrap();
    let other = forward(&moved(&x), &last, &parameters, Source::Batch).unwrap();
    assert_eq!(one.statistics, other.statistics);
    assert!(positions.iter().all(|&(a, b)| one.y[a] == other.y[b]));
    let one = backward(&x, &dy, &first, &parameters, Source::Batch).unwrap();
    let other = backward(&moved(&x), &moved(&dy), &last, &parameters, Source::Batch).unwrap();
    assert_eq!((one.dweight, one.dbias), (other.dweight, other.dbias));
    assert!(positions.iter().all(|&(a, b)| one.dx[a] == other.dx[b]));
}

#[test]
fn a_constant_channel_gives_exactly_beta() {
    for layout in LAYOUTS {
        let shape = Shape::new(&[7, 3, 3], layout).unwrap();
        let (weight, bias) = ([1e6, -3.0, 0.1], [0.1, -1e-20, 3e30]);
        let parameters = Parameters { weight: Some(&weight), bias: Some(&bias), epsilon: 1e-5 };
        for value in [0.0, 0.1, -1e30, f32::MIN_POSITIVE] {
            let x = vec![value; shape.elements()];
            let forward = forward(&x, &shape, &parameters, Source::Batch).unwrap();
            assert_eq!(forward.statistics.variance, [0.0; 3]);
            for (n, c, s) in (0..7).flat_map(|n| (0..9).map(move |i| (n, i / 3, i % 3))) {
                assert_eq!(forward.y[shape.index(n, c, s)], f64::from(bias[c]));
            }
            let dy = grid(5, shape.elements());
            let gradients = backward(&x, &dy, &shape, &parameters, Source::Batch).unwrap();
            assert_eq!(gradients.dweight, [0.0; 3]);
        }
    }
}

#[test]
fn two_values_per_channel() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    let moments = statistics(&[1.0, 4.0], &shape).unwrap();
    assert_eq!(moments, Moments { count: 2, mean: vec![2.5], m2: vec![4.5] });
    let statistics = finalize(&moments, 0.0);
    assert_eq!((statistics.variance[0], statistics.inverse_sigma[0]), (2.25, 1.0 / 1.5));
    let parameters = Parameters { weight: None, bias: None, epsilon: 0.0 };
    let y = forward(&[1.0, 4.0], &shape, &parameters, Source::Batch).unwrap().y;
    assert_relative_eq!(y.as_slice(), [-1.0, 1.0].as_slice());
    // Whatever the two values are, y is ∓1: no gradient gets through.
    let dx = backward(&[1.0, 4.0], &[3.0, -7.0], &shape, &parameters, Source::Batch).unwrap().dx;
    assert_relative_eq!(dx.as_slice(), [0.0, 0.0].as_slice(), epsilon = 1e-14);
}

#[test]
fn running_statistics_move_by_the_factor() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    let batch = statistics(&[1.0, 4.0], &shape).unwrap();
    let before = Running { mean: vec![0.5], variance: vec![2.0] };
    assert_eq!(running_stats(&before, &batch, 0.0).unwrap(), before);
    // The unbiased variance, 4.5 / (2 − 1).
    let replaced = Running { mean: vec![2.5], variance: vec![4.5] };
    assert_eq!(running_stats(&before, &batch, 1.0).unwrap(), replaced);
    let moved = running_stats(&before, &batch, 0.1).unwrap();
    assert_relative_eq!(moved.mean[0], 0.9 * 0.5 + 0.1 * 2.5);
    assert_relative_eq!(moved.variance[0], 0.9 * 2.0 + 0.1 * 4.5);
}

#[test]
fn the_cumulative_factor_averages_over_all_batches() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    // What they start from has no influence: the first factor is 1.
    let mut running = Running { mean: vec![123.0], variance: vec![456.0] };
    for (tracked, x) in [[1.0, 4.0], [0.0, 1.0], [-5.0, 3.0]].iter().enumerate() {
        let batch = statistics(x, &shape).unwrap();
        running = running_stats(&running, &batch, cumulative_factor(tracked as u64)).unwrap();
    }
    assert_relative_eq!(running.mean[0], (2.5 + 0.5 - 1.0) / 3.0, epsilon = 1e-15);
    assert_relative_eq!(running.variance[0], (4.5 + 0.5 + 32.0) / 3.0, epsilon = 1e-14);
}

#[test]
fn what_is_not_a_number_stays_in_its_channel() {
    for layout in LAYOUTS {
        let shape = Shape::new(&[3, 2, 2], layout).unwrap();
        let parameters = Parameters { weight: None, bias: None, epsilon: 1e-5 };
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = grid(1, 12);
            x[shape.index(1, 1, 0)] = wrong;
            let y = forward(&x, &shape, &parameters, Source::Batch).unwrap().y;
            for (n, s) in (0..3).flat_map(|n| (0..2).map(move |s| (n, s))) {
                assert!(y[shape.index(n, 0, s)].is_finite());
                assert!(!y[shape.index(n, 1, s)].is_finite());
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Shape::new(&[2, 3], Layout::ChannelsFirst).unwrap();
    let none = Parameters { weight: None, bias: None, epsilon: 1e-5 };
    let (x, dy) = ([1.0; 6], [1.0; 6]);
    let refused = |tensor, actual, expected| Err(ReferenceError::Length { tensor, actual, expected, shape });
    let statistics_error = statistics(&x[..5], &shape).map(|_| ());
    assert_eq!(statistics_error, refused("x", 5, 6));
    let forward_error = |x: &[f32], parameters, source| forward(x, &shape, &parameters, source).map(|_| ());
    assert_eq!(forward_error(&x[..0], none, Source::Batch), refused("x", 0, 6));
    let short = Some(&x[..2]);
    assert_eq!(
        forward_error(&x, Parameters { weight: short, ..none }, Source::Batch),
        refused("weight", 2, 3)
    );
    assert_eq!(forward_error(&x, Parameters { bias: short, ..none }, Source::Batch), refused("bias", 2, 3));
    let held = |mean, variance| Source::Held { mean: &x[..mean], variance: &x[..variance] };
    assert_eq!(forward_error(&x, none, held(4, 3)), refused("mean", 4, 3));
    assert_eq!(forward_error(&x, none, held(3, 1)), refused("variance", 1, 3));
    assert_eq!(backward(&x, &dy[..4], &shape, &none, Source::Batch).map(|_| ()), refused("dy", 4, 6));

    let batch = statistics(&x, &shape).unwrap();
    let before = Running { mean: vec![0.0; 2], variance: vec![1.0; 3] };
    let error = running_stats(&before, &batch, 0.1).unwrap_err();
    assert_eq!(error, ReferenceError::Channels { tensor: "running mean", actual: 2, expected: 3 });

    // One value per channel: an error in training as in PyTorch, nothing special in evaluation.
    let single = Shape::new(&[1, 3], Layout::ChannelsFirst).unwrap();
    let error = forward(&x[..3], &single, &none, Source::Batch).unwrap_err();
    assert_eq!(error, ReferenceError::TooFewValues { actual: 1 });
    assert!(forward(&x[..3], &single, &none, held(3, 3)).is_ok());
    let moments = statistics(&x[..3], &single).unwrap();
    let before = Running { mean: vec![0.0; 3], variance: vec![1.0; 3] };
    assert_eq!(running_stats(&before, &moments, 0.1), Err(ReferenceError::TooFewValues { actual: 1 }));
}
