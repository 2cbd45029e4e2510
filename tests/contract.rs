//! One step, one stem: shader, host code, reference, tests and label of each step carry its name, and
//! nothing else does.

#![allow(missing_docs, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;
use wgpu_batchnorm::Step;

fn stems(folder: &str, extension: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect()
}

#[test]
fn every_step_has_each_of_its_files_and_no_file_is_left_over() {
    let expected: BTreeSet<String> = Step::ALL.iter().map(|step| step.stem().to_owned()).collect();
    assert_eq!(expected.len(), 14);
    assert_eq!(stems("shaders", "wgsl"), expected);
    let mut host = stems("src/kernels", "rs");
    assert!(host.remove("mod"));
    assert_eq!(host, expected);
    let tests = stems("tests/gpu", "rs");
    assert!(expected.is_subset(&tests), "{tests:?}");
    for step in Step::ALL {
        assert_eq!(step.label(), format!("batch_norm.{}", step.stem()));
    }
}

#[test]
fn the_reference_has_a_function_for_each_step() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference.rs");
    let source = std::fs::read_to_string(path).expect("the reference");
    for step in Step::ALL.into_iter().filter(|step| step.runs().is_empty()) {
        assert!(source.contains(&format!("pub fn {}(", step.stem())), "{}", step.stem());
    }
}
