//! Messages that wait for those of all replicas of one process: what threads and tasks have in common.

use super::exchange::ExchangeError;

#[derive(Debug)]
pub(super) struct Rendezvous {
    /// Exchanges that are done.
    rounds: u64,
    /// What has arrived for the next one.
    arrived: Vec<Option<Vec<u8>>>,
    /// The messages of the last one. The next one cannot end before all have taken them.
    last: Vec<Vec<u8>>,
    /// The first replica that has left.
    left: Option<usize>,
}

/// What comes of bringing a message.
pub(super) enum Arrival {
    /// It was the last one: these are all of them, and the others can take theirs.
    Complete(Vec<Vec<u8>>),
    /// Others are missing for this round.
    Awaits(u64),
}

impl Rendezvous {
    pub(super) fn new(replicas: usize) -> Self {
        Self { rounds: 0, arrived: vec![None; replicas], last: Vec::new(), left: None }
    }

    pub(super) fn replicas(&self) -> usize {
        self.arrived.len()
    }

    /// Brings the message of replica `rank` for the next round.
    pub(super) fn arrive(&mut self, rank: usize, message: &[u8]) -> Result<Arrival, ExchangeError> {
        if let Some(rank) = self.left {
            return Err(ExchangeError::Left { rank });
        }
        if let Some(place) = self.arrived.get_mut(rank) {
            *place = Some(message.to_vec());
        }
        if self.arrived.iter().any(Option::is_none) {
            return Ok(Arrival::Awaits(self.rounds));
        }
        self.last = self.arrived.iter_mut().filter_map(Option::take).collect();
        self.rounds += 1;
        Ok(Arrival::Complete(self.last.clone()))
    }

    /// How a round has ended, if it has.
    pub(super) fn outcome(&self, round: u64) -> Option<Result<Vec<Vec<u8>>, ExchangeError>> {
        if self.rounds > round {
            return Some(Ok(self.last.clone()));
        }
        self.left.map(|rank| Err(ExchangeError::Left { rank }))
    }

    /// Takes back the message of a replica that waits no longer: nobody may take it for one of a later round.
    pub(super) fn withdraw(&mut self, rank: usize) {
        if let Some(place) = self.arrived.get_mut(rank) {
            *place = None;
        }
    }

    /// The replicas whose messages are missing.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn missing(&self) -> Vec<usize> {
        let arrived = self.arrived.iter().enumerate();
        arrived.filter(|(_, message)| message.is_none()).map(|(rank, _)| rank).collect()
    }

    pub(super) fn leave(&mut self, rank: usize) {
        self.left.get_or_insert(rank);
    }
}
