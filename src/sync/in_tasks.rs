//! Replicas that are tasks of one process: of one thread, as in a browser, or of several.

use super::exchange::{AsyncExchange, ExchangeError};
use super::rendezvous::{Arrival, Rendezvous};
use crate::context::lock;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// One end of an exchange between tasks, which blocks no thread: the tasks of all replicas may run on one.
///
/// A task waits as long as the others take; dropping its future ends the waiting, and dropping an end ends that of
/// the others with [`ExchangeError::Left`].
///
/// ```
/// use wgpu_batchnorm::{AsyncExchange, InTasks};
///
/// let ends = InTasks::group(2);
/// let [first, second] = [&ends[0], &ends[1]].map(|end| async move { end.all_gather(&[end.rank() as u8]).await });
/// let (first, second) = pollster::block_on(futures_util::future::join(first, second));
/// assert_eq!((first?, second?), (vec![vec![0], vec![1]], vec![vec![0], vec![1]]));
/// # Ok::<(), wgpu_batchnorm::ExchangeError>(())
/// ```
#[derive(Debug)]
pub struct InTasks {
    rank: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    rendezvous: Rendezvous,
    /// The tasks that wait.
    waiting: Vec<Waker>,
}

impl Shared {
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl InTasks {
    /// The ends of an exchange between so many replicas, in the order of their ranks.
    pub fn group(replicas: usize) -> Vec<Self> {
        let shared = Shared { rendezvous: Rendezvous::new(replicas), waiting: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        (0..replicas).map(|rank| Self { rank, shared: shared.clone() }).collect()
    }
}

impl AsyncExchange for InTasks {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        lock(&self.shared).rendezvous.replicas()
    }

    async fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let arrival = {
            let mut shared = lock(&self.shared);
            let arrival = shared.rendezvous.arrive(self.rank, message)?;
            if let Arrival::Complete(_) = arrival {
                shared.wake();
            }
            arrival
        };
        let round = match arrival {
            Arrival::Complete(messages) => return Ok(messages),
            Arrival::Awaits(round) => round,
        };
        let waiting = Waiting { end: self, round };
        std::future::poll_fn(|context| {
            let mut shared = lock(&waiting.end.shared);
            match shared.rendezvous.outcome(round) {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    shared.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A task that waits for the others: if it is dropped before they come, its message goes with it.
struct Waiting<'a> {
    end: &'a InTasks,
    round: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Shared { rendezvous, .. } = &mut *lock(&self.end.shared);
        if rendezvous.outcome(self.round).is_none() {
            rendezvous.withdraw(self.end.rank);
        }
    }
}

impl Drop for InTasks {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.rendezvous.leave(self.rank);
        shared.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Context;

    #[test]
    fn who_waits_no_longer_takes_the_message_back() {
        let ends = InTasks::group(2);
        let mut context = Context::from_waker(Waker::noop());
        {
            let waiting = pin!(ends[0].all_gather(b"old"));
            assert!(waiting.poll(&mut context).is_pending());
        }
        let mut second = pin!(ends[1].all_gather(b"second"));
        assert!(second.as_mut().poll(&mut context).is_pending());
        let first = pin!(ends[0].all_gather(b"new"));
        let expected = vec![b"new".to_vec(), b"second".to_vec()];
        assert!(matches!(first.poll(&mut context), Poll::Ready(Ok(messages)) if messages == expected));
        assert!(matches!(second.poll(&mut context), Poll::Ready(Ok(messages)) if messages == expected));
    }

    #[test]
    fn who_leaves_ends_the_waiting() {
        let mut ends = InTasks::group(2);
        let second = ends.pop();
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(ends[0].all_gather(b"first"));
        assert!(first.as_mut().poll(&mut context).is_pending());
        drop(second);
        let left = Poll::Ready(Err::<Vec<Vec<u8>>, _>(1));
        let outcome = first.poll(&mut context).map_err(|error| match error {
            ExchangeError::Left { rank } => rank,
            _ => usize::MAX,
        });
        assert_eq!(outcome, left);
    }
}
