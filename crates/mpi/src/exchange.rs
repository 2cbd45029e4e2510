//! [`MpiExchange`]: one rank's end.

use crate::MpiError;
use crate::leaving::{FAREWELL, GRAVES, Grave, note_farewells, reap};
use crate::packing::{pack, unpack};
use crate::schedule::{Algorithm, Blocks, Step, steps};
use crate::transfer::{Receiving, Sending};
use crate::waiting::{Patience, arrive};
use mpi::environment::is_finalized;
use mpi::topology::{Color, Communicator, SimpleCommunicator};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::os::raw::c_int;
use std::rc::Rc;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{Exchange, ExchangeError, Round};

/// One rank's end of an exchange over an MPI communicator.
///
/// Messages are sent and received by MPI's immediate calls, and move while this end is started, asked or waited for:
/// there is no thread behind it. It belongs to the thread that made it, which must be the one that initialized MPI,
/// unless MPI was initialized for more.
///
/// To drop it is to leave: before it returns, messages that others still need are delivered, for no longer than the
/// limit. Drop it before the [`Universe`](mpi::environment::Universe).
pub struct MpiExchange {
    /// Not freed if MPI is gone already.
    comm: ManuallyDrop<SimpleCommunicator>,
    rank: usize,
    size: usize,
    limit: Duration,
    algorithm: Algorithm,
    steps: Vec<Step>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// Rounds that this rank has started.
    started: u64,
    /// By their numbers, those that have not been waited for.
    rounds: BTreeMap<u64, Gathering>,
    /// By step and place in its `from`: messages received so far, one a round, which MPI delivers in order.
    received: Vec<Vec<u64>>,
    sending: Vec<Sending>,
    /// Of each rank that has left, the first round that it takes no part in.
    gone: Vec<Option<u64>>,
}

/// A round under way.
struct Gathering {
    step: usize,
    /// One for each message of this step.
    arrivals: Vec<Arrival>,
    blocks: Vec<Option<Rc<Vec<u8>>>>,
}

enum Arrival {
    Awaited,
    Coming(Receiving),
    Here,
}

impl MpiExchange {
    /// An exchange between all ranks of a communicator, which waits so long for the others. All of them must call
    /// this; it has a communicator of its own, so that its messages meet no others.
    ///
    /// # Errors
    /// [`MpiError`] if not all ranks arrive within the limit, or MPI knows nothing of threads.
    pub fn over(comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        arrive(comm, limit)?;
        Ok(Self::on(comm.duplicate(), limit))
    }

    /// An exchange between the ranks of a communicator that share this one's node (memory).
    ///
    /// # Errors
    /// As [`MpiExchange::over`]; all ranks of the communicator must call this.
    pub fn within_node(comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        arrive(comm, limit)?;
        Ok(Self::on(comm.split_shared(comm.rank()), limit))
    }

    /// An exchange within groups of so many neighbouring ranks of a communicator; the last group may be smaller. With
    /// groups of 1 nothing is synchronized.
    ///
    /// # Errors
    /// [`MpiError::EmptyGroups`], and as [`MpiExchange::over`]; all ranks of the communicator must call this.
    pub fn groups_of(ranks: usize, comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        let Ok(group @ 1..) = c_int::try_from(ranks) else {
            return Err(MpiError::EmptyGroups { actual: ranks });
        };
        arrive(comm, limit)?;
        let own = comm.split_by_color(Color::with_value(comm.rank() / group));
        // Only a rank without a colour gets no communicator.
        Ok(Self::on(own.unwrap_or_else(|| comm.duplicate()), limit))
    }

    /// On a communicator that nobody else uses.
    fn on(comm: SimpleCommunicator, limit: Duration) -> Self {
        GRAVES.with_borrow_mut(reap);
        let [rank, size] = [comm.rank(), comm.size()].map(|number| usize::try_from(number).unwrap_or(0));
        let exchange = Self {
            comm: ManuallyDrop::new(comm),
            rank,
            size,
            limit,
            algorithm: Algorithm::Direct,
            steps: Vec::new(),
            state: RefCell::new(State { gone: vec![None; size], ..State::default() }),
        };
        exchange.with_algorithm(Algorithm::of(size))
    }

