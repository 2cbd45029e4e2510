//! Synchronized passes: whatever the parts, they are those of the whole batch on one device.

use crate::batch::{Batch, Part, Results};
use crate::replica::{Computed, Replica, bytes, floats};
use crate::{Failure, LIMIT, Outcome, SHORT, Transport, ensure, gather, outcomes};
use std::cell::RefCell;
use std::time::Duration;
use wgpu_batchnorm::{
    Context, Dtype, Exchange, ExchangeError, Momentum, Options, Round, Sequence, SyncError,
};

pub(crate) async fn run<T: Transport>(transport: &mut T, context: &Context) -> Vec<Outcome> {
    outcomes! { (transport, context):
        parts_of_any_size_make_the_whole_batch,
        a_large_mean_costs_no_digits,
        what_is_not_finite_stays_in_its_channel,
        who_arrives_last_changes_no_bit,
        one_message_each_way,
        passes_that_are_joined_or_overlap,
        replicas_that_disagree_are_told,
        replicas_out_of_step_are_told,
        a_pass_that_nobody_joins_ends,
    }
}

/// Ways of giving a batch to so many replicas.
fn splits(replicas: usize) -> Vec<Vec<Part>> {
    let of = |part: &dyn Fn(usize) -> Part| (0..replicas).map(part).collect::<Vec<_>>();
    let last = replicas - 1;
    vec![
        of(&|_| Part::new(2, 9)),
        of(&|_| Part::new(2, 7).last()),
        // Different numbers of samples.
        of(&|rank| Part::new(rank + 2, 5)),
        // Different sizes and layouts.
        of(&|rank| if rank % 2 == 0 { Part::new(3, 4 + 3 * rank) } else { Part::new(1, 33).last() }),
        // Every second one has none, the first one too.
        of(&|rank| if (last - rank).is_multiple_of(2) { Part::new(3, 6) } else { Part::new(0, 6) }),
        // One has all, at either end.
        of(&|rank| if rank == last { Part::new(5, 8) } else { Part::new(0, 1) }),
        of(&|rank| if rank == 0 { Part::new(4, 1000) } else { Part::new(0, 1) }),
        // A single value each: too few alone.
        of(&|_| Part::new(if last == 0 { 2 } else { 1 }, 1)),
    ]
}

/// Gives what this replica has computed to all, which must have the same bits per channel, and puts it together.
async fn joined(end: &impl Exchange, batch: &Batch, computed: &Computed) -> Result<Results, Failure> {
    let Computed { y, dx, per_channel } = computed;
    let own: Vec<u8> = [bytes(y), bytes(dx), per_channel.bytes()].concat();
    let mut results = Results { per_channel: per_channel.clone(), ..Results::default() };
    for (rank, heard) in gather(end, own).await?.iter().enumerate() {
        let elements = batch.part(rank, &batch.x)?.len();
        let (tensors, channels) = heard
            .split_at_checked(8 * elements)
            .ok_or_else(|| format!("replica {rank} has {} bytes of results", heard.len()))?;
        ensure(channels == per_channel.bytes(), || {
            format!("{:?}: statistics or gradients of rank {rank} have other bits", batch.parts)
        })?;
        let tensors = floats(tensors);
        batch.put(rank, &tensors[..elements], &mut results.y)?;
        batch.put(rank, &tensors[elements..], &mut results.dx)?;
    }
    Ok(results)
}

/// Runs a batch, and compares it with the whole on one device.
async fn run_batch<T: Transport>(
    transport: &mut T,
    context: &Context,
    batch: &Batch,
) -> Result<Vec<u8>, Failure> {
    let end = transport.connect(LIMIT)?;
    let replica = Replica::new(context, &end, batch)?;
    replica.run().await?;
    let computed = replica.computed().await?;
    batch.compare(&joined(&end, batch, &computed).await?)?;
    Ok([bytes(&computed.y), bytes(&computed.dx), computed.per_channel.bytes()].concat())
}

fn replicas<T: Transport>(transport: &mut T) -> Result<[usize; 2], Failure> {
    let end = transport.connect(LIMIT)?;
    Ok([end.rank(), end.replicas()])
}

async fn parts_of_any_size_make_the_whole_batch<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [_, replicas] = replicas(transport)?;
    for parts in splits(replicas) {
        run_batch(transport, context, &Batch::new(parts, 5, 0.5, 1.5)).await?;
    }
    // More channels than a workgroup has lanes.
    run_batch(transport, context, &Batch::new(vec![Part::new(2, 3); replicas], 700, 0.5, 1.5)).await?;
    Ok(())
}

async fn a_large_mean_costs_no_digits<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [_, replicas] = replicas(transport)?;
    for parts in splits(replicas) {
        run_batch(transport, context, &Batch::new(parts, 5, -1e4, 1.5)).await?;
    }
    Ok(())
}

