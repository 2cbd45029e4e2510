//! The short path: the same results as the recording path, from upload to download.

use crate::Test;
use crate::subject::{Setup, near, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BatchNormError, Context, Layer, Layout, Mode, Options, RunningValues, Tensor, reference,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_step_of_each_mode", a_step_of_each_mode),
    ("threads_share_a_context", threads_share_a_context),
    ("start_values", start_values),
    ("downloads_are_futures", downloads_are_futures),
    ("the_population_of_some_batches", the_population_of_some_batches),
];

fn a_step_of_each_mode(context: &Context) -> Result<(), Failed> {
    for mode in [Mode::TRAINING, Mode::EVALUATION] {
        for (weight, bias) in [(true, true), (false, true), (true, false)] {
            let mut setup = Setup::new(shape(&[4, 6, 5, 3], Layout::ChannelsLast), 1.0, 2.0);
            setup.mode = mode;
            setup.options = Options { weight, bias, ..setup.options };
            let expected = setup.run(context)?;
            let mut layer = Layer::new(context, setup.options)?;
            if weight {
                layer.set_weight(&setup.weight)?;
            }
            if bias {
                layer.set_bias(&setup.bias)?;
            }
            layer.set_running(&setup.running)?;
            let x = Tensor::upload(context, setup.shape, &setup.x)?;
            let dy = Tensor::upload(context, setup.shape, &setup.dy)?;
            let y = layer.submit_forward(mode, &x)?;
            let gradients = layer.submit_backward(&x, &dy)?;
            let vector =
                |vector: Option<wgpu_batchnorm::Vector>| vector.map(|v| v.download_blocking()).transpose();
            assert_eq!(y.download_blocking()?, expected.y);
            assert_eq!(gradients.dx.download_blocking()?, expected.dx);
            assert_eq!(vector(gradients.dweight)?, weight.then_some(expected.dweight));
            assert_eq!(vector(gradients.dbias)?, bias.then_some(expected.dbias));
            assert_eq!(layer.running_blocking()?, expected.running);
            assert_eq!(layer.batch_statistics_blocking()?, expected.statistics);
        }
    }
    Ok(())
}

/// Its pipelines, plans and workspace too: two threads with layers of one shape and one with another give the bits that each
/// gives alone.
fn threads_share_a_context(context: &Context) -> Result<(), Failed> {
    // Sizes of no other test, so that kernels are compiled while the threads run.
    let setups = [[5, 11, 9], [5, 11, 9], [3, 22, 4]]
        .map(|sizes| Setup::new(shape(&sizes, Layout::ChannelsFirst), 0.5, 2.0));
    let shared = Context::from_device(context.device(), context.queue());
    let train = |setup: &Setup| -> Result<_, Box<dyn std::error::Error + Send + Sync>> {
        let mut results = Vec::new();
        let mut layer = Layer::new(&shared, setup.options)?;
        layer.set_weight(&setup.weight)?;
        layer.set_bias(&setup.bias)?;
        for _ in 0..8 {
            let x = Tensor::upload(&shared, setup.shape, &setup.x)?;
            let dy = Tensor::upload(&shared, setup.shape, &setup.dy)?;
            let y = layer.submit_forward(Mode::TRAINING, &x)?;
            let gradients = layer.submit_backward(&x, &dy)?;
            results.push((y.download_blocking()?, gradients.dx.download_blocking()?));
        }
        Ok(results)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = setups.iter().map(|setup| scope.spawn(|| train(setup))).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    for (setup, results) in setups.iter().zip(results) {
        let alone = setup.run(context)?;
        for (y, dx) in results.map_err(|_| "a thread panicked")?.map_err(|error| error.to_string())? {
            assert_eq!(y, alone.y, "{}", setup.shape);
            assert_eq!(dx, alone.dx, "{}", setup.shape);
        }
    }
    Ok(())
}

fn start_values(context: &Context) -> Result<(), Failed> {
    let mut layer = Layer::new(context, Options::new(2))?;
    assert_eq!(layer.running_blocking()?, Some(RunningValues::start(2)));
    assert_eq!(RunningValues::start(2).var, [1.0; 2]);
    // With mean 0, variance 1, weight 1 and bias 0, evaluation only divides by √(1 + ε).
    let x = Tensor::upload(context, shape(&[2, 2], Layout::ChannelsFirst), &[1.0, -2.0, 3.0, 4.0])?;
    let y = layer.submit_forward(Mode::EVALUATION, &x)?.download_blocking()?;
    for (y, x) in y.iter().zip([1.0f32, -2.0, 3.0, 4.0]) {
        approx::assert_relative_eq!(*y, x / (1.0f32 + 1e-5).sqrt(), max_relative = 2e-7);
    }
    Ok(())
}

/// Two at a time, and without anyone else driving the queue.
fn downloads_are_futures(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[2, 3], Layout::ChannelsFirst);
    let first = Tensor::upload(context, shape, &[1.0; 6])?;
    let second = Tensor::upload(context, shape, &[2.0; 6])?;
    let (a, b) = (first.download(), second.download());
    let b = pollster::block_on(b)?;
    let a = pollster::block_on(a)?;
    assert_eq!((a, b), (vec![1.0; 6], vec![2.0; 6]));
    Ok(())
}

/// The population estimate takes the place of the running statistics, or nothing changes.
fn the_population_of_some_batches(context: &Context) -> Result<(), Failed> {
    let batches = [3usize, 5, 2].map(|n| Setup::new(shape(&[n, 4, 6], Layout::ChannelsFirst), n as f64, 1.5));
    let mut layer = Layer::new(context, batches[0].options)?;
    layer.set_running(&batches[0].running)?;
    let upload = |setup: &Setup| Tensor::upload(context, setup.shape, &setup.x);
    let mut tensors = batches.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
    layer.submit_population(&tensors)?;
    let running = layer.running_blocking()?.ok_or("running statistics")?;
    let moments = batches.iter().map(|setup| reference::statistics(&setup.x, &setup.shape.into()));
    let expected = reference::population(&moments.collect::<Result<Vec<_>, _>>()?)?;
    for c in 0..4 {
        near("mean", running.mean[c], expected.mean[c], 1e-6 * expected.mean[c].abs())?;
        near("var", running.var[c], expected.variance[c], 4e-6 * expected.variance[c])?;
    }
    assert_eq!(running.num_batches_tracked, 3);
    assert_eq!(layer.submit_population(&[]), Err(BatchNormError::NoBatches));
    assert_eq!(layer.running_blocking()?.as_ref(), Some(&running));
    tensors.push(Tensor::zeros(context, shape(&[2, 5, 6], Layout::ChannelsFirst))?);
    if layer.submit_population(&tensors).is_ok() || layer.running_blocking()?.as_ref() != Some(&running) {
        return Err("a batch of other channels was taken, or changed something".into());
    }
    Ok(())
}
