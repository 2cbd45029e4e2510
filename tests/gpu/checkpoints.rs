//! Layers from PyTorch's checkpoints, and back.

use crate::Test;
use crate::common::file;
use crate::subject::shape;
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layer, LayerValues, Layout, Mode, Momentum, Options, RunningValues, Tensor};
use wgpu_batchnorm_state::{Checkpoint, LayerState, Parts, Running, StateError};

pub(crate) const TESTS: &[Test] = &[
    ("a_checkpoint_of_pytorch_makes_a_layer", a_checkpoint_of_pytorch_makes_a_layer),
    ("a_trained_layer_goes_back_into_the_checkpoint", a_trained_layer_goes_back_into_the_checkpoint),
    ("what_does_not_fit_changes_nothing", what_does_not_fit_changes_nothing),
    ("more_batches_than_the_device_counts", more_batches_than_the_device_counts),
];

const FILE: &str = "crates/state/tests/files/pytorch.safetensors";

fn layer_of(context: &Context, checkpoint: &Checkpoint, prefix: &str) -> Result<Layer, Failed> {
    let parts = checkpoint.parts(prefix)?;
    let Parts { channels, weight, bias, running } = parts;
    let momentum = Momentum::Cumulative;
    let options = Options { weight, bias, running_statistics: running, momentum, ..Options::new(channels) };
    let mut layer = Layer::new(context, options)?;
    layer.set_values(&checkpoint.layer(prefix, &parts)?.try_into()?)?;
    Ok(layer)
}

fn a_checkpoint_of_pytorch_makes_a_layer(context: &Context) -> Result<(), Failed> {
    let checkpoint = Checkpoint::load(file(FILE))?;
    let prefixes = checkpoint.layers();
    if prefixes.len() < 2 {
        return Err(format!("{prefixes:?}: expected several layers").into());
    }
    for prefix in prefixes {
        let mut layer = layer_of(context, &checkpoint, &prefix)?;
        let values = layer.values_blocking()?;
        let channels = layer.options().channels;
        let shape = shape(&[1, channels, 1], Layout::ChannelsFirst);
        let x: Vec<f32> = (0..channels).map(|c| c as f32 - 0.5).collect();
        let y = layer.submit_forward(Mode::EVALUATION, &Tensor::upload(context, shape, &x)?)?;
        let running = values.running.ok_or("the fixture has running statistics")?;
        for (c, y) in y.download_blocking()?.into_iter().enumerate() {
            let of =
                |values: &Option<Vec<f32>>, default: f32| values.as_ref().map_or(default, |values| values[c]);
            let sigma = (f64::from(running.var[c]) + 1e-5).sqrt();
            let x_hat = f64::from(x[c] - running.mean[c]) / sigma;
            let expected = f64::from(of(&values.weight, 1.0)) * x_hat + f64::from(of(&values.bias, 0.0));
            if (f64::from(y) - expected).abs() > 1e-6 * (1.0 + expected.abs()) {
                return Err(format!("{prefix}: y[{c}] is {y}, expected {expected}").into());
            }
        }
    }
    Ok(())
}

fn a_trained_layer_goes_back_into_the_checkpoint(context: &Context) -> Result<(), Failed> {
    let checkpoint = Checkpoint::load(file(FILE))?;
    let prefix = checkpoint.layers().into_iter().next().ok_or("a layer")?;
    let mut layer = layer_of(context, &checkpoint, &prefix)?;
    let before = layer.values_blocking()?;
    let shape = shape(&[3, layer.options().channels, 4], Layout::ChannelsFirst);
    let x: Vec<f32> = (0..shape.elements()).map(|i| (i * i % 13) as f32).collect();
    layer.submit_forward(Mode::TRAINING, &Tensor::upload(context, shape, &x)?)?;
    let after = layer.values_blocking()?;
    let batches = |values: &LayerValues| values.running.as_ref().map(|running| running.num_batches_tracked);
    if after == before || batches(&after) != batches(&before).map(|batches| batches + 1) {
        return Err(format!("{prefix}: {before:?} became {after:?}").into());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("trained.safetensors");
    checkpoint.with_layer(&prefix, &after.clone().into())?.save(&file)?;
    let reloaded = layer_of(context, &Checkpoint::load(&file)?, &prefix)?.values_blocking()?;
    if reloaded == after { Ok(()) } else { Err(format!("{after:?} was loaded as {reloaded:?}").into()) }
}

fn what_does_not_fit_changes_nothing(context: &Context) -> Result<(), Failed> {
    let mut layer = Layer::new(context, Options::new(3))?;
    let good = LayerValues {
        weight: Some(vec![1.0, 2.0, 3.0]),
        bias: Some(vec![4.0, 5.0, 6.0]),
        running: Some(RunningValues::new(vec![7.0, 8.0, 9.0], vec![1.0, 2.0, 4.0], 11)),
    };
    layer.set_values(&good)?;
    let wide = || vec![0.0; 4];
    let running = |mean, var| Some(RunningValues::new(mean, var, 1));
    for bad in [
        LayerValues { weight: Some(wide()), ..good.clone() },
        LayerValues { bias: Some(wide()), ..good.clone() },
        LayerValues { bias: None, ..good.clone() },
        LayerValues { running: None, ..good.clone() },
        LayerValues { running: running(wide(), vec![1.0; 3]), ..good.clone() },
        LayerValues { running: running(vec![0.0; 3], wide()), ..good.clone() },
    ] {
        if layer.set_values(&bad).is_ok() {
            return Err(format!("{bad:?} was taken").into());
        }
        let values = layer.values_blocking()?;
        if values != good {
            return Err(format!("{bad:?} left {values:?}").into());
        }
    }
    Ok(())
}

fn more_batches_than_the_device_counts(_: &Context) -> Result<(), Failed> {
    let running = Running { num_batches_tracked: Some(1 << 40), ..Running::start(3) };
    let state = LayerState { running: Some(running), ..LayerState::default() };
    match LayerValues::try_from(state) {
        Err(StateError::TooManyBatches { actual }) if actual == 1 << 40 => Ok(()),
        result => Err(format!("{result:?}").into()),
    }
}