    /// The same, which goes by another algorithm, as it must on every rank. It has to be chosen before the first
    /// exchange.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.steps = steps(algorithm, self.rank, self.size);
        self.state.get_mut().received = self.steps.iter().map(|step| vec![0; step.from.len()]).collect();
        self
    }

    /// How records get from all to all.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How long this rank waits for the others.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Moves all messages as far as that takes no waiting.
    fn progress(&self) -> Result<(), MpiError> {
        let state = &mut *self.state.borrow_mut();
        for (&number, gathering) in &mut state.rounds {
            while let Some(step) = self.steps.get(gathering.step) {
                let counts = state.received.get_mut(gathering.step).map_or(&mut [][..], Vec::as_mut_slice);
                let mut complete = true;
                let awaited = step.from.iter().zip(&mut gathering.arrivals).zip(counts);
                for ((&(from, blocks), arrival), count) in awaited {
                    // An earlier round has to have received its message first.
                    if matches!(arrival, Arrival::Awaited) && *count == number {
                        let tag = tag_of(self.algorithm, gathering.step);
                        if let Some(receiving) = Receiving::start(&self.comm, from, tag)? {
                            *count += 1;
                            *arrival = Arrival::Coming(receiving);
                        }
                    }
                    if let Arrival::Coming(receiving) = arrival
                        && let Some(message) = receiving.take()?
                    {
                        unpack(from, message, blocks, &mut gathering.blocks)?;
                        *arrival = Arrival::Here;
                    }
                    complete &= matches!(arrival, Arrival::Here);
                }
                if !complete {
                    break;
                }
                gathering.step += 1;
                gathering.begin(self, &mut state.sending)?;
            }
        }
        let mut failed = None;
        state.sending.retain_mut(|sending| match sending.is_done() {
            Ok(done) => !done,
            Err(error) => {
                failed = Some(error);
                true
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// Whether a round is complete; an error if it never will be.
    fn look(&self, number: u64) -> Result<bool, ExchangeError> {
        self.progress()?;
        note_farewells(&self.comm, &mut self.state.borrow_mut().gone);
        let state = self.state.borrow();
        let is_gone = |gone: &Option<u64>| gone.is_some_and(|first| first <= number);
        // Of several, another one rather than this.
        let mut gone = state.gone.iter().enumerate().filter(|(_, gone)| is_gone(gone)).map(|(rank, _)| rank);
        if let Some(rank) = gone.clone().find(|rank| *rank != self.rank).or_else(|| gone.next()) {
            return Err(ExchangeError::Left { rank });
        }
        Ok(state.rounds.get(&number).is_some_and(|gathering| gathering.step == self.steps.len()))
    }

    /// Takes no part in round `number` or any after it, and tells the others.
    fn leave(&self, number: u64) {
        let state = &mut *self.state.borrow_mut();
        state.rounds.retain(|other, _| *other < number);
        match state.gone.get_mut(self.rank) {
            Some(own) if own.is_none_or(|first| number < first) => *own = Some(number),
            _ => return,
        }
        let message = Rc::new(number.to_le_bytes().to_vec());
        for to in (0..self.size).filter(|to| *to != self.rank) {
            // Who cannot be told will miss this rank by itself.
            state.sending.extend(Sending::start(&self.comm, to, FAREWELL, message.clone()));
        }
    }
}

impl Gathering {
    /// Sends what this step sends.
    fn begin(&mut self, exchange: &MpiExchange, sending: &mut Vec<Sending>) -> Result<(), MpiError> {
        let Some(step) = exchange.steps.get(self.step) else { return Ok(()) };
        let tag = tag_of(exchange.algorithm, self.step);
        self.arrivals.clear();
        self.arrivals.resize_with(step.from.len(), || Arrival::Awaited);
        let mut packed: Option<(Blocks, Rc<Vec<u8>>)> = None;
        for &(to, blocks) in &step.to {
            let message = match &packed {
                Some((other, message)) if *other == blocks => message.clone(),
                _ => pack(blocks, &self.blocks),
            };
            packed = Some((blocks, message.clone()));
            sending.push(Sending::start(&exchange.comm, to, tag, message)?);
        }
        Ok(())
    }
}

impl Exchange for MpiExchange {
    fn rank(&self) -> usize {
        self.rank
    }

    fn replicas(&self) -> usize {
        self.size
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.start(message.to_vec())?.wait()
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let number = {
            let state = &mut *self.state.borrow_mut();
            let number = state.started;
            if let Some(rank) = state.gone.iter().position(|gone| gone.is_some_and(|first| first <= number)) {
                return Err(ExchangeError::Left { rank });
            }
            state.started += 1;
            let mut blocks = vec![None; self.size];
            if let Some(own) = blocks.get_mut(self.rank) {
                *own = Some(Rc::new(message));
            }
            let mut gathering = Gathering { step: 0, arrivals: Vec::new(), blocks };
            let begun = gathering.begin(self, &mut state.sending);
            state.rounds.insert(number, gathering);
            begun.map(|()| number)
        };
        match number {
            Ok(number) => Ok(Box::new(UnderWay { exchange: self, number, is_over: false })),
            Err(error) => {
                let number = self.state.borrow().started - 1;
                self.leave(number);
                Err(error.into())
            }
        }
    }
}

impl Drop for MpiExchange {
    fn drop(&mut self) {
        if is_finalized() {
            // MPI has freed what it could; what is left is not to be touched any more.
            mem::forget(mem::take(self.state.get_mut()));
            return;
        }
        let started = self.state.get_mut().started;
        self.leave(started);
        // What failed needs no messages any more.
        let is_whole = self.state.get_mut().gone.get(self.rank) == Some(&Some(started));
        let start = Instant::now();
        let mut patience = Patience::default();
        while is_whole && start.elapsed() < self.limit && self.progress().is_ok() {
            note_farewells(&self.comm, &mut self.state.borrow_mut().gone);
            let state = self.state.borrow();
            let is_awaited = |to: usize| state.gone.get(to).is_some_and(Option::is_none);
            if !state.sending.iter().any(|sending| is_awaited(sending.to())) {
                break;
            }
            drop(state);
            patience.pause();
        }
        let State { started, gone, .. } = mem::take(self.state.get_mut());
        let comm = mem::replace(&mut self.comm, ManuallyDrop::new(SimpleCommunicator::self_comm()));
        GRAVES.with_borrow_mut(|graves| {
            graves.push(Grave { comm, started, gone });
            reap(graves);
        });
    }
}

impl fmt::Debug for MpiExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, size, limit, algorithm, .. } = self;
        f.debug_struct("MpiExchange")
            .field("rank", rank)
            .field("size", size)
            .field("limit", limit)
            .field("algorithm", algorithm)
            .finish_non_exhaustive()
    }
}

