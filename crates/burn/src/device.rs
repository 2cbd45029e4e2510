//! Which devices are shared with burn: what opens them, and what is kept on each.

use crate::Error;
use burn::backend::wgpu::graphics::AutoGraphicsApi;
use burn::backend::wgpu::{RuntimeOptions, WgpuDevice, WgpuSetup, try_init_setup};
use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::{Device, DeviceKind};
use cubecl::wgpu::WgpuInitError;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use wgpu_batchnorm::{Context, DeviceError, RunningStatistics, RunningValues};

/// What passes on a device run in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// Our shaders, on burn's buffers.
    Shaders,
    /// burn's own operations.
    Composed {
        /// Why.
        reason: String,
    },
}

/// A device that is shared with burn.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Kept>);

struct Kept {
    context: Context,
    /// By the number of channels: where the running statistics are while a pass takes in a batch. burn's tensors may lie in
    /// one buffer, and nothing is copied within a buffer.
    scratch: Mutex<HashMap<usize, RunningStatistics>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("context", &self.0.context).finish_non_exhaustive()
    }
}

impl Engine {
    fn new(setup: &WgpuSetup) -> Self {
        let context = Context::from_device(&setup.device, &setup.queue);
        Self(Arc::new(Kept { context, scratch: Mutex::default() }))
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.context
    }

    /// Where the running statistics of so many channels are during a pass; the same for all passes, which run in order.
    pub(crate) fn scratch(&self, channels: usize) -> Result<RunningStatistics, DeviceError> {
        let mut scratch = lock(&self.0.scratch);
        if let Some(statistics) = scratch.get(&channels) {
            return Ok(statistics.clone());
        }
        let statistics = RunningStatistics::upload(&self.0.context, &RunningValues::start(channels))?;
        scratch.insert(channels, statistics.clone());
        Ok(statistics)
    }
}

/// burn's devices are global, and so is what we know of them: the engine, or why there is none.
static ENGINES: Mutex<Option<HashMap<WgpuDevice, Result<Engine, String>>>> = Mutex::new(None);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a device of burn's wgpu backend, shared with this crate: call it before any tensor is made on that device, and
/// make tensors and layers on what it returns.
///
/// ```no_run
/// use burn::tensor::DeviceKind;
///
/// let device = burn_batchnorm::init_device(DeviceKind::DefaultDevice)?.autodiff();
/// # Ok::<(), burn_batchnorm::Error>(())
/// ```
///
/// # Errors
/// [`Error::Device`] if burn has no such device or has opened it before.
pub fn init_device(kind: DeviceKind) -> Result<Device, Error> {
    let device = Device::wgpu(kind);
    match engine(&device) {
        Ok(_) => Ok(device),
        Err(reason) => Err(Error::Device { reason }),
    }
}

/// Shares a device that the program has brought to burn by `Device::wgpu_options().setup(…)`, or has opened by
/// `init_with_setup`.
///
/// ```no_run
/// use burn::tensor::Device;
///
/// let (device, setup) = Device::wgpu_options().tasks_max(16).init_with_setup()?;
/// burn_batchnorm::share(&device, &setup)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::OtherBackend`] if it is no wgpu device.
pub fn share(device: &Device, setup: &WgpuSetup) -> Result<(), Error> {
    let Some(of) = wgpu_device(device) else {
        return Err(Error::OtherBackend { device: format!("{device:?}") });
    };
    let mut engines = lock(&ENGINES);
    let engines = engines.get_or_insert_default();
    if !matches!(engines.get(&of), Some(Ok(_))) {
        engines.insert(of, Ok(Engine::new(setup)));
    }
    Ok(())
}

/// What passes on `device` run in. Opens the device if it is one of burn's wgpu backend that nobody has opened.
pub fn route(device: &Device) -> Route {
    match engine(device) {
        Ok(_) => Route::Shaders,
        Err(reason) => Route::Composed { reason },
    }
}

/// The engine of a device; it is opened if nobody has done so yet.
pub(crate) fn engine(device: &Device) -> Result<Engine, String> {
    let Some(of) = wgpu_device(device) else {
        static SAID: Once = Once::new();
        SAID.call_once(|| warn(device, NO_WGPU_DEVICE));
        return Err(NO_WGPU_DEVICE.to_owned());
    };
    let mut engines = lock(&ENGINES);
    let entry = engines.get_or_insert_default().entry(of);
    entry
        .or_insert_with_key(|of| {
            let setup = try_init_setup::<AutoGraphicsApi>(of, RuntimeOptions::default());
            setup.map(|setup| Engine::new(&setup)).map_err(|error| {
                let reason = reason(&error);
                warn(device, &reason);
                reason
            })
        })
        .clone()
}

const NO_WGPU_DEVICE: &str = "it is no device of burn's wgpu backend";

/// Why burn does not open a device for us, and what to do about it.
fn reason(error: &WgpuInitError) -> String {
    match error {
        WgpuInitError::Registration { .. } => {
            format!(
                "burn has opened it before ({error}). Call burn_batchnorm::init_device before the first tensor"
            )
        }
        WgpuInitError::InvalidConfiguration { .. } => {
            format!(
                "burn cannot open it ({error}). Call burn_batchnorm::share for a device of the program's own"
            )
        }
        other => format!("burn cannot open it ({other})"),
    }
}

fn warn(device: &Device, reason: &str) {
    log::warn!(
        "batch normalization on {device:?} is composed of burn's operations, which is slower than our shaders: {reason}"
    );
}

/// burn's name of a wgpu device, under autodiff too.
fn wgpu_device(device: &Device) -> Option<WgpuDevice> {
    match device.clone().without_autodiff().as_dispatch() {
        DispatchDevice::Cube(CubeDevice::Wgpu(device)) => Some(device.clone()),
        _ => None,
    }
}
