//! Reading case files: whole ones, incomplete ones, contradictory ones and damaged ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Pieces, bytes, case, folder};
use proptest::prelude::{any, proptest};
use wgpu_batchnorm_oracle::{
    Activation, Case, CaseError, Dtype, Kind, Layout, Momentum, Order, Stats, Update, find_cases,
};

#[test]
fn every_case_parses() {
    let paths = find_cases([folder()]).unwrap();
    // The given ones, and those that `tests/cases/make.py` makes.
    let (made, given): (Vec<_>, Vec<_>) =
        paths.iter().partition(|path| path.parent().unwrap().ends_with("made"));
    assert!(given.len() >= 48, "{} given cases", given.len());
    assert_eq!(made.len(), 23);
    for path in &paths {
        let case = Case::load(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(case.unsupported(), None, "{}", case.name);
        assert!(case.is_judged(), "{}", case.name);
        for (name, tensor) in &case.inputs {
            assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>(), "{}: {name}", case.name);
        }
    }
}

#[test]
fn metadata_becomes_types() {
    let step = case("nchw_leaky");
    assert_eq!(step.kind, Kind::Step);
    assert_eq!(step.layout, Layout::ChannelsFirst);
    assert_eq!(step.activation, Activation::LeakyRelu { negative_slope: 0.2 });
    assert_eq!((step.epsilon, step.momentum), (1e-5, Momentum::Average(0.1)));
    assert_eq!((step.num_batches_tracked, step.expected_num_batches_tracked), (0, Some(1)));
    assert_eq!((step.order, step.stats), (Order::Post, Stats::Batch));

    let cumulative = case("nchw_cumulative");
    assert_eq!((cumulative.momentum, cumulative.num_batches_tracked), (Momentum::Cumulative, 3));
    assert_eq!(case("nchw_relu_before").order, Order::Pre);
    assert_eq!(case("nhwc_eval").stats, Stats::Running);
    assert_eq!(case("nhwc_eval").layout, Layout::ChannelsLast);
    assert_eq!(case("nchw_given").stats, Stats::Given);
    assert_eq!(case("nchw_sync_empty_rank").kind, Kind::Sync { replicas: vec![2, 0, 4] });
    assert_eq!(case("nhwc_ghost_uneven").kind, Kind::Ghost { group: 3 });
    assert_eq!(case("nchw_population").kind, Kind::Population { batches: 5 });
    assert_eq!(case("moments_nchw").kind, Kind::Moments { axes: vec![0, 2, 3] });
    assert_eq!(case("nhwc_masked_nan").kind, Kind::Masked);
    assert_eq!(case("nchw_double_backward").kind, Kind::DoubleBackward);
}

#[test]
fn the_update_follows_the_statistics_unless_it_is_named() {
    for (name, update) in [
        ("nchw_train", Update::Batch),
        ("nchw_cumulative", Update::Batch),
        ("nchw_no_running", Update::Batch),
        ("nchw_eval", Update::None),
        ("nchw_given", Update::None),
        ("made/guarded_inf", Update::Guarded),
        ("made/guarded_finite", Update::Guarded),
        ("made/running_update", Update::Batch),
    ] {
        assert_eq!(case(name).update, update, "{name}");
    }
    let counts = |name| (case(name).expected_num_batches_tracked, case(name).expected_num_batches_skipped);
    assert_eq!(counts("made/guarded_inf"), (Some(5), Some(1)));
    assert_eq!(counts("made/guarded_finite"), (Some(6), Some(0)));
    assert_eq!(counts("made/running_update"), (Some(3), None));
    let kept = Pieces::of("nchw_train").with_metadata("update", "none").parse().unwrap();
    assert_eq!((kept.stats, kept.update), (Stats::Batch, Update::None));
    let cumulative = Pieces::of("nchw_cumulative").with_metadata("update", "cumulative").parse().unwrap();
    assert_eq!((cumulative.momentum, cumulative.update), (Momentum::Cumulative, Update::Batch));
}

