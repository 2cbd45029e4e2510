//! Messages that wait for those of all replicas of one process: what threads and tasks have in common.

use super::exchange::ExchangeError;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Rendezvous {
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

impl Table {
    fn is_complete(&self) -> bool {
        self.messages.iter().all(Option::is_some)
    }
}

impl Rendezvous {
    pub(super) fn new(replicas: usize) -> Self {
        Self { rounds: BTreeMap::new(), gone: vec![None; replicas] }
    }

    pub(super) fn replicas(&self) -> usize {
        self.gone.len()
    }

    /// Brings the message of a replica for a round.
    pub(super) fn bring(&mut self, rank: usize, round: u64, message: Vec<u8>) -> Result<(), ExchangeError> {
        self.is_complete(round)?;
        let replicas = self.replicas();
        let empty = || Table { messages: vec![None; replicas], taken: 0 };
        let table = self.rounds.entry(round).or_insert_with(empty);
        if let Some(place) = table.messages.get_mut(rank) {
            *place = Some(message);
        }
        Ok(())
    }

    /// Whether all messages of a round are there; an error if they never will be.
    pub(super) fn is_complete(&self, round: u64) -> Result<bool, ExchangeError> {
        if let Some(rank) = self.gone.iter().position(|gone| gone.is_some_and(|first| first <= round)) {
            return Err(ExchangeError::Left { rank });
        }
        Ok(self.rounds.get(&round).is_some_and(Table::is_complete))
    }

    /// The messages of a round for one replica, if all are there. The last one to take them takes them away.
    pub(super) fn take(&mut self, round: u64) -> Result<Option<Vec<Vec<u8>>>, ExchangeError> {
        self.is_complete(round)?;
        let replicas = self.replicas();
        let Some(table) = self.rounds.get_mut(&round).filter(|table| table.is_complete()) else {
            return Ok(None);
        };
        table.taken += 1;
        if table.taken < replicas {
            return Ok(Some(table.messages.iter().flatten().cloned().collect()));
        }
        let table = self.rounds.remove(&round);
        Ok(table.map(|table| table.messages.into_iter().flatten().collect()))
    }

    /// The replicas whose messages are missing.
    pub(super) fn missing(&self, round: u64) -> Vec<usize> {
        let messages = self.rounds.get(&round).map_or(&[][..], |table| &table.messages);
        let absent = messages.iter().enumerate().filter(|(_, message)| message.is_none());
        absent.map(|(rank, _)| rank).collect()
    }

    /// A replica takes no part in `round` or any after it.
    pub(super) fn leave(&mut self, rank: usize, round: u64) {
        if let Some(gone) = self.gone.get_mut(rank) {
            *gone = Some(gone.map_or(round, |gone| gone.min(round)));
        }
    }
}
