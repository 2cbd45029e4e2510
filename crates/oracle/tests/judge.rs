//! The judge can fail: one wrong element is enough, whatever the tensor and the layout.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Pieces, case, folder, perfect};
use wgpu_batchnorm_oracle::{Case, Failure, Outputs, TensorVerdict, find_cases, judge};

fn tensor(case: &Case, outputs: &Outputs, name: &str) -> TensorVerdict {
    let verdict = judge(case, outputs);
    let tensor = verdict.tensors.iter().find(|tensor| tensor.name == name).unwrap().clone();
    assert_eq!(verdict.passed(), verdict.tensors.iter().all(TensorVerdict::passed));
    tensor
}

/// Rounding them to f32 is within every bound of these files.
#[test]
fn the_expected_values_pass() {
    for path in find_cases([folder()]).unwrap() {
        let case = Case::load(path).unwrap();
        let verdict = judge(&case, &perfect(&case));
        assert!(verdict.passed(), "{verdict}");
        assert_eq!(verdict.tensors.len(), case.expected.len());
    }
}

/// Every tensor of every case, 3 elements each, those with the smallest and largest bound among them.
#[test]
fn one_element_off_by_twice_its_bound_fails() {
    let mut checked = 0;
    for path in find_cases([folder()]).unwrap() {
        let case = Case::load(path).unwrap();
        let perfect = perfect(&case);
        for (name, expected) in &case.expected {
            let elements = expected.values.len();
            let by_bound = |a: &usize, b: &usize| expected.bound(*a).total_cmp(&expected.bound(*b));
            let smallest = (0..elements).min_by(by_bound).unwrap();
            let largest = (0..elements).max_by(by_bound).unwrap();
            for index in [smallest, largest, elements - 1] {
                let (wanted, bound) = (expected.values[index], expected.bound(index));
                if !wanted.is_finite() {
                    continue;
                }
                let mut outputs = perfect.clone();
                let value = &mut outputs.tensors.get_mut(name).unwrap().values[index];
                *value = (wanted + 2.0 * bound) as f32;
                // A bound smaller than what f32 resolves here: the next value is out.
                while f64::from(*value) - wanted <= bound {
                    *value = value.next_up();
                }
                let verdict = tensor(&case, &outputs, name);
                let failed = Failure::OutOfBounds { failed: 1, total: elements };
                assert_eq!(verdict.failure, Some(failed), "{}: {verdict}", case.name);
                let worst = verdict.worst.unwrap();
                assert_eq!((worst.index, worst.expected, worst.bound), (index, wanted, bound));
                assert!(verdict.ratio() > 1.0);
                checked += 1;
            }
        }
    }
    assert!(checked > 900, "{checked} elements");
}

/// Bounds differ between channels: an error that passes in one channel fails in another.
#[test]
fn the_bound_is_that_of_the_channel() {
    for (name, run) in [("nchw_train", 49), ("nhwc_train", 1)] {
        let mut pieces = Pieces::of(name);
        let bounds: Vec<u8> = (1..=8u8).flat_map(|channel| f32::from(channel).to_le_bytes()).collect();
        for bound in ["atol.y", "atol.dbias"] {
            pieces.tensors.get_mut(bound).unwrap().data = bounds.clone();
        }
        let case = pieces.parse().unwrap();
        for index in [0, 1, 48, 49, 100, 1567] {
            let bound = case.expected["y"].bound(index);
            assert_eq!(bound, (index / run % 8 + 1) as f64, "{name}, {index}");
            let mut outputs = perfect(&case);
            outputs.tensors.get_mut("y").unwrap().values[index] += 3.5;
            assert_eq!(tensor(&case, &outputs, "y").passed(), bound > 3.5, "{name}, {index}");
        }
        for channel in 0..8 {
            assert_eq!(case.expected["dbias"].bound(channel), (channel + 1) as f64);
        }
    }
}

#[test]
fn a_relative_bound_grows_with_the_value() {
    let case = case("nhwc_train");
    let expected = &case.expected["batch_var"];
    for (index, value) in expected.values.iter().enumerate() {
        let atol = f64::from(expected.atol[index]);
        assert_eq!(expected.bound(index), atol + 2e-6 * value);
    }
}

#[test]
fn a_value_that_is_no_number_fails_where_one_is_expected() {
    for name in ["nchw_train", "nhwc_train"] {
        let case = case(name);
        for tensor_name in ["y", "dx", "dweight", "running_var"] {
            for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut outputs = perfect(&case);
                outputs.tensors.get_mut(tensor_name).unwrap().values[3] = wrong;
                let verdict = tensor(&case, &outputs, tensor_name);
                assert!(!verdict.passed());
                assert_eq!((verdict.ratio(), verdict.max_abs_error), (f64::INFINITY, f64::INFINITY));
                assert_eq!(verdict.worst.unwrap().index, 3);
            }
        }
    }
    // Not even an infinite bound lets it pass.
    let boundless = Pieces::of("nchw_train").with_f32("atol.y", &[1], f32::INFINITY).parse().unwrap();
    let mut outputs = perfect(&boundless);
    outputs.tensors.get_mut("y").unwrap().values[3] = f32::NAN;
    assert!(!judge(&boundless, &outputs).passed());
    outputs.tensors.get_mut("y").unwrap().values[3] = f32::MAX;
    assert!(judge(&boundless, &outputs).passed());
}

