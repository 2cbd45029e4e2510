//! `batchnorm info`: the adapters, with what matters to batch normalization.

use crate::adapter::Description;
use comfy_table::{Table, presets};
use std::io::Write;
use std::process::ExitCode;
use wgpu_batchnorm::{ContextError, wgpu};

/// List every adapter: driver, the limits and features that matter here, and which is the default.
#[derive(clap::Args)]
#[command(after_help = "Example: batchnorm info")]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    // The instance, and the choice of the default, of `Context::new`.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    if adapters.is_empty() {
        return Err(ContextError::NoAdapter.into());
    }
    let options = wgpu::RequestAdapterOptions {
        power_preference: wgpu::PowerPreference::HighPerformance,
        ..Default::default()
    };
    let default = pollster::block_on(instance.request_adapter(&options));
    let default = default.ok().map(|adapter| adapter.get_info());
    for adapter in &adapters {
        let is_default = default.as_ref() == Some(&adapter.get_info());
        writeln!(out, "{}", describe(adapter, is_default))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(adapter: &wgpu::Adapter, is_default: bool) -> Table {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let Description { name, backend, kind, driver, driver_info } = Description::from(&info);
    let offered = |feature| if features.contains(feature) { "yes" } else { "no" }.to_owned();
    let alignment =
        limits.min_storage_buffer_offset_alignment.max(limits.min_uniform_buffer_offset_alignment);
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header([name, if is_default { "default" } else { "" }.to_owned()]);
    table.add_rows([
        ["backend", &backend],
        ["kind", kind],
        ["driver", &format!("{driver} {driver_info}")],
        ["largest storage binding", &bytes(limits.max_storage_buffer_binding_size)],
        ["largest buffer", &bytes(limits.max_buffer_size)],
        ["alignment of a binding's offset", &bytes(alignment.into())],
        ["storage bindings per stage", &limits.max_storage_buffers_per_shader_stage.to_string()],
        ["invocations per workgroup", &limits.max_compute_invocations_per_workgroup.to_string()],
        ["memory per workgroup", &bytes(limits.max_compute_workgroup_storage_size.into())],
        ["workgroups per dimension", &limits.max_compute_workgroups_per_dimension.to_string()],
        ["subgroup sizes", &format!("{} to {}", info.subgroup_min_size, info.subgroup_max_size)],
        ["SUBGROUP", &offered(wgpu::Features::SUBGROUP)],
        ["SHADER_F16", &offered(wgpu::Features::SHADER_F16)],
        ["SHADER_INT64", &offered(wgpu::Features::SHADER_INT64)],
        ["TIMESTAMP_QUERY", &offered(wgpu::Features::TIMESTAMP_QUERY)],
    ]);
    table
}

/// Bytes in the largest unit that divides them, or else two decimals of the largest unit below them.
fn bytes(bytes: u64) -> String {
    let unit =
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)].into_iter().find(|&(_, size)| bytes >= size);
    match unit {
        Some((name, size)) if bytes.is_multiple_of(size) => format!("{} {name}", bytes / size),
        Some((name, size)) => format!("{:.2} {name}", bytes as f64 / size as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_readable() {
        assert_eq!(bytes(256), "256 bytes");
        assert_eq!(bytes(128 << 20), "128 MiB");
        assert_eq!(bytes((1 << 31) - 1), "2.00 GiB");
    }
}
