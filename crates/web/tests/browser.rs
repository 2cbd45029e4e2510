//! The library in a browser: every oracle case, in every traversal and with the limits that every WebGPU has, and what
//! is different there: errors that arrive later, and a device that is lost.

#![cfg(target_arch = "wasm32")]
#![allow(missing_docs, clippy::expect_used)]

use include_dir::{Dir, include_dir};
use std::cell::{Cell, RefCell};
use wasm_bindgen_test::{console_log, wasm_bindgen_test, wasm_bindgen_test_configure};
use wgpu_batchnorm::{
    Context, DeviceError, Layer, LayerError, Layout, Mode, Options, Schedule, Shape, Tensor, Traversal,
    UploadError, wgpu,
};
use wgpu_batchnorm_oracle::{Case, RunError, judge, run_case};
use wgpu_batchnorm_web::measure::Bench;
use wgpu_batchnorm_web::train::{Settings, Trainer};

wasm_bindgen_test_configure!(run_in_browser);

static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../tests/cases");
/// Given, and made by ourselves.
const COUNT: usize = 48 + 23;
/// Cases to which each traversal applies.
const LEAST_TRAVERSED: usize = 40;

fn cases() -> Vec<Case> {
    let folders = [Some(&CASES), CASES.get_dir("made")].into_iter().flatten();
    let files = folders.flat_map(Dir::files);
    let files = files.filter(|file| file.path().extension().is_some_and(|name| name == "safetensors"));
    let cases: Vec<_> = files
        .map(|file| {
            let name = wgpu_batchnorm_oracle::name_of(file.path());
            Case::from_bytes(&name, file.contents()).expect("the case is read")
        })
        .collect();
    assert_eq!(cases.len(), COUNT);
    cases
}

