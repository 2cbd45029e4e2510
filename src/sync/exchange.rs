//! How replicas tell one another what they found: the transport.

use super::Sequence;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;

/// A transport between replicas of a layer: every replica gives a message, and gets those of all.
///
/// This is all that a transport has to do; what the messages hold is the library's. A synchronized pass is one
/// exchange, of 36 + 20·C bytes a replica forward and 36 + 16·C backward; [`Begun::join`](crate::Begun::join) makes
/// one exchange of several passes. All replicas must make the same layers, begin the same passes and start the same
/// exchanges, each in the same order.
///
/// An exchange that has failed is over: from then on every call fails, on this replica and, once they learn of it,
/// on the others, since they would no longer agree on which exchange comes next.
///
/// A reference is an exchange too, and so are an [`Rc`] and an [`Arc`], so that many layers can share one:
/// `Synchronized::new(&batch_norm, &exchange)`.
///
/// # Writing one
///
/// [`Exchange::all_gather`] is enough; a transport that can move messages while the caller does something else also has
/// an [`Exchange::start`] of its own.
///
/// ```
/// use wgpu_batchnorm::{Exchange, ExchangeError, Sequence};
///
/// /// The least there is: one replica.
/// #[derive(Default)]
/// struct Alone {
///     sequence: Sequence,
/// }
///
/// impl Exchange for Alone {
///     fn rank(&self) -> usize {
///         0
///     }
///
///     fn replicas(&self) -> usize {
///         1
///     }
///
///     fn sequence(&self) -> &Sequence {
///         &self.sequence
///     }
///
///     fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
///         Ok(vec![message.to_vec()])
///     }
/// }
/// # assert_eq!(Alone::default().all_gather(&[1, 2])?, [[1, 2]]);
/// # Ok::<(), ExchangeError>(())
/// ```
///
/// With more of them,
/// - bring every message to every replica, bit for bit and whatever its length: they differ where replicas disagree, which
///   is found out by reading them; replicas merge them in the order of their ranks, so that all get the same bits;
/// - keep the rounds apart: the k-th message of a replica belongs to the k-th round, though a fast replica may be ahead;
/// - wait no longer than a limit that the caller sets, also where it is asked again and again, and name who is missing;
/// - fail as a whole: once a replica has given up a round, no other one may complete that or a later one unawares, so tell
///   the others which round was the first that it does not take part in. The same goes for a replica that is dropped.
///
/// The package `wgpu-batchnorm-exchange-tests` tests all of this, with messages alone and with passes on a device;
/// [`InProcess`](crate::InProcess) is a short implementation, `wgpu-batchnorm-mpi` a long one.
pub trait Exchange {
    /// The number of this replica, from 0 on.
    fn rank(&self) -> usize;

    /// How many replicas there are.
    fn replicas(&self) -> usize;

    /// How many layers and passes this end has had. The library counts them; a transport keeps them beside its end,
    /// one for all layers that share it.
    fn sequence(&self) -> &Sequence;

    /// Gives `message` to every replica, and returns those of all in the order of their ranks, this one's
    /// included. Blocks until all have arrived. Messages may differ in length.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left or does not arrive.
    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError>;

    /// Starts an exchange, and returns before the others have to have arrived; several may be under way, and may
    /// be waited for in any order. Unless a transport does better, it is [`Exchange::all_gather`], done at once.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left.
    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        Ok(Box::new(Done(self.all_gather(&message)?)))
    }
}

/// An exchange under way. To drop it before it is complete is to leave: the others get [`ExchangeError::Left`].
pub trait Round {
    /// Moves messages as far as that takes no waiting, and says whether all are there. The limit counts from when it is
    /// first asked, so that a loop ends too.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left, or has not arrived within the limit.
    fn is_complete(&mut self) -> Result<bool, ExchangeError>;

    /// Ready as soon as [`Round::wait`] does not block, and has the task woken then: for replicas that are tasks, and
    /// must not block their thread. A transport that cannot do that is ready at once, and leaves it to `wait` to block.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left, or has not arrived within the limit.
    fn poll_complete(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let _ = context;
        Poll::Ready(Ok(()))
    }

    /// Blocks until the messages of all have arrived, and returns them in the order of their ranks. Of the limit, what
    /// has passed since [`Round::is_complete`] was first asked is over.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left or does not arrive.
    fn wait(self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError>;
}

impl dyn Round + '_ {
    /// Waits as [`Round::wait`] does, without blocking the thread if the transport can do so, as
    /// [`InTasks`](crate::InTasks) can.
    ///
    /// # Errors
    /// [`ExchangeError`] if a replica has left or does not arrive.
    pub async fn gathered(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        std::future::poll_fn(|context| self.poll_complete(context)).await?;
        self.wait()
    }
}

/// One that was complete when it was started.
struct Done(Vec<Vec<u8>>);

impl Round for Done {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        Ok(true)
    }

    fn wait(self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        Ok(self.0)
    }
}

macro_rules! shared {
    ($($pointer:ty),*) => {$(
        impl<E: Exchange + ?Sized> Exchange for $pointer {
            fn rank(&self) -> usize {
                (**self).rank()
            }

            fn replicas(&self) -> usize {
                (**self).replicas()
            }

            fn sequence(&self) -> &Sequence {
                (**self).sequence()
            }

            fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
                (**self).all_gather(message)
            }

            fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
                (**self).start(message)
            }
        }
    )*};
}

shared!(&E, Box<E>, Rc<E>, Arc<E>);

/// Why messages were not exchanged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// A replica is gone for good, or has given up waiting; this one too, after an error.
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
