//! The networks on a native adapter: their gradients are those of their loss, and both learn.

#![allow(missing_docs)]

use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;
use wgpu_batchnorm::Context;
use wgpu_batchnorm_web::measure::Bench;
use wgpu_batchnorm_web::train::{Arrangement, Function, Settings, Trainer};

type Test = (&'static str, fn(&Context) -> Result<(), Failed>);

const TESTS: &[Test] = &[
    ("both_networks_learn", both_networks_learn),
    ("steps_repeat", steps_repeat),
    ("everything_can_be_changed_on_the_way", everything_can_be_changed_on_the_way),
    ("charts_show_what_there_is", charts_show_what_there_is),
    ("passes_are_right_and_measured", passes_are_right_and_measured),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let context = Context::new_blocking();
    let required = std::env::var_os("BATCH_NORM_REQUIRE_ADAPTER").is_some_and(|value| value == "1");
    let trial = |(name, test): &Test| {
        let (context, test) = (context.clone(), *test);
        let ignored = context.is_err() && !required;
        Trial::test(*name, move || test(&context?)).with_ignored_flag(ignored)
    };
    libtest_mimic::run(&arguments, TESTS.iter().map(trial).collect()).exit_code()
}

fn steps(trainer: &mut Trainer, count: usize) -> Result<(), Failed> {
    for _ in 0..count {
        pollster::block_on(trainer.step())?;
    }
    Ok(())
}

fn both_networks_learn(context: &Context) -> Result<(), Failed> {
    for activation in Function::ALL {
        for arrangement in [Arrangement::NormalizationFirst, Arrangement::ActivationFirst] {
            // The slope of a sigmoid is 1/4 at most: what three of them let through takes more and larger steps.
            let (learning_rate, count) =
                if activation == Function::Sigmoid { (0.3, 240) } else { (0.1, 120) };
            let settings =
                Settings { depth: 3, learning_rate, activation, arrangement, ..Settings::default() };
            let mut trainer = Trainer::new(context, settings)?;
            steps(&mut trainer, count)?;
            let [with, without] = trainer.progress();
            let said = format!("{settings:?}: {:?} {:?}, {:?}", with.loss(), with.accuracy, without.loss());
            let first = without.losses.first().copied();
            // Sigmoids without normalization hardly learn in so few steps, which is what the page shows.
            let without_learns =
                activation == Function::Sigmoid || without.loss() < first.map(|loss| 0.6 * loss);
            let with_learns = with.loss() < Some(0.5) && with.accuracy > Some(0.85);
            if !with_learns || !without_learns {
                return Err(said.into());
            }
        }
    }
    Ok(())
}

fn steps_repeat(context: &Context) -> Result<(), Failed> {
    let run = || -> Result<_, Failed> {
        let mut trainer = Trainer::new(context, Settings::default())?;
        steps(&mut trainer, 5)?;
        let first = trainer.progress().clone().map(|progress| progress.losses);
        trainer.restart(Settings::default())?;
        steps(&mut trainer, 5)?;
        Ok([first, trainer.progress().clone().map(|progress| progress.losses)])
    };
    let [first, again] = run()?;
    assert_eq!(first, again);
    assert_ne!(first[0], first[1]);
    Ok(())
}

fn everything_can_be_changed_on_the_way(context: &Context) -> Result<(), Failed> {
    let mut trainer = Trainer::new(context, Settings { depth: 2, ..Settings::default() })?;
    steps(&mut trainer, 30)?;
    let before = trainer.progress()[0].loss();
    for settings in [
        Settings { depth: 2, batch: 2, learning_rate: 0.001, ..Settings::default() },
        Settings { depth: 2, batch: 256, activation: Function::Tanh, ..Settings::default() },
        Settings { depth: 2, arrangement: Arrangement::ActivationFirst, ..Settings::default() },
    ] {
        trainer.set(settings)?;
        steps(&mut trainer, 2)?;
    }
    // They went on, with the weights that there were.
    assert_eq!((trainer.steps(), trainer.progress()[1].losses.len()), (36, 36));
    assert!(trainer.progress()[0].losses[31] < 2.0 * before.unwrap_or(0.0) + 1.0);
    assert!(trainer.set(Settings { batch: 1, ..Settings::default() }).is_err());
    assert_eq!(trainer.settings().depth, 2);
    trainer.set(Settings { depth: 5, ..Settings::default() })?;
    assert_eq!(trainer.steps(), 0);
    steps(&mut trainer, 1)?;
    let [with, _] = trainer.progress();
    assert_eq!((with.norms.len(), with.histograms.len()), (6, 5));
    Ok(())
}

fn charts_show_what_there_is(context: &Context) -> Result<(), Failed> {
    let mut trainer = Trainer::new(context, Settings::default())?;
    trainer.charts(300)?;
    steps(&mut trainer, 3)?;
    for progress in trainer.progress() {
        assert!(progress.norms.iter().all(|norm| *norm > 0.0 && norm.is_finite()), "{progress:?}");
        for shares in &progress.histograms {
            let sum: f32 = shares.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{shares:?}");
        }
    }
    let charts = trainer.charts(700)?;
    assert_eq!(charts.histograms.matches("<polygon").count(), 2 * trainer.settings().depth);
    assert_eq!(charts.gradients.matches("<circle").count(), 2 * (trainer.settings().depth + 1));
    assert!(charts.loss.contains("with batch normalization"));
    Ok(())
}

fn passes_are_right_and_measured(context: &Context) -> Result<(), Failed> {
    let rows = pollster::block_on(async {
        let bench = Bench::new(context).await?;
        bench.measure(&[4, 16, 14, 14]).await
    });
    let rows = rows.map_err(|error| format!("{error:#}"))?;
    assert_eq!(rows.iter().map(|row| row.pass).collect::<Vec<_>>(), ["copy", "forward", "backward"]);
    assert!(rows.iter().all(|row| row.time.median_ms > 0.0));
    assert!(rows.iter().all(|row| row.error_over_bound.is_none_or(|error| error <= 1.0)), "{rows:?}");
    Ok(())
}
