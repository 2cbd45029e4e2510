//! Which statistics normalize and whether the running ones take in the batch: any combination, statistics alone,
//! the population estimate, and the folded form.

use crate::Test;
use crate::subject::{
    Buffers, DTYPES, LAYOUTS, Setup, device_still_works, download, expect, near, near_all, shape, submit,
};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BackwardTensors, BatchNorm, BatchNormError, Context, FoldTensors, ForwardTensors, GivenStatistics, Layer,
    Layout, Mode, Momentum, Options, RunningStatistics, RunningValues, Source, StatisticsTensors, Tensor,
    TensorError, Vector, reference,
};

pub(crate) const TESTS: &[Test] = &[
    ("every_source_with_and_without_update", every_source_with_and_without_update),
    ("running_statistics_normalize_as_they_were", running_statistics_normalize_as_they_were),
    ("the_population_over_batches_in_one_encoder", the_population_over_batches_in_one_encoder),
    ("another_domain_by_its_own_population", another_domain_by_its_own_population),
    ("the_folded_form_is_evaluation", the_folded_form_is_evaluation),
    ("one_value_per_channel_where_no_variance_is_taken", one_value_per_channel_where_no_variance_is_taken),
    ("an_update_of_nothing_needs_no_variance", an_update_of_nothing_needs_no_variance),
    ("statistics_that_are_missing_or_too_many", statistics_that_are_missing_or_too_many),
];

const SOURCES: [Source; 3] = [Source::Batch, Source::Running, Source::Given];

