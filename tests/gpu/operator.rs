//! The whole operator against the reference: element types, activations, residuals, masks, ghost batches and
//! sources in any combination, on any shape; on the default device, on one with no more than WebGPU's default
//! limits, and on one whose bindings are so small that tensors fall into parts.

use crate::Test;
use crate::subject::{ACTIVATIONS, DTYPES, LAYOUTS, Random, Setup, plans, shape, with_limits};
use libtest_mimic::Failed;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use wgpu_batchnorm::wgpu::Limits;
use wgpu_batchnorm::{
    BatchNorm, Context, Mode, Momentum, Operation, Options, Order, Pass, Schedule, Source, Traversal,
};

pub(crate) const TESTS: &[Test] = &[
    ("any_operator_matches_the_reference", any_operator_matches_the_reference),
    ("any_operator_in_any_traversal", any_operator_in_any_traversal),
    ("with_the_default_limits_of_webgpu", with_the_default_limits_of_webgpu),
    ("loads_of_every_width", loads_of_every_width),
    ("tensors_larger_than_a_binding", tensors_larger_than_a_binding),
];

const CASES: u32 = 150;

/// What a case is about, as indices: element type, activation, order, residual, mask and ghost batches.
type Axes = [usize; 6];

/// Values of each of the axes.
const VALUES: Axes = [3, 8, 2, 2, 2, 2];

const SOURCES: [Source; 3] = [Source::Batch, Source::Running, Source::Given];

/// The setup on `sizes` (channels first) that has these options.
fn setup(axes: Axes, sizes: &[usize], layout: usize, mode: Mode, group: usize) -> Setup {
    let [dtype, activation, order, residual, mask, ghost] = axes;
    let mut setup = Setup::new(shape(sizes, LAYOUTS[layout]), 0.3, 1.2)
        .with_dtype(DTYPES[dtype])
        .with_activation(ACTIVATIONS[activation], [Order::Post, Order::Pre][order]);
    setup.mode = mode;
    if ghost == 1 {
        setup = setup.with_ghost_batch(group);
    }
    if residual == 1 {
        setup = setup.with_residual();
    }
    if mask == 1 {
        setup = setup.with_mask(0.6);
    }
    setup
}

/// Whether the shape leaves a group with a single value of each channel, which is refused.
fn has_too_few_values(setup: &Setup) -> bool {
    let spatial = setup.shape.spatial();
    setup.groups().iter().any(|samples| samples.len() * spatial < 2)
}

/// All pairs of values of two axes.
fn pairs(axes: Axes) -> impl Iterator<Item = [usize; 4]> {
    (0..axes.len()).flat_map(move |a| (0..a).map(move |b| [a, axes[a], b, axes[b]]))
}

fn any_operator_matches_the_reference(context: &Context) -> Result<(), Failed> {
    any_operator(|setup| setup.check(context))
}

/// The traversals take turns; where one does not apply, nothing is tried.
fn any_operator_in_any_traversal(context: &Context) -> Result<(), Failed> {
    let (turn, tried) = (Cell::new(0), RefCell::new([0; 3]));
    any_operator(|setup| {
        let index = turn.replace(turn.get() + 1) % 3;
        let traversal = [Traversal::Pipelined, Traversal::Revisited, Traversal::Resident][index];
        let schedule = Schedule { runs: Some(2), ..Schedule::with_traversal(traversal) };
        let Some([forward, _]) = plans(setup, context, schedule)? else { return Ok(()) };
        tried.borrow_mut()[index] += usize::from(forward.traversal() == Some(traversal));
        setup.check(&context.with_schedule(schedule))
    })?;
    let tried = tried.into_inner();
    if tried.iter().any(|&tried| tried < 15) {
        return Err(format!("so few cases were traversed in another way: {tried:?}").into());
    }
    Ok(())
}

fn any_operator(check: impl Fn(&Setup) -> Result<(), Failed>) -> Result<(), Failed> {
    let sizes = prop_oneof![
        (2usize..9, 1usize..20).prop_map(|(n, c)| vec![n, c]),
        (1usize..9, 1usize..20, 1usize..150).prop_map(|(n, c, l)| vec![n, c, l]),
        (1usize..6, 1usize..10, 1usize..20, 1usize..20).prop_map(|(n, c, h, w)| vec![n, c, h, w]),
    ];
    let axes = (0..VALUES[0], 0..VALUES[1], 0..2usize, 0..2usize, 0..2usize, 0..2usize)
        .prop_map(|(a, b, c, d, e, f)| [a, b, c, d, e, f]);
    let mode = prop_oneof![
        3 => Just(Mode::TRAINING),
        2 => (0..3usize, any::<bool>()).prop_map(|(i, update)| Mode { source: SOURCES[i], update }),
    ];
    let momentum = prop_oneof![Just(Momentum::Cumulative), (0.0..=1.0).prop_map(Momentum::MovingAverage)];
    let options = (any::<[bool; 4]>(), prop_oneof![Just(1e-5), Just(1e-3), Just(0.5)], momentum);
    let cases = (axes, sizes, 0..2usize, mode, 1usize..5, options);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    // The same cases in every run.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (rejected, seen) = (Cell::new(0), RefCell::new(BTreeSet::new()));
    runner.run(&cases, |(axes, sizes, layout, mode, group, (flags, eps, momentum))| {
        let mut setup = setup(axes, &sizes, layout, mode, group);
        let [weight, bias, running, guarded] = flags;
        let running_statistics = running || mode.source == Source::Running;
        setup.options = Options { weight, bias, running_statistics, guarded, eps, momentum, ..setup.options };
        if has_too_few_values(&setup) {
            rejected.set(rejected.get() + 1);
        }
        prop_assume!(!has_too_few_values(&setup));
        check(&setup).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        seen.borrow_mut().extend(pairs(axes));
        Ok(())
    })?;
    if rejected.get() > CASES / 8 {
        return Err(format!("{} cases were rejected beside {CASES}: too many", rejected.get()).into());
    }
    every_pair_was_seen(&seen.into_inner())
}

