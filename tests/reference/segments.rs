//! Masks, ghost batches, and what is merged or averaged over parts.

use super::{ACTIVATIONS, LAYOUTS, grid};
use approx::assert_relative_eq;
use wgpu_batchnorm::reference::{
    Backward, Moments, Parameters, Problem, Running, Segment, Source, backward, cumulative_factor,
    double_backward, forward, group_moments, population, running_stats, statistics,
};
use wgpu_batchnorm::{Activation, Layout, Order, Shape};

const PLAIN: Parameters<'static> = Parameters { weight: None, bias: None, epsilon: 1e-5 };

/// 1 of 4 positions hidden in each of 6 samples, and of the fourth sample all.
fn mask() -> Vec<bool> {
    (0..24).map(|position| position % 4 != position / 4 % 3 && position / 4 != 3).collect()
}

/// The tensor with every hidden value replaced.
fn hide(values: &[f32], shape: &Shape, mask: &[bool], by: f32) -> Vec<f32> {
    let mut values = values.to_vec();
    for (position, _) in mask.iter().enumerate().filter(|&(_, &shown)| !shown) {
        let (n, s) = (position / shape.spatial(), position % shape.spatial());
        (0..shape.channels()).for_each(|c| values[shape.index(n, c, s)] = by);
    }
    values
}

#[test]
fn what_is_hidden_has_no_influence_and_is_zero() {
    let mask = mask();
    for layout in LAYOUTS {
        let sizes = if layout == Layout::ChannelsFirst { [6, 2, 4] } else { [6, 4, 2] };
        let shape = Shape::new(&sizes, layout).unwrap();
        let [x, dy, residual, ddx] = [1, 2, 3, 4].map(|seed| grid(seed, shape.elements()));
        let (weight, bias) = ([0.5, -2.0], [0.25, 1.0]);
        let parameters = Parameters { weight: Some(&weight), bias: Some(&bias), ..PLAIN };
        for source in [Source::Batch, Source::Held { mean: &bias, variance: &[0.5, 0.75] }] {
            for (activation, order) in ACTIVATIONS.iter().flat_map(|&a| [(a, Order::Post), (a, Order::Pre)]) {
                // Ghost batches of one sample: the fourth one has no position at all.
                for ghost_batch in [None, Some(4), Some(1)] {
                    let results = |by: f32| {
                        let [x, dy, residual, ddx] =
                            [&x, &dy, &residual, &ddx].map(|values| hide(values, &shape, &mask, by));
                        let (mask, residual) = (Some(mask.as_slice()), Some(residual.as_slice()));
                        let plain = Problem::new(shape, parameters, source);
                        let problem = Problem { activation, order, residual, mask, ghost_batch, ..plain };
                        let forward = forward(&problem, &x).unwrap();
                        let plain = Problem { activation: Activation::None, ..problem };
                        let second = double_backward(&plain, &x, &dy, &ddx, &weight, &bias).unwrap();
                        (forward, backward(&problem, &x, &dy).unwrap(), second)
                    };
                    let (forward, backward, second) = results(0.0);
                    for by in [f32::NAN, f32::INFINITY, 1e30] {
                        assert_eq!(results(by), (forward.clone(), backward.clone(), second.clone()));
                    }
                    let Backward { dx, dresidual, dweight, .. } = &backward;
                    assert!(dweight.iter().all(|value| value.is_finite()));
                    for values in [&forward.y, &forward.z, dx, dresidual, &second.grad_dy, &second.grad_x] {
                        let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
                        assert_eq!(hide(&narrow, &shape, &mask, 0.0), narrow);
                    }
                }
            }
        }
    }
}

