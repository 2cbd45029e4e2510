//! Replicas on several devices of one process, each in a thread of its own.

use super::exchange::{Exchange, ExchangeError};
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
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Exchanges that are done.
    rounds: u64,
    /// What has arrived for the next one.
    arrived: Vec<Option<Vec<u8>>>,
    /// The messages of the last one. The next one cannot end before all have taken them.
    last: Vec<Vec<u8>>,
    /// The first replica that has left.
    left: Option<usize>,
}

impl InProcess {
    /// How long a replica waits for the others, unless [`InProcess::with_limit`] says otherwise.
    pub const LIMIT: Duration = Duration::from_secs(60);

    /// The ends of an exchange between so many replicas, in the order of their ranks.
    pub fn group(replicas: usize) -> Vec<Self> {
        let state = State { rounds: 0, arrived: vec![None; replicas], last: Vec::new(), left: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
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
        lock(&self.shared.state).arrived.len()
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let Shared { state, changed } = &*self.shared;
        let mut state = lock(state);
        if let Some(rank) = state.left {
            return Err(ExchangeError::Left { rank });
        }
        let round = state.rounds;
        if let Some(place) = state.arrived.get_mut(self.rank) {
            *place = Some(message.to_vec());
        }
        if state.arrived.iter().all(Option::is_some) {
            state.last = state.arrived.iter_mut().filter_map(Option::take).collect();
            state.rounds += 1;
            changed.notify_all();
            return Ok(state.last.clone());
        }
        let waits = |state: &mut State| state.rounds == round && state.left.is_none();
        let (mut state, _) =
            changed.wait_timeout_while(state, self.limit, waits).unwrap_or_else(PoisonError::into_inner);
        if state.rounds > round {
            return Ok(state.last.clone());
        }
        if let Some(rank) = state.left {
            return Err(ExchangeError::Left { rank });
        }
        let arrived = state.arrived.iter().enumerate();
        let missing = arrived.filter(|(_, message)| message.is_none()).map(|(rank, _)| rank).collect();
        // Nobody may take this message for one of a later round.
        if let Some(place) = state.arrived.get_mut(self.rank) {
            *place = None;
        }
        Err(ExchangeError::TimedOut { missing, limit: self.limit })
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        lock(&self.shared.state).left.get_or_insert(self.rank);
        self.shared.changed.notify_all();
    }
}
