//! What can go wrong besides ranks that do not arrive.

use mpi::Threading;
use std::time::Duration;
use thiserror::Error;
use wgpu_batchnorm::ExchangeError;

/// Why there is no exchange through MPI, or why it failed.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum MpiError {
    /// MPI may not be used by a program with several threads, as every one that uses wgpu is.
    #[error(
        "MPI supports threads as {actual:?}, expected {expected:?} or more: call mpi::initialize_with_threading(Threading::Funneled)"
    )]
    Threading {
        /// What MPI was initialized with.
        actual: Threading,
        /// The least that is needed.
        expected: Threading,
    },
    /// Not all ranks made the exchange.
    #[error(
        "of {ranks} ranks not all have made this exchange within {limit:?}: call this on each rank of the communicator, in the same order; until it succeeds use the communicator for nothing else"
    )]
    NotAllArrived {
        /// Ranks of the communicator.
        ranks: usize,
        /// How long was waited.
        limit: Duration,
    },
    /// An algorithm is chosen before the first round.
    #[error("the exchange has had {rounds} rounds, expected 0: choose its algorithm where it is made")]
    Started {
        /// Rounds that this rank has started.
        rounds: u64,
    },
    /// Groups must have members.
    #[error("groups of {actual} ranks, expected 1 or more")]
    EmptyGroups {
        /// Ranks of a group.
        actual: usize,
    },
    /// A message is longer than MPI can count.
    #[error(
        "a message of {actual} bytes, expected at most {most}: exchange fewer layers at once, or in smaller groups"
    )]
    TooLong {
        /// Its bytes.
        actual: usize,
        /// The most.
        most: usize,
    },
    /// A message of several records is not built as such.
    #[error(
        "a message of {actual} bytes from rank {rank} does not hold {blocks} records: all ranks must use the same version and algorithm"
    )]
    Malformed {
        /// Who sent it.
        rank: usize,
        /// Its bytes.
        actual: usize,
        /// The records it should hold.
        blocks: usize,
    },
    /// A call of MPI failed.
    #[error("{function} returned {code}, expected 0: see the manual of your MPI for this code")]
    Call {
        /// The function.
        function: &'static str,
        /// What it returned.
        code: i32,
    },
}

impl From<MpiError> for ExchangeError {
    fn from(error: MpiError) -> Self {
        Self::Transport(Box::new(error))
    }
}