#[test]
fn a_mask_is_a_smaller_batch() {
    // Samples 0, 2 and 3 of 4 are shown: the same as a batch of these.
    let shape = Shape::new(&[4, 2, 3], Layout::ChannelsFirst).unwrap();
    let mask: Vec<bool> = (0..12).map(|position| position / 3 != 1).collect();
    let (x, dy) = (grid(1, 24), grid(2, 24));
    let smaller = |values: &[f32]| [&values[..6], &values[12..]].concat();
    let masked = Problem { mask: Some(&mask), ..Problem::new(shape, PLAIN, Source::Batch) };
    let shape = Shape::new(&[3, 2, 3], Layout::ChannelsFirst).unwrap();
    let batch = Problem::new(shape, PLAIN, Source::Batch);
    let (got, expected) = (forward(&masked, &x).unwrap(), forward(&batch, &smaller(&x)).unwrap());
    assert_eq!(got.groups, expected.groups);
    assert_eq!([&got.y[..6], &got.y[12..]].concat(), expected.y);
    let (got, expected) =
        (backward(&masked, &x, &dy).unwrap(), backward(&batch, &smaller(&x), &smaller(&dy)).unwrap());
    assert_eq!((&got.dweight, &got.dbias), (&expected.dweight, &expected.dbias));
    assert_eq!([&got.dx[..6], &got.dx[12..]].concat(), expected.dx);
}

#[test]
fn an_empty_group_is_zero_and_leaves_running_statistics() {
    let shape = Shape::new(&[4, 2, 3], Layout::ChannelsFirst).unwrap();
    let mask: Vec<bool> = (0..12).map(|position| position >= 6).collect();
    let (x, dy) = (vec![f32::NAN; 24], grid(2, 24));
    let plain = Problem::new(shape, PLAIN, Source::Batch);
    let problem = Problem { mask: Some(&mask), ghost_batch: Some(2), ..plain };
    let x = [&x[..12], &dy[12..]].concat();
    let forward = forward(&problem, &x).unwrap();
    let moments: Vec<Moments> = forward.groups.iter().map(|group| group.moments.clone().unwrap()).collect();
    assert_eq!(moments[0], Moments::empty(2));
    assert_eq!(moments[1].count, 6);
    assert_eq!(forward.groups[0].statistics.variance, [0.0; 2]);
    assert_eq!(
        (&forward.y[..12], &backward(&problem, &x, &dy).unwrap().dx[..12]),
        (&[0.0; 12][..], &[0.0; 12][..])
    );
    let before = Running { mean: vec![f64::INFINITY; 2], variance: vec![2.0; 2] };
    assert_eq!(running_stats(&before, &moments[0], 1.0).unwrap(), before);

    // Nothing shown at all.
    let problem = Problem { mask: Some(&[false; 12]), activation: Activation::Sigmoid, ..plain };
    let Backward { dx, dweight, dbias, .. } = backward(&problem, &x, &dy).unwrap();
    assert_eq!((dx, dweight, dbias), (vec![0.0; 24], vec![0.0; 2], vec![0.0; 2]));
}

#[test]
fn ghost_batches_are_batches() {
    for layout in LAYOUTS {
        let shape = Shape::new(&[7, 2, 3], layout).unwrap();
        let per_sample = shape.elements() / 7;
        let (x, dy) = (grid(1, shape.elements()), grid(2, shape.elements()));
        let problem = Problem { ghost_batch: Some(3), ..Problem::new(shape, PLAIN, Source::Batch) };
        let (got, gradients) = (forward(&problem, &x).unwrap(), backward(&problem, &x, &dy).unwrap());
        let mut dbias = vec![0.0; shape.channels()];
        let ranges = [0..3, 3..6, 6..7];
        assert_eq!(got.groups.len(), ranges.len());
        for (samples, group) in ranges.into_iter().zip(&got.groups) {
            let part = Shape::new(&[samples.len(), 2, 3], layout).unwrap();
            let range = samples.start * per_sample..samples.end * per_sample;
            let alone = Problem::new(part, PLAIN, Source::Batch);
            let expected = forward(&alone, &x[range.clone()]).unwrap();
            assert_eq!((&expected.groups[0], &expected.y), (group, &got.y[range.clone()].to_vec()));
            let expected = backward(&alone, &x[range.clone()], &dy[range.clone()]).unwrap();
            assert_eq!(expected.dx, gradients.dx[range]);
            dbias.iter_mut().zip(&expected.dbias).for_each(|(total, part)| *total += part);
        }
        assert_eq!(dbias, gradients.dbias);
        // A ghost batch of all samples, or more, is none.
        for ghost_batch in [Some(7), Some(100), None] {
            let one = forward(&Problem { ghost_batch, ..problem }, &x).unwrap();
            assert_eq!(one.groups.len(), 1);
        }
    }
}

