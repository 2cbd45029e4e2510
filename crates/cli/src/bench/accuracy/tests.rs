//! The judge is judged: results that are right pass, those that are wrong fail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::bench::config::{Function, Origin};
use wgpu_batchnorm::Layout;

/// What a perfect implementation in float32 leaves.
fn perfect(judge: &Judge<'_>, pass: Pass) -> Results {
    let narrowed =
        |expected: Expected| (expected.name, expected.values.into_iter().map(|value| value as f32).collect());
    judge.expected(pass).unwrap().into_iter().map(narrowed).collect()
}

const PASSES: [Pass; 7] = [
    Pass::Forward,
    Pass::Evaluation,
    Pass::Backward,
    Pass::Statistics,
    Pass::MomentsBackward,
    Pass::Fold,
    Pass::DoubleBackward,
];

#[test]
fn what_is_right_passes_in_both_layouts() {
    for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
        let data = Data::new(Shape::new(&[6, 7, 5], layout).unwrap(), true, false);
        let judge = Judge::new(&data, &Config::default()).unwrap();
        assert_eq!(judge.subset(), None);
        for pass in PASSES {
            let accuracy = judge.judge(pass, &perfect(&judge, pass)).unwrap();
            assert!(accuracy.passed && accuracy.error_over_bound < 0.5, "{pass:?}: {accuracy}");
        }
    }
}

#[test]
fn some_channels_stand_for_all() {
    let base =
        Config { ghost: std::num::NonZeroUsize::new(4), residual: true, mask: true, ..Config::default() };
    for (layout, most_elements) in
        [(Layout::ChannelsFirst, 100), (Layout::ChannelsLast, 100), (Layout::ChannelsLast, 1)]
    {
        let data = Data::new(Shape::new(&[6, 7, 5], layout).unwrap(), true, true);
        let all = Judge::new(&data, &base).unwrap();
        let some = Judge::with_limit(&data, &base, most_elements).unwrap();
        assert!(some.subset().is_some() && some.checked.channels().starts_with(&[0]));
        for pass in [Pass::Forward, Pass::Evaluation, Pass::Backward, Pass::DoubleBackward] {
            let accuracy = some.judge(pass, &perfect(&all, pass)).unwrap();
            assert!(accuracy.passed && accuracy.error_over_bound < 0.5, "{pass:?}: {accuracy}");
        }
    }
}

#[test]
fn what_is_wrong_fails_and_is_named() {
    let data = Data::new(Shape::new(&[6, 3, 5], Layout::ChannelsFirst).unwrap(), true, false);
    let given = Config { residual: true, source: Origin::Given, ..Config::default() };
    // The last value of each is spoiled, and each is left out.
    for (config, pass) in
        PASSES.map(|pass| (Config::default(), pass)).into_iter().chain([(given, Pass::Backward)])
    {
        let judge = Judge::new(&data, &config).unwrap();
        let right = perfect(&judge, pass);
        for i in 0..right.len() {
            let name = right[i].0;
            let mut lacking = right.clone();
            lacking.remove(i);
            for spoilt in [right[i].1.last().unwrap() * 1.1 + 0.1, f32::NAN] {
                let mut wrong = right.clone();
                *wrong[i].1.last_mut().unwrap() = spoilt;
                for wrong in [&wrong, &lacking] {
                    let accuracy = judge.judge(pass, wrong).unwrap();
                    assert!(!accuracy.passed && accuracy.result == name, "{name}: {accuracy}");
                    assert!(accuracy.to_string().contains("ACCURACY FAIL"));
                }
            }
        }
    }
}

#[test]
fn rounding_is_allowed_where_results_are_stored_in_16_bits() {
    let data = Data::new(Shape::new(&[6, 3, 5], Layout::ChannelsFirst).unwrap(), false, false);
    let [f32, f16] = ["f32", "f16"]
        .map(|name| Config { dtype: clap::ValueEnum::from_str(name, false).unwrap(), ..Config::default() });
    for (config, passes) in [(f32, false), (f16, true)] {
        let judge = Judge::new(&data, &config).unwrap();
        let mut results = perfect(&judge, Pass::Forward);
        results[0].1.iter_mut().for_each(|y| *y *= 1.0 + 1.0 / 2048.0);
        assert_eq!(judge.judge(Pass::Forward, &results).unwrap().passed, passes);
    }
}

#[test]
fn where_rounding_decides_the_slope_is_found() {
    let mut data = Data::new(Shape::new(&[6, 5, 3], Layout::ChannelsLast).unwrap(), false, false);
    let config = Config { activation: Function::Relu, ..Config::default() };
    assert!(Judge::new(&data, &config).unwrap().doubtful().unwrap().is_empty());
    // With weight and bias 0, z is 0 in the channel.
    (data.weight[1], data.bias[1]) = (0.0, 0.0);
    let doubtful = Judge::new(&data, &config).unwrap().doubtful().unwrap();
    assert_eq!(doubtful, (0..data.shape.elements()).filter(|i| i % 3 == 1).collect::<Vec<_>>());
    let smooth = Config { activation: Function::Silu, ..config };
    assert!(Judge::new(&data, &smooth).unwrap().doubtful().unwrap().is_empty());
}
