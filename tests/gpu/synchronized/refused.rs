//! Replicas that do not get together, and transports that bring something else.

use super::replicas::{ends, try_forward, try_without_samples};
use super::transport::Tampered;
use super::{LIMIT, devices};
use crate::subject::{Buffers, Setup, expect, shape};
use libtest_mimic::Failed;
use std::future::Future as _;
use std::task::Poll;
use std::time::{Duration, Instant};
use wgpu_batchnorm::{
    Activation, Context, Dtype, Exchange as _, ExchangeError, InProcess, Layout, Momentum, Options, Order,
    SyncError, Synchronized, WithoutSamples,
};

/// Each replica learns what the other has, and nothing is computed.
pub(super) fn replicas_that_disagree(context: &Context) -> Result<(), Failed> {
    let devices = devices(context)?;
    let setup = |channels| Setup::new(shape(&[4, channels, 6], Layout::ChannelsFirst), 0.5, 1.5);
    let eps = |eps| {
        let mut setup = setup(5);
        setup.options.eps = eps;
        setup
    };
    let leaky =
        |negative_slope| setup(5).with_activation(Activation::LeakyRelu { negative_slope }, Order::Post);
    let with = |change: &dyn Fn(&mut Options)| {
        let mut setup = setup(5);
        change(&mut setup.options);
        setup
    };
    let momentum = |momentum| with(&|options| options.momentum = momentum);
    for (what, setups, values) in [
        ("number of channels", [setup(5), setup(6)], ["5", "6"]),
        ("eps", [eps(0.5), eps(0.25)], ["0.5", "0.25"]),
        ("dtype", [setup(5), setup(5).with_dtype(Dtype::F16)], ["f32", "f16"]),
        ("activation", [setup(5), setup(5).with_activation(Activation::Gelu, Order::Post)], ["none", "gelu"]),
        (
            "order of the activation",
            [Order::Post, Order::Pre].map(|order| setup(5).with_activation(Activation::Relu, order)),
            ["post", "pre"],
        ),
        ("dtype", [setup(5).with_dtype(Dtype::BF16), setup(5).with_dtype(Dtype::F16)], ["bf16", "f16"]),
        ("negative_slope", [0.5, 0.25].map(leaky), ["0.5", "0.25"]),
        (
            "momentum",
            [Momentum::MovingAverage(0.1), Momentum::Cumulative].map(momentum),
            ["0.1", "cumulative"],
        ),
        ("momentum", [0.1, 0.01].map(|share| momentum(Momentum::MovingAverage(share))), ["0.1", "0.01"]),
        ("weight", [true, false].map(|weight| with(&|options| options.weight = weight)), ["true", "false"]),
        ("bias", [false, true].map(|bias| with(&|options| options.bias = bias)), ["false", "true"]),
        (
            "guarded",
            [true, false].map(|guarded| with(&|options| options.guarded = guarded)),
            ["true", "false"],
        ),
        (
            "running_statistics",
            [true, false].map(|running| with(&|options| options.running_statistics = running)),
            ["true", "false"],
        ),
    ] {
        let ends = InProcess::group(2);
        let errors = std::thread::scope(|scope| {
            let threads: Vec<_> = (ends.into_iter().zip(&setups).zip(&devices))
                .map(|((end, setup), context)| {
                    scope.spawn(|| try_forward(context, setup, end.with_limit(LIMIT)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for (own, error) in errors.into_iter().enumerate() {
            let result = error.map_err(|_| "a replica panicked")??;
            expect(result, what, |e| {
                let other = 1 - own;
                matches!(e, SyncError::Disagree { rank, what: named, actual, expected }
                    if (*rank, *named) == (other, what) && actual == values[other] && expected == values[own])
            })?;
        }
    }
    Ok(())
}

/// The first pass of one replica is refused, or begun and dropped, or its first layer has none: its next one has equal
/// options, and must not be taken for the other's first.
pub(super) fn replicas_out_of_step_are_told(context: &Context) -> Result<(), Failed> {
    type Skip = fn(&Synchronized<&InProcess>, &WithoutSamples<'_>) -> Result<(), SyncError>;
    let refused: Skip = |layer, tensors| {
        let tensors = WithoutSamples { parameters: [tensors.parameters[0].clone(), None], ..tensors.clone() };
        match layer.begin_forward_without_samples(&tensors) {
            // With a bias that is not an option of the layer nothing fits.
            Err(SyncError::BatchNorm(_)) => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(SyncError::TooFewValues { actual: 0 }),
        }
    };
    let dropped: Skip = |layer, tensors| layer.begin_forward_without_samples(tensors).map(drop);
    let none: Skip = |_, _| Ok(());
    let setup = Setup::new(shape(&[1, 5], Layout::ChannelsFirst), 0.5, 1.5);
    let device = &devices(context)?;
    for (how, skip, layers, what, values) in [
        ("refused", refused, 1, "pass number", ["0", "1"]),
        ("dropped", dropped, 1, "pass number", ["0", "1"]),
        ("refused", refused, 2, "layer", ["0", "1"]),
        ("left out", none, 2, "layer", ["0", "1"]),
    ] {
        let ends = InProcess::group(2);
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = ends
                .into_iter()
                .zip(device)
                .map(|(end, device)| {
                    let setup = &setup;
                    scope.spawn(move || -> Result<Result<(), SyncError>, Failed> {
                        let (end, buffers) = (end.with_limit(LIMIT), Buffers::new(device, setup)?);
                        let of = |_| Synchronized::new(&buffers.batch_norm, &end);
                        let layers: Vec<_> = (0..layers).map(of).collect();
                        let (first, last) = (&layers[0], &layers[layers.len() - 1]);
                        let tensors = WithoutSamples {
                            parameters: [&buffers.weight, &buffers.bias].map(|it| Some(it.range().clone())),
                            running: Some(&buffers.running),
                            saved: &buffers.saved,
                        };
                        if end.rank() == 0 {
                            return Ok(pollster::block_on(first.submit_forward_without_samples(&tensors)));
                        }
                        skip(first, &tensors)?;
                        Ok(pollster::block_on(last.submit_forward_without_samples(&tensors)))
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for (own, result) in results.into_iter().enumerate() {
            let other = 1 - own;
            expect(result.map_err(|_| "a replica panicked")??, how, |e| {
                matches!(e, SyncError::Disagree { rank, what: named, actual, expected }
                    if (*rank, *named) == (other, what) && actual == values[other] && expected == values[own])
            })?;
        }
    }
    Ok(())
}

pub(super) fn too_few_values_in_all(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[1, 5], Layout::ChannelsFirst), 0.5, 1.5);
    // Alone, and with an empty one beside it.
    let end = InProcess::group(1).pop().ok_or("an end")?;
    expect(try_forward(context, &setup, end)?, "one value", |e| {
        matches!(e, SyncError::TooFewValues { actual: 1 })
    })?;
    let devices = devices(context)?;
    let [one, none] = ends();
    let (with, without) = std::thread::scope(|scope| {
        let with = scope.spawn(|| try_forward(&devices[0], &setup, one));
        let without = scope.spawn(|| try_without_samples(&devices[1], none));
        (with.join(), without.join())
    });
    for result in [with, without] {
        expect(result.map_err(|_| "a panic")??, "one value", |e| {
            matches!(e, SyncError::TooFewValues { actual: 1 })
        })?;
    }
    let [first, second] = ends();
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| try_without_samples(&devices[0], first));
        let second = scope.spawn(|| try_without_samples(&devices[1], second));
        (first.join(), second.join())
    });
    for result in [first, second] {
        expect(result.map_err(|_| "a panic")??, "no values", |e| {
            matches!(e, SyncError::TooFewValues { actual: 0 })
        })?;
    }
    Ok(())
}

pub(super) fn a_replica_that_does_not_come(context: &Context) -> Result<(), Failed> {
    let limit = Duration::from_millis(200);
    let mut ends = InProcess::group(3);
    let first = ends.remove(0).with_limit(limit);
    let start = Instant::now();
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.5, 1.5);
    expect(try_forward(context, &setup, first)?, "nobody came", |e| {
        matches!(e, SyncError::Exchange(ExchangeError::TimedOut { missing, limit: waited })
            if missing == &[1, 2] && *waited == limit)
    })?;
    assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
    Ok(())
}

pub(super) fn a_replica_that_leaves(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.5, 1.5);
    let is_left = |e: &SyncError| matches!(e, SyncError::Exchange(ExchangeError::Left { rank: 1 }));
    // Before, and while it is waited for.
    for pause in [Duration::ZERO, Duration::from_millis(300)] {
        let [first, second] = ends();
        let result = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| try_forward(context, &setup, first));
            std::thread::sleep(pause);
            drop(second);
            waiting.join()
        });
        expect(result.map_err(|_| "a panic")??, "left", is_left)?;
    }
    Ok(())
}

/// What another replica tells may be anything.
pub(super) fn messages_of_something_else(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.5, 1.5);
    let changes: [fn(&mut Vec<u8>); 6] = [
        Vec::clear,
        |message| message.truncate(35),
        |message| message.truncate(message.len() - 4),
        |message| message.push(0),
        |message| message.extend([0; 4]),
        |message| message[0] ^= 1,
    ];
    for change in changes {
        let mut length = 36 + 20 * 5;
        let mut message = vec![0; length];
        change(&mut message);
        length = message.len();
        expect(
            try_forward(context, &setup, Tampered::echoing(2, change))?,
            "a changed message",
            |e| matches!(e, SyncError::Malformed { rank: 1, actual, expected: 136 } if *actual == length as u64),
        )?;
    }
    // A replica in its backward pass.
    let another_pass: fn(&mut Vec<u8>) = |message| message[4] = 1;
    expect(try_forward(context, &setup, Tampered::echoing(2, another_pass))?, "another pass", |e| {
        matches!(e, SyncError::Disagree { rank: 1, what: "pass", actual, expected }
            if actual == "backward" && expected == "forward")
    })
}

