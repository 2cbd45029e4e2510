//! What recording costs the host: forward and backward of one layer, and of all 53 layers of ResNet-50, bound once, and with
//! bindings that are looked up, and of one layer in many runs of channels; the end of the encoder by itself. It also says how
//! often each allocates memory, and fails if that depends on how much is recorded.
//!
//! ```sh
//! cargo bench --bench recording
//! ```

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BoundOperation, BufferRange, Context, ForwardTensors, Layout,
    Mode, Options, RunningStatistics, RunningValues, SavedStatistics, Schedule, Shape, Tensor, Traversal,
    Vector, wgpu,
};

/// The shapes that all benchmarks share.
const SHAPES: &str = include_str!("shapes.json");

/// Runs of channels of a pass: with these a layer has 50 dispatches, as many as the largest of ResNet-50 has on a graphics
/// processor by the cost model.
const RUNS: u64 = 24;

/// Allocations while bound operations are recorded, at most, however many: wgpu's lists of commands, which grow by doubling.
const MOST_ALLOCATIONS: u64 = 16;

/// Of ResNet-50: channels, height and how often.
fn resnet50() -> Vec<[usize; 3]> {
    let sets: serde_json::Value = serde_json::from_str(SHAPES).expect("the shapes");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    let shapes = sets["resnet50"]["shapes"].as_array().expect("the shapes of ResNet-50").iter();
    shapes.map(|shape| [&shape["sizes"][1], &shape["sizes"][2], &shape["layers"]].map(number)).collect()
}

/// A layer with all its tensors.
struct Layer {
    batch_norm: BatchNorm,
    shape: Shape,
    x: BufferRange,
    y: BufferRange,
    dy: BufferRange,
    dx: BufferRange,
    /// γ, β and their gradients.
    vectors: [BufferRange; 4],
    running: RunningStatistics,
    saved: SavedStatistics,
}

impl Layer {
    fn new(context: &Context, channels: usize, size: usize) -> Self {
        let shape = Shape::new(&[1, channels, size, size], Layout::ChannelsFirst).expect("a shape");
        let tensor = || Tensor::zeros(context, shape).expect("a tensor").range().clone();
        let vector = |_| Vector::upload(context, &vec![1.0; channels]).expect("a vector").range().clone();
        let batch_norm = BatchNorm::new(context, Options::new(channels)).expect("a layer");
        let saved = batch_norm.saved_statistics(&shape).expect("saved statistics");
        let running = RunningStatistics::upload(context, &RunningValues::start(channels));
        Self {
            x: tensor(),
            y: tensor(),
            dy: tensor(),
            dx: tensor(),
            vectors: [0; 4].map(vector),
            running: running.expect("running statistics"),
            batch_norm,
            shape,
            saved,
        }
    }

    fn forward(&self) -> ForwardTensors<'_> {
        let [weight, bias, ..] = self.vectors.clone();
        ForwardTensors {
            weight: Some(weight),
            bias: Some(bias),
            running: Some(&self.running),
            ..ForwardTensors::new(self.x.clone(), self.y.clone(), &self.saved)
        }
    }

    fn backward(&self) -> BackwardTensors<'_> {
        let [.., dweight, dbias] = self.vectors.clone();
        BackwardTensors {
            dx: Some(self.dx.clone()),
            dweight: Some((dweight, Accumulation::Replace)),
            dbias: Some((dbias, Accumulation::Replace)),
            ..BackwardTensors::new(self.x.clone(), self.dy.clone(), &self.saved)
        }
    }

    /// Both passes, bound once.
    fn bind(&self) -> [BoundOperation; 2] {
        let Self { batch_norm, shape, .. } = self;
        [
            batch_norm.bind_forward(shape, Mode::TRAINING, &self.forward()).expect("a forward pass"),
            batch_norm.bind_backward(shape, Mode::TRAINING, &self.backward()).expect("a backward pass"),
        ]
    }

    /// Both passes, whose bindings are looked up by their tensors.
    fn look_up_and_record(&self, pass: &mut wgpu::ComputePass<'_>) {
        let Self { batch_norm, shape, .. } = self;
        batch_norm
            .record_forward(&mut *pass, shape, Mode::TRAINING, &self.forward())
            .and_then(|()| batch_norm.record_backward(pass, shape, Mode::TRAINING, &self.backward()))
            .expect("a recorded pass");
    }
}