#[test]
fn held_statistics_do_not_hide_the_moments() {
    let shape = Shape::new(&[5, 2, 3], Layout::ChannelsFirst).unwrap();
    let x = grid(1, 30);
    let plain = Problem::new(shape, PLAIN, Source::Batch);
    let batch = Problem { activation: Activation::Tanh, order: Order::Pre, ghost_batch: Some(3), ..plain };
    let held = Problem { source: Source::Held { mean: &[0.0; 2], variance: &[1.0; 2] }, ..batch };
    let moments: Vec<Moments> =
        forward(&batch, &x).unwrap().groups.into_iter().filter_map(|group| group.moments).collect();
    assert_eq!(group_moments(&held, &x).unwrap(), moments);
    assert!(forward(&held, &x).unwrap().groups.iter().all(|group| group.moments.is_none()));
}

#[test]
fn merged_moments_are_those_of_all_values() {
    let shape = Shape::new(&[9, 2, 3], Layout::ChannelsLast).unwrap();
    // A large mean, in which a merge that takes squares apart would drown.
    let x: Vec<f32> = grid(1, 54).iter().map(|value| value + 1e5).collect();
    let all = statistics(&x, &shape.into()).unwrap();
    let part = |samples: std::ops::Range<usize>| {
        let shape = Shape::new(&[samples.len(), 2, 3], Layout::ChannelsLast).unwrap();
        statistics(&x[samples.start * 6..samples.end * 6], &Segment::from(shape)).unwrap()
    };
    let empty = Moments::empty(3);
    for parts in [
        vec![part(0..3), part(3..4), part(4..9)],
        vec![empty.clone(), part(0..8), empty.clone(), part(8..9), empty.clone()],
    ] {
        let merged = parts.iter().fold(empty.clone(), |merged, part| merged.merge(part).unwrap());
        assert_eq!(merged.count, all.count);
        for c in 0..3 {
            assert_relative_eq!(merged.mean[c], all.mean[c], max_relative = 1e-15);
            assert_relative_eq!(merged.m2[c], all.m2[c], max_relative = 1e-9);
        }
    }
    let wrong = Moments { mean: vec![f64::NAN; 3], ..empty };
    assert_eq!(all.merge(&wrong).unwrap(), all);
    assert_eq!(wrong.merge(&all).unwrap(), all);
}

#[test]
fn the_population_is_the_cumulative_average() {
    let batches: Vec<Moments> = (1..6)
        .map(|n| {
            let shape = Shape::new(&[n, 2, 3], Layout::ChannelsFirst).unwrap();
            statistics(&grid(n as u64, shape.elements()), &shape.into()).unwrap()
        })
        .collect();
    let mut running = Running { mean: vec![5.0; 2], variance: vec![7.0; 2] };
    for (tracked, batch) in batches.iter().enumerate() {
        running = running_stats(&running, batch, cumulative_factor(tracked as u64)).unwrap();
    }
    let population = population(&batches).unwrap();
    assert_relative_eq!(population.mean.as_slice(), running.mean.as_slice(), max_relative = 1e-12);
    assert_relative_eq!(population.variance.as_slice(), running.variance.as_slice(), max_relative = 1e-12);
}
