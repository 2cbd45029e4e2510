//! What outlives one operation: the running statistics, and what the forward pass saves for the backward.

use crate::buffer::BufferRange;
use crate::context::{Context, lock};
use crate::device::{DeviceError, Download, create_buffer_with};
use crate::elementwise::{Activation, Dtype, Order};
use crate::mode::Source;
use crate::shape::Shape;
use std::sync::{Arc, Mutex};

const STATE_USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// The running statistics of a layer, on the device: PyTorch's `running_mean`, `running_var` and
/// `num_batches_tracked`.
///
/// Updated by `running ← (1 − m)·running + m·batch` in each recorded forward pass in training; the
/// variance that enters is the unbiased one, M2 / (N·S − 1).
#[derive(Clone, Debug)]
pub struct RunningStatistics {
    /// `[C]` f32.
    pub mean: BufferRange,
    /// `[C]` f32.
    pub var: BufferRange,
    /// `[C]` u32, the number of batches each channel has seen. They are equal; each channel has its
    /// own so that none waits for another.
    pub num_batches_tracked: BufferRange,
    /// `[C]` u32, the number of batches that were left out: those with fewer than two values that a mask
    /// shows, and with [`Options::guarded`](crate::Options::guarded) those with a statistic that is not finite.
    pub num_batches_skipped: BufferRange,
}

/// Running statistics as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningValues {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Unbiased variance of each channel.
    pub var: Vec<f32>,
    /// Batches that have entered.
    pub num_batches_tracked: u32,
    /// Batches that were left out.
    pub num_batches_skipped: u32,
}

impl RunningValues {
    /// The start: mean 0, variance 1, no batches.
    pub fn start(channels: usize) -> Self {
        Self::new(vec![0.0; channels], vec![1.0; channels], 0)
    }

    /// Statistics that `num_batches_tracked` batches have entered and none was left out of.
    pub fn new(mean: Vec<f32>, var: Vec<f32>, num_batches_tracked: u32) -> Self {
        Self { mean, var, num_batches_tracked, num_batches_skipped: 0 }
    }
}

impl RunningStatistics {
    /// New buffers that hold `values`; `mean` and `var` must have the same length, C.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for them or is lost.
    pub fn upload(context: &Context, values: &RunningValues) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let buffer = |what, bytes: &[u8]| {
            create_buffer_with(context.checked(), what, bytes, STATE_USAGE)
                .map(|buffer| context.range(buffer))
        };
        let counter =
            |what, batches: u32| buffer(what, bytemuck::cast_slice(&vec![batches; values.mean.len()]));
        Ok(Self {
            mean: buffer("running_mean", bytemuck::cast_slice(&values.mean))?,
            var: buffer("running_var", bytemuck::cast_slice(&values.var))?,
            num_batches_tracked: counter("num_batches_tracked", values.num_batches_tracked)?,
            num_batches_skipped: counter("num_batches_skipped", values.num_batches_skipped)?,
        })
    }

    /// All of them, in the order of the fields.
    pub fn ranges(&self) -> [&BufferRange; 4] {
        [&self.mean, &self.var, &self.num_batches_tracked, &self.num_batches_skipped]
    }

    /// The blocking twin of [`RunningStatistics::download`].
    ///
    /// # Errors
    /// As [`RunningStatistics::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self, context: &Context) -> Result<RunningValues, DeviceError> {
        pollster::block_on(self.download(context))
    }

    /// The values, after everything that was submitted before: as many as the ranges hold. The buffers
    /// need usage `COPY_SRC`.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for the copy or is lost.
    pub async fn download(&self, context: &Context) -> Result<RunningValues, DeviceError> {
        let tracked: Vec<u32> = download(context, "num_batches_tracked", &self.num_batches_tracked).await?;
        let skipped: Vec<u32> = download(context, "num_batches_skipped", &self.num_batches_skipped).await?;
        Ok(RunningValues {
            mean: download(context, "running_mean", &self.mean).await?,
            var: download(context, "running_var", &self.var).await?,
            num_batches_tracked: tracked.first().copied().unwrap_or_default(),
            num_batches_skipped: skipped.first().copied().unwrap_or_default(),
        })
    }
}