/// Fails unless each value of each axis met each value of each other one.
fn every_pair_was_seen(seen: &BTreeSet<[usize; 4]>) -> Result<(), Failed> {
    let all = (0..VALUES.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    for (a, b) in all {
        for (i, j) in (0..VALUES[a]).flat_map(|i| (0..VALUES[b]).map(move |j| (i, j))) {
            if !seen.contains(&[a, i, b, j]) {
                return Err(format!("no case has value {i} of axis {a} and value {j} of axis {b}").into());
            }
        }
    }
    Ok(())
}

/// Runs cases in which each pair of axes meets, on shapes that suit the device.
fn sweep(context: &Context, cases: usize, sizes: &[&[usize]]) -> Result<(), Failed> {
    let mut random = Random(2);
    let mut seen = BTreeSet::new();
    for case in 0..cases {
        let sizes = sizes[case % sizes.len()];
        let axes = VALUES.map(|values| (random.uniform() * values as f64) as usize);
        let mode = match case % 4 {
            3 => Mode { source: SOURCES[case / 4 % 3], update: case % 8 == 3 },
            _ => Mode::TRAINING,
        };
        let setup = setup(axes, sizes, case / 2 % 2, mode, sizes[0] / 700 + 2 + case % 3);
        if has_too_few_values(&setup) {
            return Err(
                format!("{} in groups of {:?} is no case", setup.shape, setup.options.ghost_batch).into()
            );
        }
        setup.check(context)?;
        seen.extend(pairs(axes));
    }
    // The values of each axis by themselves: fewer cases than there are pairs.
    for (axis, values) in VALUES.into_iter().enumerate() {
        let found = seen.iter().filter(|pair| pair[0] == axis || pair[2] == axis);
        let found: BTreeSet<usize> =
            found.map(|pair| if pair[0] == axis { pair[1] } else { pair[3] }).collect();
        if found.len() != values {
            return Err(format!("axis {axis} took the values {found:?} of {values}").into());
        }
    }
    Ok(())
}

/// Eight storage buffers, 256 invocations, 128 MiB a binding, and no features.
fn with_the_default_limits_of_webgpu(_: &Context) -> Result<(), Failed> {
    let context = with_limits(Limits::defaults())?;
    sweep(&context, 40, &[&[6, 5, 7, 3], &[7, 12, 64], &[12, 33], &[5, 3, 33, 31]])
}

/// Every width of a load, in rows of all remainders, that the devices' own choice would leave out.
fn loads_of_every_width(context: &Context) -> Result<(), Failed> {
    for width in [1, 2, 4] {
        let context = context.with_schedule(Schedule { width: Some(width), ..*context.schedule() });
        sweep(
            &context,
            40,
            &[&[8, 3, 7], &[6, 4, 7, 9], &[4, 5, 3], &[3, 2, 6, 7], &[12, 1, 17], &[4, 3, 8, 9]],
        )?;
    }
    Ok(())
}

/// 64 KiB a binding: pieces of the batch, of a sample and of a row, of even and odd numbers of 16-bit elements.
fn tensors_larger_than_a_binding(_: &Context) -> Result<(), Failed> {
    let limits =
        Limits { max_storage_buffer_binding_size: 64 << 10, max_buffer_size: 16 << 20, ..Limits::defaults() };
    let context = with_limits(limits)?;
    let sizes: &[&[usize]] = &[
        &[50, 6, 33, 10],
        &[7, 20, 31, 33],
        &[5, 3, 40_001],
        &[4, 3, 40_001],
        &[4, 2, 40_004],
        &[30_003, 3],
    ];
    for sizes in sizes {
        // Two bytes an element make the fewest parts.
        let setup = setup([1, 1, 0, 1, 0, 0], sizes, 0, Mode::TRAINING, 2);
        let pass = Pass { residual: true, ..Mode::TRAINING.into() };
        let operation = Operation::Forward { pass, in_place: false };
        let plan = BatchNorm::new(&context, setup.options)?.plan(&setup.shape, operation)?;
        if plan.dispatches().len() <= 4 {
            return Err(format!("{} fits one binding: the test tests nothing", setup.shape).into());
        }
    }
    sweep(&context, 40, sizes)
}
