//! Replicas that are tasks of one process: of one thread, as in a browser, or of several.

use super::Sequence;
use super::exchange::{Exchange, ExchangeError, Round};
use super::rendezvous::Rendezvous;
use crate::context::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// One end of an exchange between tasks, which blocks no thread: the tasks of all replicas may run on one.
///
/// Synchronized passes wait as long as the others take; to drop their future, or an end, ends the waiting of the
/// others with [`ExchangeError::Left`]. What blocks elsewhere ([`Round::wait`], [`Exchange::all_gather`]) does not wait
/// here, and fails with [`ExchangeError::TimedOut`] if a message is missing.
///
/// ```
/// use wgpu_batchnorm::{Exchange, InTasks};
///
/// let ends = InTasks::group(2);
/// let (first, mut second) = (ends[0].start(vec![0])?, ends[1].start(vec![1])?);
/// assert!(second.is_complete()?);
/// assert_eq!((first.wait()?, second.wait()?), (vec![vec![0], vec![1]], vec![vec![0], vec![1]]));
/// # Ok::<(), wgpu_batchnorm::ExchangeError>(())
/// ```
#[derive(Debug)]
pub struct InTasks {
    rank: usize,
    /// The next round that this end starts.
    next: AtomicU64,
    sequence: Sequence,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    rendezvous: Rendezvous,
    /// The tasks that wait.
    waiting: Vec<Waker>,
}

impl InTasks {
    /// The ends of an exchange between so many replicas, in the order of their ranks.
    pub fn group(replicas: usize) -> Vec<Self> {
        let shared = Shared { rendezvous: Rendezvous::new(replicas), waiting: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let end =
            |rank| Self { rank, next: AtomicU64::new(0), sequence: Sequence::new(), shared: shared.clone() };
        (0..replicas).map(end).collect()
    }

    /// Takes no part in `round` or any after it.
    fn leave(&self, round: u64) {
        lock(&self.shared).rendezvous.leave(self.rank, round);
        self.wake();
    }

    /// Has the tasks that wait look again. Not under the lock: what a waker runs may take it.
    fn wake(&self) {
        let waiting = std::mem::take(&mut lock(&self.shared).waiting);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Exchange for InTasks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        lock(&self.shared).rendezvous.replicas()
    }

    fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.start(message.to_vec())?.wait()
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.shared).rendezvous.bring(self.rank, number, message)?;
        self.wake();
        Ok(Box::new(Meeting { end: self, number, is_over: false }))
    }
}

impl Drop for InTasks {
    fn drop(&mut self) {
        self.leave(self.next.load(Ordering::Relaxed));
    }
}

/// A round under way.
struct Meeting<'a> {
    end: &'a InTasks,
    number: u64,
    is_over: bool,
}

impl Round for Meeting<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        lock(&self.end.shared).rendezvous.is_complete(self.number)
    }

    fn poll_complete(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let mut shared = lock(&self.end.shared);
        match shared.rendezvous.is_complete(self.number) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                if !shared.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    shared.waiting.push(context.waker().clone());
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let mut shared = lock(&self.end.shared);
        if let Some(messages) = shared.rendezvous.take(self.number)? {
            drop(shared);
            self.is_over = true;
            return Ok(messages);
        }
        let missing = shared.rendezvous.missing(self.number);
        drop(shared);
        Err(ExchangeError::TimedOut { missing, limit: Duration::ZERO })
    }
}

impl Drop for Meeting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end.leave(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Wake;

    fn poll(round: &mut Box<dyn Round + '_>) -> Poll<Result<(), ExchangeError>> {
        round.poll_complete(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_waits_is_ready_when_the_last_one_comes() -> Result<(), ExchangeError> {
        let ends = InTasks::group(2);
        let mut first = ends[0].start(b"first".to_vec())?;
        assert!(poll(&mut first).is_pending());
        let mut second = ends[1].start(b"second".to_vec())?;
        let expected = vec![b"first".to_vec(), b"second".to_vec()];
        for round in [&mut first, &mut second] {
            assert!(matches!(poll(round), Poll::Ready(Ok(()))));
        }
        assert!(matches!(first.wait(), Ok(messages) if messages == expected));
        assert!(matches!(second.wait(), Ok(messages) if messages == expected));
        Ok(())
    }

    #[test]
    fn who_leaves_ends_the_waiting() -> Result<(), ExchangeError> {
        let mut ends = InTasks::group(2);
        let second = ends.pop();
        let mut first = ends[0].start(b"first".to_vec())?;
        assert!(poll(&mut first).is_pending());
        drop(second);
        assert!(matches!(poll(&mut first), Poll::Ready(Err(ExchangeError::Left { rank: 1 }))));
        Ok(())
    }

    /// Counts, and looks at the exchange, as an executor may that polls at once.
    struct Looking {
        end: InTasks,
        wakes: AtomicU64,
    }

    impl Wake for Looking {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.end.replicas(), 2);
            self.wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_waits_is_woken_once_and_may_look_then() -> Result<(), ExchangeError> {
        let mut ends = InTasks::group(2);
        let (second, looking) = (ends.pop(), ends.pop());
        let (Some(second), Some(end)) = (second, looking) else { return Ok(()) };
        let looking = Arc::new(Looking { end, wakes: AtomicU64::new(0) });
        let waker = Waker::from(looking.clone());
        let mut first = looking.end.start(b"first".to_vec())?;
        for _ in 0..3 {
            assert!(first.poll_complete(&mut Context::from_waker(&waker)).is_pending());
        }
        second.start(b"second".to_vec())?.wait()?;
        assert_eq!(looking.wakes.load(Ordering::Relaxed), 1);
        first.wait()?;
        Ok(())
    }

    #[test]
    fn who_cannot_wait_is_told_who_is_missing() -> Result<(), ExchangeError> {
        let ends = InTasks::group(3);
        let first = ends[0].start(b"first".to_vec())?;
        let _third = ends[2].start(b"third".to_vec())?;
        let missing = first.wait().map_err(|error| match error {
            ExchangeError::TimedOut { missing, .. } => missing,
            _ => Vec::new(),
        });
        assert_eq!(missing, Err(vec![1]));
        Ok(())
    }
}
