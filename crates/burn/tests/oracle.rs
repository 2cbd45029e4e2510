//! The oracle cases through burn's tensors and autodiff.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::module::{Param, RunningState};
use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_batchnorm::{Activation, BatchNorm, BatchNormConfig, Layout, Order};
use common::{Failure, device, step};
use std::path::Path;
use wgpu_batchnorm_oracle as oracle;
use wgpu_batchnorm_oracle::{Case, Kind, Outputs, Stats, Update, find_cases, judge};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/cases");

/// Why a case is none of this layer's, if so.
fn excluded(case: &Case) -> Option<String> {
    if !matches!(case.kind, Kind::Step) {
        return Some(format!("kind `{}` has no layer in burn", case.kind));
    }
    if case.dtype == oracle::Dtype::BF16 {
        return Some("burn's wgpu backend has no bfloat16".to_owned());
    }
    match (case.stats, case.update) {
        (Stats::Batch, Update::Guarded) => Some("there is no guard".to_owned()),
        (Stats::Batch, Update::None) if case.input("running_mean").is_some() => {
            Some("training updates the running statistics".to_owned())
        }
        (Stats::Running | Stats::Given, update) if update != Update::None => {
            Some("inference updates nothing".to_owned())
        }
        _ => None,
    }
}

/// The layer of a case, with its state.
fn layer(case: &Case, channels: usize, device: &Device) -> Result<BatchNorm, Failure> {
    let mut config = BatchNormConfig::new(channels).with_epsilon(case.epsilon);
    match case.momentum {
        oracle::Momentum::Average(momentum) => config.momentum = momentum,
        oracle::Momentum::Cumulative => config.cumulative = true,
    }
    config.activation = match &case.activation {
        oracle::Activation::None => Activation::None,
        oracle::Activation::Relu => Activation::Relu,
        oracle::Activation::LeakyRelu { negative_slope } => Activation::LeakyRelu(*negative_slope),
        oracle::Activation::Silu => Activation::Silu,
        oracle::Activation::Gelu => Activation::Gelu,
        oracle::Activation::GeluTanh => Activation::GeluTanh,
        oracle::Activation::Sigmoid => Activation::Sigmoid,
        oracle::Activation::Tanh => Activation::Tanh,
        other => return Err(format!("{other:?} is not known").into()),
    };
    config.order = match case.order {
        oracle::Order::Post => Order::AfterNormalization,
        oracle::Order::Pre => Order::BeforeNormalization,
    };
    config.layout = match case.layout {
        oracle::Layout::ChannelsFirst => Layout::ChannelsFirst,
        oracle::Layout::ChannelsLast => Layout::ChannelsLast,
    };
    let (mean, var) = if case.stats == Stats::Given {
        ("given_mean", "given_var")
    } else {
        ("running_mean", "running_var")
    };
    config.running_statistics = case.input(mean).is_some();
    let mut norm = config.try_init(device)?;
    let vector = |name| case.values(name).map(|values| common::tensor::<1>(values, [channels], device));
    norm.gamma = vector("weight").map(Param::from_tensor);
    norm.beta = vector("bias").map(Param::from_tensor);
    norm.running_mean = vector(mean).map(RunningState::new);
    norm.running_var = vector(var).map(RunningState::new);
    if let Some(batches) = &mut norm.batches {
        let count = case.num_batches_tracked as f32;
        *batches = RunningState::new(common::tensor(&[count], [1], device));
    }
    if case.stats != Stats::Batch {
        norm.training = Param::from_bool(false);
    }
    Ok(norm)
}

fn run(case: &mut Case, device: &Device) -> Result<String, Failure> {
    let sizes = case.output_shape("y");
    let channels = match case.layout {
        oracle::Layout::ChannelsFirst => sizes[1],
        oracle::Layout::ChannelsLast => *sizes.last().unwrap(),
    };
    let dtype = match case.dtype {
        oracle::Dtype::F32 => DType::F32,
        oracle::Dtype::F16 => DType::F16,
        _ => return Err("the element type is not known".into()),
    };
    let norm = layer(case, channels, device)?;
    // Three axes stand for all: the layer itself joins the others.
    let rest: usize = sizes[1..].iter().product::<usize>() / channels;
    let joined = match case.layout {
        oracle::Layout::ChannelsFirst => [sizes[0], channels, rest],
        oracle::Layout::ChannelsLast => [sizes[0], rest, channels],
    };
    let full = |name: &str| -> Option<Tensor<3>> {
        let data = TensorData::new(case.values(name)?.to_vec(), joined);
        Some(Tensor::from_data(data, (device, dtype)))
    };
    let (x, dy) = (full("x").unwrap(), full("dy").unwrap());
    let found = step(&norm, x, full("residual"), dy);
    let mut outputs = Outputs::default();
    outputs.insert("y", sizes.clone(), found.y);
    outputs.insert("dx", sizes.clone(), found.dx);
    let vectors = [
        ("dweight", found.dweight, vec![channels]),
        ("dbias", found.dbias, vec![channels]),
        ("dresidual", found.dresidual, sizes),
        ("running_mean", found.running_mean.filter(|_| case.stats != Stats::Given), vec![channels]),
        ("running_var", found.running_var.filter(|_| case.stats != Stats::Given), vec![channels]),
    ];
    for (name, values, shape) in vectors {
        if let Some(values) = values {
            outputs.insert(name, shape, values);
        }
    }
    // What burn's interface does not show: the batch's statistics, running ones beside those that are given, and counts.
    let is_given = case.stats == Stats::Given;
    let is_shown = |name: &str| !(name.starts_with("batch_") || is_given && name.starts_with("running_"));
    case.expected.retain(|name, _| is_shown(name));
    (case.expected_num_batches_tracked, case.expected_num_batches_skipped) = (None, None);
    assert!(["y", "dx"].iter().all(|name| case.expected.contains_key(*name)), "{}", case.name);
    let verdict = judge(case, &outputs);
    if verdict.passed() { Ok(verdict.to_string()) } else { Err(verdict.to_string().into()) }
}

#[test]
fn every_case_of_a_layer() {
    let (device, mut passed, mut left_out, mut failed) = (device(), 0, Vec::new(), Vec::new());
    for path in find_cases([Path::new(CASES)]).unwrap() {
        let mut case = Case::load(&path).unwrap();
        if let Some(reason) = excluded(&case) {
            left_out.push(format!("{}: {reason}", case.name));
            continue;
        }
        match run(&mut case, &device) {
            Ok(_) => passed += 1,
            Err(error) => failed.push(format!("{}: {error}", case.name)),
        }
    }
    println!("{passed} cases passed; left out:\n{}", left_out.join("\n"));
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), passed + failed.len(), failed.join("\n"));
    assert!(passed >= 44, "{passed} cases, expected at least 44");
}
