//! A device with what batch normalization keeps on it: pipelines, compiled plans and workspace.

use crate::buffer::{BufferRange, Maker};
use crate::cache::Cache;
use crate::device::{Checked, DeviceError, create_buffer, scoped};
use crate::options::{OptionBits, Options};
use crate::plan::{DeviceTraits, Operation, Plan, PlanError, Schedule, WORD_BYTES};
use crate::program::{Pipelines, Program};
use crate::shape::Shape;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// A device, and what is kept on it: pipelines, compiled plans, and a workspace that all layers share.
///
/// Cheap to clone; all clones share the same caches. There is no global state.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
    schedule: Schedule,
}

struct Shared {
    device: Checked,
    traits: DeviceTraits,
    /// Set if the device is the library's own.
    maker: Option<Maker>,
    pipelines: Pipelines,
    programs: Mutex<Cache<ProgramKey, Arc<Program>>>,
    workspace: Mutex<Option<wgpu::Buffer>>,
}

/// A plan is kept for each of these.
#[derive(Clone, PartialEq, Eq, Hash)]
struct ProgramKey {
    shape: Shape,
    operation: Operation,
    options: OptionBits,
    schedule: Schedule,
}

/// Compiled plans to keep: every layer of a large network, forward and backward, with two batch sizes.
const PROGRAMS: usize = 512;

/// Why there is no context.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContextError {
    /// There is no adapter.
    #[error(
        "there is no adapter: install a Vulkan, Metal or DX12 driver, or Mesa's software adapter (Debian: apt-get install mesa-vulkan-drivers)"
    )]
    NoAdapter,
    /// No adapter has the name that was asked for.
    #[error("no adapter's name contains {wanted:?}, expected one of {found:?}")]
    UnknownAdapter {
        /// The name that was asked for.
        wanted: String,
        /// The names of the adapters there are.
        found: Vec<String>,
    },
    /// The adapter gave no device.
    #[error("adapter {adapter:?} gave no device: {reason}")]
    NoDevice {
        /// The adapter's name.
        adapter: String,
        /// What wgpu said.
        reason: String,
    },
}

impl Context {
    /// A context on the default adapter, with all limits and the features that matter here.
    ///
    /// # Errors
    /// [`ContextError`] if there is no adapter or it gives no device.
    pub async fn new() -> Result<Self, ContextError> {
        Self::from_instance(&default_instance()).await
    }