/// A round that has been started.
struct UnderWay<'a> {
    exchange: &'a MpiExchange,
    number: u64,
    is_over: bool,
}

impl Round for UnderWay<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        self.exchange.look(self.number)
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let MpiExchange { limit, state, .. } = self.exchange;
        let start = Instant::now();
        let mut patience = Patience::default();
        while !self.exchange.look(self.number)? {
            if start.elapsed() >= *limit {
                let state = state.borrow();
                let blocks = state.rounds.get(&self.number).map_or(&[][..], |round| &round.blocks);
                let absent = blocks.iter().enumerate().filter(|(_, block)| block.is_none());
                let missing = absent.map(|(rank, _)| rank).collect();
                return Err(ExchangeError::TimedOut { missing, limit: *limit });
            }
            patience.pause();
        }
        self.is_over = true;
        let round = state.borrow_mut().rounds.remove(&self.number);
        let blocks = round.into_iter().flat_map(|round| round.blocks).flatten();
        Ok(blocks.map(Rc::unwrap_or_clone).collect())
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.exchange.leave(self.number);
        }
    }
}

/// The tag of a step. Ranks that do not agree on the algorithm have none in common: they miss one another, and do not
/// take one record for another. MPI grants tags up to 32,767, and no algorithm has 50 steps.
fn tag_of(algorithm: Algorithm, step: usize) -> c_int {
    let base = match algorithm {
        Algorithm::Direct => 50,
        Algorithm::Bruck => 100,
        Algorithm::TwoLevel { node } => 1000 + 50 * (node % 600),
    };
    c_int::try_from(base + step).unwrap_or(c_int::MAX)
}