/// Statistics that the caller gives to normalize with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GivenStatistics {
    /// `[C]` f32.
    pub mean: BufferRange,
    /// `[C]` f32, the biased variance.
    pub var: BufferRange,
}

/// What a forward pass leaves for the backward pass: the statistics that normalized, and which pass
/// left them.
///
/// In memory for each ghost batch seven planes of C f32 each: mean (rounded), what rounding the mean lost,
/// biased variance, 1/σ = 1/√(variance + ε), γ/σ, β, and the values that the statistics were taken of (0 if
/// they were not taken of the batch). Clones are the same buffer.
#[derive(Clone, Debug)]
pub struct SavedStatistics {
    pub(crate) range: BufferRange,
    channels: usize,
    origin: Arc<Mutex<Option<Origin>>>,
}

/// The pass that left saved statistics, as far as a pass that needs them must agree with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Origin {
    pub(crate) shape: Shape,
    pub(crate) left_by: LeftBy,
    pub(crate) source: Source,
    pub(crate) mask: bool,
    /// Whether the gradient depends on a residual that was added.
    pub(crate) residual: bool,
    pub(crate) dtype: Dtype,
    pub(crate) activation: Activation,
    pub(crate) order: Order,
    pub(crate) ghost_batch: Option<usize>,
}

/// What kind of pass leaves saved statistics, or needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeftBy {
    /// A forward pass.
    Forward,
    /// The statistics alone, without γ and β.
    Statistics,
    /// A forward pass of several replicas.
    Replicas,
}

impl Origin {
    /// Whether a pass that needs `self` can take what `left` has left. The statistics are part of a forward pass.
    pub(crate) fn accepts(&self, left: &Self) -> bool {
        let left_by = match (self.left_by, left.left_by) {
            (LeftBy::Statistics, LeftBy::Forward) => LeftBy::Statistics,
            (_, left_by) => left_by,
        };
        // The moments' gradient knows no residual.
        let residual = if self.left_by == LeftBy::Statistics { self.residual } else { left.residual };
        *self == Self { left_by, residual, ..*left }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let source = match self.source {
            Source::Batch => "batch",
            Source::Running => "running",
            Source::Given => "given",
        };
        let extras = match (self.mask, self.residual) {
            (false, false) => "",
            (true, false) => " and a mask",
            (false, true) => " and a residual",
            (true, true) => ", a mask and a residual",
        };
        write!(f, "{} with {source} statistics{extras}", self.shape)?;
        match self.left_by {
            LeftBy::Forward => {}
            LeftBy::Statistics => write!(f, ", alone")?,
            LeftBy::Replicas => write!(f, ", of all replicas")?,
        }
        if let Some(group) = self.ghost_batch {
            write!(f, ", in ghost batches of {group}")?;
        }
        if self.activation != Activation::None {
            write!(f, ", {:?} {:?}", self.order, self.activation)?;
        }
        if self.dtype != Dtype::F32 {
            write!(f, ", {:?}", self.dtype)?;
        }
        Ok(())
    }
}

/// The statistics that normalized a batch, as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Mean of each channel.
    pub mean: Vec<f32>,
    /// Biased variance of each channel: M2 / count.
    pub var: Vec<f32>,
    /// How many values they were taken of; rounded beyond 2²⁴, 0 if they were not taken of the batch.
    pub count: f32,
}

impl SavedStatistics {
    /// Bytes for C = `channels` and one group of samples.
    pub fn bytes(channels: usize) -> u64 {
        (channels as u64).saturating_mul(crate::plan::PLANES * crate::plan::WORD_BYTES)
    }

    /// A new buffer for `channels` channels.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for it or is lost.
    pub fn new(context: &Context, channels: usize) -> Result<Self, DeviceError> {
        Self::for_groups(context, channels, 1)
    }

    /// A new buffer for `channels` channels and so many ghost batches; [`BatchNorm::saved_statistics`](
    /// crate::BatchNorm::saved_statistics) counts them.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for it or is lost.
    pub fn for_groups(context: &Context, channels: usize, groups: usize) -> Result<Self, DeviceError> {
        context.check_alive()?;
        let bytes = Self::bytes(channels).saturating_mul(groups as u64);
        let buffer = crate::device::create_buffer(context.checked(), "saved", bytes, STATE_USAGE)?;
        Ok(Self::in_range(context.range(buffer), channels))
    }

