//! How long the adapter takes: by its own timestamps where it has them and they agree with the clock on
//! the wall, otherwise from submission to completion.

use crate::copy::Copier;
use anyhow::Context as _;
use futures_channel::oneshot;
use serde::Serialize;
use std::fmt;
use web_time::Instant;
use wgpu_batchnorm::{Context, Layout, Shape, Tensor, wgpu};
use wgpu_batchnorm_report::median;

/// Records what is timed into a pass.
pub type Recording<'a> = dyn Fn(&mut wgpu::ComputePass<'_>) -> anyhow::Result<()> + 'a;

/// Where times come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Clock {
    /// Timestamp queries at both ends of a compute pass.
    Timestamps {
        /// Of a pass of milliseconds: its time by timestamps over that from submission to completion.
        share_of_wall: f64,
    },
    /// The host's clock, from submission to completion.
    Wall {
        /// Why not timestamps.
        reason: String,
    },
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timestamps { share_of_wall } => write!(
                f,
                "timestamp queries ({:.0} % of the time from submission to completion of a test pass)",
                share_of_wall * 100.0
            ),
            Self::Wall { reason } => write!(f, "from submission to completion ({reason})"),
        }
    }
}

/// Measures compute passes on one adapter.
pub struct Timer {
    context: Context,
    queries: Option<Queries>,
    clock: Clock,
}

/// The two timestamps of a pass, and the way they take to the host.
struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    readback: wgpu::Buffer,
    seconds_per_tick: f64,
}

/// Seconds of one submission.
struct Reading {
    wall: f64,
    timestamps: Option<f64>,
}

/// What a test pass takes at least, in seconds: so long that the cost of a submission hardly counts.
const TEST_SECONDS: f64 = 0.005;
const MOST_REPEATS: u32 = 1 << 12;
/// Timestamps outside of this range of shares of the wall time are not believed.
const BELIEVABLE: std::ops::Range<f64> = 0.5..1.05;

impl Timer {
    /// A timer with the best clock that the adapter has; finds out by copying 64 MiB.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn new(context: &Context, copier: &Copier) -> anyhow::Result<Self> {
        let queries = Queries::new(context);
        let clock = Clock::Wall { reason: "the adapter offers no timestamp queries".to_owned() };
        let mut timer = Self { context: context.clone(), queries, clock };
        if timer.queries.is_some() {
            timer.clock = timer.calibrate(copier).await?;
        }
        Ok(timer)
    }

    /// Where its times come from.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Seconds that one run takes of what `record` records, which is recorded `repeats` times into a pass.
    ///
    /// # Errors
    /// As `record` has them, or if the device fails.
    pub async fn time(&self, repeats: u32, record: &Recording<'_>) -> anyhow::Result<f64> {
        let reading = self.read(repeats, record).await?;
        let seconds = match (&self.clock, reading.timestamps) {
            (Clock::Timestamps { .. }, Some(seconds)) => seconds,
            _ => reading.wall,
        };
        Ok(seconds / f64::from(repeats))
    }

    async fn calibrate(&self, copier: &Copier) -> anyhow::Result<Clock> {
        let shape = Shape::new(&[1, 1 << 24], Layout::ChannelsLast)?;
        let (from, to) = (Tensor::zeros(&self.context, shape)?, Tensor::zeros(&self.context, shape)?);
        let copies = copier.bind(from.range(), to.range());
        let copy = copies.first().context("there is no copy kernel")?;
        let record: &Recording<'_> = &|pass| {
            copy.record(pass);
            Ok(())
        };
        // Memory that is touched for the first time is slow.
        self.read(1, record).await?;
        let mut repeats = 1;
        while self.read(repeats, record).await?.wall < TEST_SECONDS && repeats < MOST_REPEATS {
            repeats *= 2;
        }
        let mut shares = Vec::new();
        for _ in 0..5 {
            let Reading { wall, timestamps } = self.read(repeats, record).await?;
            shares.push(timestamps.unwrap_or(0.0) / wall);
        }
        let share_of_wall = median(&mut shares);
        Ok(if BELIEVABLE.contains(&share_of_wall) {
            Clock::Timestamps { share_of_wall }
        } else {
            let reason = format!("the adapter's timestamps make {:.0} % of it", share_of_wall * 100.0);
            Clock::Wall { reason }
        })
    }

    async fn read(&self, repeats: u32, record: &Recording<'_>) -> anyhow::Result<Reading> {
        let (device, queue) = (self.context.device(), self.context.queue());
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("bench") };
        let mut encoder = device.create_command_encoder(&descriptor);
        let timestamp_writes = self.queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
            query_set: &queries.set,
            beginning_of_pass_write_index: Some(0),
            end_of_pass_write_index: Some(1),
        });
        let descriptor = wgpu::ComputePassDescriptor { label: Some("bench"), timestamp_writes };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        for _ in 0..repeats {
            record(&mut pass)?;
        }
        drop(pass);
        let commands = encoder.finish();
        let start = Instant::now();
        queue.submit([commands]);
        done(device, queue).await?;
        let wall = start.elapsed().as_secs_f64();
        let timestamps = match &self.queries {
            Some(queries) => Some(queries.seconds(device, queue).await?),
            None => None,
        };
        Ok(Reading { wall, timestamps })
    }
}

/// Waits for everything that was submitted.
async fn done(device: &wgpu::Device, queue: &wgpu::Queue) -> anyhow::Result<()> {
    let (sender, done) = oneshot::channel();
    queue.on_submitted_work_done(|| {
        let _ = sender.send(());
    });
    drive(device)?;
    Ok(done.await?)
}

/// Drives the queue until it is empty, where that is not the browser's task.
fn drive(device: &wgpu::Device) -> anyhow::Result<()> {
    device.poll(wgpu::PollType::wait_indefinitely())?;
    Ok(())
}

impl Queries {
    /// None if the device has no timestamp queries.
    fn new(context: &Context) -> Option<Self> {
        let device = context.device();
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let set = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("bench.timestamps"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let buffer = |usage| {
            let size = u64::from(wgpu::QUERY_SIZE) * 2;
            let label = Some("bench.timestamps");
            device.create_buffer(&wgpu::BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        Some(Self {
            set,
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            readback: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
            seconds_per_tick: f64::from(context.queue().get_timestamp_period()) * 1e-9,
        })
    }

    /// Seconds between the two timestamps, fetched by a submission of their own, which is not timed.
    async fn seconds(&self, device: &wgpu::Device, queue: &wgpu::Queue) -> anyhow::Result<f64> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("bench.timestamps") };
        let mut encoder = device.create_command_encoder(&descriptor);
        encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.readback, 0, self.readback.size());
        queue.submit([encoder.finish()]);
        let (sender, mapped) = oneshot::channel();
        self.readback.map_async(wgpu::MapMode::Read, .., |result| {
            // Nobody waits any more if the receiver is gone.
            let _ = sender.send(result);
        });
        drive(device)?;
        mapped.await??;
        let view = self.readback.get_mapped_range(..)?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&view);
        drop(view);
        self.readback.unmap();
        match ticks[..] {
            // A clock that runs backwards makes 0, which nothing believes.
            [start, end] => Ok(end.saturating_sub(start) as f64 * self.seconds_per_tick),
            _ => anyhow::bail!("{} timestamps came back, expected 2", ticks.len()),
        }
    }
}
