//! `finalize`: 1/σ within 1 ULP, for any variance that f32 can hold.

use crate::Test;
use crate::subject::{Random, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, Layout, Mode, Options};

pub(crate) const TESTS: &[Test] = &[
    ("inverse_deviation_is_within_one_ulp", inverse_deviation_is_within_one_ulp),
    ("an_infinite_variance_gives_beta", an_infinite_variance_gives_beta),
    ("a_constant_channel_has_variance_zero", a_constant_channel_has_variance_zero),
];

/// The variances are given as running statistics, so they are known exactly.
fn inverse_deviation_is_within_one_ulp(context: &Context) -> Result<(), Failed> {
    let channels = 60_000;
    let mut random = Random(7);
    let mut setup = Setup::new(shape(&[1, channels], Layout::ChannelsFirst), 0.0, 1.0);
    setup.mode = Mode::EVALUATION;
    setup.options = Options { eps: 2e-38, ..Options::new(channels) };
    setup.running.var = (0..channels)
        .map(|i| {
            let exponent = (i % 240) as i32 - 120;
            ((1.0 + random.uniform()) * f64::from(exponent).exp2()) as f32
        })
        .collect();
    let results = setup.run(context)?;
    let mut worst = (0.0, 0.0);
    for (&variance, &got) in setup.running.var.iter().zip(&results.inv_std) {
        let sum = variance + setup.options.eps as f32;
        let expected = 1.0 / f64::from(sum).sqrt();
        let ulp = f64::from(f32::from_bits((expected as f32).to_bits() + 1)) - f64::from(expected as f32);
        let error = (f64::from(got) - expected).abs() / ulp;
        if error > worst.0 {
            worst = (error, variance);
        }
    }
    let (error, variance) = worst;
    if error <= 1.0 {
        Ok(())
    } else {
        Err(format!("1/σ is off by {error} ULP at variance {variance:e}").into())
    }
}

/// 1/√∞ = 0, as in PyTorch.
fn an_infinite_variance_gives_beta(context: &Context) -> Result<(), Failed> {
    let mut setup = Setup::new(shape(&[2, 3, 4], Layout::ChannelsFirst), 0.0, 1.0);
    setup.mode = Mode::EVALUATION;
    setup.running.var[1] = f32::INFINITY;
    let results = setup.run(context)?;
    let y = results.y[setup.shape.index(1, 1, 2)];
    if (y, results.inv_std[1]) == (setup.bias[1], 0.0) { Ok(()) } else { Err(format!("y is {y}").into()) }
}

fn a_constant_channel_has_variance_zero(context: &Context) -> Result<(), Failed> {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let setup =
            Setup::new(shape(&[9, 5, 11, 3], layout), 0.0, 1.0).with_x(|c, _, _| 0.1 + 1000.7 * c as f32);
        let results = setup.run(context)?;
        for c in 0..5 {
            if results.statistics.var[c] != 0.0 || results.statistics.mean[c] != 0.1 + 1000.7 * c as f32 {
                return Err(format!("{:?} in channel {c}", results.statistics).into());
            }
        }
        for n in 0..9 {
            for (c, bias) in setup.bias.iter().enumerate() {
                let y = results.y[setup.shape.index(n, c, 5)];
                if y != *bias {
                    return Err(format!("y is {y}, expected exactly β = {bias}").into());
                }
            }
        }
    }
    Ok(())
}