#[test]
fn a_number_fails_where_none_is_expected() {
    for name in ["nchw_nan", "nchw_inf"] {
        let case = case(name);
        for (tensor_name, expected) in &case.expected {
            let Some(index) = expected.values.iter().position(|value| !value.is_finite()) else { continue };
            let mut outputs = perfect(&case);
            for other in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                outputs.tensors.get_mut(tensor_name).unwrap().values[index] = other;
                assert!(tensor(&case, &outputs, tensor_name).passed());
            }
            outputs.tensors.get_mut(tensor_name).unwrap().values[index] = 0.0;
            let verdict = tensor(&case, &outputs, tensor_name);
            assert_eq!(verdict.ratio(), f64::INFINITY, "{tensor_name}");
            assert!(!verdict.passed());
        }
    }
}

#[test]
fn missing_short_and_misshapen_tensors_fail() {
    let case = case("nhwc_train");
    for name in ["y", "batch_mean"] {
        let mut outputs = perfect(&case);
        outputs.tensors.get_mut(name).unwrap().values.pop();
        let expected = case.expected[name].values.len();
        let verdict = tensor(&case, &outputs, name);
        assert_eq!(verdict.failure, Some(Failure::Length { actual: expected - 1, expected }));
        outputs.tensors.get_mut(name).unwrap().values.extend([0.0, 0.0]);
        assert!(!judge(&case, &outputs).passed());

        let mut outputs = perfect(&case);
        outputs.tensors.get_mut(name).unwrap().shape.push(1);
        assert!(matches!(tensor(&case, &outputs, name).failure, Some(Failure::Shape { .. })));

        outputs.tensors.remove(name);
        let verdict = judge(&case, &outputs);
        assert!(!verdict.passed());
        let worst = verdict.worst().unwrap();
        assert_eq!((worst.name.as_str(), &worst.failure), (name, &Some(Failure::Missing)));
        assert_eq!(worst.ratio(), f64::INFINITY);
    }
    assert!(!judge(&case, &Outputs::default()).passed());
}

#[test]
fn the_counter_must_be_exact() {
    let case = case("nchw_cumulative");
    let mut outputs = perfect(&case);
    for (got, passed) in [(Some(4), true), (Some(3), false), (Some(5), false), (None, false)] {
        outputs.num_batches_tracked = got;
        let verdict = judge(&case, &outputs);
        assert_eq!(verdict.passed(), passed, "{verdict}");
        assert!(verdict.tensors.iter().all(TensorVerdict::passed));
    }
}

#[test]
fn batches_that_are_skipped_are_counted_apart() {
    let case = case("made/guarded_inf");
    let mut outputs = perfect(&case);
    for (got, passed) in [(Some(1), true), (Some(0), false), (None, false)] {
        outputs.num_batches_skipped = got;
        let verdict = judge(&case, &outputs);
        assert_eq!(verdict.passed(), passed, "{verdict}");
        assert_eq!(verdict.to_string().contains("num_batches_skipped: FAILED"), !passed, "{verdict}");
    }
    outputs.num_batches_skipped = Some(1);
    // The running statistics must be what they were, to the bit.
    let value = &mut outputs.tensors.get_mut("running_var").unwrap().values[3];
    *value = value.next_up();
    assert!(!judge(&case, &outputs).passed());
    // Who does not ask for the count does not get a verdict on it.
    let unguarded = common::case("nchw_train");
    assert_eq!(judge(&unguarded, &perfect(&unguarded)).counters.len(), 1);
}

#[test]
fn a_bound_of_zero_takes_the_exact_value_only() {
    let pieces = Pieces::of("nchw_constant").with_metadata("rtol.batch_mean", "0");
    let case = pieces.with_f32("atol.batch_mean", &[1], 0.0).parse().unwrap();
    let mut outputs = perfect(&case);
    let exact = tensor(&case, &outputs, "batch_mean");
    assert!(exact.passed());
    assert_eq!((exact.ratio(), exact.torch_ratio()), (0.0, Some(0.0)));
    let value = &mut outputs.tensors.get_mut("batch_mean").unwrap().values[2];
    *value = value.next_up();
    let off = tensor(&case, &outputs, "batch_mean");
    assert!(!off.passed());
    assert_eq!(off.ratio(), f64::INFINITY);
    assert!(off.max_abs_error < 1e-7);
}

#[test]
fn errors_are_set_beside_those_of_torch() {
    let case = case("nchw_train");
    let torch = case.expected["y"].torch_f32_error.unwrap();
    let verdict = tensor(&case, &perfect(&case), "y");
    assert_eq!(verdict.torch_ratio(), Some(verdict.max_abs_error / torch));
    assert!(verdict.to_string().contains("error/torch"));
    assert_eq!(
        tensor(&common::case("nchw_ghost"), &perfect(&common::case("nchw_ghost")), "y").torch_ratio(),
        None
    );
}
