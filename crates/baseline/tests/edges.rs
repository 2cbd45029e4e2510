//! Wrong arguments, constant channels, NaN and infinity.

#![allow(clippy::unwrap_used, clippy::panic)]

use wgpu_batchnorm::{Layout, Shape};
use wgpu_batchnorm_baseline::{BaselineError, Statistics, backward, forward_eval, forward_train};

const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

/// N, C, S with enough of each, as planes and as rows.
const SHAPES: [[usize; 3]; 4] = [[4, 3, 100], [4, 3, 5], [3, 40, 100], [30, 1, 1]];

fn shapes() -> impl Iterator<Item = Shape> {
    SHAPES.into_iter().flat_map(|[n, c, s]| {
        LAYOUTS.map(|layout| match layout {
            Layout::ChannelsFirst => Shape::new(&[n, c, s], layout).unwrap(),
            Layout::ChannelsLast => Shape::new(&[n, s, c], layout).unwrap(),
        })
    })
}

fn positions(shape: Shape, c: usize) -> Vec<usize> {
    let spatial = shape.spatial();
    (0..shape.values_per_channel()).map(|i| shape.index(i / spatial, c, i % spatial)).collect()
}

#[test]
fn slices_of_another_length_are_refused_by_name() {
    let shape = Shape::new(&[2, 3, 4], Layout::ChannelsFirst).unwrap();
    let statistics = Statistics { mean: vec![0.0; 3], variance: vec![1.0; 3], inv_std: vec![1.0; 3] };
    let (good, short, three, two) = (vec![1.0; 24], vec![1.0; 23], vec![1.0; 3], vec![1.0; 2]);
    let refused = |result: Result<(), BaselineError>, expected_name, actual_length| match result {
        Err(BaselineError::Length { name, actual, expected, .. }) => {
            assert_eq!((name, actual), (expected_name, actual_length));
            assert_eq!(expected, if actual_length > 3 { 24 } else { 3 });
        }
        other => panic!("{other:?}, expected an error about {expected_name}"),
    };
    let train = |x: &[f32], weight: &[f32], bias: &[f32], length: usize| {
        forward_train(shape, x, Some(weight), Some(bias), 0.0, &mut vec![0.0; length]).map(|_| ())
    };
    refused(train(&short, &three, &three, 24), "x", 23);
    refused(train(&good, &two, &three, 24), "weight", 2);
    refused(train(&good, &three, &two, 24), "bias", 2);
    refused(train(&good, &three, &three, 25), "y", 25);
    let eval = |mean: &[f32], variance: &[f32]| {
        forward_eval(shape, &good, None, None, mean, variance, 0.0, &mut [0.0; 24])
    };
    refused(eval(&two, &three), "mean", 2);
    refused(eval(&three, &two), "variance", 2);
    let back = |x: &[f32], dy: &[f32], statistics: &Statistics, length: usize| {
        backward(shape, x, dy, None, statistics, &mut vec![0.0; length]).map(|_| ())
    };
    refused(back(&short, &good, &statistics, 24), "x", 23);
    refused(back(&good, &short, &statistics, 24), "dy", 23);
    refused(back(&good, &good, &statistics, 25), "dx", 25);
    let without = |mean: &[f32], inv_std: &[f32]| Statistics {
        mean: mean.to_vec(),
        variance: Vec::new(),
        inv_std: inv_std.to_vec(),
    };
    refused(back(&good, &good, &without(&two, &three), 24), "statistics.mean", 2);
    refused(back(&good, &good, &without(&three, &two), 24), "statistics.inv_std", 2);
}

#[test]
fn one_value_per_channel_cannot_be_trained_on() {
    let shape = Shape::new(&[1, 3], Layout::ChannelsFirst).unwrap();
    let error = forward_train(shape, &[1.0; 3], None, None, 1e-5, &mut [0.0; 3]).unwrap_err();
    assert_eq!(error, BaselineError::OneValue);
    let statistics = Statistics { mean: vec![0.0; 3], variance: vec![0.0; 3], inv_std: vec![1.0; 3] };
    let error = backward(shape, &[1.0; 3], &[1.0; 3], None, &statistics, &mut [0.0; 3]).unwrap_err();
    assert_eq!(error, BaselineError::OneValue);
    let mut y = [0.0; 3];
    forward_eval(shape, &[1.0; 3], None, None, &[0.5; 3], &[4.0; 3], 0.0, &mut y).unwrap();
    assert_eq!(y, [0.25; 3]);
}

#[test]
fn an_epsilon_that_is_no_variance_is_refused() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    for eps in [-1e-5, f32::INFINITY] {
        let error = forward_train(shape, &[1.0; 2], None, None, eps, &mut [0.0; 2]).unwrap_err();
        assert_eq!(error, BaselineError::Epsilon { eps });
    }
    assert!(forward_train(shape, &[1.0; 2], None, None, f32::NAN, &mut [0.0; 2]).is_err());
}

#[test]
fn a_constant_channel_gives_exactly_its_bias() {
    for shape in shapes() {
        let mut x = vec![0.0; shape.elements()];
        for c in 0..shape.channels() {
            positions(shape, c).iter().for_each(|&i| x[i] = 1234.567 + c as f32 / 3.0);
        }
        let bias: Vec<f32> = (0..shape.channels()).map(|c| c as f32 + 0.1).collect();
        let mut y = vec![f32::NAN; shape.elements()];
        let statistics = forward_train(shape, &x, None, Some(&bias), 1e-5, &mut y).unwrap();
        for c in 0..shape.channels() {
            assert_eq!((statistics.mean[c], statistics.variance[c]), (x[shape.index(0, c, 0)], 0.0));
            assert!(positions(shape, c).iter().all(|&i| y[i] == bias[c]), "{shape}");
        }
    }
}

#[test]
fn nan_and_infinity_stay_within_their_channel() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for shape in shapes() {
            let mut x: Vec<f32> = (0..shape.elements()).map(|i| (i % 17) as f32).collect();
            let broken = shape.channels() / 2;
            x[shape.index(1, broken, 0)] = value;
            let mut y = vec![0.0; shape.elements()];
            let statistics = forward_train(shape, &x, None, None, 1e-5, &mut y).unwrap();
            for c in 0..shape.channels() {
                let all = positions(shape, c);
                if c == broken {
                    assert!(statistics.variance[c].is_nan() && all.iter().all(|&i| y[i].is_nan()), "{shape}");
                } else {
                    assert!(statistics.variance[c].is_finite() && all.iter().all(|&i| y[i].is_finite()));
                }
            }
        }
    }
}
