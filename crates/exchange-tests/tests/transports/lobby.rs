//! How the replicas of one process get their ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wgpu_batchnorm::{Exchange, InProcess, InTasks};
use wgpu_batchnorm_exchange_tests::{Failure, Transport};

/// The ends that have been made and not been taken, by how often the replicas have connected.
type Ends<E> = Arc<Mutex<BTreeMap<usize, Vec<Option<E>>>>>;

/// One replica's way to its ends.
pub(crate) struct Lobby<E> {
    rank: usize,
    replicas: usize,
    connections: usize,
    ends: Ends<E>,
}

impl<E> Lobby<E> {
    /// Of all replicas.
    pub(crate) fn group(replicas: usize) -> Vec<Self> {
        let ends = Ends::<E>::default();
        (0..replicas).map(|rank| Self { rank, replicas, connections: 0, ends: ends.clone() }).collect()
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    fn end(&mut self, group: fn(usize) -> Vec<E>) -> Result<E, Failure> {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || group(self.replicas).into_iter().map(Some).collect();
        let ends = ends.entry(self.connections).or_insert_with(make);
        self.connections += 1;
        Ok(ends.get_mut(self.rank).and_then(Option::take).ok_or("taken twice")?)
    }
}

impl Transport for Lobby<InProcess> {
    type End = InProcess;

    fn connect(&mut self, limit: Duration) -> Result<InProcess, Failure> {
        Ok(self.end(InProcess::group)?.with_limit(limit))
    }
}

impl Transport for Lobby<InTasks> {
    type End = InTasks;

    fn connect(&mut self, _: Duration) -> Result<InTasks, Failure> {
        self.end(InTasks::group)
    }

    fn blocks(&self) -> bool {
        false
    }
}

/// Runs `test` for each replica in a thread of its own; the first failure is told.
pub(crate) fn in_threads<E: Exchange + Send>(
    replicas: usize,
    test: impl Fn(&mut Lobby<E>) -> Result<(), Failure> + Sync,
) -> Result<(), Failure> {
    let results: Vec<_> = std::thread::scope(|scope| {
        let test = &test;
        let start = |mut lobby: Lobby<E>| scope.spawn(move || test(&mut lobby));
        let threads: Vec<_> = Lobby::group(replicas).into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let results = results.into_iter().map(|result| result.unwrap_or_else(|_| Err("a panic".into())));
    first_failure(results)
}

/// The first failure of the results of all replicas.
pub(crate) fn first_failure(results: impl IntoIterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    for (rank, result) in results.into_iter().enumerate() {
        result.map_err(|error| format!("rank {rank}: {error}"))?;
    }
    Ok(())
}
