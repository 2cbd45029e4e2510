//! Batch normalization over the samples of several replicas: devices, processes or hosts.

mod exchange;
#[cfg(not(target_arch = "wasm32"))]
mod in_process;
mod in_tasks;
mod message;
mod passes;
mod phases;
mod rendezvous;
mod sequence;

pub use exchange::{Exchange, ExchangeError, Round};
#[cfg(not(target_arch = "wasm32"))]
pub use in_process::InProcess;
pub use in_tasks::InTasks;
pub use phases::{Begun, Received, Sent};
pub use sequence::Sequence;

use crate::batch_norm::{BatchNorm, BatchNormError};
use crate::buffer::BufferRange;
use crate::device::DeviceError;
use crate::plan::Accumulation;
use crate::state::{RunningStatistics, SavedStatistics};
use std::sync::Mutex;
use thiserror::Error;

/// A batch normalization layer whose statistics and gradients are those of the samples of all replicas
/// (PyTorch's `SyncBatchNorm`).
///
/// Each replica takes the statistics of its own samples, which are merged to one record `{count, mean_hi,
/// mean_lo, M2}` a channel; the records are exchanged, and merged in the order of the ranks on each replica, which
/// so gets the same bits. Backward the same with `{Σdy, Σdy·x̂}`: dγ and dβ are the totals over all replicas, so
/// they must not be added up again. A replica without samples takes part too.
///
/// Every pass submits, waits for its records and submits again; passes in evaluation need no exchange, and are
/// those of the layer itself. `submit_…` runs a whole pass; `begin_…` returns as soon as the local half is submitted,
/// and leaves it to the caller when to wait, with what beside it, and which passes share a message ([`Begun::join`]).
///
/// # When to synchronize
///
/// A variance of m values is off by a relative √(2/m) or so, whatever the network: with 2 samples of 1×1 values it says
/// nothing, with 32 samples of 56×56 it is exact for all purposes. Synchronize where N·S on one device is below a few
/// hundred in some layer: few samples a device (detection, segmentation, large 3-D inputs), late layers with small
/// images, fully connected ones; or where results must not depend on the number of devices. Otherwise do not: each
/// layer then waits for the slowest replica twice a step, and for two copies between device and host, however fast the
/// transport is. Between the two: synchronize within small groups, each of which has values enough (each group is then
/// an exchange of its own, and so are its running statistics).
///
/// # What it costs
///
/// A pass moves what the plain one does. On top come 36 + 20·C bytes forward and 36 + 16·C backward that every
/// replica sends to every other; a copy of those bytes to the host and of all replicas' bytes back; and the wait for
/// the last replica. `wgpu-batchnorm-mpi` measures these and predicts them for other numbers of replicas.
///
/// # Work in between
///
/// ```no_run
/// # use wgpu_batchnorm::*;
/// # fn record_other_work() {}
/// # async fn two_branches<E: Exchange>(
/// #     [left, right]: [&Synchronized<E>; 2],
/// #     shape: &Shape,
/// #     [in_left, in_right]: [&ForwardTensors<'_>; 2],
/// # ) -> Result<(), SyncError> {
/// // Two layers of parallel branches, in one message.
/// let begun = left.begin_forward(shape, in_left)?.join(right.begin_forward(shape, in_right)?)?;
/// record_other_work();                  // while the device takes the statistics
/// let sent = begun.send().await?;       // waits for the device
/// record_other_work();                  // while the messages travel
/// sent.finish()?;                       // waits for the other replicas
/// # Ok(())
/// # }
/// ```
///
/// # The equations
///
/// ```text
/// forward    (m, mean, M2) = ⊕ᵣ (mᵣ, meanᵣ, M2ᵣ)   with Chan's merge, M2 = Σ(x − mean)²
/// backward   (Σg, Σg·x̂)   = Σᵣ (Σgᵣ, Σgᵣ·x̂ᵣ)
/// ```
///
/// ```no_run
/// use wgpu_batchnorm::*;
///
/// // Two replicas in threads of their own; they could be processes or hosts with another Exchange.
/// let threads: Vec<_> = InProcess::group(2)
///     .into_iter()
///     .map(|end| {
///         std::thread::spawn(move || -> Result<BatchStatistics, Box<dyn std::error::Error + Send + Sync>> {
///             let context = Context::new_blocking()?;
///             let options = Options { weight: false, bias: false, running_statistics: false, ..Options::new(3) };
///             let synchronized = Synchronized::new(&BatchNorm::new(&context, options)?, end);
///             let shape = Shape::new(&[2, 3, 8, 8], Layout::ChannelsFirst)?;
///             let (x, y) = (Tensor::zeros(&context, shape)?, Tensor::zeros(&context, shape)?);
///             let saved = SavedStatistics::new(&context, 3)?;
///             let tensors = ForwardTensors::new(x.range().clone(), y.range().clone(), &saved);
///             pollster::block_on(synchronized.submit_forward(&shape, &tensors))?;
///             Ok(saved.download_blocking(&context)?)
///         })
///     })
///     .collect();
/// for thread in threads {
///     let statistics = thread.join().map_err(|_| "a thread panicked")??;
///     assert_eq!(statistics.count, 2.0 * 128.0);
/// }
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Debug)]
pub struct Synchronized<E> {
    batch_norm: BatchNorm,
    exchange: E,
    /// Its number among the layers of the exchange.
    layer: u32,
    /// Buffers for records that no pass uses now.
    records: Mutex<Vec<wgpu::Buffer>>,
}

