//! Messages without passes: what [`Exchange`] promises.

use crate::{Failure, LIMIT, Outcome, SHORT, Transport, ensure, gather, outcomes};
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{Exchange, ExchangeError};

pub(crate) async fn run<T: Transport>(transport: &mut T) -> Vec<Outcome> {
    outcomes! { (transport):
        messages_arrive_in_the_order_of_the_ranks,
        messages_of_any_length,
        all_gather_blocks,
        rounds_under_way_are_told_apart,
        a_round_completes_while_it_is_asked,
        one_that_does_not_come_is_named,
        to_ask_again_and_again_ends,
        one_that_leaves_is_named,
        to_drop_a_round_is_to_leave,
        to_leave_after_the_last_round_disturbs_nobody,
    }
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

async fn messages_arrive_in_the_order_of_the_ranks<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    ensure(rank < replicas, || format!("rank {rank} of {replicas}"))?;
    for round in 0..100 {
        // Not all at once, and not always the same one last.
        if round % 10 == rank {
            std::thread::sleep(Duration::from_millis(2));
        }
        let heard = gather(&end, message(rank, round, 36 + 20 * 64)).await?;
        expect(&heard, replicas, round, |_| 36 + 20 * 64)?;
    }
    Ok(())
}

async fn messages_of_any_length<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for (round, length) in [0usize, 1, 3, 4_096, 65_537, 3_000_001, 1].into_iter().enumerate() {
        // The same of all, and then different ones, some of them empty.
        for differ in [false, true] {
            let length = |rank: usize| if differ { length / 3 * (rank % 4) } else { length };
            let heard = gather(&end, message(rank, round, length(rank))).await?;
            expect(&heard, replicas, round, length)?;
        }
    }
    Ok(())
}

/// What a program does that sends nothing else meanwhile.
async fn all_gather_blocks<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    if transport.blocks() {
        for round in 0..3 {
            let heard = end.all_gather(&message(rank, round, 1_000))?;
            expect(&heard, replicas, round, |_| 1_000)?;
        }
    }
    Ok(())
}

async fn rounds_under_way_are_told_apart<T: Transport>(transport: &mut T) -> Result<(), Failure> {
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
            let heard = started[round].take().ok_or("waited for twice")?.gathered().await?;
            expect(&heard, replicas, round, |_| length(round))?;
        }
    }
    Ok(())
}

async fn a_round_completes_while_it_is_asked<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for length in [100, 1_000_000] {
        let mut round = end.start(message(rank, 0, length))?;
        let start = Instant::now();
        while !round.is_complete()? {
            ensure(start.elapsed() < LIMIT, || "never complete".to_owned())?;
            let_others_run().await;
        }
        expect(&round.wait()?, replicas, 0, |_| length)?;
    }
    Ok(())
}

/// Lets other tasks and threads go on.
async fn let_others_run() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    std::thread::yield_now();
}

/// Fails unless this and every later exchange fails.
async fn expect_over(end: &impl Exchange) -> Result<(), Failure> {
    for _ in 0..2 {
        ensure(gather(end, vec![1]).await.is_err(), || "an exchange that has failed goes on".to_owned())?;
    }
    Ok(())
}

/// Fails unless `result` says that the last replica is missed, or that another one gave up a moment before.
fn expect_missed(result: Result<(), ExchangeError>, rank: usize, last: usize) -> Result<(), Failure> {
    match result {
        // Those that a busy machine keeps waiting are missed too.
        Err(ExchangeError::TimedOut { missing, limit }) => {
            ensure(missing.contains(&last) && !missing.contains(&rank) && limit == SHORT, || {
                format!("missed {missing:?} within {limit:?}, expected {last} within {SHORT:?}")
            })
        }
        Err(ExchangeError::Left { rank: other }) if other != rank && last > 1 => Ok(()),
        result => Err(format!("expected that {last} is missed, got {result:?}").into()),
    }
}

async fn one_that_does_not_come_is_named<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let (end, signal) = (transport.connect(SHORT)?, transport.connect(LIMIT)?);
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if last == 0 || !transport.blocks() {
        return Ok(());
    }
    gather(&signal, Vec::new()).await?;
    if rank == last {
        // Alive, but comes when the others have given up: it must neither hang nor believe that all is well.
        gather(&signal, Vec::new()).await?;
        return expect_over(&end).await;
    }
    let result = gather(&end, vec![1]).await.map(drop);
    gather(&signal, Vec::new()).await?;
    expect_missed(result, rank, last)?;
    expect_over(&end).await
}

/// The same for a replica that looks instead of waiting.
async fn to_ask_again_and_again_ends<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let (end, signal) = (transport.connect(SHORT)?, transport.connect(LIMIT)?);
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if last == 0 || !transport.blocks() {
        return Ok(());
    }
    gather(&signal, Vec::new()).await?;
    if rank == last {
        gather(&signal, Vec::new()).await?;
        return expect_over(&end).await;
    }
    let start = Instant::now();
    let mut round = end.start(vec![1])?;
    let result = loop {
        match round.is_complete() {
            Ok(false) if start.elapsed() < LIMIT => let_others_run().await,
            Ok(is_complete) => break Err(format!("complete: {is_complete}, after {:?}", start.elapsed())),
            Err(error) => break Ok(error),
        }
    };
    gather(&signal, Vec::new()).await?;
    expect_missed(Err(result?), rank, last)?;
    ensure(round.is_complete().is_err(), || "a round that is over goes on".to_owned())?;
    drop(round);
    expect_over(&end).await
}

/// That it is told at once shows in the error: whoever waits for the limit would miss it instead.
async fn one_that_leaves_is_named<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, last) = (end.rank(), end.replicas() - 1);
    gather(&end, vec![0]).await?;
    if rank == last {
        return Ok(());
    }
    match gather(&end, vec![1]).await {
        // Others may have learned of it before, and have left in turn.
        Err(ExchangeError::Left { rank: gone }) if gone == last || (last > 1 && gone != rank) => {}
        result => return Err(format!("expected that {last} has left, got {result:?}").into()),
    }
    expect_over(&end).await
}

async fn to_drop_a_round_is_to_leave<T: Transport>(transport: &mut T) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if rank == last {
        drop(end.start(vec![1; 8])?);
        // A transport whose rounds are complete when they are started has none to leave.
        return Ok(());
    }
    // Its message is there already, so this round may end well; the next one cannot.
    if gather(&end, vec![1; 8]).await.is_ok() {
        ensure(gather(&end, vec![2; 8]).await.is_err(), || format!("{last} has left, and nobody noticed"))?;
    }
    Ok(())
}

async fn to_leave_after_the_last_round_disturbs_nobody<T: Transport>(
    transport: &mut T,
) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, replicas) = (end.rank(), end.replicas());
    for round in 0..3 {
        let started = end.start(message(rank, round, 300_000))?;
        if round == 2 && rank > 0 {
            // Rank 0 is gone when the others look.
            std::thread::sleep(Duration::from_millis(100 * rank.min(3) as u64));
        }
        expect(&started.gathered().await?, replicas, round, |_| 300_000)?;
    }
    Ok(())
}
