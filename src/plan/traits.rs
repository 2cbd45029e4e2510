//! What a plan has to know of the device it is made for.

/// Whether the shaders run on a graphics processor or on the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceKind {
    /// A graphics processor: wide workgroups, many of them.
    Gpu,
    /// A software adapter such as lavapipe or SwiftShader: small workgroups, few barriers.
    Cpu,
}

/// What a plan depends on besides shape and options: the same traits give the same plan, and the same
/// plan gives the same bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceTraits {
    /// Graphics processor or software adapter.
    pub kind: DeviceKind,
    /// Bytes of the largest storage binding; larger tensors are bound in parts.
    pub max_storage_buffer_binding_size: u64,
    /// Bytes that an offset of a binding must be a multiple of, storage and uniform alike.
    pub min_buffer_offset_alignment: u32,
    /// The most workgroups in each dimension of a dispatch; larger grids get a second dimension.
    pub max_compute_workgroups_per_dimension: u32,
    /// The most invocations in a workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Bytes of workgroup memory.
    pub max_compute_workgroup_storage_size: u32,
}

impl DeviceTraits {
    /// A device with the limits that every WebGPU implementation has.
    pub fn webgpu_defaults(kind: DeviceKind) -> Self {
        Self::from_limits(kind, &wgpu::Limits::defaults())
    }

    /// The traits of a device.
    pub fn of(device: &wgpu::Device) -> Self {
        let kind = match device.adapter_info().device_type {
            wgpu::DeviceType::Cpu => DeviceKind::Cpu,
            _ => DeviceKind::Gpu,
        };
        Self::from_limits(kind, &device.limits())
    }

    fn from_limits(kind: DeviceKind, limits: &wgpu::Limits) -> Self {
        Self {
            kind,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            min_buffer_offset_alignment: limits
                .min_storage_buffer_offset_alignment
                .max(limits.min_uniform_buffer_offset_alignment),
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            max_compute_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
        }
    }
}
