//! Messages without passes: what [`Exchange`] promises.

use crate::{Failure, LIMIT, MessageTest, Transport, ensure};
use std::time::{Duration, Instant};
use wgpu_batchnorm::{Exchange, ExchangeError};

pub(crate) fn tests<T: Transport>() -> Vec<MessageTest<T>> {
    vec![
        ("messages_arrive_in_the_order_of_the_ranks", messages_arrive_in_the_order_of_the_ranks),
        ("messages_of_any_length", messages_of_any_length),
        ("rounds_under_way_are_told_apart", rounds_under_way_are_told_apart),
        ("a_round_completes_while_it_is_asked", a_round_completes_while_it_is_asked),
        ("one_that_does_not_come_is_named", one_that_does_not_come_is_named),
        ("one_that_leaves_is_named_soon", one_that_leaves_is_named_soon),
        ("to_drop_a_round_is_to_leave", to_drop_a_round_is_to_leave),
        ("to_leave_after_the_last_round_disturbs_nobody", to_leave_after_the_last_round_disturbs_nobody),
    ]
}

/// What `rank` says in `round`: no two are the same.
fn message(rank: usize, round: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + rank * 31 + round * 101 + i / 251) as u8).collect()
}

/// Fails unless these are the messages of all in `round`.
fn expect(
    heard: &[Vec<u8>],
    replicas: usize,
    round: usize,
    length: impl Fn(usize) -> usize,
) -> Result<(), Failure> {
    ensure(heard.len() == replicas, || format!("{} messages of {replicas} replicas", heard.len()))?;
    for (rank, heard) in heard.iter().enumerate() {
        let said = message(rank, round, length(rank));
        ensure(*heard == said, || {
            format!("round {round}: {} bytes of rank {rank} are not the {} it said", heard.len(), said.len())
        })?;
    }
    Ok(())
}

fn messages_arrive_in_the_order_of_the_ranks<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    ensure(rank < replicas, || format!("rank {rank} of {replicas}"))?;
    for round in 0..100 {
        // Not all at once, and not always the same one last.
        if round % 10 == rank {
            std::thread::sleep(Duration::from_millis(2));
        }
        let heard = end.all_gather(&message(rank, round, 24 + 20 * 64))?;
        expect(&heard, replicas, round, |_| 24 + 20 * 64)?;
    }
    Ok(())
}

fn messages_of_any_length<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for (round, length) in [0usize, 1, 3, 4_096, 65_537, 3_000_001, 1].into_iter().enumerate() {
        // The same of all, and then different ones, some of them empty.
        for differ in [false, true] {
            let length = |rank: usize| if differ { length / 3 * (rank % 4) } else { length };
            let heard = end.all_gather(&message(rank, round, length(rank)))?;
            expect(&heard, replicas, round, length)?;
        }
    }
    Ok(())
}

fn rounds_under_way_are_told_apart<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    // The first two of a length that no transport sends at once.
    let length = |round: usize| if round < 2 { 200_000 } else { 100 };
    for turn in 0..4 {
        let started: Result<Vec<_>, _> = (0..3)
            .map(|round| Ok::<_, Failure>(Some(end.start(message(rank, round, length(round)))?)))
            .collect();
        let mut started = started?;
        for i in 0..3 {
            // In another order on each replica.
            let round = (2 * i + rank + turn) % 3;
            let heard = started[round].take().ok_or("waited for twice")?.wait()?;
            expect(&heard, replicas, round, |_| length(round))?;
        }
    }
    Ok(())
}

fn a_round_completes_while_it_is_asked<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for length in [100, 1_000_000] {
        let mut round = end.start(message(rank, 0, length))?;
        let start = Instant::now();
        while !round.is_complete()? {
            ensure(start.elapsed() < LIMIT, || "never complete".to_owned())?;
            std::thread::yield_now();
        }
        expect(&round.wait()?, replicas, 0, |_| length)?;
    }
    Ok(())
}

/// Fails unless this and every later exchange fails soon.
fn expect_over(end: &impl Exchange) -> Result<(), Failure> {
    let start = Instant::now();
    for _ in 0..2 {
        ensure(end.all_gather(&[1]).is_err(), || "an exchange that has failed goes on".to_owned())?;
    }
    ensure(start.elapsed() < LIMIT, || format!("to fail again took {:?}", start.elapsed()))
}

fn one_that_does_not_come_is_named<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let limit = Duration::from_millis(400);
    let (end, signal) = (transport.connect(limit)?, transport.connect(LIMIT)?);
    let (rank, last) = (end.rank(), end.replicas() - 1);
    signal.all_gather(&[])?;
    if last == 0 {
        return Ok(());
    }
    if rank == last {
        // Alive, but comes when the others have given up: it must neither hang nor believe that all is well.
        signal.all_gather(&[])?;
        return expect_over(&end);
    }
    let start = Instant::now();
    match end.all_gather(&[1]) {
        Err(ExchangeError::TimedOut { missing, limit: waited }) => {
            ensure(missing.contains(&last) && !missing.contains(&rank) && waited == limit, || {
                format!("missed {missing:?} within {waited:?}, expected {last} within {limit:?}")
            })?;
        }
        // Another one gave up a moment before.
        Err(ExchangeError::Left { rank: other }) if other != rank && last > 1 => {}
        result => return Err(format!("expected that {last} is missed, got {result:?}").into()),
    }
    let waited = start.elapsed();
    ensure(waited < LIMIT / 3, || format!("gave up after {waited:?}, expected {limit:?}"))?;
    signal.all_gather(&[])?;
    expect_over(&end)
}

fn one_that_leaves_is_named_soon<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, last) = (end.rank(), end.replicas() - 1);
    end.all_gather(&[0])?;
    if rank == last {
        return Ok(());
    }
    let start = Instant::now();
    match end.all_gather(&[1]) {
        // Others may have learned of it before, and have left in turn.
        Err(ExchangeError::Left { rank: gone }) if gone == last || (last > 1 && gone != rank) => {}
        result => return Err(format!("expected that {last} has left, got {result:?}").into()),
    }
    let waited = start.elapsed();
    ensure(waited < LIMIT / 3, || format!("learned of it after {waited:?}"))?;
    expect_over(&end)
}

fn to_drop_a_round_is_to_leave<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if rank == last {
        drop(end.start(vec![1; 8])?);
        // A transport whose rounds are complete when they are started has none to leave.
        return Ok(());
    }
    // Its message is there already, so this round may end well; the next one cannot.
    if end.all_gather(&[1; 8]).is_ok() {
        ensure(end.all_gather(&[2; 8]).is_err(), || format!("{last} has left, and nobody noticed"))?;
    }
    Ok(())
}

fn to_leave_after_the_last_round_disturbs_nobody<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for round in 0..3 {
        let started = end.start(message(rank, round, 300_000))?;
        if round == 2 && rank > 0 {
            // Rank 0 is gone when the others look.
            std::thread::sleep(Duration::from_millis(100 * rank.min(3) as u64));
        }
        expect(&started.wait()?, replicas, round, |_| 300_000)?;
    }
    Ok(())
}
