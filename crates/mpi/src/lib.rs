//! Batch normalization over the samples of many devices and hosts: an [`Exchange`](wgpu_batchnorm::Exchange) of
//! `wgpu-batchnorm` through MPI, one rank a device.
//!
//! ```no_run
//! use mpi::Threading;
//! use std::time::Duration;
//! use wgpu_batchnorm::*;
//! use wgpu_batchnorm_mpi::MpiExchange;
//!
//! # type AnyError = Box<dyn std::error::Error + Send + Sync>;
//! // wgpu has threads of its own, none of which calls MPI.
//! let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).ok_or("MPI runs already")?;
//! let exchange = MpiExchange::over(&universe.world(), Duration::from_secs(60))?;
//!
//! let context = Context::new_blocking()?;
//! let options = Options { weight: false, bias: false, running_statistics: false, ..Options::new(64) };
//! let layer = Synchronized::new(&BatchNorm::new(&context, options)?, &exchange); // all layers share the exchange
//! let shape = Shape::new(&[2, 64, 28, 28], Layout::ChannelsFirst)?;
//! let (x, y) = (Tensor::zeros(&context, shape)?, Tensor::zeros(&context, shape)?);
//! let saved = SavedStatistics::new(&context, 64)?;
//! let tensors = ForwardTensors::new(x.range().clone(), y.range().clone(), &saved);
//! pollster::block_on(layer.submit_forward(&shape, &tensors))?;
//! # Ok::<(), AnyError>(())
//! ```
//!
//! Run it with `mpirun -n 4 target/release/program`. `cargo xtask test-mpi` installs what this takes on Debian, and
//! tests it.
//!
//! # The same bits everywhere
//!
//! Every rank gets the records of all and merges them in the order of their ranks. No sum is taken on the way, as
//! `MPI_Allreduce` would in an order of its own, so that each rank has the same bits, in each run, whatever arrives
//! first; and a rank that disagrees on a layer is told so. The price is that every rank receives the records of all:
//! [`model`] says what that costs, and from which size on it pays to synchronize within groups only, or to go through
//! one rank of each node ([`Algorithm::TwoLevel`]).
//!
//! # Groups
//!
//! [`MpiExchange::within_node`] and [`MpiExchange::groups_of`] synchronize the ranks of a node, or so many neighbours;
//! [`MpiExchange::over`] those of any communicator that you have split yourself, which may wait without a limit. Ranks of different groups then have
//! different running statistics.
//!
//! Groups are also what keeps many ranks cheap: every rank receives 36 + 20·C bytes of each other one forward and
//! 36 + 16·C backward, for ResNet-50 0.96 MB of each other rank a training step. With some 32 values a channel and rank,
//! groups of 8 have statistics of 256 values, and more of them hardly change what is learned.
//!
//! # When ranks fail
//!
//! A rank that is killed ends the job: Open MPI's `mpirun` ends the others and names it. One that lives and does not
//! arrive gives the others [`ExchangeError::TimedOut`](wgpu_batchnorm::ExchangeError::TimedOut) after the limit; one that
//! leaves, by an error or by dropping its [`MpiExchange`], gives them
//! [`ExchangeError::Left`](wgpu_batchnorm::ExchangeError::Left). To make an exchange has the limit too, and may be tried
//! again. From then on no exchange of this communicator succeeds on
//! any rank. A program that cannot go on should end itself with a status that is not 0, or call MPI's abort: its
//! `MPI_Finalize` waits for all others.

mod error;
mod exchange;
mod leave;
pub mod model;
mod packing;
mod schedule;
mod transfer;
mod waiting;

pub use error::MpiError;
pub use exchange::MpiExchange;
pub use mpi;
pub use schedule::Algorithm;
