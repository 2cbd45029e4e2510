//! Finding case files and saving outputs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{case, folder, perfect};
use safetensors::tensor::Metadata;
use wgpu_batchnorm_oracle::{Case, FindError, Outputs, SaveError, find_cases, save_outputs};

/// A folder of this test's own, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("oracle-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, []).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn folders_are_searched_in_order() {
    let scratch = Scratch::new("order");
    let b = scratch.file("b.safetensors");
    let below = scratch.file("a/deep/c.safetensors");
    let other = scratch.file("a/FORMAT.md");
    fs::create_dir(scratch.0.join("empty")).unwrap();
    assert_eq!(find_cases([&scratch.0]).unwrap(), [below.clone(), b.clone()]);
    // The order of the arguments stays, and a file is taken whatever its name.
    assert_eq!(find_cases([&b, &other, &scratch.0.join("a")]).unwrap(), [b, other, below]);
    assert!(find_cases([scratch.0.join("empty")]).unwrap().is_empty());
    assert!(find_cases([] as [&Path; 0]).unwrap().is_empty());
    assert_eq!(find_cases([folder()]).unwrap(), find_cases([folder()]).unwrap());
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let missing = folder().join("no such case");
    let error = find_cases([folder(), missing]).unwrap_err();
    assert!(matches!(&error, FindError::Open { path, .. } if path.ends_with("no such case")));
    assert!(error.to_string().contains("no such case"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_cycles_end() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new("links");
    let file = scratch.file("a/one.safetensors");
    symlink(&file, scratch.0.join("a/two.safetensors")).unwrap();
    symlink(&scratch.0, scratch.0.join("a/up")).unwrap();
    symlink(scratch.0.join("a"), scratch.0.join("b")).unwrap();
    symlink("nowhere", scratch.0.join("a/dangling")).unwrap();
    let two = scratch.0.join("a/two.safetensors");
    assert_eq!(find_cases([&scratch.0]).unwrap(), [file.clone(), two]);
    // Through a link to a folder as well.
    let through = find_cases([scratch.0.join("b")]).unwrap();
    assert_eq!(through, [scratch.0.join("b/one.safetensors"), scratch.0.join("b/two.safetensors")]);
    // A link to a case that is gone must not go unnoticed, nor stop the others: it is a case that fails.
    let gone = scratch.0.join("a/gone.safetensors");
    symlink("nowhere", &gone).unwrap();
    assert!(find_cases([&scratch.0]).unwrap().contains(&gone));
    assert!(Case::load(&gone).unwrap_err().to_string().contains("gone.safetensors"));
}

#[test]
fn saved_outputs_are_read_back() {
    let scratch = Scratch::new("save");
    let path = scratch.0.join("outputs.safetensors");
    for name in ["nhwc_train", "nchw_nan", "moments_nchw", "made/guarded_inf"] {
        let outputs = perfect(&case(name));
        save_outputs(&path, &outputs).unwrap();
        let bytes = fs::read(&path).unwrap();
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
        let header: Metadata = serde_json::from_slice(header).unwrap();
        assert_eq!(header.tensors().len(), outputs.tensors.len());
        for (name, output) in &outputs.tensors {
            let info = header.info(name).unwrap();
            assert_eq!((info.dtype, &info.shape), (safetensors::Dtype::F32, &output.shape));
            let stored = &data[info.data_offsets.0..info.data_offsets.1];
            let stored: Vec<u32> = stored.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect();
            assert_eq!(stored, output.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
        }
        let counters = [
            ("num_batches_tracked", outputs.num_batches_tracked),
            ("num_batches_skipped", outputs.num_batches_skipped),
        ];
        for (name, count) in counters {
            let counter = header.metadata().iter().flatten().find(|(key, _)| *key == name);
            assert_eq!(counter.map(|(_, value)| value.clone()), count.map(|count| count.to_string()));
        }
    }
    save_outputs(&path, &Outputs::default()).unwrap();
}

#[test]
fn outputs_that_cannot_be_saved_are_refused() {
    let scratch = Scratch::new("refused");
    let mut outputs = Outputs::default();
    outputs.insert("y", vec![2, 3], vec![0.0; 5]);
    let path = scratch.0.join("outputs.safetensors");
    let error = save_outputs(&path, &outputs).unwrap_err();
    assert!(matches!(error, SaveError::Length { actual: 5, .. }), "{error}");
    outputs.insert("y", vec![usize::MAX, 3], vec![0.0; 5]);
    assert!(matches!(save_outputs(&path, &outputs), Err(SaveError::Length { .. })));
    assert!(!path.exists());
    let error = save_outputs(scratch.0.join("no/folder"), &Outputs::default()).unwrap_err();
    assert!(matches!(error, SaveError::Write { .. }) && error.to_string().contains("folder"));
}