/// What is recorded into one pass.
trait Recorded {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>);
}

/// Operations that are bound.
impl Recorded for [BoundOperation] {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        for operation in self {
            operation.record(&mut *pass).expect("a recorded pass");
        }
    }
}

/// Layers whose bindings are looked up.
impl Recorded for [Layer] {
    fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        for layer in self {
            layer.look_up_and_record(pass);
        }
    }
}

fn encoder(context: &Context) -> wgpu::CommandEncoder {
    context.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
}

fn record<R: Recorded + ?Sized>(recorded: &R, encoder: &mut wgpu::CommandEncoder) {
    recorded.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
}

/// Time to record everything into one pass of a new encoder, which is made and ended outside of it.
fn time_recording<R: Recorded + ?Sized>(context: &Context, recorded: &R, iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut encoder = encoder(context);
        let clock = Instant::now();
        record(black_box(recorded), &mut encoder);
        total += clock.elapsed();
        drop(encoder.finish());
    }
    total
}

/// Time to end an encoder into which everything has been recorded.
fn time_finishing<R: Recorded + ?Sized>(context: &Context, recorded: &R, iterations: u64) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let mut encoder = encoder(context);
        record(recorded, &mut encoder);
        let clock = Instant::now();
        let commands = black_box(encoder.finish());
        total += clock.elapsed();
        drop(commands);
    }
    total
}

fn recording(criterion: &mut Criterion) {
    let context = Context::new_blocking().expect("an adapter");
    let one = [Layer::new(&context, 256, 14)];
    let runs = Schedule { runs: Some(RUNS), ..Schedule::with_traversal(Traversal::Pipelined) };
    let in_runs = [Layer::new(&context.with_schedule(runs), 256, 14)];
    let all: Vec<_> = resnet50()
        .into_iter()
        .flat_map(|[channels, size, count]| (0..count).map(move |_| (channels, size)))
        .map(|(channels, size)| Layer::new(&context, channels, size))
        .collect();
    for (name, layers) in [("one_layer", &one[..]), ("one_layer_in_runs", &in_runs), ("resnet50", &all)] {
        let bound: Vec<_> = layers.iter().flat_map(Layer::bind).collect();
        let mut group = criterion.benchmark_group(name);
        group.bench_function("record", |bencher| {
            bencher.iter_custom(|iterations| time_recording(&context, &bound[..], iterations));
        });
        group.bench_function("look_up_and_record", |bencher| {
            bencher.iter_custom(|iterations| time_recording(&context, layers, iterations));
        });
        group.bench_function("finish", |bencher| {
            bencher.iter_custom(|iterations| time_finishing(&context, &bound[..], iterations));
        });
        group.finish();
        let allocated = print_allocations(&context, &format!("{name}: recording"), &bound[..]);
        assert!(
            allocated <= MOST_ALLOCATIONS,
            "{allocated} allocations, expected {MOST_ALLOCATIONS} at most"
        );
        print_allocations(&context, &format!("{name}: looking up and recording"), layers);
        println!();
    }
}

/// Prints how often recording allocates memory, and returns it.
fn print_allocations<R: Recorded + ?Sized>(context: &Context, what: &str, recorded: &R) -> u64 {
    let mut encoder = encoder(context);
    let allocated = allocation_counter::measure(|| record(recorded, &mut encoder));
    let (count, bytes) = (allocated.count_total, allocated.bytes_total);
    println!("{what} allocates {count} times, {bytes} bytes");
    count
}

criterion_group!(benches, recording);
criterion_main!(benches);
