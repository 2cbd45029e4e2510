//! What the program does on an adapter. Where there is none, these tests are shown as ignored, and fail
//! if the environment says BATCH_NORM_REQUIRE_ADAPTER=1.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{batchnorm, cases, program, run};
use libtest_mimic::{Arguments, Trial};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use tempfile::tempdir;

const TESTS: &[(&str, fn())] = &[
    ("info_lists_adapters_and_the_default", info_lists_adapters_and_the_default),
    ("an_unknown_adapter_lists_the_known_ones", an_unknown_adapter_lists_the_known_ones),
    ("all_cases_pass", all_cases_pass),
    ("what_is_damaged_fails_and_the_others_run", what_is_damaged_fails_and_the_others_run),
    ("links_are_followed_and_other_files_ignored", links_are_followed_and_other_files_ignored),
    ("outputs_are_saved_under_their_names", outputs_are_saved_under_their_names),
    ("what_expects_nothing_is_computed", what_expects_nothing_is_computed),
    ("a_wrong_expectation_fails", a_wrong_expectation_fails),
    ("verdicts_are_written_as_json", verdicts_are_written_as_json),
    ("bench_measures_and_writes_json", bench_measures_and_writes_json),
    ("bench_compares_and_makes_a_page", bench_compares_and_makes_a_page),
    ("bench_measures_every_feature", bench_measures_every_feature),
    ("bench_applies_its_options_to_all_rows", bench_applies_its_options_to_all_rows),
    ("bench_says_what_does_not_fit", bench_says_what_does_not_fit),
    ("a_forced_traversal_is_verified_or_named", a_forced_traversal_is_verified_or_named),
    ("tune_lists_plans_beside_the_chosen_one", tune_lists_plans_beside_the_chosen_one),
];

