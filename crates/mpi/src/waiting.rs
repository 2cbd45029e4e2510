//! Waiting for other ranks, within a limit.

use crate::MpiError;
use mpi::Threading;
use mpi::environment::threading_support;
use mpi::topology::Communicator;
use mpi::traits::CommunicatorCollectives as _;
use std::mem;
use std::time::{Duration, Instant};

/// Waiting for others on cores that they may need: at first by looking again, then by letting others run, and at last
/// by sleeping.
#[derive(Default)]
pub(crate) struct Patience {
    looks: u32,
}

impl Patience {
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

/// Waits until all ranks of a communicator are here, so that what they make together next keeps none waiting.
pub(crate) fn arrive(comm: &impl Communicator, limit: Duration) -> Result<(), MpiError> {
    let actual = threading_support();
    if actual < Threading::Funneled {
        return Err(MpiError::Threading { actual, expected: Threading::Funneled });
    }
    let start = Instant::now();
    let mut patience = Patience::default();
    let mut barrier = comm.immediate_barrier();
    loop {
        match barrier.test() {
            Ok(_) => return Ok(()),
            Err(request) if start.elapsed() >= limit => {
                // A barrier cannot be cancelled, and has no memory of ours.
                mem::forget(request);
                let ranks = usize::try_from(comm.size()).unwrap_or(0);
                return Err(MpiError::NotAllArrived { ranks, limit });
            }
            Err(request) => barrier = request,
        }
        patience.pause();
    }
}
