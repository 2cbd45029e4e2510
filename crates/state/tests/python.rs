//! Whether PyTorch takes what is saved here. The environment variable BATCH_NORM_PYTHON names a Python
//! with torch, numpy and safetensors; without it these tests are shown as ignored.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use common::{BLOCK, fixture, fixture_path};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use wgpu_batchnorm_state::{LayerState, Running};

type Test = fn(&OsString);

const TESTS: &[(&str, Test)] = &[
    ("pytorch_loads_its_own_file", pytorch_loads_its_own_file),
    ("pytorch_loads_replaced_layers", pytorch_loads_replaced_layers),
    ("pytorch_refuses_what_is_missing", pytorch_refuses_what_is_missing),
];

fn main() -> ExitCode {
    let python = std::env::var_os("BATCH_NORM_PYTHON");
    let trials = TESTS.iter().map(|&(name, test)| {
        let given = python.clone();
        let run = move || given.map(|python| test(&python)).ok_or("BATCH_NORM_PYTHON is not set".into());
        Trial::test(name, run).with_ignored_flag(python.is_none())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// The state of the module's batch normalization after it has loaded `file` strictly.
fn loaded(python: &OsString, file: &Path) -> Result<Value, String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files/load.py");
    // `-B`: no compiled files beside the script.
    let output = Command::new(python).arg("-B").arg(script).arg(file).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(serde_json::from_slice(&output.stdout).unwrap())
}

/// Python prints an f32 as the f64 that it is, which is read back to within f64's last place.
fn assert_values(state: &Value, name: &str, expected: &[f32]) {
    let got = state[name].as_array().unwrap().iter();
    assert_eq!(got.map(|value| value.as_f64().unwrap() as f32).collect::<Vec<_>>(), expected, "{name}");
}

fn assert_layer(state: &Value, prefix: &str, layer: &LayerState) {
    let running = layer.running.as_ref().unwrap();
    assert_values(state, &format!("{prefix}.running_mean"), &running.mean);
    assert_values(state, &format!("{prefix}.running_var"), &running.var);
    assert_eq!(state[format!("{prefix}.num_batches_tracked")].as_u64(), running.num_batches_tracked);
    for (name, values) in [("weight", &layer.weight), ("bias", &layer.bias)] {
        match values {
            Some(values) => assert_values(state, &format!("{prefix}.{name}"), values),
            None => assert!(state.get(format!("{prefix}.{name}")).is_none()),
        }
    }
}

fn pytorch_loads_its_own_file(python: &OsString) {
    let state = loaded(python, &fixture_path()).unwrap();
    for prefix in fixture().layers() {
        let parts = fixture().parts(&prefix).unwrap();
        assert_layer(&state, &prefix, &fixture().layer(&prefix, &parts).unwrap());
    }
}

fn pytorch_loads_replaced_layers(python: &OsString) {
    let values = |first: f32| (0..4).map(|index| first + index as f32 / 3.0).collect::<Vec<_>>();
    let affine = LayerState {
        weight: Some(values(-1.0)),
        bias: Some(values(1e-20)),
        running: Some(Running { mean: values(7.0), var: values(0.5), num_batches_tracked: Some(1 << 40) }),
    };
    let plain = LayerState { running: Some(Running::start(3)), ..LayerState::default() };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.safetensors");
    let changed = fixture().with_layer("bn1", &affine).unwrap().with_layer(BLOCK, &plain).unwrap();
    changed.save(&file).unwrap();
    let state = loaded(python, &file).unwrap();
    assert_layer(&state, "bn1", &affine);
    assert_layer(&state, BLOCK, &plain);
}

fn pytorch_refuses_what_is_missing(python: &OsString) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved.safetensors");
    let plain = LayerState { running: Some(Running::start(4)), ..LayerState::default() };
    fixture().with_layer("bn1", &plain).unwrap().save(&file).unwrap();
    let error = loaded(python, &file).unwrap_err();
    assert!(error.contains("Missing key(s)") && error.contains("bn1.weight"), "{error}");
}
