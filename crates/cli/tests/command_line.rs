//! What the program says without an adapter.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{batchnorm, cases, program, run};
use std::process::Command;

/// The program on a machine without adapters: the Vulkan loader finds no driver, and no other backend is
/// asked.
fn without_adapter(arguments: &str) -> Command {
    let mut command = program();
    command.args(arguments.split_whitespace());
    command.env("WGPU_BACKEND", "vulkan");
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, "no-such-driver.json");
    }
    command
}

#[test]
fn every_command_has_help_with_an_example() {
    batchnorm("--help").expect(0, &["info", "verify", "bench", "state", "Example: batchnorm bench"]);
    batchnorm("info --help").expect(0, &["Example: batchnorm info"]);
    batchnorm("state --help").expect(0, &["Example: batchnorm state model.safetensors"]);
    let options = ["--save-outputs", "--adapter", "--json", "Example: batchnorm verify"];
    batchnorm("verify --help").expect(0, &options);
    let options = [
        "--shapes",
        "--shape",
        "--layout",
        "--batch",
        "--adapter",
        "--json",
        "--html",
        "--compare",
        "--time-limit",
        "--warm-cache",
        "--cache-mib",
        "--repetitions",
        "--steps",
        "--features",
        "--dtype",
        "--activation",
        "--order",
        "--residual",
        "--mask",
        "--ghost",
        "resnet50",
        "googlenet-v3",
        "hard",
        "quick",
        "growth",
        "Example: batchnorm bench",
    ];
    batchnorm("bench --help").expect(0, &options);
}

#[test]
fn unknown_names_list_the_known_ones() {
    batchnorm("bench --shapes big").expect_error(2, &["resnet50", "googlenet-v3", "hard", "quick"]);
    let known = ["channels-first", "channels-last", "both"];
    batchnorm("bench --layout nhwc").expect_error(2, &known);
    batchnorm("bench --dtype f64").expect_error(2, &["f32", "f16", "bf16"]);
    let known = ["none", "relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh"];
    batchnorm("bench --activation swish").expect_error(2, &known);
    batchnorm("bench --order both").expect_error(2, &["post", "pre"]);
    batchnorm("benchmark").expect_error(2, &["bench"]);
}

#[test]
fn wrong_numbers_are_refused() {
    batchnorm("bench --shape 64,0,7").expect_error(2, &["size 0 in axis 1"]);
    batchnorm("bench --shape 64").expect_error(2, &["rank 1, expected 2 to 5"]);
    batchnorm("bench --shape 64,x").expect_error(2, &["expected N,C and spatial sizes"]);
    batchnorm("bench --batch 0").expect_error(2, &["--batch"]);
    batchnorm("bench --repetitions 0").expect_error(2, &["--repetitions"]);
    batchnorm("bench --ghost 0").expect_error(2, &["--ghost"]);
    batchnorm("bench --shapes quick --shape 8,8").expect_error(2, &["cannot be used with"]);
    batchnorm("bench --shapes growth --batch 2").expect_error(1, &["leave one of the two out"]);
    batchnorm("bench --compare no-such-file.json").expect_error(1, &["cannot read no-such-file.json"]);
    batchnorm("bench --warm-cache --cache-mib 8").expect_error(2, &["cannot be used with"]);
}

#[test]
fn verify_needs_cases() {
    batchnorm("verify").expect_error(2, &["PATH"]);
    batchnorm("verify no-such-folder").expect_error(1, &["no-such-folder"]);
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("notes.txt"), "no case").unwrap();
    let folder = empty.path().to_str().unwrap();
    batchnorm(&format!("verify {folder}")).expect_error(1, &["no cases in", folder]);
}

#[test]
fn outputs_never_replace_cases() {
    let folder = tempfile::tempdir().unwrap();
    let case = folder.path().join("nc_train.safetensors");
    std::fs::copy(cases().join("nc_train.safetensors"), &case).unwrap();
    let mut command = program();
    let arguments = [folder.path(), "--save-outputs".as_ref(), folder.path()];
    run(command.arg("verify").args(arguments)).expect_error(1, &["would replace the case"]);

    let (other, outputs) = (folder.path().join("other"), folder.path().join("outputs"));
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&case, other.join("nc_train.safetensors")).unwrap();
    let mut command = program();
    let arguments = [folder.path(), "--save-outputs".as_ref(), &outputs];
    run(command.arg("verify").args(arguments)).expect_error(1, &["would be saved in one file"]);
}

/// The checkpoint that PyTorch wrote for the tests of the state.
const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../state/tests/files/pytorch.safetensors");

#[test]
fn state_lists_the_layers_of_a_checkpoint() {
    let run = run(program().arg("state").arg(CHECKPOINT));
    run.expect(0, &["layer", "channels", "running statistics", "batches"]);
    let row = |name: &str| {
        let line = run.stdout.lines().find(|line| line.contains(name)).unwrap();
        line.split(|c: char| !c.is_ascii_graphic()).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(row("bn1"), ["bn1", "4", "yes", "yes", "yes", "3"]);
    assert_eq!(row("layer1.0.bn"), ["layer1.0.bn", "3", "no", "no", "yes", "4"]);
    assert!(!run.stdout.contains("conv"), "{}", run.stdout);
}

#[test]
fn state_says_what_is_wrong_with_a_file() {
    batchnorm("state").expect_error(2, &["FILE"]);
    batchnorm("state no-such-file").expect_error(1, &["no-such-file"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edited.safetensors");
    let whole = std::fs::read(CHECKPOINT).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    run(program().arg("state").arg(&file)).expect_error(1, &["edited", "not an intact safetensors file"]);
    // A case has running statistics, of a layer without a name.
    let case = cases().join("nc_train.safetensors");
    run(program().arg("state").arg(case)).expect(0, &["(no name)", "10", "not counted"]);
    let case = cases().join("moments_nchw.safetensors");
    run(program().arg("state").arg(case)).expect_error(1, &["no layers in"]);

    // One layer lacks its variance; the other is listed all the same.
    let at = whole.windows(15).position(|bytes| bytes == b"bn1.running_var").unwrap();
    let mut edited = whole.clone();
    edited[at..at + 15].copy_from_slice(b"bn1.running_xyz");
    std::fs::write(&file, edited).unwrap();
    run(program().arg("state").arg(&file))
        .expect(1, &["layer1.0.bn", "FAILED  bn1: tensor `bn1.running_var` is missing"]);
}

#[test]
fn without_an_adapter_everything_says_what_to_install() {
    let case = cases().join("nc_train.safetensors");
    for arguments in ["info".to_owned(), format!("verify {}", case.display()), "bench".to_owned()] {
        run(&mut without_adapter(&arguments))
            .expect_error(1, &["there is no adapter", "apt-get install mesa-vulkan-drivers"]);
    }
}
