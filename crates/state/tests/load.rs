//! Loading: what PyTorch wrote, other element types, and everything that is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{BLOCK, block, bn1, fixture, fixture_path};
use proptest::prelude::{any, proptest};
use wgpu_batchnorm_state::{Checkpoint, Dtype, LayerState, Parts, Running, StateError};
use wgpu_batchnorm_tensors::{File, Tensor};

/// The fixture with other tensors under some names, or without them.
fn edited(changes: Vec<(&str, Option<Tensor<'_>>)>) -> Checkpoint {
    let bytes = std::fs::read(fixture_path()).unwrap();
    let mut file = File::parse(&bytes).unwrap();
    for (name, tensor) in changes {
        match tensor {
            Some(tensor) => drop(file.tensors.insert(name.to_owned(), tensor)),
            None => drop(file.tensors.remove(name).unwrap()),
        }
    }
    Checkpoint::from_bytes(&file.to_bytes()).unwrap()
}

fn refusal(checkpoint: &Checkpoint) -> StateError {
    checkpoint.layer("bn1", &Parts::new(4)).unwrap_err()
}

/// A tensor of `shape` and `dtype`, all bytes 0.
fn zeros(dtype: Dtype, shape: &[usize]) -> Option<Tensor<'static>> {
    let bytes = shape.iter().product::<usize>() * dtype.bitsize() / 8;
    Some(Tensor::new(dtype, shape.to_vec(), vec![0; bytes]).unwrap())
}

fn f64s(values: &[f64]) -> Option<Tensor<'static>> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Some(Tensor::new(Dtype::F64, vec![values.len()], bytes).unwrap())
}

#[test]
fn what_pytorch_wrote_is_loaded() {
    let checkpoint = fixture();
    assert_eq!(checkpoint.layers(), ["bn1", BLOCK]);
    assert_eq!(checkpoint.parts("bn1").unwrap(), Parts::new(4));
    let plain = Parts { weight: false, bias: false, ..Parts::new(3) };
    assert_eq!(checkpoint.parts(BLOCK).unwrap(), plain);
    assert_eq!(checkpoint.layer("bn1", &Parts::new(4)).unwrap(), bn1());
    assert_eq!(checkpoint.layer(BLOCK, &plain).unwrap(), block());
}

#[test]
fn a_layer_saved_by_itself_has_no_prefix() {
    let checkpoint = Checkpoint::new().with_layer("", &bn1()).unwrap();
    assert_eq!(checkpoint.layers(), [""]);
    assert_eq!(checkpoint.layer("", &Parts::new(4)).unwrap(), bn1());
    let bytes = checkpoint.to_bytes();
    assert!(File::parse(&bytes).unwrap().tensors.contains_key("running_mean"));
}

#[test]
fn other_float_types_become_f32() {
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64, Dtype::F32] {
        let ones = match dtype {
            Dtype::F16 => [0x00, 0x3C].repeat(4),
            Dtype::BF16 => [0x80, 0x3F].repeat(4),
            Dtype::F64 => 1f64.to_le_bytes().repeat(4),
            _ => 1f32.to_le_bytes().repeat(4),
        };
        let ones = Tensor::new(dtype, vec![4], ones).unwrap();
        let layer = edited(vec![("bn1.weight", Some(ones))]).layer("bn1", &Parts::new(4)).unwrap();
        assert_eq!(layer.weight, Some(vec![1.0; 4]), "{dtype}");
    }
    // Rounded, and what is no number stays none.
    let values = f64s(&[0.1, f64::NAN, f64::INFINITY, f64::from(f32::MAX)]);
    let layer = edited(vec![("bn1.bias", values)]).layer("bn1", &Parts::new(4)).unwrap();
    let bias = layer.bias.unwrap();
    assert!(bias[0] == 0.1 && bias[1].is_nan() && bias[2] == f32::INFINITY && bias[3] == f32::MAX);
}

#[test]
fn what_f32_cannot_hold_is_refused() {
    for large in [1e39, -1e300] {
        let error = refusal(&edited(vec![("bn1.running_var", f64s(&[1.0, 1.0, large, 1.0]))]));
        assert!(matches!(&error, StateError::TooLarge { actual, index: 2, .. } if *actual == large));
        assert!(error.to_string().contains("`bn1.running_var` holds"), "{error}");
    }
}

#[test]
fn counts_are_numbers_of_batches() {
    let counted = |tensor| {
        let name = "bn1.num_batches_tracked";
        let layer = edited(vec![(name, tensor)]).layer("bn1", &Parts::new(4));
        layer.map(|layer| layer.running.unwrap().num_batches_tracked)
    };
    assert_eq!(counted(Some(Tensor::from_i64(i64::MAX))).unwrap(), Some(i64::MAX as u64));
    let listed = Tensor::new(Dtype::I64, vec![1], 5i64.to_le_bytes().to_vec()).unwrap();
    assert_eq!(counted(Some(listed)).unwrap(), Some(5));
    // Before PyTorch 0.4.1.
    assert_eq!(counted(None).unwrap(), None);
    assert!(matches!(counted(Some(Tensor::from_i64(-1))), Err(StateError::NegativeCount { actual: -1, .. })));
    for shape in [vec![2], vec![0], vec![1, 1]] {
        assert!(matches!(counted(zeros(Dtype::I64, &shape)), Err(StateError::Shape { .. })), "{shape:?}");
    }
    for dtype in [Dtype::I32, Dtype::U64, Dtype::F32] {
        assert!(matches!(counted(zeros(dtype, &[])), Err(StateError::Dtype { expected: "I64", .. })));
    }
}