/// Why a synchronized pass failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The pass was refused on this replica; it has exchanged nothing then, and the others wait. It counts all the same:
    /// if this replica goes on with another pass, all are told by [`SyncError::Disagree`].
    #[error(transparent)]
    BatchNorm(#[from] BatchNormError),
    /// The messages were not exchanged.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Another replica runs another layer, or another pass.
    #[error(
        "replica {rank} has {what} {actual}, expected {expected} as on this one: give all the same layers, options and passes, in the same order; a pass that was refused or dropped counts too"
    )]
    Disagree {
        /// The other replica.
        rank: usize,
        /// What they do not agree on.
        what: &'static str,
        /// Its value there.
        actual: String,
        /// Its value here.
        expected: String,
    },
    /// A message is none of a replica of this layer.
    #[error(
        "the message of replica {rank} has {actual} bytes and is none of this version, expected {expected}: check the transport and the versions, and that all replicas join the same passes"
    )]
    Malformed {
        /// The other replica.
        rank: usize,
        /// Bytes of its message.
        actual: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// The transport did not bring one message of each replica.
    #[error(
        "the transport brought {actual} messages, expected {expected}, one of each replica in the order of their ranks: check its all_gather"
    )]
    Messages {
        /// The messages it brought.
        actual: usize,
        /// The number of replicas.
        expected: usize,
    },
    /// The transport has brought the messages in another order.
    #[error(
        "message {rank} is not the one that this replica, of rank {rank}, has given: check the order of its all_gather"
    )]
    Misplaced {
        /// The rank of this replica.
        rank: usize,
    },
    /// The transport says something impossible of this replica.
    #[error("rank {rank} of {replicas} replicas, expected a rank below their number: check the transport")]
    Rank {
        /// The rank of this replica.
        rank: usize,
        /// The number of replicas.
        replicas: usize,
    },
    /// Passes of different exchanges were to share one message.
    #[error(
        "the pass that joins is of rank {} of {} replicas, expected {} of {}: join passes of one exchange only",
        actual[0], actual[1], expected[0], expected[1]
    )]
    Join {
        /// Rank and number of replicas of the one that joins.
        actual: [usize; 2],
        /// Those of the one that is joined.
        expected: [usize; 2],
    },
    /// Replicas share the statistics of all their samples.
    #[error(
        "the layer has ghost batches of {ghost_batch} samples, expected none in a synchronized pass: set Options::ghost_batch to None"
    )]
    GhostBatches {
        /// Samples of a ghost batch.
        ghost_batch: usize,
    },
    /// All replicas together have too few values for a variance.
    #[error(
        "all replicas together have {actual} values per channel, expected more than 1 in training: use larger batches"
    )]
    TooFewValues {
        /// Values of a channel.
        actual: u64,
    },
}

impl From<DeviceError> for SyncError {
    fn from(error: DeviceError) -> Self {
        Self::BatchNorm(error.into())
    }
}

/// What a replica without samples takes part with: what its forward passes update.
#[derive(Clone, Debug)]
pub struct WithoutSamples<'a> {
    /// γ and β, `[C]` f32; given exactly if the layer's options have them.
    pub parameters: [Option<BufferRange>; 2],
    /// Given exactly if [`Options::running_statistics`](crate::Options::running_statistics).
    pub running: Option<&'a RunningStatistics>,
    /// Where the statistics go.
    pub saved: &'a SavedStatistics,
}

/// What a replica without samples gets of a backward pass.
#[derive(Clone, Debug)]
pub struct GradientsWithoutSamples<'a> {
    /// What its forward pass saved.
    pub saved: &'a SavedStatistics,
    /// Gradient with respect to γ over all replicas, and whether it is added to what is there.
    pub dweight: Option<(BufferRange, Accumulation)>,
    /// Gradient with respect to β over all replicas, and whether it is added to what is there.
    pub dbias: Option<(BufferRange, Accumulation)>,
}
