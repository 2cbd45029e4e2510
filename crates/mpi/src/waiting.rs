//! Waiting for other ranks, within a limit.

use crate::MpiError;
use crate::transfer::Duplicating;
use mpi::Threading;
use mpi::environment::threading_support;
use mpi::topology::{Communicator, SimpleCommunicator};
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// Backs off while waiting for others on cores that they may need: at first by looking again, then by letting others
/// run, and at last by sleeping.
#[derive(Default)]
pub(crate) struct Backoff {
    looks: u32,
}

impl Backoff {
    const SPINS: u32 = 100;
    const YIELDS: u32 = 20_000;

    pub(crate) fn pause(&mut self) {
        self.looks = self.looks.saturating_add(1);
        match self.looks {
            0..Self::SPINS => std::hint::spin_loop(),
            Self::SPINS..Self::YIELDS => std::thread::yield_now(),
            Self::YIELDS.. => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

thread_local! {
    /// Duplicates that this thread has given up waiting for. MPI cannot take them back.
    static GIVEN_UP: RefCell<Vec<Duplicating>> = const { RefCell::new(Vec::new()) };
}

/// A duplicate of a communicator, which all its ranks must make, within a limit.
///
/// One that was given up is taken up again by the next call for the same communicator: MPI pairs the n-th duplication of
/// each rank, and must not have two of one communicator under way.
pub(crate) fn duplicate(comm: &impl Communicator, limit: Duration) -> Result<SimpleCommunicator, MpiError> {
    let actual = threading_support();
    if actual < Threading::Funneled {
        return Err(MpiError::Threading { actual, expected: Threading::Funneled });
    }
    let given_up = GIVEN_UP.with_borrow_mut(|all| {
        let position = all.iter().position(|duplicating| duplicating.is_of(comm))?;
        Some(all.swap_remove(position))
    });
    let mut duplicating = match given_up {
        Some(duplicating) => duplicating,
        None => Duplicating::start(comm)?,
    };
    let start = Instant::now();
    let mut backoff = Backoff::default();
    loop {
        if let Some(duplicate) = duplicating.take()? {
            return Ok(duplicate);
        }
        if start.elapsed() >= limit {
            GIVEN_UP.with_borrow_mut(|all| all.push(duplicating));
            let ranks = usize::try_from(comm.size()).unwrap_or(0);
            return Err(MpiError::NotAllArrived { ranks, limit });
        }
        backoff.pause();
    }
}
