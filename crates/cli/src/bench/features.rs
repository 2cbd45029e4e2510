//! What `--features` measures: everything the operator can do besides the plain passes, an entry each.

use super::config::{Config, ElementType, Function, Origin, Place};
use super::row::Pass;
use std::num::NonZeroUsize;
use wgpu_batchnorm::Shape;

/// Rows of one shape: passes with one configuration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variation {
    /// What it varies; none in the plain rows.
    pub(crate) label: Option<&'static str>,
    /// None if the shape does not allow it.
    pub(crate) config: Option<Config>,
    pub(crate) passes: &'static [Pass],
}

/// An entry of the table.
struct Feature {
    label: &'static str,
    vary: fn(Config, &Shape) -> Option<Config>,
    passes: &'static [Pass],
}

const PLAIN: &[Pass] = &[Pass::Forward, Pass::Evaluation, Pass::Backward];
const TRAINING: &[Pass] = &[Pass::Forward, Pass::Backward];

const FEATURES: &[Feature] = &[
    feature("f16", |base, _| Some(Config { dtype: ElementType::F16, ..base }), TRAINING),
    feature("bf16", |base, _| Some(Config { dtype: ElementType::Bf16, ..base }), TRAINING),
    feature("relu", |base, _| activated(base, Function::Relu), TRAINING),
    feature(
        "residual + relu",
        |base, _| activated(Config { residual: true, ..base }, Function::Relu),
        TRAINING,
    ),
    feature("leaky_relu", |base, _| activated(base, Function::LeakyRelu), TRAINING),
    feature("silu", |base, _| activated(base, Function::Silu), TRAINING),
    feature("gelu", |base, _| activated(base, Function::Gelu), TRAINING),
    feature("gelu_tanh", |base, _| activated(base, Function::GeluTanh), TRAINING),
    feature("sigmoid", |base, _| activated(base, Function::Sigmoid), TRAINING),
    feature("tanh", |base, _| activated(base, Function::Tanh), TRAINING),
    feature(
        "relu before",
        |base, _| Some(Config { activation: Function::Relu, order: Place::Pre, ..base }),
        TRAINING,
    ),
    feature("mask", |base, _| Some(Config { mask: true, ..base }), TRAINING),
    feature("ghost batches", |base, shape| Some(Config { ghost: quarter(shape), ..base }), TRAINING),
    feature("given", |base, _| Some(Config { source: Origin::Given, ..base }), TRAINING),
    feature("running, updated", |base, _| Some(Config { source: Origin::Running, ..base }), &[Pass::Forward]),
    feature("guarded", |base, _| Some(Config { guarded: true, ..base }), &[Pass::Forward]),
    feature("statistics only", |base, _| Some(base), &[Pass::Statistics]),
    // Moments have one gradient a channel.
    feature(
        "moments gradient",
        |base, _| Some(Config { ghost: None, ..linear(base) }),
        &[Pass::MomentsBackward],
    ),
    feature("folded form", |base, _| Some(base), &[Pass::Fold]),
    feature("double backward", |base, _| Some(linear(base)), &[Pass::DoubleBackward]),
    feature(
        "2 replicas, host time",
        |base, shape| (shape.samples() > 1).then_some(Config { synchronized: true, ghost: None, ..base }),
        TRAINING,
    ),
];

const fn feature(
    label: &'static str,
    vary: fn(Config, &Shape) -> Option<Config>,
    passes: &'static [Pass],
) -> Feature {
    Feature { label, vary, passes }
}

/// What is measured of a shape: the plain passes, and with `features` one variation for each of them.
pub(crate) fn variations(base: Config, features: bool, shape: &Shape) -> Vec<Variation> {
    let plain = Variation { label: None, config: Some(base), passes: PLAIN };
    let varied = FEATURES.iter().filter(|_| features).map(|Feature { label, vary, passes }| Variation {
        label: Some(*label),
        config: vary(base, shape),
        passes,
    });
    // What the command line asks for in all rows is not repeated.
    let varied = varied.filter(|varied| varied.config != Some(base) || varied.passes != TRAINING);
    std::iter::once(plain).chain(varied).collect()
}

fn activated(base: Config, activation: Function) -> Option<Config> {
    Some(Config { activation, order: Place::Post, ..base })
}

/// Without what has no double backward pass, and what the gradient of moments does not go through.
fn linear(base: Config) -> Config {
    Config { activation: Function::None, order: Place::Post, residual: false, ..base }
}

/// About a quarter of the samples, so that no ghost batch has a single value in a channel.
fn quarter(shape: &Shape) -> Option<NonZeroUsize> {
    let samples = shape.samples();
    let allowed = |&size: &usize| shape.spatial() > 1 || samples % size != 1 % size;
    (samples.div_ceil(4)..=samples).find(allowed).and_then(NonZeroUsize::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu_batchnorm::{Layout, ShapeError};

    #[test]
    fn features_vary_the_base_and_do_not_repeat_it() -> Result<(), ShapeError> {
        let shape = Shape::new(&[8, 3, 4], Layout::ChannelsFirst)?;
        let base = Config { dtype: ElementType::F16, residual: true, ..Config::default() };
        assert_eq!(variations(base, false, &shape).len(), 1);
        let all = variations(base, true, &shape);
        assert_eq!(all.len(), FEATURES.len());
        let of = |label| all.iter().find(|variation| variation.label == Some(label));
        assert_eq!(of("f16"), None);
        let silu = of("silu").and_then(|variation| variation.config);
        assert_eq!(silu, Some(Config { activation: Function::Silu, ..base }));
        let ghost = of("ghost batches").and_then(|variation| variation.config?.ghost);
        assert_eq!(ghost, NonZeroUsize::new(2));
        Ok(())
    }

    #[test]
    fn ghost_batches_are_about_a_quarter_and_allowed() -> Result<(), ShapeError> {
        for (samples, spatial, expected) in
            [(64, 49, 16), (7, 49, 2), (1, 49, 1), (9, 1, 3), (5, 1, 3), (2, 1, 2)]
        {
            let shape = Shape::new(&[samples, 3, spatial], Layout::ChannelsFirst)?;
            assert_eq!(quarter(&shape), NonZeroUsize::new(expected), "{shape}");
        }
        Ok(())
    }

    #[test]
    fn a_single_sample_has_no_replicas() -> Result<(), ShapeError> {
        let shape = Shape::new(&[1, 3, 8], Layout::ChannelsFirst)?;
        let all = variations(Config::default(), true, &shape);
        assert_eq!(all.iter().filter(|variation| variation.config.is_none()).count(), 1);
        Ok(())
    }
}
