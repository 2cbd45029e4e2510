//! The oracle cases, of every kind: PyTorch's float64 results on the same inputs.

use std::collections::BTreeMap;
use wgpu_batchnorm::reference::{
    self, Forward, GradSums, Moments, Parameters, Problem, Running, Segment, Source,
};
use wgpu_batchnorm::{Activation, Layout, Order, Shape};
use wgpu_batchnorm_oracle::{self as oracle, Case, Kind, Momentum, Outputs, Stats, Tensor, Update};

/// The reference's f64 is rounded to f32 for the judge, which is within every bound: half a unit in the
/// last place of y is 1/16 of its bound, and of the tightest, the mean in `nchw_large_mean`, 0.4.
#[test]
fn pytorch_agrees() {
    let mut judged = BTreeMap::new();
    for path in oracle::find_cases([crate::common::file("tests/cases")]).unwrap() {
        let case = Case::load(path).unwrap();
        assert_eq!(case.unsupported(), None, "{}", case.name);
        let verdict = oracle::judge(&case, &computed(&case));
        assert!(verdict.passed() && !verdict.tensors.is_empty(), "{verdict}");
        let kind = case.kind.to_string();
        *judged.entry(kind.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(judged.values().sum::<usize>(), 48 + 23, "{judged:?}");
    assert_eq!(judged.len(), 7, "{judged:?}");
}

/// The outputs by name, and the numbers of batches tracked and skipped.
type Named = (Vec<(&'static str, Vec<f64>)>, [u64; 2]);

fn computed(case: &Case) -> Outputs {
    let (named, [tracked, skipped]) = match &case.kind {
        Kind::Step | Kind::Masked => step(case, None),
        Kind::Ghost { group } => step(case, Some(*group)),
        Kind::Sync { replicas } => sync(case, replicas),
        Kind::DoubleBackward => double_backward(case),
        Kind::Moments { axes } => moments(case, axes),
        Kind::Population { batches } => population(case, *batches),
        kind => panic!("{kind}"),
    };
    let counted = (Some(tracked), Some(skipped));
    let (num_batches_tracked, num_batches_skipped) = counted;
    let mut outputs = Outputs { num_batches_tracked, num_batches_skipped, ..Outputs::default() };
    for (name, values) in named {
        outputs.insert(name, case.output_shape(name), values.iter().map(|&value| value as f32).collect());
    }
    outputs
}

fn step(case: &Case, ghost_batch: Option<usize>) -> Named {
    let (x, dy) = (case.values("x").unwrap(), case.values("dy").unwrap());
    let mask = case.values("mask").map(|mask| mask.iter().map(|&shown| shown == 1.0).collect::<Vec<_>>());
    let problem = Problem {
        activation: activation(case),
        order: order(case),
        residual: case.values("residual"),
        mask: mask.as_deref(),
        ghost_batch,
        ..plain(case)
    };
    let Forward { y, groups, .. } = reference::forward(&problem, x).unwrap();
    let backward = reference::backward(&problem, x, dy).unwrap();
    let mut named = vec![("y", y), ("dx", backward.dx), ("dweight", backward.dweight)];
    named.extend([("dbias", backward.dbias), ("dresidual", backward.dresidual)]);
    let updates = if case.update == Update::None && case.kind == Kind::Step {
        Vec::new()
    } else {
        reference::group_moments(&problem, x).unwrap()
    };
    let tracked = update(case, &updates, &mut named);
    named.push(("batch_mean", groups[0].statistics.mean.clone()));
    named.push(("batch_var", groups[0].statistics.variance.clone()));
    (named, tracked)
}

/// Every replica has its part of the batch, and what the others have found: their moments and sums.
fn sync(case: &Case, replicas: &[usize]) -> Named {
    let problem = Problem { activation: activation(case), ..plain(case) };
    let Parameters { weight, bias, epsilon } = problem.parameters;
    assert_eq!((order(case), case.input("residual")), (Order::Post, None));
    let (x, dy, shape) = (case.values("x").unwrap(), case.values("dy").unwrap(), problem.shape);
    let channels = shape.channels();
    let per_sample = channels * shape.spatial();
    let mut first = 0;
    let mut parts = Vec::new();
    for &samples in replicas {
        let sizes = match shape.layout() {
            Layout::ChannelsFirst => [samples, channels, shape.spatial()],
            Layout::ChannelsLast => [samples, shape.spatial(), channels],
        };
        let range = first * per_sample..(first + samples) * per_sample;
        // A replica without samples has no shape: it takes part by empty moments.
        parts.push(Shape::new(&sizes, shape.layout()).ok().map(|shape| (range, Segment::from(shape))));
        first += samples;
    }
    let moments = parts.iter().map(|part| match part {
        Some((range, segment)) => reference::statistics(&x[range.clone()], segment).unwrap(),
        None => Moments::empty(channels),
    });
    let batch = moments.fold(Moments::empty(channels), |all, part| all.merge(&part).unwrap());
    let statistics = reference::finalize(&batch, epsilon);

    let (mut y, mut gradients) = (Vec::new(), Vec::new());
    let mut sums: Option<GradSums> = None;
    for (range, segment) in parts.iter().flatten() {
        let (x, dy) = (&x[range.clone()], &dy[range.clone()]);
        let z = reference::normalize(x, segment, &statistics, weight, bias).unwrap();
        let pairs = z.iter().zip(dy);
        let g: Vec<f64> =
            pairs.map(|(&z, &dy)| reference::activation_gradient(problem.activation, z, dy.into())).collect();
        y.extend(z.iter().map(|&z| reference::activate(problem.activation, z)));
        let part = reference::backward_reduce(x, &g, segment, &statistics).unwrap();
        sums = Some(sums.map_or(part.clone(), |sums| sums.merge(&part).unwrap()));
        gradients.push(g);
    }
    let totals = reference::backward_finalize(&sums.unwrap(), &statistics, weight).unwrap();
    let dx = parts.iter().flatten().zip(&gradients).flat_map(|((range, segment), g)| {
        reference::backward_apply(&x[range.clone()], g, segment, &statistics, weight, &totals).unwrap()
    });
    let mut named = vec![("y", y), ("dx", dx.collect())];
    named.extend([("dweight", totals.dweight.clone()), ("dbias", totals.dbias.clone())]);
    named.extend([("batch_mean", statistics.mean.clone()), ("batch_var", statistics.variance.clone())]);
    let tracked = update(case, &[batch], &mut named);
    (named, tracked)
}

fn double_backward(case: &Case) -> Named {
    let problem = plain(case);
    let [x, dy, ddx] = ["x", "dy", "ddx"].map(|name| case.values(name).unwrap());
    let [ddweight, ddbias] = ["ddweight", "ddbias"].map(|name| case.values(name).unwrap());
    let gradients = reference::double_backward(&problem, x, dy, ddx, ddweight, ddbias).unwrap();
    let named = vec![
        ("grad_dy", gradients.grad_dy),
        ("grad_x", gradients.grad_x),
        ("grad_weight", gradients.grad_weight),
    ];
    (named, [0; 2])
}

fn moments(case: &Case, axes: &[usize]) -> Named {
    let Tensor { shape: sizes, values, .. } = case.input("x").unwrap();
    let remain: Vec<usize> = (0..sizes.len()).filter(|axis| !axes.contains(axis)).collect();
    let (first, last) = (remain[0], remain[remain.len() - 1]);
    assert_eq!(remain.len(), last - first + 1, "the axes that remain are adjacent");
    let product = |sizes: &[usize]| sizes.iter().product();
    let sizes = [product(&sizes[..first]), product(&sizes[first..=last]), product(&sizes[last + 1..])];
    let shape = Shape::new(&sizes, Layout::ChannelsFirst).unwrap();
    let statistics = reference::finalize(&reference::statistics(values, &shape.into()).unwrap(), 0.0);
    (vec![("mean", statistics.mean), ("var", statistics.variance)], [0; 2])
}

fn population(case: &Case, batches: usize) -> Named {
    let batches: Vec<Moments> = (0..batches)
        .map(|index| {
            let x = case.input(&format!("x.{index}")).unwrap();
            reference::statistics(&x.values, &shape(case, &x.shape).into()).unwrap()
        })
        .collect();
    let population = reference::population(&batches).unwrap();
    let mut named = vec![("population_mean", population.mean), ("population_var", population.variance)];
    let tracked = update(case, &batches, &mut named);
    (named, tracked)
}

/// The running statistics after these batches, if any are kept, and how many batches are tracked then.
/// Kinds that do not store them start from 0 and 1.
fn update(case: &Case, batches: &[Moments], named: &mut Vec<(&'static str, Vec<f64>)>) -> [u64; 2] {
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let stored = case.values("running_mean").zip(case.values("running_var"));
    let mut running = match (stored, batches, &case.kind) {
        (Some((mean, variance)), ..) => Running { mean: wide(mean), variance: wide(variance) },
        (None, [batch, ..], Kind::Ghost { .. } | Kind::Population { .. }) => {
            let channels = batch.mean.len();
            Running { mean: vec![0.0; channels], variance: vec![1.0; channels] }
        }
        _ => return [case.num_batches_tracked, 0],
    };
    let (mut tracked, mut skipped) = (case.num_batches_tracked, 0);
    for batch in batches {
        let finite = batch.mean.iter().chain(&batch.m2).all(|value| value.is_finite());
        if case.update == Update::Guarded && !finite {
            skipped += 1;
            continue;
        }
        let factor = match case.momentum {
            Momentum::Average(momentum) => momentum,
            Momentum::Cumulative => reference::cumulative_factor(tracked),
        };
        running = reference::running_stats(&running, batch, factor).unwrap();
        tracked += 1;
    }
    named.extend([("running_mean", running.mean), ("running_var", running.variance)]);
    [tracked, skipped]
}

/// The problem without activation, residual, mask and ghost batches.
fn plain(case: &Case) -> Problem<'_> {
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
    Problem::new(shape(case, &case.input("x").unwrap().shape), parameters, source)
}

fn shape(case: &Case, sizes: &[usize]) -> Shape {
    let layout = match case.layout {
        oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    };
    Shape::new(sizes, layout).unwrap()
}

fn order(case: &Case) -> Order {
    match case.order {
        oracle::Order::Post => Order::Post,
        oracle::Order::Pre => Order::Pre,
    }
}

fn activation(case: &Case) -> Activation {
    match &case.activation {
        oracle::Activation::None => Activation::None,
        oracle::Activation::Relu => Activation::Relu,
        &oracle::Activation::LeakyRelu { negative_slope } => Activation::LeakyRelu { negative_slope },
        oracle::Activation::Silu => Activation::Silu,
        oracle::Activation::Gelu => Activation::Gelu,
        oracle::Activation::GeluTanh => Activation::GeluTanh,
        oracle::Activation::Sigmoid => Activation::Sigmoid,
        oracle::Activation::Tanh => Activation::Tanh,
        activation => panic!("{activation:?}"),
    }
}
