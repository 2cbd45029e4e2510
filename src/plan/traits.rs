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
    /// Bytes that an offset of a storage binding must be a multiple of.
    pub min_storage_buffer_offset_alignment: u32,
    /// Bytes that an offset of a uniform binding must be a multiple of.
    pub min_uniform_buffer_offset_alignment: u32,
    /// The most storage bindings of a kernel.
    pub max_storage_buffers_per_shader_stage: u32,
    /// The most workgroups in each dimension of a dispatch; larger grids get a second dimension.
    pub max_compute_workgroups_per_dimension: u32,
    /// The most invocations in a workgroup.
    pub max_compute_invocations_per_workgroup: u32,
    /// Bytes of workgroup memory.
    pub max_compute_workgroup_storage_size: u32,
    /// Whether shaders may have integers of 64 bits (`SHADER_INT64`), as which software adapters load and store two
    /// words at once.
    pub shader_int64: bool,
    /// Bytes of the cache that all processors share, by which the runs of channels of
    /// [`Traversal::Pipelined`](crate::Traversal::Pipelined) are sized. No interface tells it, so this is what the kind
    /// of adapter suggests; [`Schedule::cache_bytes`](crate::Schedule::cache_bytes) puts a measured figure in its place.
    pub shared_cache_bytes: u64,
}

/// What a graphics processor with memory of its own, and one that shares the CPU's, has at least in most machines of
/// these years.
const DISCRETE_CACHE_BYTES: u64 = 16 << 20;
const INTEGRATED_CACHE_BYTES: u64 = 4 << 20;

impl DeviceKind {
    fn shared_cache_bytes(self) -> u64 {
        match self {
            Self::Gpu => DISCRETE_CACHE_BYTES,
            // An emulated access costs the same wherever the data are, so a cache is no reason for a run.
            Self::Cpu => u64::MAX,
        }
    }
}

impl DeviceTraits {
    /// The name of the first limit with which nothing can be planned, if there is one.
    pub(crate) fn unusable(&self) -> Option<&'static str> {
        let limits = [
            (self.max_storage_buffer_binding_size < 1024, "max_storage_buffer_binding_size"),
            (
                !self.min_storage_buffer_offset_alignment.is_power_of_two(),
                "min_storage_buffer_offset_alignment",
            ),
            (
                !self.min_uniform_buffer_offset_alignment.is_power_of_two(),
                "min_uniform_buffer_offset_alignment",
            ),
            (self.max_storage_buffers_per_shader_stage < 8, "max_storage_buffers_per_shader_stage"),
            (self.max_compute_workgroups_per_dimension == 0, "max_compute_workgroups_per_dimension"),
            (self.max_compute_invocations_per_workgroup == 0, "max_compute_invocations_per_workgroup"),
        ];
        limits.into_iter().find_map(|(unusable, name)| unusable.then_some(name))
    }

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
        let shader_int64 = device.features().contains(wgpu::Features::SHADER_INT64);
        let traits = Self { shader_int64, ..Self::from_limits(kind, &device.limits()) };
        match device.adapter_info().device_type {
            wgpu::DeviceType::IntegratedGpu => Self { shared_cache_bytes: INTEGRATED_CACHE_BYTES, ..traits },
            _ => traits,
        }
    }

    /// The same limits on a graphics processor.
    pub(super) fn to_gpu(&self) -> Self {
        match self.kind {
            DeviceKind::Gpu => self.clone(),
            DeviceKind::Cpu => {
                let kind = DeviceKind::Gpu;
                Self { kind, shared_cache_bytes: kind.shared_cache_bytes(), ..self.clone() }
            }
        }
    }

    fn from_limits(kind: DeviceKind, limits: &wgpu::Limits) -> Self {
        Self {
            kind,
            max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
            min_storage_buffer_offset_alignment: limits.min_storage_buffer_offset_alignment,
            min_uniform_buffer_offset_alignment: limits.min_uniform_buffer_offset_alignment,
            max_storage_buffers_per_shader_stage: limits.max_storage_buffers_per_shader_stage,
            max_compute_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            // Workgroups are one-dimensional, so the narrower of the two limits holds.
            max_compute_invocations_per_workgroup: limits
                .max_compute_invocations_per_workgroup
                .min(limits.max_compute_workgroup_size_x),
            max_compute_workgroup_storage_size: limits.max_compute_workgroup_storage_size,
            shader_int64: false,
            shared_cache_bytes: kind.shared_cache_bytes(),
        }
    }
}
