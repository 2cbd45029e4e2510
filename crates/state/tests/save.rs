//! Saving: PyTorch's layout, what else is in a file, and files that are replaced at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{BLOCK, bn1, fixture, fixture_path};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use wgpu_batchnorm_state::{Checkpoint, Dtype, LayerState, Parts, Running, StateError};
use wgpu_batchnorm_tensors::File;

#[test]
fn the_layout_is_that_of_pytorch() {
    let bytes = Checkpoint::new().with_layer("bn1", &bn1()).unwrap().to_bytes();
    let (ours, theirs) = (File::parse(&bytes).unwrap(), fs::read(fixture_path()).unwrap());
    let theirs = File::parse(&theirs).unwrap();
    assert_eq!(ours.metadata["format"], "pt");
    let names: Vec<_> = theirs.tensors.keys().filter(|name| name.starts_with("bn1.")).collect();
    assert_eq!(ours.tensors.keys().collect::<Vec<_>>(), names);
    for name in names {
        assert_eq!(ours.tensors[name], theirs.tensors[name], "{name}");
    }
    let count = &ours.tensors["bn1.num_batches_tracked"];
    assert_eq!((count.dtype(), count.shape()), (Dtype::I64, [].as_slice()));
}

#[test]
fn everything_else_stays() {
    let bytes = fs::read(fixture_path()).unwrap();
    let state = LayerState { running: Some(Running::start(4)), ..LayerState::default() };
    let changed = fixture().with_layer("bn1", &state).unwrap().to_bytes();
    let (before, after) = (File::parse(&bytes).unwrap(), File::parse(&changed).unwrap());
    assert_eq!(after.metadata, before.metadata);
    assert_eq!(after.metadata["epoch"], "3");
    for (name, tensor) in before.tensors.iter().filter(|(name, _)| !name.starts_with("bn1.")) {
        assert_eq!(after.tensors[name], *tensor, "{name}");
    }
    // What the state has not is gone.
    assert!(!after.tensors.contains_key("bn1.weight") && after.tensors.contains_key("bn1.running_var"));
    assert_eq!(after.tensors.len(), before.tensors.len() - 2);
    let mut removed = fixture();
    removed.remove_layer("bn1");
    assert_eq!(removed.layers(), [BLOCK]);
    assert_eq!(removed.with_layer("bn1", &bn1()).unwrap(), fixture());
}

#[test]
fn states_that_contradict_themselves_change_nothing() {
    let mut checkpoint = fixture();
    let running = Running { var: vec![1.0; 3], ..Running::start(4) };
    let short = LayerState { running: Some(running), ..LayerState::default() };
    let error = checkpoint.set_layer("bn1", &short).unwrap_err();
    assert!(matches!(error, StateError::Length { part: "running_var", actual: 3, expected: 4 }), "{error}");
    let short = LayerState { bias: Some(vec![]), ..bn1() };
    assert!(matches!(checkpoint.set_layer("bn1", &short), Err(StateError::Length { part: "bias", .. })));
    assert!(matches!(checkpoint.set_layer("bn1", &LayerState::default()), Err(StateError::Empty)));
    let running = Running { num_batches_tracked: Some(1 << 63), ..Running::start(4) };
    let state = LayerState { running: Some(running), ..bn1() };
    let error = checkpoint.set_layer("bn1", &state).unwrap_err();
    assert!(matches!(error, StateError::CountTooLarge { .. }), "{error}");
    assert_eq!(checkpoint, fixture());
}

#[test]
fn files_are_replaced_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    for checkpoint in [fixture(), Checkpoint::new(), fixture()] {
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), checkpoint);
        assert_eq!(fs::read(&path).unwrap(), checkpoint.to_bytes());
    }
    // Nothing is left beside it, also where the name is a folder's.
    let taken = folder.path().join("folder");
    fs::create_dir(&taken).unwrap();
    for path in [taken, folder.path().join("no/such/folder")] {
        let error = fixture().save(&path).unwrap_err();
        assert!(matches!(error, StateError::Write { .. }), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    fixture().save(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(Checkpoint::load(&file).unwrap(), fixture());
}

fn state() -> impl Strategy<Value = LayerState> {
    (0usize..40, any::<[bool; 4]>(), any::<u32>()).prop_flat_map(|(channels, has, count)| {
        let values = || proptest::collection::vec(any::<f32>(), channels);
        (values(), values(), values(), values()).prop_map(move |(weight, bias, mean, var)| LayerState {
            weight: has[0].then_some(weight),
            bias: has[1].then_some(bias),
            // One part at least.
            running: (has[2] || !(has[0] || has[1])).then_some(Running {
                mean,
                var,
                num_batches_tracked: has[3].then_some(count.into()),
            }),
        })
    })
}

proptest! {
    #[test]
    fn what_is_saved_is_loaded(states in proptest::collection::btree_map("[a-z0-9.]{0,6}", state(), 0..4)) {
        let mut checkpoint = fixture();
        // Prefixes of which none is a part of another's names.
        for (prefix, state) in &states {
            checkpoint.set_layer(&format!("net.{prefix}.bn"), state).unwrap();
        }
        let bytes = checkpoint.to_bytes();
        let loaded = Checkpoint::from_bytes(&bytes).unwrap();
        prop_assert_eq!(loaded.to_bytes(), bytes);
        prop_assert_eq!(loaded.layer("bn1", &Parts::new(4)).unwrap(), bn1());
        for (prefix, state) in &states {
            let layer = loaded.layer(&format!("net.{prefix}.bn"), &state.parts().unwrap()).unwrap();
            prop_assert_eq!(format!("{layer:?}"), format!("{state:?}"));
        }
    }
}
