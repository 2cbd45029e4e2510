//! How ranks tell one another that they leave, and what becomes of a communicator that they have left.

use mpi::topology::{Communicator as _, SimpleCommunicator};
use mpi::traits::Source as _;
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::os::raw::c_int;

/// The tag of the message that a rank leaves with; those of the steps are above it.
pub(crate) const FAREWELL: c_int = 1;

thread_local! {
    /// Communicators of exchanges that this thread has left, and others not yet.
    pub(crate) static GRAVES: RefCell<Vec<Grave>> = const { RefCell::new(Vec::new()) };
}

/// A communicator that may be freed once nothing is under way in it. MPI gives the number of a freed communicator to a
/// new one, which would receive what was still under way.
pub(crate) struct Grave {
    pub(crate) comm: ManuallyDrop<SimpleCommunicator>,
    pub(crate) started: u64,
    pub(crate) gone: Vec<Option<u64>>,
}

/// Frees communicators that all ranks have left. One in which a round has failed may have messages that nobody ever
/// receives, and is left to the end of MPI.
pub(crate) fn reap(graves: &mut Vec<Grave>) {
    let waiting = mem::take(graves).into_iter().filter_map(|mut grave| {
        note_farewells(&grave.comm, &mut grave.gone);
        let has_failed = |gone: &Option<u64>| gone.is_some_and(|first| first != grave.started);
        if grave.gone.iter().any(has_failed) {
            return None;
        }
        if grave.gone.iter().any(Option::is_none) {
            return Some(grave);
        }
        drop(ManuallyDrop::into_inner(grave.comm));
        None
    });
    *graves = waiting.collect();
}

/// Takes note of who has left, and from which round on.
pub(crate) fn note_farewells(comm: &SimpleCommunicator, gone: &mut [Option<u64>]) {
    while let Some((message, status)) = comm.any_process().immediate_matched_probe_with_tag(FAREWELL) {
        let mut first = [0u8; 8];
        message.matched_receive_into(&mut first[..]);
        let rank = usize::try_from(status.source_rank()).unwrap_or(usize::MAX);
        if let Some(gone) = gone.get_mut(rank) {
            *gone = Some(u64::from_le_bytes(first));
        }
    }
}
