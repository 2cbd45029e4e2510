//! The kernels of this page: layers as simple as can be, besides the library's batch normalization.

use super::memory::Memory;
use wgpu_batchnorm::{BatchNormError, BoundOperation, BufferRange, wgpu};

/// Invocations of a workgroup, in all kernels but those of `observe.wgsl`.
const LANES: u32 = 64;

/// Every kernel, compiled.
pub(super) struct Kernels {
    device: wgpu::Device,
    pub(super) linear: wgpu::ComputePipeline,
    pub(super) input_gradient: wgpu::ComputePipeline,
    pub(super) weight_gradient: wgpu::ComputePipeline,
    pub(super) activation: wgpu::ComputePipeline,
    pub(super) activation_gradient: wgpu::ComputePipeline,
    pub(super) loss: wgpu::ComputePipeline,
    pub(super) update: wgpu::ComputePipeline,
    pub(super) histogram: wgpu::ComputePipeline,
    pub(super) norm: wgpu::ComputePipeline,
}

/// Something to record into a pass.
pub(super) enum Operation {
    /// A kernel of this page.
    Kernel { pipeline: wgpu::ComputePipeline, bindings: wgpu::BindGroup, workgroups: u32 },
    /// A pass of batch normalization.
    BatchNorm(Box<BoundOperation>),
}

impl Operation {
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass<'_>) -> Result<(), BatchNormError> {
        match self {
            Self::Kernel { pipeline, bindings, workgroups } => {
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, bindings, &[]);
                pass.dispatch_workgroups(*workgroups, 1, 1);
                Ok(())
            }
            Self::BatchNorm(operation) => operation.record(pass),
        }
    }
}

impl Kernels {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        let module = |source: wgpu::ShaderModuleDescriptor<'_>| device.create_shader_module(source);
        let pipeline = |module: &wgpu::ShaderModule, entry_point: &str| {
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: None,
                module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            })
        };
        let linear = module(wgpu::include_wgsl!("shaders/linear.wgsl"));
        let activation = module(wgpu::include_wgsl!("shaders/activation.wgsl"));
        let observe = module(wgpu::include_wgsl!("shaders/observe.wgsl"));
        Self {
            device: device.clone(),
            linear: pipeline(&linear, "forward"),
            input_gradient: pipeline(&linear, "input_gradient"),
            weight_gradient: pipeline(&linear, "weight_gradient"),
            activation: pipeline(&activation, "forward"),
            activation_gradient: pipeline(&activation, "backward"),
            loss: pipeline(&module(wgpu::include_wgsl!("shaders/loss.wgsl")), "main"),
            update: pipeline(&module(wgpu::include_wgsl!("shaders/update.wgsl")), "main"),
            histogram: pipeline(&observe, "histogram"),
            norm: pipeline(&observe, "norm"),
        }
    }

    /// A kernel with a uniform of these words, made in `memory`, and these ranges, by the numbers of their bindings, and an
    /// invocation for each of `invocations`.
    pub(super) fn bind(
        &self,
        memory: &Memory,
        pipeline: &wgpu::ComputePipeline,
        uniform: &[u32],
        ranges: &[(u32, &BufferRange)],
        invocations: usize,
    ) -> Operation {
        let uniform = memory.filled("uniform", uniform, wgpu::BufferUsages::UNIFORM);
        let entry = wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() };
        self.bind_entries(pipeline, Some(entry), ranges, (invocations as u32).div_ceil(LANES))
    }

    /// The same with a uniform that changes, or none, and so many workgroups.
    pub(super) fn bind_entries(
        &self,
        pipeline: &wgpu::ComputePipeline,
        uniform: Option<wgpu::BindGroupEntry<'_>>,
        ranges: &[(u32, &BufferRange)],
        workgroups: u32,
    ) -> Operation {
        let ranges = ranges.iter().map(|&(binding, BufferRange { buffer, offset, size, .. })| {
            let size = wgpu::BufferSize::new(*size);
            let range = wgpu::BufferBinding { buffer, offset: *offset, size };
            wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(range) }
        });
        let entries: Vec<_> = uniform.into_iter().chain(ranges).collect();
        let layout = pipeline.get_bind_group_layout(0);
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        let bindings = self.device.create_bind_group(&descriptor);
        Operation::Kernel { pipeline: pipeline.clone(), bindings, workgroups }
    }
}
