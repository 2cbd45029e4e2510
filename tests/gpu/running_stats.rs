//! `running_stats`: running ← (1 − m)·running + m·batch, cumulative as well, over several batches.

use crate::Test;
use crate::subject::{Setup, near, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layout, Mode, Momentum, Options};

pub(crate) const TESTS: &[Test] = &[
    ("any_momentum", any_momentum),
    ("cumulative_is_the_mean_over_batches", cumulative_is_the_mean_over_batches),
    ("evaluation_leaves_them_alone", evaluation_leaves_them_alone),
];

fn any_momentum(context: &Context) -> Result<(), Failed> {
    let moving = [0.0, 0.1, 0.9, 1.0].map(Momentum::MovingAverage);
    for momentum in moving.into_iter().chain([Momentum::Cumulative]) {
        // Two values make the unbiased variance twice the biased one.
        for sizes in [&[2usize, 5][..], &[8, 70, 3, 3]] {
            let mut setup = Setup::new(shape(sizes, Layout::ChannelsFirst), 4.0, 1.5);
            setup.options = Options { momentum, ..setup.options };
            setup.check(context)?;
        }
    }
    Ok(())
}

fn cumulative_is_the_mean_over_batches(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[6, 3, 10], Layout::ChannelsLast), 0.0, 1.0);
    setup.options.momentum = Momentum::Cumulative;
    setup.running = wgpu_batchnorm::RunningValues::start(3);
    let mut sums = [0.0; 3];
    for batch in 1..=5u32 {
        setup.x.iter_mut().for_each(|x| *x += 1.0);
        let results = setup.run(context)?;
        let running = results.running.ok_or("there are running statistics")?;
        for (c, sum) in sums.iter_mut().enumerate() {
            *sum += f64::from(results.statistics.mean[c]);
            near("running_mean", running.mean[c], *sum / f64::from(batch), 1e-6)?;
        }
        if running.num_batches_tracked != batch {
            return Err(format!("{} batches tracked, expected {batch}", running.num_batches_tracked).into());
        }
        setup.running = running;
    }
    Ok(())
}

fn evaluation_leaves_them_alone(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[3, 7, 5], Layout::ChannelsFirst), 1.0, 1.0);
    setup.mode = Mode::EVALUATION;
    let results = setup.run(context)?;
    if results.running == Some(setup.running) { Ok(()) } else { Err(format!("{:?}", results.running).into()) }
}