/// A transport that brings other messages than there are replicas is refused, not believed.
pub(super) fn messages_of_too_many_or_too_few(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.5, 1.5);
    let mut accepted = Vec::new();
    for messages in [0, 1, 3, 90] {
        let transport = Tampered::echoing(messages, |_| {}).of_replicas(2);
        if try_forward(context, &setup, transport)?.is_ok() {
            accepted.push(messages);
        }
    }
    if accepted.is_empty() {
        return Ok(());
    }
    Err(format!("{accepted:?} messages of 2 replicas were accepted").into())
}

/// What a transport says of itself, and ghost batches, which replicas cannot share.
pub(super) fn what_no_pass_can_do(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsFirst), 0.5, 1.5);
    for (replicas, what) in [(0, "no replicas"), (usize::MAX, "endless replicas")] {
        let result = try_forward(context, &setup, Tampered::echoing(1, |_| {}).of_replicas(replicas))?;
        expect(result, what, |e| match replicas {
            0 => matches!(e, SyncError::Rank { rank: 0, replicas: 0 }),
            _ => matches!(e, SyncError::BatchNorm(_)),
        })?;
    }
    let ghost = setup.with_ghost_batch(2);
    let result = try_forward(context, &ghost, Tampered::echoing(1, |_| {}))?;
    expect(result, "ghost batches", |e| matches!(e, SyncError::GhostBatches { ghost_batch: 2 }))
}