async fn what_is_not_finite_stays_in_its_channel<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [rank, replicas] = replicas(transport)?;
    for value in [f32::NAN, f32::INFINITY] {
        let mut batch = Batch::new(vec![Part::new(2, 6); replicas], 4, 0.5, 1.5);
        // Channel 1 of the last position, so that one replica alone has it.
        let last = batch.x.len() - 4 + 1;
        batch.x[last] = value;
        run_batch(transport, context, &batch).await?;
        // Beyond the comparison: every replica has it in this channel.
        let end = transport.connect(LIMIT)?;
        let replica = Replica::new(context, &end, &batch)?;
        replica.run().await?;
        let Computed { y, per_channel, .. } = replica.computed().await?;
        let of_channel = |c: usize| y.chunks(6).skip(c).step_by(4).flatten();
        ensure(of_channel(1).all(|y| y.is_nan()) && per_channel.running_var[1].is_nan(), || {
            format!("{value} of another replica is not seen on {rank}")
        })?;
        ensure([0, 2, 3].into_iter().flat_map(of_channel).all(|y| y.is_finite()), || {
            format!("{value} has spread beyond its channel on {rank}")
        })?;
    }
    Ok(())
}

async fn who_arrives_last_changes_no_bit<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [rank, replicas] = replicas(transport)?;
    let batch = Batch::new((0..replicas).map(|rank| Part::new(rank + 2, 5)).collect(), 33, 2.0, 1.5);
    let mut first = None;
    for turn in 0..replicas.min(4) {
        if (rank + turn) % replicas == 0 {
            std::thread::sleep(Duration::from_millis(60));
        }
        let bits = run_batch(transport, context, &batch).await?;
        let first = first.get_or_insert_with(|| bits.clone());
        ensure(*first == bits, || format!("other bits in turn {turn}"))?;
    }
    Ok(())
}

/// An exchange that writes down how long the messages were.
struct Counting<E> {
    end: E,
    lengths: RefCell<Vec<usize>>,
}

impl<E: Exchange> Counting<E> {
    fn new(end: E) -> Self {
        Self { end, lengths: RefCell::default() }
    }
}

impl<E: Exchange> Exchange for Counting<E> {
    fn rank(&self) -> usize {
        self.end.rank()
    }

    fn replicas(&self) -> usize {
        self.end.replicas()
    }

    fn sequence(&self) -> &Sequence {
        self.end.sequence()
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.lengths.borrow_mut().push(message.len());
        self.end.all_gather(message)
    }

    fn start(&self, message: Vec<u8>) -> Result<Box<dyn Round + '_>, ExchangeError> {
        self.lengths.borrow_mut().push(message.len());
        self.end.start(message)
    }
}

async fn one_message_each_way<T: Transport>(transport: &mut T, context: &Context) -> Result<(), Failure> {
    let [_, replicas] = replicas(transport)?;
    for (channels, parts) in [(5, vec![Part::new(2, 9); replicas]), (64, vec![Part::new(2, 1); replicas])] {
        let end = Counting::new(transport.connect(LIMIT)?);
        Replica::new(context, &end, &Batch::new(parts, channels, 0.5, 1.5))?.run().await?;
        let lengths = end.lengths.into_inner();
        let expected = [36 + 20 * channels, 36 + 16 * channels];
        ensure(lengths == expected, || format!("messages of {lengths:?} bytes, expected {expected:?}"))?;
    }
    Ok(())
}

async fn passes_that_are_joined_or_overlap<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [_, replicas] = replicas(transport)?;
    let batches = [
        Batch::new(vec![Part::new(2, 9); replicas], 5, 0.5, 1.5),
        Batch::new((0..replicas).map(|rank| Part::new(rank + 1, 4).last()).collect(), 40, 3.0, 0.5),
        // Some without samples.
        Batch::new(splits(replicas).swap_remove(4), 3, 0.5, 1.5),
    ];
    let mut alone = Vec::new();
    for batch in &batches {
        alone.push(run_batch(transport, context, batch).await?);
    }
    let end = Counting::new(transport.connect(LIMIT)?);
    let expect_same = async |replicas: &[Replica<'_, _>], how: &str| -> Result<(), Failure> {
        for (i, (replica, alone)) in replicas.iter().zip(&alone).enumerate() {
            let Computed { y, dx, per_channel } = replica.computed().await?;
            let bits = [bytes(&y), bytes(&dx), per_channel.bytes()].concat();
            ensure(bits == *alone, || format!("pass {i} has other bits when it is {how}"))?;
        }
        Ok(())
    };
    let fresh = || -> Result<Vec<_>, Failure> {
        batches.iter().map(|batch| Replica::new(context, &end, batch)).collect()
    };

    // Joined: one message for all three.
    let layers = fresh()?;
    let [a, b, c] = [0, 1, 2].map(|i| layers[i].begin_forward());
    a?.join(b?)?.join(c?)?.send().await?.arrived().await?.finish()?;
    let [a, b, c] = [0, 1, 2].map(|i| layers[i].begin_backward());
    a?.join(b?)?.join(c?)?.send().await?.arrived().await?.finish()?;
    expect_same(&layers, "joined").await?;
    let channels: usize = batches.iter().map(Batch::channels).sum();
    let expected = [3 * 36 + 20 * channels, 3 * 36 + 16 * channels];
    let lengths = end.lengths.take();
    ensure(lengths == expected, || format!("messages of {lengths:?} bytes, expected {expected:?}"))?;

    // Under way at once, and finished in another order than sent.
    let layers = fresh()?;
    for backward in [false, true] {
        let begin = |i: usize| match backward {
            false => layers[i].begin_forward(),
            true => layers[i].begin_backward(),
        };
        let begun = [begin(0)?, begin(1)?, begin(2)?];
        let mut sent = Vec::new();
        for begun in begun {
            sent.push(begun.send().await?);
        }
        for i in [1, 1, 0] {
            sent.remove(i).arrived().await?.finish()?;
        }
    }
    expect_same(&layers, "overlapping").await
}