fn main() -> ExitCode {
    let has_adapter = wgpu_batchnorm::Context::new_blocking().is_ok();
    let is_required = std::env::var("BATCH_NORM_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
    let trials = TESTS.iter().map(|&(name, test)| {
        let run = move || {
            if !has_adapter {
                return Err("no adapter, and BATCH_NORM_REQUIRE_ADAPTER=1".into());
            }
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!has_adapter && !is_required)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// `batchnorm verify` of a folder, with more arguments after it.
fn verify(folder: &Path, more: &[&Path]) -> common::Run {
    run(program().arg("verify").arg(folder).args(more))
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Copies a case into `folder`.
fn copy_case(name: &str, folder: &Path) {
    let file = format!("{name}.safetensors");
    fs::copy(cases().join(&file), folder.join(&file)).unwrap();
}

/// Writes a case again, with what `change` makes of each tensor: its bytes, or nothing.
fn rewrite_case(name: &str, to: &Path, change: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) {
    let bytes = fs::read(cases().join(format!("{name}.safetensors"))).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let case = SafeTensors::deserialize(&bytes).unwrap();
    let changed: Vec<_> = case
        .iter()
        .filter_map(|(name, view)| {
            Some((name, change(name, view.data())?, view.dtype(), view.shape().to_vec()))
        })
        .collect();
    let views = changed.iter().map(|(name, data, dtype, shape)| {
        (name.to_string(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let metadata = header.metadata().clone();
    fs::write(to, safetensors::serialize(views.collect::<Vec<_>>(), metadata).unwrap()).unwrap();
}

fn info_lists_adapters_and_the_default() {
    let parts = ["default", "driver", "TIMESTAMP_QUERY", "largest storage binding", "subgroup sizes"];
    batchnorm("info").expect(0, &parts);
}

fn an_unknown_adapter_lists_the_known_ones() {
    let context = wgpu_batchnorm::Context::new_blocking().unwrap();
    let known = context.device().adapter_info().name;
    let case = cases().join("nc_train.safetensors");
    let verify = format!("verify {} --adapter no-such-adapter", case.display());
    for arguments in [verify, "bench --adapter no-such-adapter".to_owned()] {
        batchnorm(&arguments).expect_error(1, &["no-such-adapter", &known]);
    }
}

fn all_cases_pass() {
    let run = verify(&cases(), &[]);
    run.expect(0, &["passed    nchw_train", "of the bound (", "of PyTorch's float32 error ("]);
    // The 48 given ones and the 23 of `tests/cases/made`.
    assert_eq!(last_line(&run.stdout), "71 passed, 0 failed, 0 skipped", "{}", run.stdout);
}

fn what_is_damaged_fails_and_the_others_run() {
    let folder = tempdir().unwrap();
    copy_case("nc_train", folder.path());
    let whole = fs::read(cases().join("nchw_train.safetensors")).unwrap();
    fs::write(folder.path().join("truncated.safetensors"), &whole[..whole.len() - 10]).unwrap();
    fs::write(folder.path().join("text.safetensors"), "no tensors in here").unwrap();
    fs::write(folder.path().join("empty.safetensors"), "").unwrap();
    let lacking = folder.path().join("lacking.safetensors");
    rewrite_case("nchw_train", &lacking, |name, data| (name != "dy").then(|| data.to_vec()));
    let run = verify(folder.path(), &[]);
    run.expect(
        1,
        &[
            "FAILED    truncated",
            "FAILED    text",
            "FAILED    empty",
            "FAILED    lacking",
            "tensor `dy` is missing",
            "not an intact safetensors file",
            "passed    nc_train",
        ],
    );
    assert_eq!(last_line(&run.stdout), "1 passed, 4 failed, 0 skipped");
}

fn links_are_followed_and_other_files_ignored() {
    let (folder, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    copy_case("nc_train", elsewhere.path());
    fs::write(folder.path().join("README.md"), "not a case").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(elsewhere.path().join("nc_train.safetensors"), folder.path().join("link.safetensors"))
            .unwrap();
        symlink(elsewhere.path(), folder.path().join("folder")).unwrap();
        let run = verify(folder.path(), &[]);
        run.expect(0, &["passed    link", "passed    nc_train"]);
        assert_eq!(last_line(&run.stdout), "2 passed, 0 failed, 0 skipped");
    }
}

/// The float32 values of a tensor.
fn values(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let data = tensors.tensor(name).unwrap().data().to_vec();
    data.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn outputs_are_saved_under_their_names() {
    let (folder, outputs) = (tempdir().unwrap(), tempdir().unwrap());
    copy_case("nchw_train", folder.path());
    let target = outputs.path().join("made/on the way");
    verify(folder.path(), &["--save-outputs".as_ref(), &target]).expect(0, &[]);
    let saved = fs::read(target.join("nchw_train.safetensors")).unwrap();
    let saved = SafeTensors::deserialize(&saved).unwrap();
    let case = fs::read(cases().join("nchw_train.safetensors")).unwrap();
    let case = SafeTensors::deserialize(&case).unwrap();
    for name in case.names().into_iter().filter_map(|name| name.strip_prefix("expect.")) {
        let (shape, expected) = (saved.tensor(name).unwrap().shape().to_vec(), format!("expect.{name}"));
        assert_eq!(shape, case.tensor(&expected).unwrap().shape());
    }
    let mean = values(&saved, "batch_mean");
    let expected = case.tensor("expect.batch_mean").unwrap().data().to_vec();
    for (got, expected) in mean.iter().zip(expected.chunks_exact(8)) {
        let expected = f64::from_le_bytes(expected.try_into().unwrap());
        assert!((f64::from(*got) - expected).abs() < 1e-5);
    }
}

fn what_expects_nothing_is_computed() {
    let (folder, outputs) = (tempdir().unwrap(), tempdir().unwrap());
    let case = folder.path().join("inputs_only.safetensors");
    rewrite_case("nhwc_train", &case, |name, data| {
        let is_input = !name.starts_with("expect.") && !name.starts_with("atol.");
        is_input.then(|| data.to_vec())
    });
    let run = verify(&case, &["--save-outputs".as_ref(), outputs.path()]);
    run.expect(0, &["computed  inputs_only  no expected values"]);
    assert_eq!(last_line(&run.stdout), "1 passed, 0 failed, 0 skipped");
    let saved = fs::read(outputs.path().join("inputs_only.safetensors")).unwrap();
    let mut names: Vec<_> =
        SafeTensors::deserialize(&saved).unwrap().names().into_iter().map(str::to_owned).collect();
    names.sort();
    let expected = ["batch_mean", "batch_var", "dbias", "dweight", "dx", "running_mean", "running_var", "y"];
    assert_eq!(names, expected);
}

fn a_wrong_expectation_fails() {
    let folder = tempdir().unwrap();
    let case = folder.path().join("wrong.safetensors");
    rewrite_case("nchw_train", &case, |name, data| {
        let mut data = data.to_vec();
        if name == "expect.dx" {
            data[..8].copy_from_slice(&1e6f64.to_le_bytes());
        }
        Some(data)
    });
    let run = verify(&case, &[]);
    run.expect(1, &["FAILED    wrong", "(dx)", "dx: FAILED, 1 of "]);
    assert_eq!(last_line(&run.stdout), "0 passed, 1 failed, 0 skipped");
}

fn verdicts_are_written_as_json() {
    let folder = tempdir().unwrap();
    for name in ["nchw_train", "nchw_sync"] {
        copy_case(name, folder.path());
    }
    fs::write(folder.path().join("text.safetensors"), "no tensors in here").unwrap();
    let file = folder.path().join("verdicts.json");
    verify(folder.path(), &["--json".as_ref(), &file]).expect(1, &[]);
    let record = json(&file);
    assert_eq!(record["failed"], 1);
    assert!(record["adapter"]["name"].is_string() && record["time"].as_str().unwrap().ends_with('Z'));
    let cases = record["cases"].as_array().unwrap();
    let case = |name: &str| cases.iter().find(|case| case["case"] == name).unwrap();
    assert_eq!(case("nchw_train")["verdict"], "passed");
    assert!(case("nchw_train")["tensors"].as_array().unwrap().len() >= 8);
    assert!(case("nchw_train")["worst"]["ratio"].as_f64().unwrap() <= 1.0);
    assert_eq!(case("text")["verdict"], "failed");
    assert!(case("text")["reason"].is_string());
}

fn bench_measures_and_writes_json() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("bench.json");
    let arguments = "bench --shape 8,5,9,7 --shape 33,70 --repetitions 3 --steps --batch 6 --json";
    let run = run(program().args(arguments.split_whitespace()).arg(&file));
    run.expect(0, &["6×5×9×7", "6×70", "channels-first", "channels-last", "copy", "backward_apply", "ok 0."]);
    assert!(!run.stdout.contains("ACCURACY FAIL"));
    let record = json(&file);
    for key in ["time", "version", "wgpu", "adapter", "clock", "cpu"] {
        assert!(!record[key].is_null(), "{key}");
    }
    let rows = record["rows"].as_array().unwrap();
    let forward: Vec<_> = rows.iter().filter(|row| row["pass"] == "forward").collect();
    assert_eq!(forward.len(), 4);
    for row in forward {
        assert_eq!(row["accuracy"]["passed"], true);
        let numbers = ["moves", "bytes", "bytes_per_second", "share_of_copy", "speed_up"];
        for number in numbers.into_iter().chain(["scratch_bytes", "scratch_share"]) {
            assert!(row[number].as_f64().unwrap() > 0.0, "{number}");
        }
        // These are so small that no affordable number of sets fills a cache, which is said.
        let turns = &row["turns"];
        assert!(turns["sets"].as_u64().unwrap() > 1000 && turns["cached"] == true, "{turns}");
    }
    assert!(run.stdout.contains("a cache may hold their tensors"), "{}", run.stdout);
}

fn bench_compares_and_makes_a_page() {
    let folder = tempdir().unwrap();
    let [page, peer, record] = ["bench.html", "peer.json", "bench.json"].map(|name| folder.path().join(name));
    let row = r#"{"shape": [8, 5, 9, 7], "layout": "channels_first", "pass": "forward", "median_ms": 1000}"#;
    let text = format!(r#"{{"peer": "a peer", "adapter": "a card", "rows": [{row}]}}"#);
    fs::write(&peer, text).unwrap();
    let arguments = "bench --shape 8,5,9,7 --repetitions 3 --warm-cache";
    let mut command = program();
    command.args(arguments.split_whitespace()).arg("--compare").arg(&peer);
    let run = run(command.arg("--html").arg(&page).arg("--json").arg(&record));
    run.expect(0, &["a peer: forward ", "as long as ours", "cache    warm"]);
    let record = json(&record);
    assert_eq!((&record["peers"][0]["peer"], &record["peers"][0]["compared"]), (&"a peer".into(), &1.into()));
    let rows = record["rows"].as_array().unwrap();
    let is_compared = |row: &&Value| !row["peers"].as_array().unwrap().is_empty();
    let compared: Vec<_> = rows.iter().filter(is_compared).collect();
    assert_eq!(compared.len(), 1);
    assert_eq!((&compared[0]["pass"], &compared[0]["layout"]), (&"forward".into(), &"channels-first".into()));
    let ratio = compared[0]["peers"][0]["ratio"].as_f64().unwrap();
    assert!((ratio * compared[0]["time"]["median_ms"].as_f64().unwrap() - 1000.0).abs() < 1e-6);
    let html = fs::read_to_string(page).unwrap();
    for part in ["<!DOCTYPE html>", "<svg ", "a peer on a card", "8×5×9×7 first", "prefers-color-scheme:dark"]
    {
        assert!(html.contains(part), "no {part:?}");
    }
    assert!(!html.contains("<script") && !html.contains("http-equiv=\"refresh"));
}

fn bench_measures_every_feature() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("bench.json");
    let arguments = "bench --shape 4,6,5,3 --repetitions 1 --features --steps --warm-cache --json";
    let run = run(program().args(arguments.split_whitespace()).arg(&file));
    let parts = ["residual + relu: backward", "double backward", "folded form", "double_backward_apply"];
    run.expect(0, &parts);
    let record = json(&file);
    assert!(record["notes"].as_array().unwrap().is_empty(), "{}", record["notes"]);
    let rows = record["rows"].as_array().unwrap();
    let features: Vec<_> = rows.iter().filter(|row| !row["feature"].is_null()).collect();
    let is_step = |row: &Value| row["pass"]["step"].is_string();
    for row in features.iter().filter(|row| !is_step(row)) {
        assert_eq!(row["accuracy"]["passed"], true, "{row}");
        assert!(row["cpu"].is_null());
    }
    let of = |feature: &str, pass: &str| {
        features.iter().find(|row| row["feature"] == feature && row["pass"] == pass).unwrap()
    };
    let plain = rows.iter().find(|row| row["feature"].is_null() && row["pass"] == "forward").unwrap();
    let bytes = |row: &Value| row["bytes"].as_f64().unwrap();
    assert_eq!(bytes(of("f16", "forward")), bytes(plain) / 2.0);
    assert_eq!((of("gelu", "backward")["activation"]).as_str(), Some("gelu"));
    assert_eq!(of("relu before", "forward")["order"], "pre");
    assert_eq!(of("ghost batches", "forward")["ghost"], 1);
    assert_eq!(of("given", "backward")["source"], "given");
    assert_eq!(of("2 replicas, host time", "backward")["synchronized"], true);
}

fn bench_applies_its_options_to_all_rows() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("bench.json");
    let arguments = "bench --shape 5,3,7 --repetitions 1 --dtype f16 --activation relu --residual --mask \
                     --ghost 2 --json";
    let run = run(program().args(arguments.split_whitespace()).arg(&file));
    run.expect(0, &["layer    f16, relu, residual, mask, ghost batches of 2", "ok "]);
    let record = json(&file);
    assert_eq!(record["config"]["dtype"], "f16");
    for row in record["rows"].as_array().unwrap() {
        assert_eq!((&row["dtype"], &row["activation"]), (&"f16".into(), &"relu".into()));
        assert_eq!((&row["residual"], &row["mask"], &row["ghost"]), (&true.into(), &true.into(), &2.into()));
        assert!(row["pass"] == "copy" || row["accuracy"]["passed"] == true, "{row}");
        assert!(row["cpu"].is_null() && row["speed_up"].is_null());
    }
}

fn bench_says_what_does_not_fit() {
    // Four pebibytes a tensor.
    let run = batchnorm("bench --shape 1024,1024,1024,1024,1024 --layout channels-first");
    run.expect_error(1, &["no shape was measured"]);
    assert!(run.stdout.contains("not measured: "), "{}", run.stdout);
    // A terabyte of terabytes.
    batchnorm("bench --cache-mib 4000000000").expect_error(1, &["4000000000 MiB", "--cache-mib less"]);
    let run = batchnorm("tune --shape 1024,1024,1024,1024,1024 --layout channels-first");
    run.expect_error(1, &["no shape was measured"]);
    assert!(run.stdout.contains("not measured: "), "{}", run.stdout);
}

fn a_forced_traversal_is_verified_or_named() {
    let folder = tempdir().unwrap();
    for name in ["nchw_train", "nchw_eval", "nchw_f16"] {
        copy_case(name, folder.path());
    }
    let file = folder.path().join("verdicts.json");
    for forced in ["pipelined", "pipelined --runs 2", "revisited", "resident"] {
        let mut verify = program();
        verify.arg("verify").arg(folder.path()).arg("--traversal").args(forced.split(' '));
        let run = run(verify.arg("--json").arg(&file));
        assert_eq!(last_line(&run.stdout), "2 passed, 0 failed, 1 skipped", "{}", run.stdout);
        assert!(run.stdout.contains("constant statistics"), "{}", run.stdout);
        let record = json(&file);
        let runs = forced.contains("runs").then_some(2);
        assert_eq!((&record["traversal"], &record["runs"]), (&forced.split(' ').next().into(), &runs.into()));
    }
    // What was forced is what was planned: a dispatch for each run, and one more.
    let bench = ["bench", "--shape", "4,64,6,6", "--layout", "channels-first", "--repetitions", "1"];
    for (runs, dispatches) in [("1", 2), ("3", 4)] {
        let mut bench_in_runs = program();
        bench_in_runs.args(bench).args(["--traversal", "pipelined", "--runs", runs]);
        run(bench_in_runs.arg("--json").arg(&file));
        let record = json(&file);
        let rows = record["rows"].as_array().unwrap().iter();
        let planned: Vec<_> = rows.filter(|row| row["traversal"] == "pipelined").collect();
        assert_eq!(planned.len(), 2, "{record}");
        assert!(planned.iter().all(|row| row["dispatches"] == dispatches), "{planned:?}");
    }
}

fn tune_lists_plans_beside_the_chosen_one() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("tuned.json");
    let shape = ["--shape", "4,8,6,6", "--layout", "channels-last", "--repetitions", "1"];
    let run = run(program().arg("tune").args(shape).arg("--json").arg(&file));
    let tuned = json(&file);
    for pass in tuned["tuned"].as_array().unwrap() {
        let candidates = pass["candidates"].as_array().unwrap();
        assert!(candidates.len() >= 8, "{} candidates", candidates.len());
        let traversals: std::collections::BTreeSet<_> =
            candidates.iter().map(|candidate| candidate["traversal"].as_str().unwrap()).collect();
        assert_eq!(
            traversals.into_iter().collect::<Vec<_>>(),
            ["pipelined", "resident", "revisited", "split"]
        );
        // The others were measured less often, so that the fastest of all may be a matter of luck.
        let ratios = candidates.iter().filter_map(|candidate| candidate["chosen_over_this"].as_f64());
        let ratios: Vec<_> = ratios.collect();
        assert_eq!((ratios.len(), ratios[0]), (5, 1.0), "{ratios:?}");
        let worst = ratios.into_iter().fold(0.0, f64::max);
        assert!((pass["of_best"].as_f64().unwrap() - worst).abs() < 1e-9);
    }
    assert_eq!(tuned["tuned"].as_array().map(Vec::len), Some(2));
    assert_eq!(run.stdout.matches("chosen   ").count(), 2, "{}", run.stdout);
}