/// Two passes of one layer under way at once: each merges its own records.
pub(super) fn passes_do_not_disturb_each_other(context: &Context) -> Result<(), Failed> {
    let setups = [2usize, 4000].map(|n| Setup::new(shape(&[n, 2, 64], Layout::ChannelsFirst), 0.5, 1.5));
    let [small, large] = setups.each_ref().map(|setup| Buffers::new(context, setup));
    let (small, large) = (small?, large?);
    let layer = Synchronized::new(&small.batch_norm, Tampered::echoing(2, |_| {}));
    let (first_tensors, second_tensors) = (small.forward(), large.forward());
    let mut first = std::pin::pin!(layer.submit_forward(&setups[0].shape, &first_tensors));
    let mut second = std::pin::pin!(layer.submit_forward(&setups[1].shape, &second_tensors));
    let mut done = [None, None];
    pollster::block_on(std::future::poll_fn(|context| {
        for (i, pass) in [first.as_mut(), second.as_mut()].into_iter().enumerate() {
            if done[i].is_none()
                && let Poll::Ready(result) = pass.poll(context)
            {
                done[i] = Some(result);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    }));
    for (result, (buffers, n)) in done.into_iter().zip([(&small, 2), (&large, 4000)]) {
        result.ok_or("not done")??;
        assert_eq!(buffers.saved.download_blocking(context)?.count, (2 * n * 64) as f32);
    }
    Ok(())
}
