//! Replicas on several devices of one process, each in a thread of its own.

use super::Sequence;
use super::exchange::{Exchange, ExchangeError, Round};
use super::rendezvous::Rendezvous;
use crate::context::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

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
    /// The next round that this end starts.
    next: AtomicU64,
    sequence: Sequence,
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
        let end = |rank| Self {
            rank,
            limit: Self::LIMIT,
            next: AtomicU64::new(0),
            sequence: Sequence::new(),
            shared: shared.clone(),
        };
        (0..replicas).map(end).collect()
    }

    /// The same end, which waits so long for the others.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Takes no part in `round` or any after it.
    fn leave(&self, round: u64) {
        lock(&self.shared.rendezvous).leave(self.rank, round);
        self.shared.changed.notify_all();
    }
}

impl Exchange for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        lock(&self.shared.rendezvous).replicas()
    }

    fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.start(message.to_vec())?.wait()
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared.rendezvous).bring(self.rank, number, message)?;
        self.shared.changed.notify_all();
        Ok(Box::new(Meeting { end: self, number, asked: None, is_over: false }))
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.leave(self.next.load(Ordering::Relaxed));
    }
}

/// A round under way.
struct Meeting<'a> {
    end: &'a InProcess,
    number: u64,
    /// When it was first asked for.
    asked: Option<Instant>,
    is_over: bool,
}

impl Round for Meeting<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        let Self { end, number, .. } = *self;
        let rendezvous = lock(&end.shared.rendezvous);
        if rendezvous.is_complete(number)? {
            return Ok(true);
        }
        if self.asked.get_or_insert_with(Instant::now).elapsed() < end.limit {
            return Ok(false);
        }
        let missing = rendezvous.missing(number);
        drop(rendezvous);
        end.leave(number);
        Err(ExchangeError::TimedOut { missing, limit: end.limit })
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let Shared { rendezvous, changed } = &*self.end.shared;
        let (number, limit) = (self.number, self.end.limit);
        let left = limit.saturating_sub(self.asked.map_or(Duration::ZERO, |asked| asked.elapsed()));
        let waits = |rendezvous: &mut Rendezvous| matches!(rendezvous.is_complete(number), Ok(false));
        let (mut rendezvous, _) =
            changed.wait_timeout_while(lock(rendezvous), left, waits).unwrap_or_else(PoisonError::into_inner);
        if let Some(messages) = rendezvous.take(number)? {
            self.is_over = true;
            return Ok(messages);
        }
        Err(ExchangeError::TimedOut { missing: rendezvous.missing(number), limit })
    }
}

impl Drop for Meeting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end.leave(self.number);
        }
    }
}
