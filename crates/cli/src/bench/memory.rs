//! Whether a shape fits into memory: found out before, because a machine without memory left stops more
//! than a benchmark.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};
use wgpu_batchnorm::{Context, Dtype, Shape, wgpu};

/// The part of the available memory that a shape may take.
const SHARE: f64 = 0.6;
/// Tensors that the host holds at once: x, dy, and a result in two copies while it is fetched.
const ON_HOST: u64 = 4;
/// Tensors on the adapter: x, y, dy, dx, and one on its way to the host.
const ON_ADAPTER: u64 = 5;
/// More of them on each, of a residual or of a double backward pass.
const EXTRA: [u64; 2] = [1, 2];

/// Why a shape is not measured, if a tensor is larger than a buffer may be, or all take more memory than
/// there is.
pub(crate) fn reason_to_skip(context: &Context, shape: &Shape, dtype: Dtype, extra: bool) -> Option<String> {
    let (bytes, largest) =
        (shape.elements() as u64 * dtype.bytes(), context.device().limits().max_buffer_size);
    if bytes > largest {
        let reason = format!("a tensor has {bytes} bytes, and the adapter's buffers at most {largest}");
        return Some(reason);
    }
    // The host keeps all as f32.
    let tensor = shape.elements() as u64 * Dtype::F32.bytes();
    reason(tensor, extra, shares_memory(context), available()?)
}

/// How many sets of so many bytes there is memory for besides what a shape takes, where the host's is the
/// adapter's too; elsewhere the adapter itself says when it has no more.
pub(crate) fn affordable(context: &Context, set_bytes: u64) -> u64 {
    match available().filter(|_| shares_memory(context)) {
        // Half of what is left, as it is needed for fetching results too.
        Some(bytes) => 1 + bytes / 2 / set_bytes.max(1),
        None => u64::MAX,
    }
}

/// Bytes that may be taken of the memory that is free, where the system tells.
pub(crate) fn most_bytes() -> Option<u64> {
    available().map(|bytes| (SHARE * bytes as f64) as u64)
}

/// Whether the adapter has no memory of its own.
fn shares_memory(context: &Context) -> bool {
    let kind = context.device().adapter_info().device_type;
    matches!(kind, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu)
}

fn reason(tensor: u64, extra: bool, shared: bool, available: u64) -> Option<String> {
    let [on_host, on_adapter] = if extra { EXTRA } else { [0; 2] };
    let tensors = ON_HOST + on_host + if shared { ON_ADAPTER + on_adapter } else { 0 };
    let bytes = tensor.saturating_mul(tensors);
    let gib = |bytes: f64| bytes / f64::from(1 << 30);
    (bytes as f64 > SHARE * available as f64).then(|| {
        format!(
            "{tensors} tensors of {:.2} GiB in host memory exceed {:.0} % of the {:.1} GiB that are free",
            gib(tensor as f64),
            SHARE * 100.0,
            gib(available as f64)
        )
    })
}

/// Bytes of free memory, where the system tells.
fn available() -> Option<u64> {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    // In a container the container's limit counts too.
    let container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    Some(system.available_memory().min(container)).filter(|&bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn what_does_not_fit_is_skipped() {
        let gib = 1 << 30;
        assert_eq!(reason(gib, false, false, 7 * gib), None);
        assert_eq!(reason(gib, false, true, 16 * gib), None);
        assert!(reason(gib, true, true, 16 * gib).is_some());
        let reason = reason(2 * gib, false, true, 16 * gib).unwrap_or_default();
        assert!(reason.contains("9 tensors of 2.00 GiB") && reason.contains("16.0 GiB"), "{reason}");
    }
}
