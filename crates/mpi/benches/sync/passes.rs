//! The passes of ResNet-50's layers, phase by phase.

use crate::Effort;
use crate::record::Row;
use crate::resnet::Layers;
use crate::stopwatch::Stopwatch;
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives as _;
use wgpu_batchnorm::{
    BackwardTensors, BatchNorm, Begun, Context, Exchange as _, ForwardTensors, Layout, Options,
    SavedStatistics, Shape, Synchronized, Tensor, wgpu,
};
use wgpu_batchnorm_mpi::{MpiExchange, model};
use wgpu_batchnorm_report::median;

/// Samples of a rank.
const SAMPLES: usize = 2;

pub(crate) fn measure(
    context: &Context,
    exchange: &MpiExchange,
    group: &SimpleCommunicator,
    layers: &[Layers],
    effort: Effort,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for &Layers { channels, size, .. } in layers.iter().step_by(effort.step) {
        let options =
            Options { weight: false, bias: false, running_statistics: false, ..Options::new(channels) };
        let layer = Synchronized::new(&BatchNorm::new(context, options)?, exchange);
        let shape = Shape::new(&[SAMPLES, channels, size, size], Layout::ChannelsFirst)?;
        let values: Vec<f32> = (0..shape.elements()).map(|i| (i % 251) as f32).collect();
        let x = Tensor::upload(context, shape, &values)?;
        let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
        let saved = SavedStatistics::new(context, channels)?;
        let range = |tensor: &Tensor| tensor.range().clone();
        let forward = ForwardTensors::new(range(&x), range(&y), &saved);
        let backward =
            BackwardTensors { dx: Some(range(&dx)), ..BackwardTensors::new(range(&x), range(&y), &saved) };
        let row = |pass: &str, bytes: usize, mut times: Times| Row {
            ranks: exchange.replicas(),
            channels,
            size,
            pass: pass.to_owned(),
            bytes,
            device: median(&mut times.device),
            copy: median(&mut times.copy),
            sync: median(&mut times.sync),
            sync_cpu: median(&mut times.sync_cpu),
            all_reduce: median(&mut times.all_reduce),
            all_reduce_cpu: median(&mut times.all_reduce_cpu),
        };
        let bytes = model::forward_bytes(channels);
        let times = timed(context, group, bytes, effort, || Ok(layer.begin_forward(&shape, &forward)?))?;
        rows.push(row("forward", bytes, times));
        let bytes = model::backward_bytes(channels);
        let times = timed(context, group, bytes, effort, || Ok(layer.begin_backward(&shape, &backward)?))?;
        rows.push(row("backward", bytes, times));
    }
    Ok(rows)
}

#[derive(Default)]
struct Times {
    device: Vec<f64>,
    copy: Vec<f64>,
    sync: Vec<f64>,
    sync_cpu: Vec<f64>,
    all_reduce: Vec<f64>,
    all_reduce_cpu: Vec<f64>,
}

fn timed<'a>(
    context: &Context,
    group: &SimpleCommunicator,
    bytes: usize,
    effort: Effort,
    begin: impl Fn() -> anyhow::Result<Begun<'a, &'a MpiExchange>>,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let wait = || context.device().poll(wgpu::PollType::wait_indefinitely());
    let numbers = vec![1f32; bytes.div_ceil(4)];
    let mut sums = numbers.clone();
    let [warm_up, repetitions] = effort.passes;
    for repetition in 0..warm_up + repetitions {
        // Whoever is late is not what is measured.
        group.barrier();
        let watch = Stopwatch::start();
        let begun = begin()?;
        wait()?;
        let local = watch.wall();

        let watch = Stopwatch::start();
        let begun = pollster::block_on(begun.copy())?;
        let to_host = watch.wall();

        group.barrier();
        let watch = Stopwatch::start();
        let received = pollster::block_on(begun.send())?.receive()?;
        let (sync, sync_cpu) = (watch.wall(), watch.cpu());

        let watch = Stopwatch::start();
        received.submit()?;
        let to_device = watch.wall();

        let watch = Stopwatch::start();
        wait()?;
        let merged = watch.wall();

        group.barrier();
        let watch = Stopwatch::start();
        group.all_reduce_into(&numbers[..], &mut sums[..], SystemOperation::sum());
        let (all_reduce, all_reduce_cpu) = (watch.wall(), watch.cpu());
        if repetition >= warm_up {
            times.device.push(local + merged);
            times.copy.push(to_host + to_device);
            times.sync.push(sync);
            times.sync_cpu.push(sync_cpu);
            times.all_reduce.push(all_reduce);
            times.all_reduce_cpu.push(all_reduce_cpu);
        }
    }
    Ok(times)
}
