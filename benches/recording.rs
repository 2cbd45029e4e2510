//! What recording costs the host: forward and backward of one layer, and of all 53 layers of ResNet-50, bound once;
//! the end of the encoder by itself. It also says how often each allocates memory.
//!
//! ```sh
//! cargo bench --bench recording
//! ```

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BoundOperation, Context, ForwardTensors, Layout, Mode, Options,
    RunningStatistics, RunningValues, Shape, Tensor, Vector, wgpu,
};

/// The shapes that all benchmarks share.
const SHAPES: &str = include_str!("shapes.json");

/// Of ResNet-50: channels, height and how often.
fn resnet50() -> Vec<[usize; 3]> {
    let sets: serde_json::Value = serde_json::from_str(SHAPES).expect("the shapes");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    let shapes = sets["resnet50"]["shapes"].as_array().expect("the shapes of ResNet-50").iter();
    shapes.map(|shape| [&shape["sizes"][1], &shape["sizes"][2], &shape["layers"]].map(number)).collect()
}

/// A layer with everything bound: recording it is what is measured.
fn layer(context: &Context, channels: usize, size: usize) -> [BoundOperation; 2] {
    let shape = Shape::new(&[1, channels, size, size], Layout::ChannelsFirst).expect("a shape");
    let tensor = || Tensor::zeros(context, shape).expect("a tensor").range().clone();
    let vector = || Vector::upload(context, &vec![1.0; channels]).expect("a vector").range().clone();
    let batch_norm = BatchNorm::new(context, Options::new(channels)).expect("a layer");
    let running =
        RunningStatistics::upload(context, &RunningValues::start(channels)).expect("running statistics");
    let saved = batch_norm.saved_statistics(&shape).expect("saved statistics");
    let (x, weight) = (tensor(), vector());
    let forward = ForwardTensors {
        weight: Some(weight),
        bias: Some(vector()),
        running: Some(&running),
        ..ForwardTensors::new(x.clone(), tensor(), &saved)
    };
    let backward = BackwardTensors {
        dx: Some(tensor()),
        dweight: Some((vector(), Accumulation::Replace)),
        dbias: Some((vector(), Accumulation::Replace)),
        ..BackwardTensors::new(x, tensor(), &saved)
    };
    [
        batch_norm.bind_forward(&shape, Mode::TRAINING, &forward).expect("a forward pass"),
        batch_norm.bind_backward(&shape, Mode::TRAINING, &backward).expect("a backward pass"),
    ]
}

fn encoder(context: &Context) -> wgpu::CommandEncoder {
    context.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
}

fn record(operations: &[BoundOperation], encoder: &mut wgpu::CommandEncoder) {
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
    for operation in operations {
        operation.record(&mut pass).expect("a recorded pass");
    }
}

/// Time to record all operations into one pass of a new encoder, which is made and ended outside of it.
fn time_recording(context: &Context, operations: &[BoundOperation], iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut encoder = encoder(context);
        let clock = Instant::now();
        record(black_box(operations), &mut encoder);
        total += clock.elapsed();
        drop(encoder.finish());
    }
    total
}

/// Time to end an encoder into which the operations have been recorded.
fn time_finishing(context: &Context, operations: &[BoundOperation], iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut encoder = encoder(context);
        record(operations, &mut encoder);
        let clock = Instant::now();
        let commands = black_box(encoder.finish());
        total += clock.elapsed();
        drop(commands);
    }
    total
}

fn recording(criterion: &mut Criterion) {
    let context = Context::new_blocking().expect("an adapter");
    let one: Vec<_> = layer(&context, 256, 14).into();
    let all: Vec<_> = resnet50()
        .into_iter()
        .flat_map(|[channels, size, count]| (0..count).map(move |_| (channels, size)))
        .flat_map(|(channels, size)| layer(&context, channels, size))
        .collect();
    for (name, operations) in [("one_layer", &one), ("resnet50", &all)] {
        let mut group = criterion.benchmark_group(name);
        group.bench_function("record", |bencher| {
            bencher.iter_custom(|iterations| time_recording(&context, operations, iterations));
        });
        group.bench_function("finish", |bencher| {
            bencher.iter_custom(|iterations| time_finishing(&context, operations, iterations));
        });
        group.finish();
        let mut pass_encoder = encoder(&context);
        let allocated = allocation_counter::measure(|| record(operations, &mut pass_encoder));
        let (count, bytes) = (allocated.count_total, allocated.bytes_total);
        println!("{name}: recording allocates {count} times, {bytes} bytes\n");
    }
}

criterion_group!(benches, recording);
criterion_main!(benches);
