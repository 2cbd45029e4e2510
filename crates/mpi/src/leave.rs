//! How ranks tell one another that they leave, and what becomes of a communicator that they have left.

use crate::MpiError;
use crate::transfer::Receiving;
use mpi::topology::SimpleCommunicator;
use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::os::raw::c_int;

/// The tags of the messages that a rank leaves with: those of an exchange, and those of the round before it in which
/// ranks tell their nodes. The tags of the steps are above them.
pub(crate) const LEAVE: c_int = 1;
pub(crate) const LEAVE_NODES: c_int = 2;

/// What a rank says when it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The first round that it takes no part in.
    pub(crate) first: u64,
    /// Ranks that it waited for then.
    pub(crate) missed: Vec<usize>,
}

impl Notice {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let missed = self.missed.iter().map(|rank| *rank as u64);
        [self.first].into_iter().chain(missed).flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        // One without a round is none of this version: the rank takes part in nothing.
        let first = words.next().unwrap_or(0);
        Self { first, missed: words.filter_map(|rank| usize::try_from(rank).ok()).collect() }
    }
}

/// The ranks of an exchange that share a communicator, and who of them has left.
pub(crate) struct Members {
    /// By rank in the exchange, the rank in the communicator, ascending.
    ranks: Vec<usize>,
    gone: Vec<Option<Notice>>,
    /// Notices on their way.
    arriving: Vec<Receiving>,
}

impl Members {
    pub(crate) fn new(ranks: Vec<usize>) -> Self {
        Self { gone: vec![None; ranks.len()], ranks, arriving: Vec::new() }
    }

    /// The rank in the communicator.
    pub(crate) fn in_communicator(&self, rank: usize) -> usize {
        self.ranks.get(rank).copied().unwrap_or(usize::MAX)
    }

    pub(crate) fn notice(&self, rank: usize) -> Option<&Notice> {
        self.gone.get(rank).and_then(Option::as_ref)
    }

    /// Whether a rank of the communicator has left; one of another group never does.
    pub(crate) fn has_left(&self, in_communicator: usize) -> bool {
        self.ranks.binary_search(&in_communicator).is_ok_and(|rank| self.notice(rank).is_some())
    }

    /// Takes note that a rank leaves; of several rounds, the first one counts. Whether that is news.
    pub(crate) fn note(&mut self, rank: usize, notice: Notice) -> bool {
        match self.gone.get_mut(rank) {
            Some(gone) if gone.as_ref().is_none_or(|known| notice.first < known.first) => {
                *gone = Some(notice);
                true
            }
            _ => false,
        }
    }

    /// Who takes no part in a round, if anybody: of several, another one rather than `own`.
    pub(crate) fn gone_from(&self, round: u64, own: usize) -> Option<usize> {
        let is_gone = |gone: &Option<Notice>| gone.as_ref().is_some_and(|notice| notice.first <= round);
        let mut gone = self.gone.iter().enumerate().filter(|(_, gone)| is_gone(gone)).map(|(rank, _)| rank);
        gone.clone().find(|rank| *rank != own).or_else(|| gone.next())
    }

    /// Takes note of what has arrived of those who leave.
    pub(crate) fn receive(&mut self, comm: &SimpleCommunicator, tag: c_int) -> Result<(), MpiError> {
        while let Some(receiving) = Receiving::start(comm, None, tag)? {
            self.arriving.push(receiving);
        }
        for mut receiving in mem::take(&mut self.arriving) {
            match receiving.take()? {
                None => self.arriving.push(receiving),
                Some(bytes) => {
                    if let Ok(rank) = self.ranks.binary_search(&receiving.from()) {
                        self.note(rank, Notice::decode(&bytes));
                    }
                }
            }
        }
        Ok(())
    }

