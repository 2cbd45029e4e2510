//! [`MpiExchange`]: one rank's end.

use crate::MpiError;
use crate::leave::{LEAVE, LEAVE_NODES, Members, Notice, RETIRED, Retired, free_retired};
use crate::packing::{pack, unpack};
use crate::schedule::{Algorithm, Blocks, Step, steps};
use crate::transfer::{Receiving, Sending};
use crate::waiting::{Backoff, duplicate};
use mpi::environment::{is_finalized, processor_name};
use mpi::topology::{Communicator, SimpleCommunicator};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::os::raw::c_int;
use std::rc::Rc;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{Exchange, ExchangeError, Round, Sequence};

/// One rank's end of an exchange over an MPI communicator.
///
/// Messages are sent and received by MPI's immediate calls, and move while this end is started, asked or waited for:
/// there is no thread behind it. It belongs to the thread that made it, which must be the one that initialized MPI,
/// unless MPI was initialized for more.
///
/// It is made by all ranks of a communicator, in the same order if there are several, and waits for them within the
/// limit. After [`MpiError::NotAllArrived`] a communicator is of no use but to try the same again: MPI cannot take back
/// that it is being duplicated, so that any other call in which all its ranks take part may wait without a limit, as may
/// the making of further communicators.
///
/// To drop it is to leave: before it returns, messages that others still need are delivered, for no longer than the
/// limit. Drop it before the [`Universe`](mpi::environment::Universe).
pub struct MpiExchange {
    /// A duplicate that nobody else uses. Not freed if MPI is gone already.
    comm: ManuallyDrop<SimpleCommunicator>,
    leave_tag: c_int,
    rank: usize,
    size: usize,
    limit: Duration,
    algorithm: Algorithm,
    steps: Vec<Step>,
    sequence: Sequence,
    state: RefCell<State>,
}

struct State {
    /// Rounds that this rank has started.
    started: u64,
    /// By their numbers, those that have not been waited for.
    rounds: BTreeMap<u64, Gathering>,
    /// By step and place in its `from`: messages received so far, one a round, which MPI delivers in order.
    received: Vec<Vec<u64>>,
    sending: Vec<Sending>,
    members: Members,
}

impl State {
    fn new(members: Vec<usize>) -> Self {
        Self {
            started: 0,
            rounds: BTreeMap::new(),
            received: Vec::new(),
            sending: Vec::new(),
            members: Members::new(members),
        }
    }
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
    /// How long, after the limit, a rank waits to hear whom the ranks that it has waited for are waiting for themselves:
    /// they answer at once, unless they are the ones that are missing.
    const INQUIRY: Duration = Duration::from_secs(1);

    /// An exchange between all ranks of a communicator, which waits so long for the others. All of them must call
    /// this; it has a communicator of its own, so that its messages meet no others.
    ///
    /// # Errors
    /// [`MpiError`] if not all ranks arrive within the limit, or MPI knows nothing of threads.
    pub fn over(comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        let comm = duplicate(comm, limit)?;
        RETIRED.with_borrow_mut(free_retired);
        let [rank, size] = [comm.rank(), comm.size()].map(|number| usize::try_from(number).unwrap_or(0));
        let mut exchange = Self {
            comm: ManuallyDrop::new(comm),
            leave_tag: LEAVE,
            rank,
            size,
            limit,
            algorithm: Algorithm::Direct,
            steps: Vec::new(),
            sequence: Sequence::new(),
            state: RefCell::new(State::new(Vec::new())),
        };
        exchange.restrict((0..size).collect());
        Ok(exchange)
    }

    /// An exchange between the ranks of a communicator that share this one's node: those to which MPI gives the same
    /// processor name (`MPI_Get_processor_name`).
    ///
    /// # Errors
    /// As [`MpiExchange::over`]; all ranks of the communicator must call this.
    pub fn within_node(comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        let start = Instant::now();
        let own = processor_name().map_or_else(|error| error.into_bytes(), String::into_bytes);
        let mut exchange = Self::over(comm, limit)?;
        // A round of its own to tell the names, whose end no rank may take for the exchange's.
        exchange.leave_tag = LEAVE_NODES;
        exchange.limit = limit.saturating_sub(start.elapsed());
        let ranks = exchange.size;
        let nodes = exchange.all_gather(&own).map_err(|error| match error {
            ExchangeError::Transport(error) => {
                error.downcast::<MpiError>().map_or(MpiError::NotAllArrived { ranks, limit }, |error| *error)
            }
            _ => MpiError::NotAllArrived { ranks, limit },
        })?;
        exchange.leave_tag = LEAVE;
        exchange.limit = limit;
        let members = nodes.iter().enumerate().filter(|(_, node)| **node == own).map(|(rank, _)| rank);
        exchange.restrict(members.collect());
        Ok(exchange)
    }

