//! What holds whatever the data, values known by hand, and what is refused.

use super::{LAYOUTS, grid};
use approx::assert_relative_eq;
use proptest::prelude::{Strategy, any, prop_assert, prop_oneof, proptest};
use wgpu_batchnorm::reference::{
    Moments, Parameters, Problem, ReferenceError, Running, Source, backward, cumulative_factor,
    double_backward, finalize, forward, population, running_stats, statistics,
};
use wgpu_batchnorm::{Activation, Layout, Shape};

const PLAIN: Parameters<'static> = Parameters { weight: None, bias: None, epsilon: 1e-5 };

/// Batch normalization alone, by the statistics of the batch.
fn training<'a>(shape: &Shape, parameters: &Parameters<'a>) -> Problem<'a> {
    Problem::new(*shape, *parameters, Source::Batch)
}

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
        let problem = training(&shape, &parameters);
        let statistics = &forward(&problem, &x).unwrap().groups[0].statistics;
        let dx = backward(&problem, &x, &dy).unwrap().dx;
        for channel in 0..c {
            let scale = 1e-10 * statistics.inverse_sigma[channel].max(1.0) * shape.elements() as f64;
            let (mut sum, mut along) = (0.0, 0.0);
            for (n, s) in (0..n).flat_map(|n| (0..s).map(move |s| (n, s))) {
                let i = shape.index(n, channel, s);
                sum += dx[i];
                along += dx[i] * (f64::from(x[i]) - statistics.mean[channel]);
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
    let one = forward(&training(&first, &parameters), &x).unwrap();
    let other = forward(&training(&last, &parameters), &moved(&x)).unwrap();
    assert_eq!(one.groups, other.groups);
    assert!(positions.iter().all(|&(a, b)| one.y[a] == other.y[b]));
    let one = backward(&training(&first, &parameters), &x, &dy).unwrap();
    let other = backward(&training(&last, &parameters), &moved(&x), &moved(&dy)).unwrap();
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
            let forward = forward(&training(&shape, &parameters), &x).unwrap();
            assert_eq!(forward.groups[0].statistics.variance, [0.0; 3]);
            for (n, c, s) in (0..7).flat_map(|n| (0..9).map(move |i| (n, i / 3, i % 3))) {
                assert_eq!(forward.y[shape.index(n, c, s)], f64::from(bias[c]));
            }
            let dy = grid(5, shape.elements());
            let gradients = backward(&training(&shape, &parameters), &x, &dy).unwrap();
            assert_eq!(gradients.dweight, [0.0; 3]);
        }
    }
}

#[test]
fn two_values_per_channel() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    let moments = statistics(&[1.0, 4.0], &shape.into()).unwrap();
    assert_eq!(moments, Moments { count: 2, mean: vec![2.5], m2: vec![4.5] });
    let statistics = finalize(&moments, 0.0);
    assert_eq!((statistics.variance[0], statistics.inverse_sigma[0]), (2.25, 1.0 / 1.5));
    let parameters = Parameters { weight: None, bias: None, epsilon: 0.0 };
    let y = forward(&training(&shape, &parameters), &[1.0, 4.0]).unwrap().y;
    assert_relative_eq!(y.as_slice(), [-1.0, 1.0].as_slice());
    // Whatever the two values are, y is ∓1: no gradient gets through.
    let dx = backward(&training(&shape, &parameters), &[1.0, 4.0], &[3.0, -7.0]).unwrap().dx;
    assert_relative_eq!(dx.as_slice(), [0.0, 0.0].as_slice(), epsilon = 1e-14);
}

#[test]
fn running_statistics_move_by_the_factor() {
    let shape = Shape::new(&[2, 1], Layout::ChannelsFirst).unwrap();
    let batch = statistics(&[1.0, 4.0], &shape.into()).unwrap();
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
        let batch = statistics(x, &shape.into()).unwrap();
        running = running_stats(&running, &batch, cumulative_factor(tracked as u64)).unwrap();
    }
    assert_relative_eq!(running.mean[0], (2.5 + 0.5 - 1.0) / 3.0, epsilon = 1e-15);
    assert_relative_eq!(running.variance[0], (4.5 + 0.5 + 32.0) / 3.0, epsilon = 1e-14);
}

