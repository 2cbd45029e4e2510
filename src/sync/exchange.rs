//! How replicas tell one another what they found: the transport.

use std::error::Error;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;

/// A transport between replicas of a layer: every replica gives a message, and gets those of all.
///
/// This is all that a transport has to do; what the messages hold is the library's. Synchronized passes call
/// [`Exchange::all_gather`] once forward and once backward, in the same order on each replica.
pub trait Exchange {
    /// The number of this replica, from 0 on.
    fn rank(&self) -> usize;

    /// How many replicas there are.
    fn replicas(&self) -> usize;

    /// Gives `message` to every replica, and returns those of all in the order of their ranks, this one's
    /// included. Blocks until all have arrived. Messages may differ in length.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left or does not arrive.
    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError>;
}

/// A transport that blocks no thread: what [`Exchange`] is, for replicas that are tasks. Every [`Exchange`] is one
/// whose tasks block.
pub trait AsyncExchange {
    /// The number of this replica, from 0 on.
    fn rank(&self) -> usize;

    /// How many replicas there are.
    fn replicas(&self) -> usize;

    /// Gives `message` to every replica, and returns those of all in the order of their ranks, this one's
    /// included, when all have arrived. Messages may differ in length.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left or does not arrive.
    fn all_gather(&self, message: &[u8]) -> impl Future<Output = Result<Vec<Vec<u8>>, ExchangeError>>;
}

impl<E: Exchange> AsyncExchange for E {
    fn rank(&self) -> usize {
        Exchange::rank(self)
    }

    fn replicas(&self) -> usize {
        Exchange::replicas(self)
    }

    async fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        Exchange::all_gather(self, message)
    }
}

/// Why messages were not exchanged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Another replica is gone for good.
    #[error("replica {rank} has left: end the others too, or begin anew without it")]
    Left {
        /// Its number.
        rank: usize,
    },
    /// Other replicas did not come.
    #[error(
        "replicas {missing:?} did not arrive within {limit:?}: each replica must run the same passes in the same order, also one without samples"
    )]
    TimedOut {
        /// The numbers of those that did not.
        missing: Vec<usize>,
        /// How long was waited for them.
        limit: Duration,
    },
    /// The transport failed.
    #[error("the transport failed: {0}")]
    Transport(#[source] Box<dyn Error + Send + Sync>),
}