    /// Of ranks that are waited for in a round, those who keep all waiting: who has left because it waited itself passes
    /// it on. All of them if nobody is left then.
    pub(crate) fn culprits(&self, awaited: &[usize], round: u64) -> Vec<usize> {
        let (mut found, mut seen, mut open) = (Vec::new(), vec![false; self.ranks.len()], awaited.to_vec());
        while let Some(rank) = open.pop() {
            if seen.get_mut(rank).is_none_or(|seen| mem::replace(seen, true)) {
                continue;
            }
            match self.notice(rank) {
                Some(notice) if notice.first <= round && !notice.missed.is_empty() => {
                    open.extend(&notice.missed);
                }
                _ => found.push(rank),
            }
        }
        if found.is_empty() {
            found.extend(awaited);
        }
        found.sort_unstable();
        found
    }
}

thread_local! {
    /// Communicators of exchanges that this thread has left, and others not yet.
    pub(crate) static RETIRED: RefCell<Vec<Retired>> = const { RefCell::new(Vec::new()) };
}

/// A communicator that may be freed once nothing is under way in it. MPI gives the number of a freed communicator to a
/// new one, which would receive what was still under way.
pub(crate) struct Retired {
    pub(crate) comm: ManuallyDrop<SimpleCommunicator>,
    pub(crate) leave_tag: c_int,
    pub(crate) started: u64,
    pub(crate) members: Members,
}

/// Frees communicators that all ranks have left. One in which a round has failed may have messages that nobody ever
/// receives, and is left to the end of MPI.
pub(crate) fn free_retired(all: &mut Vec<Retired>) {
    let waiting = mem::take(all).into_iter().filter_map(|mut retired| {
        let is_whole = retired.members.receive(&retired.comm, retired.leave_tag).is_ok();
        let has_failed = |gone: &Option<Notice>| gone.as_ref().is_some_and(|it| it.first != retired.started);
        if !is_whole || retired.members.gone.iter().any(has_failed) {
            return None;
        }
        if retired.members.gone.iter().any(Option::is_none) {
            return Some(retired);
        }
        drop(ManuallyDrop::into_inner(retired.comm));
        None
    });
    *all = waiting.collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_as_written() {
        for missed in [vec![], vec![3], vec![0, 1 << 40]] {
            let notice = Notice { first: 7, missed };
            assert_eq!(Notice::decode(&notice.encode()), notice);
        }
        assert_eq!(Notice::decode(&[1, 2, 3]), Notice::default());
    }

    #[test]
    fn who_only_waited_is_not_to_blame() {
        let mut members = Members::new(vec![0, 2, 4, 6, 8]);
        assert_eq!(members.culprits(&[1, 3], 5), [1, 3]);
        // Rank 1 waited for 2, which waited for 4.
        members.note(1, Notice { first: 5, missed: vec![2] });
        members.note(2, Notice { first: 5, missed: vec![4] });
        assert_eq!(members.culprits(&[1], 5), [4]);
        assert_eq!(members.culprits(&[1, 3], 5), [3, 4]);
        // Of an earlier round nothing is known from that.
        assert_eq!(members.culprits(&[1], 4), [1]);
        // In a circle, and of ranks that are none.
        members.note(4, Notice { first: 5, missed: vec![1, 99] });
        assert_eq!(members.culprits(&[1], 5), [1]);
        // Who has left without waiting for anybody.
        members.note(4, Notice { first: 2, missed: vec![] });
        assert_eq!(members.culprits(&[1], 5), [4]);
    }

    #[test]
    fn the_first_round_counts_that_a_rank_leaves() {
        let mut members = Members::new(vec![0, 1, 2]);
        assert_eq!(members.gone_from(9, 0), None);
        assert!(members.note(1, Notice { first: 5, missed: vec![] }));
        assert!(!members.note(1, Notice { first: 6, missed: vec![] }));
        assert!(members.note(0, Notice { first: 5, missed: vec![] }));
        assert_eq!([4, 5].map(|round| members.gone_from(round, 0)), [None, Some(1)]);
        assert_eq!(members.gone_from(5, 1), Some(0));
    }
}