fn every_source_with_and_without_update(context: &Context) -> Result<(), Failed> {
    for source in SOURCES {
        for update in [false, true] {
            for layout in LAYOUTS {
                for momentum in [Momentum::MovingAverage(0.3), Momentum::Cumulative] {
                    for running_statistics in [true, source == Source::Running] {
                        let mut setup = Setup::new(shape(&[4, 7, 5, 3], layout), 2.0, 1.5);
                        setup.mode = Mode { source, update };
                        setup.options = Options { momentum, running_statistics, ..setup.options };
                        setup.check(context)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn running_statistics_normalize_as_they_were(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        for layout in LAYOUTS {
            let mut setup = Setup::new(shape(&[4, 7, 5, 3], layout), 2.0, 1.5).with_dtype(dtype);
            let training = setup.run(context)?;
            setup.mode = Mode::EVALUATION;
            let mut expected = setup.run(context)?;
            expected.running = training.running;
            setup.mode.update = true;
            setup.run(context)?.same_bits(&expected)?;
        }
    }
    Ok(())
}

/// Batches of several sizes, far apart, recorded one after the other; with the population they leave.
fn population(
    context: &Context,
    layout: Layout,
    offset: f32,
) -> Result<(RunningStatistics, reference::Running), Failed> {
    let options = Options { momentum: Momentum::Cumulative, ..Options::new(5) };
    let batch_norm = BatchNorm::new(context, options)?;
    let running = RunningStatistics::upload(context, &RunningValues::start(5))?;
    let mut moments = Vec::new();
    let mut encoder = context.device().create_command_encoder(&Default::default());
    for (i, sizes) in
        [[8usize, 5, 4, 3], [8, 5, 4, 3], [3, 5, 7, 1], [8, 5, 4, 3], [1, 5, 1, 2]].iter().enumerate()
    {
        let setup = Setup::new(shape(sizes, layout), 1.0, 1.0)
            .with_x(|c, _, x| x * (1.0 + i as f32) + offset * c as f32);
        let x = Tensor::upload(context, setup.shape, &setup.x)?;
        let saved = batch_norm.saved_statistics(&setup.shape)?;
        let tensors = StatisticsTensors {
            x: x.range().clone(),
            mask: None,
            running: Some(&running),
            saved: &saved,
            workspace: None,
        };
        batch_norm.bind_statistics(&setup.shape, &tensors)?.record(&mut encoder)?;
        moments.push(reference::statistics(&setup.x, &setup.shape.into())?);
    }
    context.queue().submit([encoder.finish()]);
    Ok((running, reference::population(&moments)?))
}

fn the_population_over_batches_in_one_encoder(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let (running, expected) = population(context, layout, 3.0)?;
        let running = running.download_blocking(context)?;
        for c in 0..5 {
            near(
                "population_mean",
                running.mean[c],
                expected.mean[c],
                4e-6 * (1.0 + expected.mean[c].abs()),
            )?;
            near("population_var", running.var[c], expected.variance[c], 4e-6 * expected.variance[c])?;
        }
        assert_eq!((running.num_batches_tracked, running.num_batches_skipped), (5, 0));
    }
    Ok(())
}

/// AdaBN: a layer evaluated with the population of the data it is evaluated on.
fn another_domain_by_its_own_population(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        let (running, _) = population(context, layout, -7.0)?;
        let mut setup = Setup::new(shape(&[4, 5, 6], layout), 0.0, 3.0);
        setup.mode = Mode::EVALUATION;
        let mut buffers = Buffers::new(context, &setup)?;
        setup.running = running.download_blocking(context)?;
        (buffers.running, buffers.setup) = (running, setup);
        buffers.submit(context)?;
        buffers.setup.compare(&buffers.results(context)?)?;
    }
    Ok(())
}

fn the_folded_form_is_evaluation(context: &Context) -> Result<(), Failed> {
    for [weight, bias] in [[true, true], [false, true], [true, false], [false, false]] {
        let mut setup = Setup::new(shape(&[3, 70, 6], Layout::ChannelsFirst), 50.0, 2.0);
        setup.mode = Mode::EVALUATION;
        setup.options = Options { weight, bias, ..setup.options };
        let mut layer = Layer::new(context, setup.options)?;
        layer.set_running(&setup.running)?;
        if weight {
            layer.set_weight(&setup.weight)?;
        }
        if bias {
            layer.set_bias(&setup.bias)?;
        }
        let (scale, offset) = layer.submit_fold()?;
        let (scale, offset) = (scale.download_blocking()?, offset.download_blocking()?);
        let expected = reference::forward(&setup.problem(), &setup.x)?;
        for c in 0..70 {
            let inverse = expected.groups[0].statistics.inverse_sigma[c];
            let gamma = if weight { f64::from(setup.weight[c]) } else { 1.0 };
            let beta = if bias { f64::from(setup.bias[c]) } else { 0.0 };
            let mean = f64::from(setup.running.mean[c]);
            near("scale", scale[c], gamma * inverse, 3e-7 * (gamma * inverse).abs())?;
            let size = beta.abs() + (gamma * mean * inverse).abs();
            near("offset", offset[c], beta - gamma * mean * inverse, 4e-7 * size)?;
            for (i, _) in crate::subject::positions(setup.shape, c, 0..3) {
                let x = f64::from(setup.x[i]);
                let y = f64::from(scale[c]) * x + f64::from(offset[c]);
                near(
                    "scale·x + offset",
                    y as f32,
                    expected.y[i],
                    8e-7 * (size + (gamma * inverse * x).abs()),
                )?;
            }
        }
        fold_of_given_statistics(context, &setup, &scale, &offset)?;
    }
    let without = Layer::new(context, Options { running_statistics: false, ..Options::new(3) })?;
    expect(without.submit_fold(), "nothing to fold", |e| *e == BatchNormError::NoRunningStatistics)?;
    device_still_works(context)
}

/// On the recording path the same bits, from any statistics, and what is refused.
fn fold_of_given_statistics(
    context: &Context,
    setup: &Setup,
    scale: &[f32],
    offset: &[f32],
) -> Result<(), Failed> {
    let buffers = Buffers::new(context, setup)?;
    let statistics = GivenStatistics { mean: buffers.running.mean.clone(), var: buffers.running.var.clone() };
    let channels = setup.shape.channels();
    let outputs = [0, 1].map(|_| Vector::upload(context, &vec![0.0; channels]));
    let [to_scale, to_offset] = outputs;
    let (to_scale, to_offset) = (to_scale?, to_offset?);
    let tensors = FoldTensors {
        statistics: &statistics,
        weight: setup.options.weight.then(|| buffers.weight.range().clone()),
        bias: setup.options.bias.then(|| buffers.bias.range().clone()),
        scale: to_scale.range().clone(),
        offset: to_offset.range().clone(),
    };
    let fold = buffers.batch_norm.bind_fold(&tensors)?;
    submit(context, |encoder| fold.record(encoder))?;
    assert_eq!(
        (to_scale.download_blocking()?, to_offset.download_blocking()?),
        (scale.to_vec(), offset.to_vec())
    );
    let same = FoldTensors { offset: to_scale.range().clone(), ..tensors };
    expect(buffers.batch_norm.bind_fold(&same), "one place for both", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::Overlap { .. }))
    })
}

