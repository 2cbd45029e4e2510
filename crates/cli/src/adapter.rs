//! Opening an adapter, and saying which one it is.

use serde::Serialize;
use std::sync::Arc;
use wgpu_batchnorm::{Context, ContextError, wgpu};

/// A context on the first adapter whose name contains `name`, or on the default one.
pub(crate) fn open(name: Option<&str>) -> Result<Context, ContextError> {
    let context = match name {
        Some(name) => pollster::block_on(Context::with_adapter_named(name)),
        None => Context::new_blocking(),
    }?;
    // Unhandled, such an error is a panic. This way the next use of the context returns it.
    let handler = context.clone();
    context
        .device()
        .on_uncaptured_error(Arc::new(move |error: wgpu::Error| handler.mark_lost(error.to_string())));
    Ok(context)
}

/// An adapter as it is named in reports.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) backend: String,
    pub(crate) kind: &'static str,
    pub(crate) driver: String,
    pub(crate) driver_info: String,
}

impl Description {
    pub(crate) fn of(context: &Context) -> Self {
        (&context.device().adapter_info()).into()
    }
}

impl From<&wgpu::AdapterInfo> for Description {
    fn from(info: &wgpu::AdapterInfo) -> Self {
        Self {
            name: info.name.clone(),
            backend: info.backend.to_string(),
            kind: kind(info.device_type),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
        }
    }
}

impl std::fmt::Display for Description {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, backend, kind, driver, driver_info } = self;
        write!(f, "{name} ({kind}, {backend}, driver {driver} {driver_info})")
    }
}

fn kind(device_type: wgpu::DeviceType) -> &'static str {
    match device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "CPU",
        wgpu::DeviceType::Other => "other",
    }
}
