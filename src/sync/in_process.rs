//! Replicas on several devices of one process, each in a thread of its own.

use super::exchange::{Exchange, ExchangeError};
use super::rendezvous::{Arrival, Rendezvous};
use crate::context::lock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// One end of an exchange between threads.
///
/// ```
/// use wgpu_batchnorm::{Exchange, InProcess};
///
/// let heard = std::thread::scope(|scope| {
///     let threads: Vec<_> = InProcess::group(3)
///         .into_iter()
///         .map(|end| scope.spawn(move || end.all_gather(&[end.rank() as u8])))
///         .collect();
///     threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
/// });
/// for messages in heard {
///     assert_eq!(messages.map_err(|_| "a thread panicked")??, [[0], [1], [2]]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct InProcess {
    rank: usize,
    limit: Duration,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rendezvous: Mutex<Rendezvous>,
    changed: Condvar,
}

impl InProcess {
    /// How long a replica waits for the others, unless [`InProcess::with_limit`] says otherwise.
    pub const LIMIT: Duration = Duration::from_secs(60);

    /// The ends of an exchange between so many replicas, in the order of their ranks.
    pub fn group(replicas: usize) -> Vec<Self> {
        let rendezvous = Mutex::new(Rendezvous::new(replicas));
        let shared = Arc::new(Shared { rendezvous, changed: Condvar::new() });
        (0..replicas).map(|rank| Self { rank, limit: Self::LIMIT, shared: shared.clone() }).collect()
    }

    /// The same end, which waits so long for the others.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Exchange for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        lock(&self.shared.rendezvous).replicas()
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let Shared { rendezvous, changed } = &*self.shared;
        let mut rendezvous = lock(rendezvous);
        let round = match rendezvous.arrive(self.rank, message)? {
            Arrival::Complete(messages) => {
                changed.notify_all();
                return Ok(messages);
            }
            Arrival::Awaits(round) => round,
        };
        let waits = |rendezvous: &mut Rendezvous| rendezvous.outcome(round).is_none();
        let (mut rendezvous, _) =
            changed.wait_timeout_while(rendezvous, self.limit, waits).unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = rendezvous.outcome(round) {
            return outcome;
        }
        let missing = rendezvous.missing();
        rendezvous.withdraw(self.rank);
        Err(ExchangeError::TimedOut { missing, limit: self.limit })
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        lock(&self.shared.rendezvous).leave(self.rank);
        self.shared.changed.notify_all();
    }
}
