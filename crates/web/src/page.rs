//! What JavaScript calls: values go over as JSON, errors as exceptions.

use crate::measure::{Bench, Row};
use crate::train::{Settings, Trainer};
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use serde::Serialize;
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wgpu_batchnorm::{Context, DeviceTraits, wgpu};
use wgpu_batchnorm_report::page::{COLORS, chart_style};

/// The style rules of charts, and the colours of the page.
#[wasm_bindgen]
pub fn style() -> String {
    [COLORS, &chart_style()].concat()
}

thread_local! {
    static PANICKED: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
}

/// Has `panicked` called with the message of a panic. Nothing here may be called any more then: what a panic leaves half
/// done stays so.
#[wasm_bindgen]
pub fn on_panic(panicked: js_sys::Function) {
    PANICKED.set(Some(panicked));
    // A hook may be called on any thread, as far as its type says: what is JavaScript's stays with its own.
    std::panic::set_hook(Box::new(|panic| {
        let message = JsValue::from(panic.to_string());
        PANICKED.with_borrow(|panicked| {
            // What the page makes of it is the page's.
            let _ = panicked.as_ref().map(|panicked| panicked.call1(&JsValue::NULL, &message));
        });
    }));
}

/// The device of the page.
#[wasm_bindgen]
pub struct Device(Context);

/// What a visitor is told of the device.
#[derive(Serialize)]
struct Description {
    /// What the browser tells of the adapter, as far as it does.
    name: String,
    vendor: String,
    architecture: String,
    /// Whether it computes on the CPU.
    software: bool,
    max_storage_buffer_binding_size: u64,
    max_storage_buffers_per_shader_stage: u32,
    max_compute_invocations_per_workgroup: u32,
    timestamps: bool,
}

#[wasm_bindgen]
impl Device {
    /// Asks the browser for a device; `lost` is called with the reason when it is gone.
    ///
    /// # Errors
    /// If the browser has none.
    pub async fn open(lost: js_sys::Function) -> Result<Device, JsError> {
        let context = Context::new().await?;
        let device = context.device().clone();
        // The callback may be called on any thread, as far as its type says; here there is but one.
        let (sender, mut reasons) = mpsc::unbounded();
        device.set_device_lost_callback(move |reason, message| {
            // Nobody waits any more if the receiver is gone.
            let _ = sender.unbounded_send(format!("{reason:?}: {message}"));
        });
        let marked = context.clone();
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(reason) = reasons.next().await {
                marked.mark_lost(reason.clone());
                // What the page makes of it is the page's.
                let _ = lost.call1(&JsValue::NULL, &reason.into());
            }
        });
        Ok(Self(context))
    }

    /// What it is, as JSON.
    ///
    /// # Errors
    /// Never: numbers and names can be written.
    pub fn describe(&self) -> Result<String, JsError> {
        let (device, traits) = (self.0.device(), self.0.traits());
        let DeviceTraits { max_storage_buffer_binding_size, max_storage_buffers_per_shader_stage, .. } =
            *traits;
        // wgpu keeps only the name.
        let info = device.as_webgpu().map(|device| device.adapter_info());
        json(&Description {
            name: device.adapter_info().name,
            vendor: info.as_ref().map(|info| info.vendor()).unwrap_or_default(),
            architecture: info.as_ref().map(|info| info.architecture()).unwrap_or_default(),
            software: device.adapter_info().device_type == wgpu::DeviceType::Cpu,
            max_storage_buffer_binding_size,
            max_storage_buffers_per_shader_stage,
            max_compute_invocations_per_workgroup: traits.max_compute_invocations_per_workgroup,
            timestamps: device.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        })
    }

    /// Computes and judges the case in the content of a file of this name; the report as JSON.
    ///
    /// # Errors
    /// Never because of the case: what is wrong with it is its verdict.
    pub async fn check(&self, file: String, bytes: Vec<u8>) -> Result<String, JsError> {
        json(&crate::check::check(&self.0, &file, &bytes).await)
    }

    /// A benchmark on this device.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn bench(&self) -> Result<PageBench, JsError> {
        let bench = Bench::new(&self.0).await.map_err(said)?;
        Ok(PageBench { bench, kind: self.0.traits().kind, rows: RefCell::default() })
    }

    /// Two networks on this device, before their first step, with settings as JSON.
    ///
    /// # Errors
    /// If a setting is out of its range or the device fails.
    pub fn trainer(&self, settings: &str) -> Result<PageTrainer, JsError> {
        let settings: Settings = serde_json::from_str(settings)?;
        Ok(PageTrainer(Rc::new(RefCell::new(Trainer::new(&self.0, settings)?))))
    }
}