    /// An exchange within groups of so many neighbouring ranks of a communicator; the last group may be smaller. With
    /// groups of 1 nothing is synchronized.
    ///
    /// # Errors
    /// [`MpiError::EmptyGroups`], and as [`MpiExchange::over`]; all ranks of the communicator must call this.
    pub fn groups_of(ranks: usize, comm: &impl Communicator, limit: Duration) -> Result<Self, MpiError> {
        if ranks == 0 {
            return Err(MpiError::EmptyGroups { actual: ranks });
        }
        let mut exchange = Self::over(comm, limit)?;
        let first = exchange.rank / ranks * ranks;
        exchange.restrict((first..exchange.size.min(first.saturating_add(ranks))).collect());
        Ok(exchange)
    }

    /// Goes on with these ranks of the communicator alone, from round 0 on. Messages of before are still delivered.
    fn restrict(&mut self, members: Vec<usize>) {
        let own = usize::try_from(self.comm.rank()).unwrap_or(0);
        self.rank = members.iter().position(|rank| *rank == own).unwrap_or(0);
        self.size = members.len();
        let state = self.state.get_mut();
        let sending = mem::take(&mut state.sending);
        *state = State { sending, ..State::new(members) };
        self.go_by(Algorithm::of(self.size));
    }

    fn go_by(&mut self, algorithm: Algorithm) {
        self.algorithm = algorithm;
        self.steps = steps(algorithm, self.rank, self.size);
        self.state.get_mut().received = self.steps.iter().map(|step| vec![0; step.from.len()]).collect();
    }

    /// The same, which goes by another algorithm, as it must on every rank.
    ///
    /// # Errors
    /// [`MpiError::Started`] if it has had a round: others may have sent by the algorithm of before.
    pub fn with_algorithm(mut self, algorithm: Algorithm) -> Result<Self, MpiError> {
        match self.state.get_mut().started {
            0 => {
                self.go_by(algorithm);
                Ok(self)
            }
            rounds => Err(MpiError::Started { rounds }),
        }
    }

