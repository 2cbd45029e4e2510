//! How long the adapter takes: by its own timestamps where it has them and they agree with the clock on
//! the wall, otherwise from submission to completion.

use crate::copy::Copier;
use anyhow::Context as _;
use futures_channel::oneshot;
use serde::Serialize;
use std::fmt;
use web_time::Instant;
use wgpu_batchnorm::{Context, DestroyOnDrop, Layout, Shape, Tensor, wgpu};
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
    /// Seconds from the submission of nothing to its completion.
    round_trip: f64,
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

/// What a test pass takes at least, in seconds.
const TEST_SECONDS: f64 = 0.005;
const MOST_REPEATS: u32 = 1 << 12;
/// What is timed by the host's clock, or compared with it, takes so many round trips of a submission at least, so that
/// the one in it adds no more than 4 %.
const ROUND_TRIPS: f64 = 30.0;
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
        let mut timer = Self { context: context.clone(), queries, clock, round_trip: 0.0 };
        timer.round_trip = timer.measure_round_trip().await?;
        if timer.queries.is_some() {
            timer.clock = timer.calibrate(copier).await?;
        }
        // What failed took no time.
        context.settled().await?;
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

    /// How often `record` is to be recorded into a pass so that a measurement takes `seconds` or more, and, where times
    /// include the way to the adapter and back, so long that this hardly counts; at most `most` times.
    ///
    /// # Errors
    /// As [`Timer::time`].
    pub async fn repeats(&self, seconds: f64, most: u32, record: &Recording<'_>) -> anyhow::Result<u32> {
        let wanted = match self.clock {
            Clock::Timestamps { .. } => seconds,
            Clock::Wall { .. } => seconds.max(ROUND_TRIPS * self.round_trip),
        };
        grown(wanted, most, async |repeats| Ok(self.time(repeats, record).await? * f64::from(repeats))).await
    }

    async fn measure_round_trip(&self) -> anyhow::Result<f64> {
        let mut seconds = Vec::new();
        for _ in 0..7 {
            seconds.push(self.read(0, &|_| Ok(())).await?.wall);
        }
        Ok(median(&mut seconds))
    }

    async fn calibrate(&self, copier: &Copier) -> anyhow::Result<Clock> {
        let shape = Shape::new(&[1, 1 << 24], Layout::ChannelsLast)?;
        let (from, to) = (Tensor::zeros(&self.context, shape)?, Tensor::zeros(&self.context, shape)?);
        let done_with = DestroyOnDrop::default();
        done_with.add([from.range(), to.range()]);
        let copies = copier.bind(from.range(), to.range());
        let copy = copies.first().context("there is no copy kernel")?;
        let record: &Recording<'_> = &|pass| {
            copy.record(pass);
            Ok(())
        };
        // Memory that is touched for the first time is slow.
        self.read(1, record).await?;
        let repeats = grown(TEST_SECONDS.max(ROUND_TRIPS * self.round_trip), MOST_REPEATS, async |repeats| {
            Ok(self.read(repeats, record).await?.wall)
        })
        .await?;
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

/// Repeats with which `read` says `wanted` seconds or more, grown from 1 on, at most `most`. A part of what it says is the
/// same for any number of repeats: it is fewer and fewer of them that are too few.
async fn grown(
    wanted: f64,
    most: u32,
    mut read: impl AsyncFnMut(u32) -> anyhow::Result<f64>,
) -> anyhow::Result<u32> {
    /// At least, or it would take forever; at most, because the first reading is the most uncertain.
    const GROWTH: [f64; 2] = [1.5, 16.0];
    let mut repeats = 1;
    loop {
        let seconds = read(repeats).await?;
        if seconds >= wanted || repeats >= most {
            return Ok(repeats);
        }
        // A clock of tenths of milliseconds may say 0.
        let factor = (wanted / seconds.max(1e-9)).clamp(GROWTH[0], GROWTH[1]);
        repeats = (f64::from(repeats) * factor).ceil().min(f64::from(most)) as u32;
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

/// In a browser what is only dropped waits for the garbage collector.
impl Drop for Queries {
    fn drop(&mut self) {
        self.set.destroy();
        self.resolved.destroy();
        self.readback.destroy();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes of so many seconds, seen through a round trip and a clock that ticks.
    fn repeats(seconds: f64, round_trip: f64, wanted: f64, most: u32) -> anyhow::Result<u32> {
        const TICK: f64 = 1e-4;
        let read = |repeats| ((round_trip + seconds * f64::from(repeats)) / TICK).floor() * TICK;
        pollster::block_on(grown(wanted, most, async |repeats| Ok(read(repeats))))
    }

    #[test]
    fn a_round_trip_hardly_counts() -> anyhow::Result<()> {
        for round_trip in [0.0, 1e-4, 5e-3] {
            for seconds in [1e-6, 3e-5, 2e-3] {
                let wanted = (ROUND_TRIPS * round_trip).max(0.02);
                let time = seconds * f64::from(repeats(seconds, round_trip, wanted, u32::MAX)?);
                // Without calibration a round trip of 5 ms left 4 repeats of 30 µs.
                assert!(round_trip <= 0.04 * time, "{seconds} {round_trip}: {time}");
                assert!(time <= 1.6 * wanted, "{seconds} {round_trip}: {time}");
            }
        }
        Ok(())
    }

    #[test]
    fn repeats_have_a_limit() -> anyhow::Result<()> {
        assert_eq!(repeats(1e-9, 0.0, 0.02, 400)?, 400);
        assert_eq!(repeats(0.5, 0.0, 0.02, 400)?, 1);
        Ok(())
    }
}