/// Held statistics normalize a single value, and nothing else needs its variance.
fn one_value_per_channel_where_no_variance_is_taken(context: &Context) -> Result<(), Failed> {
    for source in [Source::Running, Source::Given] {
        let mut setup = Setup::new(shape(&[1, 9, 1], Layout::ChannelsFirst), 2.0, 1.0);
        setup.mode = Mode { source, update: false };
        setup.check(context)?;
        // With running statistics to update there is none.
        setup.mode.update = true;
        let buffers = Buffers::new(context, &setup)?;
        expect(buffers.bind_forward(&buffers.forward()), "an update by one value", |e| {
            *e == BatchNormError::OneValuePerChannel { shape: setup.shape }
        })?;
        buffers.expect_untouched(context)?;
    }
    Ok(())
}

/// `Mode::update` is about the running statistics "where there are any", and here are none.
fn an_update_of_nothing_needs_no_variance(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[1, 9, 1], Layout::ChannelsFirst), 2.0, 1.0);
    setup.mode = Mode { source: Source::Given, update: true };
    setup.options.running_statistics = false;
    setup.check(context)
}

fn statistics_that_are_missing_or_too_many(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.0, 1.0);
    let buffers = Buffers::new(context, &setup)?;
    let bind =
        |mode, tensors: &ForwardTensors<'_>| buffers.batch_norm.bind_forward(&setup.shape, mode, tensors);
    expect(bind(Mode::GIVEN, &buffers.forward()), "none given", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::Missing { tensor: "given", .. }))
    })?;
    let given = ForwardTensors { given: Some(&buffers.given), ..buffers.forward() };
    for mode in [Mode::TRAINING, Mode::EVALUATION] {
        expect(bind(mode, &given), "given in vain", |e| {
            matches!(e, BatchNormError::Tensor(TensorError::Unexpected { tensor: "given", .. }))
        })?;
        let backward = BackwardTensors { dgiven: Some(&buffers.dgiven), ..buffers.backward() };
        expect(buffers.batch_norm.bind_backward(&setup.shape, mode, &backward), "their gradients", |e| {
            *e == BatchNormError::NoGivenStatistics { actual: mode.source }
        })?;
    }
    buffers.expect_untouched(context)?;
    // Only the gradients of given statistics.
    let mut given = setup;
    given.mode = Mode::GIVEN;
    let expected = given.run(context)?;
    let buffers = Buffers::new(context, &given)?;
    let backward = BackwardTensors {
        dgiven: Some(&buffers.dgiven),
        ..BackwardTensors::new(buffers.x.range().clone(), buffers.dy.range().clone(), &buffers.saved)
    };
    let (forward, backward) = (buffers.bind_forward(&buffers.forward())?, buffers.bind_backward(&backward)?);
    submit::<BatchNormError>(context, |encoder| {
        forward.record(&mut *encoder)?;
        backward.record(encoder)
    })?;
    let [dmean, dvariance] = expected.dgiven.ok_or("gradients")?;
    let exact = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    near_all("dmean", &download(context, &buffers.dgiven.mean)?, &exact(&dmean), 0.0)?;
    near_all("dvariance", &download(context, &buffers.dgiven.var)?, &exact(&dvariance), 0.0)?;
    device_still_works(context)
}
