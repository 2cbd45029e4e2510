//! `double_backward_finalize`: each cotangent given or not, and the gradient of γ wanted or not.

use crate::Test;
use crate::subject::{Double, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Context, DoubleBackwardTensors, Layout, Mode, Options, Source};

pub(crate) const TESTS: &[Test] = &[
    (
        "cotangents_and_the_gradient_of_weight_are_optional",
        cotangents_and_the_gradient_of_weight_are_optional,
    ),
    ("without_scale_and_offset", without_scale_and_offset),
];

fn cotangents_and_the_gradient_of_weight_are_optional(context: &Context) -> Result<(), Failed> {
    for source in [Source::Batch, Source::Running, Source::Given] {
        for choice in 0..8 {
            let [ddweight, ddbias, grad_weight] = [0, 1, 2].map(|bit| choice >> bit & 1 == 1);
            let mut setup = Setup::new(shape(&[5, 9, 4, 3], Layout::ChannelsFirst), 1.0, 2.0);
            setup.mode = Mode { source, update: false };
            let double = Double::new(context, &setup)?;
            let all = double.tensors();
            let tensors = DoubleBackwardTensors {
                ddweight: all.ddweight.clone().filter(|_| ddweight),
                ddbias: all.ddbias.clone().filter(|_| ddbias),
                grad_weight: all.grad_weight.clone().filter(|_| grad_weight),
                ..all
            };
            double.submit(context, &tensors)?;
            double.compare(ddweight, ddbias, grad_weight)?;
        }
    }
    Ok(())
}

fn without_scale_and_offset(context: &Context) -> Result<(), Failed> {
    for [weight, bias] in [[false, false], [true, false], [false, true]] {
        let mut setup = Setup::new(shape(&[4, 5, 6], Layout::ChannelsLast), 1.0, 2.0);
        setup.options = Options { weight, bias, ..setup.options };
        Double::check(context, &setup)?;
    }
    Ok(())
}