#[test]
fn masked_and_ghost_batches_may_be_fused() {
    let masked = case("made/masked_relu_residual");
    assert_eq!((&masked.kind, &masked.activation), (&Kind::Masked, &Activation::Relu));
    assert_eq!(masked.expected["dresidual"].shape, masked.input("residual").unwrap().shape);
    let ghost = case("made/ghost_silu_uneven");
    assert_eq!((&ghost.kind, &ghost.activation), (&Kind::Ghost { group: 3 }, &Activation::Silu));
    // As in the given format, a kind that says nothing of it has none.
    let plain = case("ncl_masked");
    assert_eq!(
        (&plain.activation, plain.order, plain.input("residual")),
        (&Activation::None, Order::Post, None)
    );
    let refusal = Pieces::of("made/masked_relu_residual").with_f32("residual", &[3, 6, 6], 1.0).refusal();
    assert!(refusal.contains("`residual` has shape"), "{refusal}");
}

#[test]
fn sixteen_bit_inputs_are_exact() {
    for (name, dtype) in
        [("nchw_f16", Dtype::F16), ("nchw_bf16", Dtype::BF16), ("made/bf16_odd_last", Dtype::BF16)]
    {
        let case = case(name);
        let (x, stored) = (case.input("x").unwrap(), &Pieces::of(name).tensors["x"].data);
        assert_eq!((&case.dtype, &x.dtype), (&dtype, &dtype));
        for (value, bytes) in x.values.iter().zip(stored.as_chunks::<2>().0) {
            let back = match dtype {
                Dtype::F16 => half::f16::from_f32(*value).to_le_bytes(),
                _ => half::bf16::from_f32(*value).to_le_bytes(),
            };
            assert_eq!(back, *bytes);
        }
    }
}

#[test]
fn outputs_have_the_shapes_of_the_case() {
    let case = case("nhwc_train");
    assert_eq!(case.output_shape("y"), [4, 7, 7, 8]);
    assert_eq!(case.output_shape("batch_mean"), [8]);
    let mut unjudged = Pieces::of("moments_nchw");
    unjudged.tensors.retain(|name, _| !name.starts_with("expect."));
    let unjudged = unjudged.with_metadata("axes", "0,3").parse().unwrap();
    assert!(!unjudged.is_judged());
    assert_eq!(unjudged.output_shape("mean"), [6, 5]);
}

#[test]
fn what_is_not_known_is_no_error() {
    let step = Pieces::of("nchw_train");
    let skipped = |pieces: Pieces| pieces.parse().unwrap().unsupported().unwrap();
    assert!(skipped(step.clone().with_metadata("kind", "group_norm")).contains("kind `group_norm`"));
    assert!(skipped(step.clone().with_metadata("activation", "mish")).contains("activation `mish`"));
    assert!(skipped(step.with_metadata("dtype", "f64")).contains("dtype `f64`"));
    // Nothing is demanded of a kind that is not known.
    let mut bare = Pieces::of("moments_nchw").with_metadata("kind", "new").with_metadata("momentum", "?");
    bare.tensors.clear();
    assert!(bare.parse().unwrap().unsupported().is_some());
}

#[test]
fn files_without_expected_tensors_are_cases() {
    for name in ["nchw_train", "moments_columns", "nchw_population", "ncl_masked"] {
        let mut pieces = Pieces::of(name);
        pieces.tensors.retain(|name, _| !name.starts_with("expect.") && !name.starts_with("atol."));
        let case = pieces.parse().unwrap();
        assert!(!case.is_judged());
        assert_eq!(case.inputs, common::case(name).inputs);
    }
}

#[test]
fn missing_metadata_is_named() {
    for (name, keys) in [
        (
            "nchw_train",
            &["kind", "layout", "dtype", "eps", "momentum", "num_batches_tracked", "activation"] as &[_],
        ),
        ("nchw_train", &["order", "stats", "rtol.y", "rtol.batch_mean"]),
        ("nchw_leaky", &["negative_slope"]),
        ("nchw_sync", &["replicas"]),
        ("nchw_ghost", &["group", "momentum"]),
        ("nchw_population", &["batches", "layout"]),
        ("moments_nchw", &["axes"]),
        ("ncl_masked", &["eps"]),
    ] {
        for &key in keys {
            let refusal = Pieces::of(name).without_metadata(key).refusal();
            assert!(refusal.contains(&format!("`{key}` is missing")), "{name}, {key}: {refusal}");
        }
    }
}