async fn replicas_that_disagree_are_told<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let [_, replicas] = replicas(transport)?;
    let last = replicas - 1;
    if last == 0 {
        return Ok(());
    }
    let plain = Options { eps: 0.5, ..Options::new(5) };
    let cases = [
        ("number of channels", Options { eps: 0.5, ..Options::new(6) }, ["5", "6"]),
        ("eps", Options { eps: 0.25, ..plain }, ["0.5", "0.25"]),
        ("dtype", Options { dtype: Dtype::F16, ..plain }, ["f32", "f16"]),
        ("momentum", Options { momentum: Momentum::MovingAverage(0.5), ..plain }, ["0.1", "0.5"]),
        ("guarded", Options { guarded: true, ..plain }, ["false", "true"]),
    ];
    for (what, other, values) in cases {
        let end = transport.connect(LIMIT)?;
        let is_other = end.rank() == last;
        let options = if is_other { other } else { plain };
        let parts = vec![Part::new(2, 4); replicas];
        let batch = Batch { options, ..Batch::new(parts, options.channels, 0.5, 1.5) };
        let replica = Replica::new(context, &end, &batch)?;
        // The last one differs from all others, they from it alone.
        let (theirs, mine) = if is_other { (0, 1) } else { (1, 0) };
        let odd_one = if is_other { 0 } else { last };
        match replica.run().await {
            Err(SyncError::Disagree { rank, what: named, actual, expected })
                if (rank, named) == (odd_one, what)
                    && actual == values[theirs]
                    && expected == values[mine] => {}
            result => {
                return Err(format!("expected that {odd_one} has {what} {values:?}, got {result:?}").into());
            }
        }
    }
    Ok(())
}

/// The last replica begins a pass, and drops it: its next one, of equal options, is not merged with the others' first.
async fn replicas_out_of_step_are_told<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let end = transport.connect(LIMIT)?;
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if last == 0 {
        return Ok(());
    }
    let replica = Replica::new(context, &end, &Batch::new(vec![Part::new(2, 4); last + 1], 5, 0.5, 1.5))?;
    let (odd_one, actual_here, expected_here) = if rank == last { (0, "0", "1") } else { (last, "1", "0") };
    if rank == last {
        drop(replica.begin_forward()?);
    }
    match replica.run().await {
        Err(SyncError::Disagree { rank, what: "pass number", actual, expected })
            if (rank, &*actual, &*expected) == (odd_one, actual_here, expected_here) =>
        {
            Ok(())
        }
        result => Err(format!("expected that {odd_one} is told to be out of step, got {result:?}").into()),
    }
}

/// The last replica is alive, and runs no pass: the others get an error, and compute nothing.
async fn a_pass_that_nobody_joins_ends<T: Transport>(
    transport: &mut T,
    context: &Context,
) -> Result<(), Failure> {
    let (end, signal) = (transport.connect(SHORT)?, transport.connect(LIMIT)?);
    let (rank, last) = (end.rank(), end.replicas() - 1);
    if last == 0 || !transport.blocks() {
        return Ok(());
    }
    let batch = Batch::new(vec![Part::new(2, 4); last + 1], 5, 0.5, 1.5);
    let replica = Replica::new(context, &end, &batch)?;
    // To make a device ready may take longer than the limit.
    gather(&signal, Vec::new()).await?;
    if rank == last {
        gather(&signal, Vec::new()).await?;
        return ensure(replica.run().await.is_err(), || "the late one goes on".to_owned());
    }
    let result = replica.run().await;
    gather(&signal, Vec::new()).await?;
    match result {
        Err(SyncError::Exchange(ExchangeError::TimedOut { missing, .. })) if missing.contains(&last) => {
            Ok(())
        }
        Err(SyncError::Exchange(ExchangeError::Left { .. })) if last > 1 => Ok(()),
        result => Err(format!("expected that {last} is missed, got {result:?}").into()),
    }
}
