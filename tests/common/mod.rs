//! What the tests of the reference and those of the device share: the values of the axes, and the files.

use std::path::{Path, PathBuf};
use wgpu_batchnorm::{Activation, Layout};

/// A file or folder that tests read, by its path in the workspace. `BATCH_NORM_ROOT` names another root, for a
/// machine that has the test programs and not the workspace.
pub(crate) fn file(path: &str) -> PathBuf {
    let root = std::env::var_os("BATCH_NORM_ROOT").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&root).join(path)
}

pub(crate) const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

pub(crate) const ACTIVATIONS: [Activation; 8] = [
    Activation::None,
    Activation::Relu,
    Activation::LeakyRelu { negative_slope: 0.2 },
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Sigmoid,
    Activation::Tanh,
];
