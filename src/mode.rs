//! Which statistics normalize, and what becomes of the running ones.

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Those of the batch; the gradient goes through them.
    Batch,
    /// The running ones as they are before the pass; constants to the gradient.
    Running,
    /// A mean and a variance that the caller gives; the gradient with respect to them can be asked for.
    Given,
}

/// Where the statistics come from that normalize, and whether the running ones take in the batch: two
/// settings of their own, every combination runs.
///
/// ```
/// use wgpu_batchnorm::{Mode, Source};
///
/// // Training with the running statistics, as they are before the batch, and not differentiated through them:
/// // the gradient does not see that the normalization will follow, and γ/σ may grow without end (Ioffe and
/// // Szegedy 2015, section 2).
/// let naive = Mode { source: Source::Running, update: true };
/// assert_ne!(naive, Mode::TRAINING);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Which statistics normalize.
    pub source: Source,
    /// Whether the running statistics, where there are any, take in those of the batch by the rule of
    /// [`Options::momentum`](crate::Options::momentum).
    pub update: bool,
}

impl Mode {
    /// Normalize with the statistics of the batch, and update the running ones where there are any.
    pub const TRAINING: Self = Self { source: Source::Batch, update: true };
    /// Normalize with the running statistics, which stay as they are.
    pub const EVALUATION: Self = Self { source: Source::Running, update: false };
    /// Normalize with given statistics; the running ones stay as they are.
    pub const GIVEN: Self = Self { source: Source::Given, update: false };
}
