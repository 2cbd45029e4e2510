//! Checkpoints through burn-store: PyTorch's, and burn's own layer's.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use burn::module::Module;
use burn::nn::{BatchNorm as TheirNorm, BatchNormConfig as Theirs};
use burn::store::{ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore};
use burn_batchnorm::{BatchNorm, BatchNormConfig};
use common::{device, some, values};

#[derive(Module, Debug)]
struct Ours {
    bn1: BatchNorm,
}

#[derive(Module, Debug)]
struct Burns {
    bn1: TheirNorm,
}

/// Made by PyTorch; crates/state/tests/files/make.py says how.
const PYTORCH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../state/tests/files/pytorch.safetensors");

#[test]
fn of_pytorch() {
    let device = device();
    let mut net = Ours { bn1: BatchNormConfig::new(4).init(&device) };
    let mut store =
        SafetensorsStore::from_file(PYTORCH).with_from_adapter(PyTorchToBurnAdapter).allow_partial(true);
    let result = net.load_from(&mut store).unwrap();
    assert!(result.errors.is_empty(), "{:?}", result.errors);
    let BatchNorm { gamma, beta, running_mean, running_var, .. } = &net.bn1;
    assert_eq!(values(gamma.as_ref().unwrap().val()), [1.0, 0.5, -2.0, 0.1]);
    assert_eq!(values(beta.as_ref().unwrap().val()), [0.0, -0.25, 3.0, 1e-30]);
    assert_eq!(values(running_mean.as_ref().unwrap().value()), [0.125, -1.5, 100.0, 0.0]);
    assert_eq!(values(running_var.as_ref().unwrap().value()), [1.0, 0.75, 12.5, 1e-12]);
    // y = γ·(x − mean)/√(var + ε) + β of them.
    let inner = device.without_autodiff();
    let y = values(net.valid().bn1.forward(common::tensor(&[1.0, 1.0, 1.0, 1.0], [1, 4], &inner)));
    let expected = [0.875 / (1.0f32 + 1e-5).sqrt(), 0.5 * 2.5 / (0.75f32 + 1e-5).sqrt() - 0.25];
    common::assert_close("y", &y[..2], &expected, 1e-6);
}

#[test]
fn of_burns_own_layer_and_back() {
    let device = device();
    let theirs = Burns { bn1: Theirs::new(4).init(&device) };
    theirs.bn1.forward(some([8, 4], 1, &device));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let saved = theirs.valid();
    saved.save_into(&mut SafetensorsStore::from_file(&path)).unwrap();
    let mut ours = Ours { bn1: BatchNormConfig::new(4).init(&device) };
    let result = ours.load_from(&mut SafetensorsStore::from_file(&path)).unwrap();
    assert!(result.errors.is_empty() && result.missing.is_empty(), "{result:?}");
    let mean = values(ours.bn1.running_mean.as_ref().unwrap().value());
    assert_eq!(mean, values(saved.bn1.running_mean.value()));
    assert_ne!(mean, [0.0; 4]);

    let back = folder.path().join("back.safetensors");
    ours.save_into(&mut SafetensorsStore::from_file(&back)).unwrap();
    let mut theirs = Burns { bn1: Theirs::new(4).init(&device) };
    let result = theirs.load_from(&mut SafetensorsStore::from_file(&back)).unwrap();
    assert!(result.errors.is_empty() && result.missing.is_empty(), "{result:?}");
    assert_eq!(values(theirs.bn1.running_mean.value()), mean);
}
