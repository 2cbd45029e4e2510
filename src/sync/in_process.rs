//! Replicas on several devices of one process, each in a thread of its own.

use super::exchange::{Exchange, ExchangeError, Round};
use crate::context::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// The next round that this end starts.
    next: AtomicU64,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// By their numbers, those that have not been taken by all.
    rounds: BTreeMap<u64, Table>,
    /// Of each replica that has left, the first round that it takes no part in.
    gone: Vec<Option<u64>>,
}

/// What has arrived for a round.
#[derive(Debug)]
struct Table {
    messages: Vec<Option<Vec<u8>>>,
    taken: usize,
}

impl InProcess {
    /// How long a replica waits for the others, unless [`InProcess::with_limit`] says otherwise.
    pub const LIMIT: Duration = Duration::from_secs(60);

    /// The ends of an exchange between so many replicas, in the order of their ranks.
    pub fn group(replicas: usize) -> Vec<Self> {
        let state = State { rounds: BTreeMap::new(), gone: vec![None; replicas] };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let end = |rank| Self { rank, limit: Self::LIMIT, next: AtomicU64::new(0), shared: shared.clone() };
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
        let mut state = lock(&self.shared.state);
        if let Some(gone) = state.gone.get_mut(self.rank) {
            *gone = Some(gone.map_or(round, |gone| gone.min(round)));
        }
        self.shared.changed.notify_all();
    }
}

impl State {
    /// The messages of a round if all are there; an error if they never will be.
    fn look(&mut self, round: u64) -> Result<Option<&mut Table>, ExchangeError> {
        if let Some(rank) = self.gone.iter().position(|gone| gone.is_some_and(|first| first <= round)) {
            return Err(ExchangeError::Left { rank });
        }
        let table = self.rounds.get_mut(&round);
        Ok(table.filter(|table| table.messages.iter().all(Option::is_some)))
    }
}

impl Exchange for InProcess {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        lock(&self.shared.state).gone.len()
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.start(message.to_vec())?.wait()
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut state = lock(&self.shared.state);
        state.look(number)?;
        let replicas = state.gone.len();
        let empty = || Table { messages: vec![None; replicas], taken: 0 };
        let table = state.rounds.entry(number).or_insert_with(empty);
        if let Some(place) = table.messages.get_mut(self.rank) {
            *place = Some(message);
        }
        self.shared.changed.notify_all();
        Ok(Box::new(Meeting { end: self, number, is_over: false }))
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
    is_over: bool,
}

impl Round for Meeting<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        Ok(lock(&self.end.shared.state).look(self.number)?.is_some())
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let Shared { state, changed } = &*self.end.shared;
        let (number, limit) = (self.number, self.end.limit);
        let waits = |state: &mut State| matches!(state.look(number), Ok(None));
        let (mut state, _) =
            changed.wait_timeout_while(lock(state), limit, waits).unwrap_or_else(PoisonError::into_inner);
        let replicas = state.gone.len();
        if let Some(table) = state.look(number)? {
            table.taken += 1;
            self.is_over = true;
            if table.taken < replicas {
                return Ok(table.messages.iter().flatten().cloned().collect());
            }
            let table = state.rounds.remove(&number);
            return Ok(table.into_iter().flat_map(|table| table.messages).flatten().collect());
        }
        let messages = state.rounds.get(&number).map_or(&[][..], |table| &table.messages);
        let absent = messages.iter().enumerate().filter(|(_, message)| message.is_none());
        Err(ExchangeError::TimedOut { missing: absent.map(|(rank, _)| rank).collect(), limit })
    }
}

impl Drop for Meeting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end.leave(self.number);
        }
    }
}