#[test]
fn unparsable_metadata_is_named() {
    for (name, key, value) in [
        ("nchw_train", "layout", "nchw"),
        ("nchw_train", "eps", "small"),
        ("nchw_train", "eps", "-1e-5"),
        ("nchw_train", "eps", "NaN"),
        ("nchw_train", "momentum", "inf"),
        ("nchw_train", "momentum", ""),
        ("nchw_train", "num_batches_tracked", "-1"),
        ("nchw_train", "expect.num_batches_tracked", "1.5"),
        ("nchw_train", "order", "both"),
        ("nchw_train", "stats", "some"),
        ("nchw_train", "update", "sometimes"),
        ("nchw_train", "update", "cumulative"),
        ("nchw_cumulative", "update", "moving_average"),
        ("made/guarded_inf", "expect.num_batches_skipped", "-1"),
        ("nchw_train", "rtol.y", "-1"),
        ("nchw_train", "torch_f32_err.y", "little"),
        ("nchw_leaky", "negative_slope", "steep"),
        ("nchw_sync", "replicas", "3,,5"),
        ("nchw_sync", "replicas", "3,-1,7"),
        ("nchw_ghost", "group", "0"),
        ("nchw_population", "batches", "0"),
        ("moments_nchw", "axes", ""),
        ("moments_nchw", "axes", "0,-1"),
    ] {
        let refusal = Pieces::of(name).with_metadata(key, value).refusal();
        assert!(refusal.contains(&format!("`{key}` is {value:?}")), "{name}, {key}={value}: {refusal}");
    }
}

#[test]
fn missing_tensors_are_named() {
    for (name, tensor) in [
        ("nchw_train", "x"),
        ("nchw_train", "dy"),
        ("nchw_train", "atol.dx"),
        ("nchw_train", "running_var"),
        ("nchw_eval", "running_mean"),
        ("nchw_given", "given_mean"),
        ("ncl_masked", "mask"),
        ("nchw_double_backward", "ddx"),
        ("nchw_population", "x.0"),
        ("nchw_population", "x.3"),
        ("moments_nchw", "x"),
    ] {
        let refusal = Pieces::of(name).without(tensor).refusal();
        assert!(refusal.contains(&format!("`{tensor}` is missing")), "{name}, {tensor}: {refusal}");
    }
    // There must be something to update.
    for (name, update) in [("made/guarded_inf", "guarded"), ("made/running_update", "moving_average")] {
        let mut pieces = Pieces::of(name).without("running_mean").without("running_var");
        pieces = pieces.with_metadata("update", update);
        pieces.tensors.retain(|name, _| !name.contains("expect.running"));
        assert!(pieces.refusal().contains("`running_mean` is missing"), "{name}");
    }
    let refusal = Pieces::of("nchw_population").with_metadata("batches", "18446744073709551615").refusal();
    assert!(refusal.contains("`x.5` is missing"), "{refusal}");
}

#[test]
fn contradictory_shapes_are_named() {
    for (name, tensor, shape) in [
        ("nchw_train", "weight", &[7_usize] as &[_]),
        ("nchw_train", "weight", &[8, 1]),
        ("nchw_train", "bias", &[0]),
        ("nchw_train", "running_var", &[9]),
        ("nchw_train", "dy", &[4, 7, 7, 8]),
        ("nchw_train", "x", &[8]),
        ("nchw_train", "x", &[]),
        ("nchw_train", "expect.y", &[4, 8, 49]),
        ("nchw_train", "expect.dweight", &[1]),
        ("nchw_train", "atol.y", &[2]),
        ("nchw_train", "atol.y", &[4, 8, 7, 7]),
        ("nchw_add_relu", "residual", &[4, 8, 7, 1]),
        ("ncl_masked", "mask", &[5, 6, 23]),
        ("nhwc_masked_nan", "mask", &[3, 6, 5]),
        ("nchw_double_backward", "ddx", &[5]),
        ("nchw_double_backward", "ddweight", &[4]),
        ("nchw_population", "x.2", &[4, 5, 5, 5]),
        ("nchw_population", "x.2", &[4, 6, 25]),
        ("moments_nchw", "x", &[4, 6]),
    ] {
        let refusal = Pieces::of(name).with_f32(tensor, shape, 1.0).refusal();
        assert!(refusal.contains("has shape"), "{name}, {tensor}: {refusal}");
    }
    let refusal = Pieces::of("nchw_sync").with_metadata("replicas", "3,1,6").refusal();
    assert!(refusal.contains("[3, 1, 6]"), "{refusal}");
    let huge = format!("{0},{0}", usize::MAX);
    assert!(Pieces::of("nchw_sync").with_metadata("replicas", &huge).parse().is_err());
    assert!(Pieces::of("moments_nchw").with_metadata("axes", "0,2,2").parse().is_err());
    // Another shape of one batch is right.
    Pieces::of("nchw_population").with_f32("x.4", &[2, 6, 5, 3], 1.0).parse().unwrap();
}