#[test]
fn what_is_not_a_number_stays_in_its_channel() {
    for layout in LAYOUTS {
        let shape = Shape::new(&[3, 2, 2], layout).unwrap();
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = grid(1, 12);
            x[shape.index(1, 1, 0)] = wrong;
            let y = forward(&training(&shape, &PLAIN), &x).unwrap().y;
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
    let (x, dy) = ([1.0; 6], [1.0; 6]);
    let refused = |tensor, actual, expected| Err(ReferenceError::Length { tensor, actual, expected, shape });
    let statistics_error = statistics(&x[..5], &shape.into()).map(|_| ());
    assert_eq!(statistics_error, refused("x", 5, 6));
    let plain = training(&shape, &PLAIN);
    let error = |problem: Problem<'_>| forward(&problem, &x).map(|_| ());
    assert_eq!(forward(&plain, &x[..0]).map(|_| ()), refused("x", 0, 6));
    let short = Some(&x[..2]);
    let with = |parameters| training(&shape, &parameters);
    assert_eq!(error(with(Parameters { weight: short, ..PLAIN })), refused("weight", 2, 3));
    assert_eq!(error(with(Parameters { bias: short, ..PLAIN })), refused("bias", 2, 3));
    let held = |mean, variance| Source::Held { mean: &x[..mean], variance: &x[..variance] };
    assert_eq!(error(Problem { source: held(4, 3), ..plain }), refused("mean", 4, 3));
    assert_eq!(error(Problem { source: held(3, 1), ..plain }), refused("variance", 1, 3));
    assert_eq!(error(Problem { residual: short, ..plain }), refused("residual", 2, 6));
    assert_eq!(error(Problem { mask: Some(&[true; 3]), ..plain }), refused("mask", 3, 2));
    let empty_group = error(Problem { ghost_batch: Some(0), ..plain }).unwrap_err();
    assert!(matches!(empty_group, ReferenceError::GhostBatch(_)), "{empty_group}");
    assert_eq!(backward(&plain, &x, &dy[..4]).map(|_| ()), refused("dy", 4, 6));
    let second = |problem, ddx, ddbias| double_backward(&problem, &x, &dy, ddx, &x[..3], ddbias).map(|_| ());
    assert_eq!(second(plain, &x[..5], &x[..3]), refused("ddx", 5, 6));
    let channels = |tensor, actual, expected| Err(ReferenceError::Channels { tensor, actual, expected });
    assert_eq!(second(plain, &x, &x[..2]), channels("ddbias", 2, 3));
    let relu = Problem { activation: Activation::Relu, ..plain };
    assert_eq!(second(relu, &x, &x[..3]), Err(ReferenceError::Activation));

    let batch = statistics(&x, &shape.into()).unwrap();
    let before = Running { mean: vec![0.0; 2], variance: vec![1.0; 3] };
    let error = running_stats(&before, &batch, 0.1).map(|_| ());
    assert_eq!(error, channels("running mean", 2, 3));
    assert_eq!(batch.merge(&Moments::empty(2)).map(|_| ()), channels("mean", 2, 3));
    assert_eq!(population(&[batch, Moments::empty(2)]).map(|population| population.mean.len()), Ok(3));
    assert_eq!(population(&[Moments::empty(2)]), Err(ReferenceError::NoBatches));
}

#[test]
fn one_value_per_channel_is_no_batch() {
    // An error in training as in PyTorch, nothing special in evaluation.
    let single = Shape::new(&[1, 3], Layout::ChannelsFirst).unwrap();
    let x = [1.0; 9];
    let plain = training(&single, &PLAIN);
    let too_few = ReferenceError::TooFewValues { actual: 1 };
    assert_eq!(forward(&plain, &x[..3]).unwrap_err(), too_few);
    let source = Source::Held { mean: &x[..3], variance: &x[..3] };
    assert!(forward(&Problem { source, ..plain }, &x[..3]).is_ok());
    let moments = statistics(&x[..3], &single.into()).unwrap();
    let before = Running { mean: vec![0.0; 3], variance: vec![1.0; 3] };
    assert_eq!(running_stats(&before, &moments, 0.1), Err(too_few.clone()));
    // So is a ghost batch that is left with one.
    let shape = Shape::new(&[3, 3], Layout::ChannelsLast).unwrap();
    let ghosts = Problem { ghost_batch: Some(2), ..training(&shape, &PLAIN) };
    assert_eq!(forward(&ghosts, &x).unwrap_err(), too_few);
}