    /// A context on the default adapter of `instance`, with all limits and the features that matter here.
    ///
    /// # Errors
    /// [`ContextError`] if there is no adapter or it gives no device.
    pub async fn from_instance(instance: &wgpu::Instance) -> Result<Self, ContextError> {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        };
        match instance.request_adapter(&options).await {
            Ok(adapter) => Self::from_adapter(&adapter).await,
            Err(_) => Err(ContextError::NoAdapter),
        }
    }

    /// A context on the first adapter whose name contains `name`, whatever the case of its letters.
    ///
    /// # Errors
    /// [`ContextError`] if there is none or it gives no device; it lists the adapters there are.
    pub async fn with_adapter_named(name: &str) -> Result<Self, ContextError> {
        let adapters = default_instance().enumerate_adapters(wgpu::Backends::all()).await;
        if adapters.is_empty() {
            return Err(ContextError::NoAdapter);
        }
        let matches =
            |adapter: &&wgpu::Adapter| adapter.get_info().name.to_lowercase().contains(&name.to_lowercase());
        match adapters.iter().find(matches) {
            Some(adapter) => Self::from_adapter(adapter).await,
            None => Err(ContextError::UnknownAdapter {
                wanted: name.into(),
                found: adapters.iter().map(|adapter| adapter.get_info().name).collect(),
            }),
        }
    }

    /// A context on `adapter`, with all its limits and the features that matter here.
    ///
    /// # Errors
    /// [`ContextError::NoDevice`] if it gives no device.
    pub async fn from_adapter(adapter: &wgpu::Adapter) -> Result<Self, ContextError> {
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_INT64;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("batch_norm"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|error| {
            ContextError::NoDevice { adapter: adapter.get_info().name, reason: error.to_string() }
        })?;
        let context = Self::with_device(&device, &queue, Some(Maker::default()));
        context.checked().watch();
        Ok(context)
    }

    /// A context on the caller's device.
    ///
    /// The device's callbacks stay the caller's: call [`Context::mark_lost`] from the device-lost
    /// callback, so that recording reports the loss too.
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self::with_device(device, queue, None)
    }

    fn with_device(device: &wgpu::Device, queue: &wgpu::Queue, maker: Option<Maker>) -> Self {
        let shared = Shared {
            device: Checked::new(device, queue),
            traits: DeviceTraits::of(device),
            maker,
            pipelines: Pipelines::default(),
            programs: Mutex::new(Cache::new(PROGRAMS)),
            workspace: Mutex::new(None),
        };
        Self { shared: Arc::new(shared), schedule: Schedule::default() }
    }

    /// The blocking twin of [`Context::new`].
    ///
    /// # Errors
    /// As [`Context::new`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new_blocking() -> Result<Self, ContextError> {
        pollster::block_on(Self::new())
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        self.shared.device.device()
    }

    /// The device with the errors that it has reported.
    pub(crate) fn checked(&self) -> &Checked {
        &self.shared.device
    }

    /// The queue that the methods with `submit`, `upload` and `download` in their names use.
    pub fn queue(&self) -> &wgpu::Queue {
        self.shared.device.queue()
    }

    /// What plans depend on of the device.
    pub fn traits(&self) -> &DeviceTraits {
        &self.shared.traits
    }

    /// A context that shares everything with this one, but plans by `schedule`: to measure how passes go over the
    /// tensors, or to decide it. Without one the cost model decides.
    pub fn with_schedule(&self, schedule: Schedule) -> Self {
        Self { shared: self.shared.clone(), schedule }
    }

    /// What is decided about plans before the cost model decides the rest.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The plan of an operation on this context's device, by its schedule.
    pub(crate) fn plan(
        &self,
        shape: &Shape,
        options: &Options,
        operation: Operation,
    ) -> Result<Plan, PlanError> {
        Plan::with_schedule(shape, options, operation, self.traits(), &self.schedule)
    }

    /// Tells the context that its device is lost; from then on everything reports
    /// [`DeviceError::Lost`] with this reason.
    pub fn mark_lost(&self, reason: impl Into<String>) {
        self.checked().health().mark_lost(reason.into());
    }

    /// Waits until the errors of everything that was created before are known, and returns the first that was not
    /// reported yet. On native devices errors are returned by the call that causes them, and this returns at
    /// once; in a browser they arrive later, and without this the next call that can fail or download reports them.
    ///
    /// # Errors
    /// [`DeviceError`] as the device has reported it.
    pub async fn settled(&self) -> Result<(), DeviceError> {
        self.checked().settled().await
    }

    /// Submits what is recorded into one encoder; nothing if recording fails.
    pub(crate) fn submit<E: From<DeviceError>>(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<(), E>,
    ) -> Result<(), E> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("batch_norm") };
        let mut encoder = self.device().create_command_encoder(&descriptor);
        record(&mut encoder)?;
        let submit = || self.queue().submit([encoder.finish()]);
        scoped(self.checked(), "a submission", 0, submit)?;
        Ok(())
    }

    pub(crate) fn maker(&self) -> Option<&Maker> {
        self.shared.maker.as_ref()
    }

    /// A range of a buffer that was made on this context's device.
    pub(crate) fn range(&self, buffer: wgpu::Buffer) -> BufferRange {
        BufferRange::made_by(buffer, self.maker().cloned())
    }

    pub(crate) fn check_alive(&self) -> Result<(), DeviceError> {
        self.checked().health().check()
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.shared.pipelines
    }

    /// The compiled plan, from the cache if it is there.
    pub(crate) fn program(
        &self,
        shape: &Shape,
        options: &Options,
        operation: Operation,
    ) -> Result<Arc<Program>, ProgramError> {
        let key = ProgramKey { shape: *shape, operation, options: options.bits(), schedule: self.schedule };
        lock(&self.shared.programs).get_or_make(&key, || {
            let plan = self.plan(shape, options, operation)?;
            Ok(Arc::new(Program::compile(self, plan)?))
        })
    }

    /// The workspace that all layers share, at least `bytes` long. Dispatches of one queue run in
    /// order, so no two operations use it at once.
    pub(crate) fn workspace(&self, bytes: u64) -> Result<BufferRange, DeviceError> {
        // Some operations need none, but a buffer has a size.
        let bytes = bytes.max(WORD_BYTES);
        let mut workspace = lock(&self.shared.workspace);
        match &*workspace {
            Some(buffer) if buffer.size() >= bytes => Ok(buffer.into()),
            _ => {
                let usage = wgpu::BufferUsages::STORAGE;
                let buffer = create_buffer(self.checked(), "workspace", bytes.next_power_of_two(), usage)
                    .or_else(|_| create_buffer(self.checked(), "workspace", bytes, usage))?;
                *workspace = Some(buffer.clone());
                Ok(buffer.into())
            }
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("traits", self.traits()).finish_non_exhaustive()
    }
}

/// Why there is no compiled plan.
pub(crate) enum ProgramError {
    Plan(PlanError),
    Device(DeviceError),
}

impl From<PlanError> for ProgramError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<DeviceError> for ProgramError {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

/// Locks, also after another thread has panicked: nothing here is left half done by a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The instance of those who do not bring one: without a window, with wgpu's environment variables.
fn default_instance() -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env())
}