#[test]
fn wrong_element_types_and_bounds_are_named() {
    let wrong = Pieces::of("nchw_f16").with_f32("dy", &[4, 8, 7, 7], 1.0).refusal();
    assert!(wrong.contains("`dy` has dtype f32, expected f16"), "{wrong}");
    let mut pieces = Pieces::of("nchw_train");
    let integers = pieces.tensors.get_mut("weight").unwrap();
    integers.dtype = safetensors::Dtype::I32;
    assert!(pieces.refusal().contains("`weight` has dtype i32, expected f32"));
    for bound in [-1.0, f32::NAN] {
        let refusal = Pieces::of("nchw_train").with_f32("atol.y", &[8], bound).refusal();
        assert!(refusal.contains("bound `atol.y`"), "{refusal}");
    }
}

#[test]
fn sizes_of_zero_do_not_overflow() {
    let huge = 1 << 40;
    let empty = Pieces::of("moments_nchw").with_f32("x", &[0, 1, 1, 1], 0.0);
    for shape in [[0, huge, huge, huge], [0, 0, 0, 0], [0, huge, 0, huge]] {
        for axes in ["0", "0,2,3", "1"] {
            let mut pieces = empty.clone().with_metadata("axes", axes);
            pieces.tensors.get_mut("x").unwrap().shape = shape.to_vec();
            let _ = pieces.parse();
        }
    }
    let mut step = Pieces::of("nchw_train").with_f32("x", &[0, 8, 1, 1], 0.0);
    step.tensors.get_mut("x").unwrap().shape = vec![0, 8, huge, huge];
    assert!(step.parse().is_err());
}

#[test]
fn a_truncated_file_is_an_error() {
    for name in ["nc_train", "nchw_f16", "moments_nchw"] {
        let whole = bytes(name);
        for cut in (0..whole.len()).step_by(7).chain(whole.len() - 9..whole.len()) {
            let error = Case::from_bytes(name, &whole[..cut]).unwrap_err();
            assert!(matches!(error, CaseError::Damaged(_)), "{cut}: {error}");
        }
        let longer = [whole.as_slice(), &[0]].concat();
        assert!(matches!(Case::from_bytes(name, &longer), Err(CaseError::Damaged(_))));
    }
}

#[test]
fn a_damaged_header_never_panics() {
    let whole = bytes("nc_single_feature");
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for index in 0..header {
        for flip in [1, 2, 4, 16, 128, 255] {
            let mut damaged = whole.clone();
            damaged[index] ^= flip;
            let _ = Case::from_bytes("damaged", &damaged);
        }
    }
}

/// A header whose sizes add up to more than can be addressed.
#[test]
fn a_hostile_header_is_an_error() {
    let half = usize::MAX / 16;
    let mut end = 0;
    let mut entries = Vec::new();
    for index in 0..16 {
        let start = end;
        end += half;
        entries
            .push(format!(r#""t{index}":{{"dtype":"U8","shape":[{half}],"data_offsets":[{start},{end}]}}"#));
    }
    let (start, rest) = (end, usize::MAX - end);
    entries.push(format!(
        r#""t":{{"dtype":"U8","shape":[{rest}],"data_offsets":[{start},{max}]}}"#,
        max = usize::MAX
    ));
    let header = format!("{{{}}}", entries.join(","));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    assert!(matches!(Case::from_bytes("hostile", &file), Err(CaseError::Damaged(_))));
    let announced = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    assert!(matches!(Case::from_bytes("hostile", &announced), Err(CaseError::Damaged(_))));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Case::load("no/such.safetensors").unwrap_err();
    assert!(matches!(error, CaseError::Read { .. }));
    assert!(error.to_string().contains("no/such.safetensors"));
    assert!(Case::load(folder()).is_err());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        assert!(Case::from_bytes("arbitrary", &bytes).is_err());
    }
}