#[test]
fn wrong_shapes_and_types_are_named() {
    for name in ["weight", "bias", "running_mean", "running_var"] {
        let name = format!("bn1.{name}");
        for shape in [vec![3], vec![], vec![4, 1], vec![0]] {
            let error = refusal(&edited(vec![(&name, zeros(Dtype::F32, &shape))])).to_string();
            assert!(error.contains(&format!("`{name}` has shape {shape:?}, expected [4]")), "{error}");
        }
        for dtype in [Dtype::I32, Dtype::U8, Dtype::BOOL, Dtype::F8_E4M3] {
            let error = refusal(&edited(vec![(&name, zeros(dtype, &[4]))])).to_string();
            assert!(error.contains(&format!("`{name}` has dtype {dtype}")), "{error}");
        }
    }
    let error = fixture().layer("bn1", &Parts::new(5)).unwrap_err();
    assert!(matches!(error, StateError::Shape { .. }), "{error}");
}

#[test]
fn missing_and_unexpected_tensors_are_named() {
    for name in ["weight", "bias", "running_mean", "running_var"] {
        let name = format!("bn1.{name}");
        let error = refusal(&edited(vec![(&name, None)]));
        assert!(error.to_string().contains(&format!("`{name}` is missing")), "{error}");
    }
    let lesser = [
        (Parts { weight: false, ..Parts::new(4) }, "`bn1.weight`"),
        (Parts { bias: false, ..Parts::new(4) }, "`bn1.bias`"),
        (Parts { running: false, ..Parts::new(4) }, "`bn1.running_mean`"),
    ];
    for (parts, name) in lesser {
        let error = fixture().layer("bn1", &parts).unwrap_err();
        assert!(
            matches!(error, StateError::Unexpected { .. }) && error.to_string().contains(name),
            "{error}"
        );
    }
}

#[test]
fn a_layer_that_is_not_there_lists_those_that_are() {
    for prefix in ["bn2", "bn", "layer1", ""] {
        for error in
            [fixture().layer(prefix, &Parts::new(4)).unwrap_err(), fixture().parts(prefix).unwrap_err()]
        {
            assert!(matches!(error, StateError::NoLayer { .. }), "{error}");
            assert!(error.to_string().contains("the file has `bn1`, `layer1.0.bn`"), "{error}");
        }
    }
    let error = Checkpoint::new().parts("bn1").unwrap_err();
    assert!(error.to_string().contains("none that tracks"), "{error}");
    // A count alone is no layer.
    let count = edited(vec![("x.num_batches_tracked", Some(Tensor::from_i64(1)))]);
    assert_eq!(count.layers(), ["bn1", BLOCK, "x"]);
    assert!(matches!(count.parts("x"), Err(StateError::Missing { .. })));
}

#[test]
fn a_layer_without_running_statistics_is_loaded_by_name() {
    let state = LayerState { running: None, ..bn1() };
    let checkpoint = Checkpoint::new().with_layer("bn", &state).unwrap();
    assert!(checkpoint.layers().is_empty());
    assert_eq!(checkpoint.layer("bn", &checkpoint.parts("bn").unwrap()).unwrap(), state);
    // Of what has a weight of another rank there is no number of channels.
    assert!(matches!(fixture().parts("conv1"), Err(StateError::Shape { .. })));
}

#[test]
fn a_file_that_is_none_is_an_error() {
    let error = Checkpoint::load("no/such.safetensors").unwrap_err();
    assert!(matches!(error, StateError::Read { .. }) && error.to_string().contains("no/such"), "{error}");
    let whole = std::fs::read(fixture_path()).unwrap();
    for cut in 0..whole.len() {
        assert!(matches!(Checkpoint::from_bytes(&whole[..cut]), Err(StateError::Damaged(_))), "{cut}");
    }
}

/// Everything there is to ask of a checkpoint.
fn ask(checkpoint: &Checkpoint) {
    for prefix in checkpoint.layers().iter().map(String::as_str).chain(["bn1", ""]) {
        let Ok(parts) = checkpoint.parts(prefix) else { continue };
        if let Ok(layer) = checkpoint.layer(prefix, &parts) {
            assert_eq!(layer.parts().unwrap(), parts);
            let running = Running::start(parts.channels);
            let state = LayerState { running: Some(running), ..layer };
            checkpoint.clone().with_layer(prefix, &state).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        assert!(Checkpoint::from_bytes(&bytes).is_err());
    }

    #[test]
    fn mutated_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        let mut bytes = std::fs::read(fixture_path()).unwrap();
        for (index, value) in changes {
            let index = index % bytes.len();
            bytes[index] = value;
        }
        if let Ok(checkpoint) = Checkpoint::from_bytes(&bytes) {
            ask(&checkpoint);
        }
    }
}