    /// The same, which waits so long for the others.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
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
                        let from = state.members.in_communicator(from);
                        if let Some(receiving) = Receiving::start(&self.comm, Some(from), tag)? {
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
                gathering.begin(self, &state.members, &mut state.sending)?;
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

    /// The same, and takes note of who leaves.
    fn hear(&self) -> Result<(), MpiError> {
        self.progress()?;
        self.state.borrow_mut().members.receive(&self.comm, self.leave_tag)
    }

    /// Whether a round is complete; an error if it never will be.
    fn look(&self, number: u64) -> Result<bool, ExchangeError> {
        self.hear()?;
        let state = self.state.borrow();
        if let Some(rank) = state.members.gone_from(number, self.rank) {
            return Err(ExchangeError::Left { rank });
        }
        Ok(state.rounds.get(&number).is_some_and(|gathering| gathering.step == self.steps.len()))
    }

    /// The ranks whose messages a round waits for now.
    fn awaited(&self, number: u64) -> Vec<usize> {
        let state = self.state.borrow();
        let Some(gathering) = state.rounds.get(&number) else { return Vec::new() };
        let from = self.steps.get(gathering.step).map_or(&[][..], |step| &step.from);
        let awaited = from.iter().zip(&gathering.arrivals);
        let awaited = awaited.filter(|(_, arrival)| !matches!(arrival, Arrival::Here));
        awaited.map(|((rank, _), _)| *rank).collect()
    }

    /// Takes no part in round `number` or any after it, and tells the others, and whom it has waited for.
    fn leave(&self, number: u64, missed: Vec<usize>) {
        let state = &mut *self.state.borrow_mut();
        state.rounds.retain(|other, _| *other < number);
        let notice = Notice { first: number, missed };
        let message = Rc::new(notice.encode());
        if !state.members.note(self.rank, notice) {
            return;
        }
        for to in (0..self.size).filter(|to| *to != self.rank) {
            let to = state.members.in_communicator(to);
            // Who cannot be told will miss this rank by itself.
            state.sending.extend(Sending::start(&self.comm, to, self.leave_tag, message.clone()));
        }
    }

    /// Gives up a round, and says who is missing.
    fn time_out(&self, number: u64) -> ExchangeError {
        let awaited = self.awaited(number);
        self.leave(number, awaited.clone());
        if self.algorithm != Algorithm::Direct {
            let start = Instant::now();
            let mut backoff = Backoff::default();
            while start.elapsed() < Self::INQUIRY && self.hear().is_ok() {
                backoff.pause();
            }
        }
        let missing = self.state.borrow().members.culprits(&awaited, number);
        ExchangeError::TimedOut { missing, limit: self.limit }
    }
}

impl Gathering {
    /// Sends what this step sends.
    fn begin(
        &mut self,
        exchange: &MpiExchange,
        members: &Members,
        sending: &mut Vec<Sending>,
    ) -> Result<(), MpiError> {
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
            sending.push(Sending::start(&exchange.comm, members.in_communicator(to), tag, message)?);
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

    fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.start(message.to_vec())?.wait()
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        let number = {
            let state = &mut *self.state.borrow_mut();
            let number = state.started;
            if let Some(rank) = state.members.gone_from(number, self.rank) {
                return Err(ExchangeError::Left { rank });
            }
            state.started += 1;
            let mut blocks = vec![None; self.size];
            if let Some(own) = blocks.get_mut(self.rank) {
                *own = Some(Rc::new(message));
            }
            let mut gathering = Gathering { step: 0, arrivals: Vec::new(), blocks };
            let begun = gathering.begin(self, &state.members, &mut state.sending);
            state.rounds.insert(number, gathering);
            begun.map(|()| number)
        };
        match number {
            Ok(number) => Ok(Box::new(UnderWay { exchange: self, number, asked: None, is_over: false })),
            Err(error) => {
                let number = self.state.borrow().started - 1;
                self.leave(number, Vec::new());
                Err(error.into())
            }
        }
    }
}

impl Drop for MpiExchange {
    fn drop(&mut self) {
        if is_finalized() {
            // MPI has freed what it could; what is left is not to be touched any more.
            mem::forget(mem::replace(self.state.get_mut(), State::new(Vec::new())));
            return;
        }
        let started = self.state.get_mut().started;
        self.leave(started, Vec::new());
        let start = Instant::now();
        let mut backoff = Backoff::default();
        while start.elapsed() < self.limit && self.hear().is_ok() {
            let State { sending, members, .. } = &*self.state.borrow();
            // What failed needs no messages any more.
            let has_failed = members.notice(self.rank).is_none_or(|notice| notice.first != started);
            if has_failed || sending.iter().all(|sending| members.has_left(sending.to())) {
                break;
            }
            backoff.pause();
        }
        let State { started, members, .. } = mem::replace(self.state.get_mut(), State::new(Vec::new()));
        let comm = mem::replace(&mut self.comm, ManuallyDrop::new(SimpleCommunicator::self_comm()));
        RETIRED.with_borrow_mut(|retired| {
            retired.push(Retired { comm, leave_tag: self.leave_tag, started, members });
            free_retired(retired);
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
    /// When it was first asked for.
    asked: Option<Instant>,
    is_over: bool,
}

impl Round for UnderWay<'_> {
    fn is_complete(&mut self) -> Result<bool, ExchangeError> {
        let Self { exchange, number, .. } = *self;
        match exchange.look(number) {
            Ok(false) => {}
            Ok(true) => return Ok(true),
            Err(error) => {
                // At once, not when the caller drops this: whoever has given up asks now whom this rank has waited for.
                exchange.leave(number, exchange.awaited(number));
                return Err(error);
            }
        }
        if self.asked.get_or_insert_with(Instant::now).elapsed() < exchange.limit {
            return Ok(false);
        }
        Err(exchange.time_out(number))
    }

    fn wait(mut self: Box<Self>) -> Result<Vec<Vec<u8>>, ExchangeError> {
        let mut backoff = Backoff::default();
        while !self.is_complete()? {
            backoff.pause();
        }
        self.is_over = true;
        let round = self.exchange.state.borrow_mut().rounds.remove(&self.number);
        let blocks = round.into_iter().flat_map(|round| round.blocks).flatten();
        Ok(blocks.map(Rc::unwrap_or_clone).collect())
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let awaited = self.exchange.awaited(self.number);
            self.exchange.leave(self.number, awaited);
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