    /// A range of the caller's, [`SavedStatistics::bytes`] for each ghost batch. That the range has them is
    /// checked when it is bound.
    pub fn in_range(range: impl Into<BufferRange>, channels: usize) -> Self {
        Self { range: range.into(), channels, origin: Arc::default() }
    }

    /// The statistics of the last forward pass that was submitted, one for each ghost batch that the buffer
    /// has room for. The buffer needs usage `COPY_SRC`.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for the copy or is lost.
    pub async fn download_groups(&self, context: &Context) -> Result<Vec<BatchStatistics>, DeviceError> {
        let planes: Vec<f32> = download(context, "saved", &self.range).await?;
        let group_words = self.channels.max(1).saturating_mul(crate::plan::PLANES as usize);
        let statistics = |group: &[f32]| {
            let plane = |i: usize| group.iter().skip(i * self.channels).take(self.channels).copied();
            let count = plane(6).next().unwrap_or_default();
            BatchStatistics { mean: plane(0).collect(), var: plane(2).collect(), count }
        };
        Ok(planes.chunks_exact(group_words).map(statistics).collect())
    }

    /// Mean and biased variance of the last forward pass that was submitted; of its first ghost batch. The
    /// buffer needs usage `COPY_SRC`.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no memory for the copy or is lost.
    pub async fn download(&self, context: &Context) -> Result<BatchStatistics, DeviceError> {
        let groups = self.download_groups(context).await?;
        let none = || BatchStatistics { mean: Vec::new(), var: Vec::new(), count: 0.0 };
        Ok(groups.into_iter().next().unwrap_or_else(none))
    }

    /// The blocking twin of [`SavedStatistics::download`].
    ///
    /// # Errors
    /// As [`SavedStatistics::download`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download_blocking(&self, context: &Context) -> Result<BatchStatistics, DeviceError> {
        pollster::block_on(self.download(context))
    }

    /// Where it lies.
    pub fn range(&self) -> &BufferRange {
        &self.range
    }

    /// What tells it from every other one: clones have the same identity.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.origin).addr()
    }

    pub(crate) fn origin(&self) -> Option<Origin> {
        *lock(&self.origin)
    }

    pub(crate) fn set_origin(&self, origin: Origin) {
        *lock(&self.origin) = Some(origin);
    }
}

/// Whether a range can be copied to the host.
fn check_readable(what: &str, range: &BufferRange) -> Result<(), DeviceError> {
    let BufferRange { buffer, offset, size, .. } = range;
    let unreadable = |reason: String| Err(DeviceError::Unreadable { what: what.into(), reason });
    let alignment = wgpu::COPY_BUFFER_ALIGNMENT;
    if offset.checked_add(*size).is_none_or(|end| end > buffer.size()) {
        return unreadable(format!(
            "{size} bytes from {offset} on are beyond its buffer of {} bytes",
            buffer.size()
        ));
    }
    if !offset.is_multiple_of(alignment) || !size.is_multiple_of(alignment) {
        return unreadable(format!(
            "{size} bytes from {offset} on are not a whole number of {alignment} bytes"
        ));
    }
    if !buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
        return unreadable(format!(
            "its buffer has usage {:?}: add COPY_SRC when creating it",
            buffer.usage()
        ));
    }
    Ok(())
}

/// The contents of a range, after everything that was submitted before.
pub(crate) async fn download<T: bytemuck::Pod>(
    context: &Context,
    what: &str,
    range: &BufferRange,
) -> Result<Vec<T>, DeviceError> {
    let bytes = submit_download(context, what, range)?.finish().await?;
    Ok(bytemuck::pod_collect_to_vec(&bytes))
}

/// Submits a copy of the contents of a range to the host, after everything that was submitted before.
pub(crate) fn submit_download(
    context: &Context,
    what: &str,
    range: &BufferRange,
) -> Result<Download, DeviceError> {
    context.check_alive()?;
    check_readable(what, range)?;
    Download::submit(context.checked(), what, &range.buffer, range.offset, range.size)
}