/// Runs all cases; returns how many passed, none of those that the context's schedule does not fit.
async fn passed(context: &Context) -> usize {
    let (mut passed, mut failed) = (0, Vec::new());
    for case in cases() {
        match run_case(context, &case).await {
            Ok(outputs) if judge(&case, &outputs).passed() => passed += 1,
            Ok(outputs) => failed.push(judge(&case, &outputs).to_string()),
            Err(RunError::Inapplicable(_)) => {}
            Err(error) => failed.push(format!("{}: {error}", case.name)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    context.settled().await.expect("no error is left over");
    passed
}

async fn open() -> Context {
    Context::new().await.expect("the browser has an adapter: see webdriver.json")
}

#[wasm_bindgen_test]
async fn every_case_passes() {
    let context = open().await;
    console_log!("{:?}", context.traits());
    assert_eq!(passed(&context).await, COUNT);
}

/// 8 storage buffers and 256 invocations: what every WebGPU has.
#[wasm_bindgen_test]
async fn every_case_passes_with_the_limits_of_every_webgpu() {
    let context = open_the_least().await;
    assert_eq!(context.traits().max_storage_buffers_per_shader_stage, 8);
    assert_eq!(context.traits().max_compute_invocations_per_workgroup, 256);
    assert_eq!(passed(&context).await, COUNT);
}

#[wasm_bindgen_test]
async fn every_case_passes_in_every_traversal() {
    let context = open().await;
    for traversal in Traversal::ALL {
        let passed = passed(&context.with_schedule(Schedule::with_traversal(traversal))).await;
        console_log!("{traversal}: {passed} cases passed");
        assert!(passed >= LEAST_TRAVERSED, "{traversal}: {passed}");
    }
}

#[wasm_bindgen_test]
async fn a_tensor_larger_than_a_buffer_may_be_is_refused() {
    let context = open_the_least().await;
    let elements = usize::try_from(context.device().limits().max_buffer_size / 4).expect("an address");
    let shape = Shape::new(&[2, elements], Layout::ChannelsLast).expect("a shape");
    assert!(matches!(Tensor::zeros(&context, shape), Err(DeviceError::BufferTooLarge { .. })));
}

/// A buffer without the usage that a copy needs is refused by the browser, after the call has returned.
#[wasm_bindgen_test]
async fn errors_that_arrive_later_are_reported_once() {
    let context = open().await;
    let shape = Shape::new(&[2, 4], Layout::ChannelsLast).expect("a shape");
    let x = Tensor::upload(&context, shape, &[1.0; 8]).expect("a tensor");
    // Dispatched on a destroyed buffer: what the browser finds when it is submitted.
    let mut layer = Layer::new(&context, Options::new(4)).expect("a layer");
    x.range().buffer.destroy();
    let y = layer.submit_forward(Mode::TRAINING, &x).expect("nothing is known yet");
    let error = y.download().await;
    assert!(matches!(error, Err(DeviceError::Refused { .. })), "{error:?}");
    assert_eq!(context.settled().await, Ok(()));
    // The device goes on.
    let x = Tensor::upload(&context, shape, &[1.0; 8]).expect("a tensor");
    let y = layer.submit_forward(Mode::TRAINING, &x).expect("a forward pass");
    assert_eq!(y.download().await, Ok(vec![0.0; 8]));
}

#[wasm_bindgen_test]
async fn a_lost_device_is_reported_by_everything() {
    let context = open().await;
    let shape = Shape::new(&[2, 4], Layout::ChannelsLast).expect("a shape");
    let x = Tensor::upload(&context, shape, &[1.0; 8]).expect("a tensor");
    context.device().destroy();
    assert!(matches!(x.download().await, Err(DeviceError::Lost { .. })));
    let lost = context.settled().await;
    assert!(matches!(lost, Err(DeviceError::Lost { .. })), "{lost:?}");
    assert!(matches!(
        Tensor::upload(&context, shape, &[1.0; 8]),
        Err(UploadError::Device(DeviceError::Lost { .. }))
    ));
    assert!(matches!(
        Layer::new(&context, Options::new(4)),
        Err(LayerError::Device(DeviceError::Lost { .. }))
    ));
}

#[wasm_bindgen_test]
async fn the_benchmark_measures() {
    measure(&open().await, "").await;
}

/// A pass that the browser refuses later takes next to no time.
#[wasm_bindgen_test]
async fn what_fails_is_not_measured() {
    let context = open().await;
    let bench = Bench::new(&context).await.expect("a clock");
    let shape = Shape::new(&[2, 4], Layout::ChannelsLast).expect("a shape");
    let x = Tensor::upload(&context, shape, &[1.0; 8]).expect("a tensor");
    let layer = RefCell::new(Layer::new(&context, Options::new(4)).expect("a layer"));
    x.range().buffer.destroy();
    // Asked whether to go on, as often in both runs: at the last time submits what is destroyed.
    let (asked, last) = (Cell::new(0), Cell::new(0));
    let go_on = || {
        asked.set(asked.get() + 1);
        if asked.get() == last.get() {
            let y = layer.borrow_mut().submit_forward(Mode::TRAINING, &x);
            assert!(y.is_ok(), "nothing is known yet: {:?}", y.err());
        }
        false
    };
    let rows = bench.measure(&[4, 16, 14, 14], &go_on).await.expect("a measurement");
    assert!(rows.is_some());
    last.set(asked.replace(0));
    let failed = bench.measure(&[4, 16, 14, 14], &go_on).await.map_err(|error| error.downcast());
    assert!(matches!(failed, Err(Ok(DeviceError::Refused { .. }))), "{failed:?}");
}

/// Times are those of the host's clock then, which include the way to the adapter and back.
#[wasm_bindgen_test]
async fn the_benchmark_measures_without_timestamps() {
    measure(&open_the_least().await, "no timestamp queries").await;
}

async fn measure(context: &Context, clock: &str) {
    let bench = Bench::new(context).await.expect("a clock");
    console_log!("{}", bench.clock());
    assert!(bench.clock().contains(clock), "{}", bench.clock());
    let rows = bench.measure(&[4, 16, 14, 14], &|| false).await.expect("a measurement").expect("rows");
    assert_eq!(rows.iter().map(|row| row.pass).collect::<Vec<_>>(), ["copy", "forward", "backward"]);
    for row in rows {
        assert!(row.time.median_ms > 0.0 && row.share_of_copy > 0.0, "{row:?}");
        assert!(row.accuracy.is_none_or(|accuracy| accuracy.passed), "{row:?}");
    }
}

#[wasm_bindgen_test]
async fn both_networks_learn() {
    let mut trainer = Trainer::new(&open().await, Settings::default()).expect("two networks");
    for _ in 0..60 {
        trainer.step().await.expect("a step");
    }
    let [with, without] = trainer.progress();
    console_log!(
        "{:?} {:?}, {:?} {:?}",
        with.loss(),
        with.test_accuracy,
        without.loss(),
        without.test_accuracy
    );
    assert!(with.loss() < Some(0.6) && with.test_accuracy > Some(0.8));
    assert!(without.losses.iter().all(|loss| loss.is_finite()));
}

/// A device with the limits that every adapter has, and no features.
async fn open_the_least() -> Context {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter =
        instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await.expect("an adapter");
    let descriptor =
        wgpu::DeviceDescriptor { required_limits: wgpu::Limits::defaults(), ..Default::default() };
    let (device, queue) = adapter.request_device(&descriptor).await.expect("every adapter has these limits");
    Context::from_device(&device, &queue)
}
