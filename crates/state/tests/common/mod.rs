//! The checkpoint that PyTorch wrote.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, unreachable_pub)]

use std::path::PathBuf;

use wgpu_batchnorm_state::{Checkpoint, LayerState, Running};

/// The layer in a block, without scale and offset.
pub const BLOCK: &str = "layer1.0.bn";

pub fn fixture_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files/pytorch.safetensors")
}

pub fn fixture() -> Checkpoint {
    Checkpoint::load(fixture_path()).unwrap()
}

/// What `make.py` has put into `bn1`.
pub fn bn1() -> LayerState {
    LayerState {
        weight: Some(vec![1.0, 0.5, -2.0, 0.1]),
        bias: Some(vec![0.0, -0.25, 3.0, 1e-30]),
        running: Some(Running {
            mean: vec![0.125, -1.5, 100.0, 0.0],
            var: vec![1.0, 0.75, 12.5, 1e-12],
            num_batches_tracked: Some(3),
        }),
    }
}

/// And into the layer of the block.
pub fn block() -> LayerState {
    let (mean, var) = (vec![-1.0, 2.0, 0.3], vec![0.9, 4.0, 2.5]);
    let running = Running { mean, var, num_batches_tracked: Some(4) };
    LayerState { running: Some(running), ..LayerState::default() }
}