/// The benchmark and what it has measured.
#[wasm_bindgen]
pub struct PageBench {
    bench: Bench,
    kind: wgpu_batchnorm::DeviceKind,
    rows: RefCell<Vec<Row>>,
}

#[wasm_bindgen]
impl PageBench {
    /// Where times come from.
    pub fn clock(&self) -> String {
        self.bench.clock()
    }

    /// The shapes of a set, as JSON.
    ///
    /// # Errors
    /// If there is no such set.
    pub fn shapes(&self, set: &str) -> Result<String, JsError> {
        json(&crate::measure::shapes(set, self.kind).map_err(said)?)
    }

    /// Measures one shape, unless `signal` is aborted meanwhile; its rows as JSON, or null.
    ///
    /// # Errors
    /// If it does not fit the device, or the device fails.
    pub async fn measure(&self, sizes: Vec<usize>, signal: web_sys::AbortSignal) -> Result<String, JsError> {
        let rows = self.bench.measure(&sizes, &|| signal.aborted()).await.map_err(said)?;
        let text = json(&rows)?;
        self.rows.borrow_mut().extend(rows.into_iter().flatten());
        Ok(text)
    }

    /// The chart of everything measured so far, as an SVG element for a place of this width.
    ///
    /// # Errors
    /// If nothing was measured.
    pub fn chart(&self, width: u32) -> Result<String, JsError> {
        Ok(crate::measure::chart(&self.rows.borrow(), width)?)
    }
}

/// The two networks.
#[wasm_bindgen]
pub struct PageTrainer(Rc<RefCell<Trainer>>);

/// What the page shows in numbers.
#[derive(Serialize)]
struct State {
    steps: usize,
    /// With batch normalization, and without: the mean of the last steps, and the share of the test set recognized.
    losses: [Option<f32>; 2],
    test_accuracies: [Option<f32>; 2],
}

#[wasm_bindgen]
impl PageTrainer {
    /// One step of both networks. Only one may be under way.
    ///
    /// # Errors
    /// If the device fails, or another step is under way.
    #[expect(clippy::await_holding_refcell_ref, reason = "a second borrow is refused with an error")]
    pub async fn step(&self) -> Result<(), JsError> {
        let trainer = self.0.clone();
        let mut trainer = trainer.try_borrow_mut().map_err(|_| JsError::new(UNDER_WAY))?;
        Ok(trainer.step().await?)
    }

    /// Goes on with other settings, as JSON.
    ///
    /// # Errors
    /// If a setting is out of its range, the device fails, or a step is under way.
    pub fn set(&self, settings: &str) -> Result<(), JsError> {
        let settings: Settings = serde_json::from_str(settings)?;
        Ok(self.0.try_borrow_mut().map_err(|_| JsError::new(UNDER_WAY))?.set(settings)?)
    }

    /// Begins anew.
    ///
    /// # Errors
    /// As [`PageTrainer::set`].
    pub fn restart(&self) -> Result<(), JsError> {
        let mut trainer = self.0.try_borrow_mut().map_err(|_| JsError::new(UNDER_WAY))?;
        let settings = *trainer.settings();
        Ok(trainer.restart(settings)?)
    }

    /// Where the networks are, as JSON.
    ///
    /// # Errors
    /// If a step is under way.
    pub fn state(&self) -> Result<String, JsError> {
        let trainer = self.0.try_borrow().map_err(|_| JsError::new(UNDER_WAY))?;
        let [with, without] = trainer.progress();
        json(&State {
            steps: trainer.steps(),
            losses: [with.loss(), without.loss()],
            test_accuracies: [with.test_accuracy, without.test_accuracy],
        })
    }

    /// The charts as JSON, SVG elements for a place of this width.
    ///
    /// # Errors
    /// If a step is under way.
    pub fn charts(&self, width: u32) -> Result<String, JsError> {
        let trainer = self.0.try_borrow().map_err(|_| JsError::new(UNDER_WAY))?;
        json(&trainer.charts(width)?)
    }
}

const UNDER_WAY: &str = "a step is under way: wait until it has ended";

fn json(value: &impl Serialize) -> Result<String, JsError> {
    Ok(serde_json::to_string(value)?)
}

fn said(error: anyhow::Error) -> JsError {
    JsError::new(&format!("{error:#}"))
}
