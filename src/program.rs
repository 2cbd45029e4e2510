//! A plan on a device: pipelines and uniform buffers, and the bind groups for one set of tensors.

use crate::buffer::{Bound, BufferRange, TensorError};
use crate::context::{Context, lock};
use crate::device::{Checked, DeviceError, create_buffer_with, scoped};
use crate::kernels::Step;
use crate::params::Params;
use crate::plan::{Dispatch, Piece, Plan, Tile};
use crate::shader::{Source, parts::Part};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};

/// What makes two dispatches run the same pipeline.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Variant {
    files: Vec<Part>,
    tile: Tile,
}

/// The pipelines of a device. There are as many as variants, so they are kept for good.
#[derive(Default)]
pub(crate) struct Pipelines {
    compiled: Mutex<HashMap<Variant, wgpu::ComputePipeline>>,
}

impl Pipelines {
    fn get_or_compile(
        &self,
        on: &Checked,
        dispatch: &Dispatch,
    ) -> Result<wgpu::ComputePipeline, DeviceError> {
        let variant = Variant { files: dispatch.files.clone(), tile: dispatch.tile };
        let mut compiled = lock(&self.compiled);
        if let Some(pipeline) = compiled.get(&variant) {
            return Ok(pipeline.clone());
        }
        let pipeline = compile(on, dispatch)?;
        compiled.insert(variant, pipeline.clone());
        Ok(pipeline)
    }
}

fn compile(on: &Checked, dispatch: &Dispatch) -> Result<wgpu::ComputePipeline, DeviceError> {
    let device = on.device();
    let label = Some(dispatch.step.label());
    let source = dispatch.source();
    let created = scoped(on, dispatch.step.label(), 0, || {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label,
            source: wgpu::ShaderSource::Wgsl(source.text.as_str().into()),
        });
        let entries: Vec<_> = layout_entries(dispatch).collect();
        let group =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label, entries: &entries });
        let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label,
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label,
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            // The reductions write workgroup memory before they read it.
            compilation_options: wgpu::PipelineCompilationOptions {
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: None,
        })
    });
    created.map_err(|error| match error {
        DeviceError::Refused { what, reason } => {
            DeviceError::Refused { what, reason: with_origins(&reason, &source) }
        }
        other => other,
    })
}

/// The uniform block, and every resource as `read_write`: tensors may be ranges of one buffer, and one
/// buffer cannot be bound read-only and writable in one dispatch.
fn layout_entries(dispatch: &Dispatch) -> impl Iterator<Item = wgpu::BindGroupLayoutEntry> + '_ {
    let entry = |binding, ty, min_binding_size| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size },
        count: None,
    };
    let params = entry(0, wgpu::BufferBindingType::Uniform, NonZeroU64::new(size_of::<Params>() as u64));
    let storage = wgpu::BufferBindingType::Storage { read_only: false };
    let resources = dispatch.pieces.iter();
    std::iter::once(params).chain(resources.map(move |piece| entry(piece.resource.binding(), storage, None)))
}

/// A message of the shader compiler with the files and lines it means: it counts in the composed text.
fn with_origins(message: &str, source: &Source) -> String {
    let lines = message.match_indices("wgsl:").filter_map(|(at, mark)| {
        let digits = message.get(at + mark.len()..)?.split(|c: char| !c.is_ascii_digit()).next()?;
        source.origin(digits.parse().ok()?)
    });
    let origins: Vec<String> = lines.collect();
    if origins.is_empty() { message.into() } else { format!("{message}\n(in {})", origins.join(", ")) }
}

/// A plan with its pipelines and uniform values on a device.
pub(crate) struct Program {
    pub(crate) plan: Plan,
    pipelines: Vec<wgpu::ComputePipeline>,
    /// One block for each dispatch, `params_stride` bytes apart.
    params: wgpu::Buffer,
    params_stride: u64,
}

impl Program {
    pub(crate) fn compile(context: &Context, plan: Plan) -> Result<Self, DeviceError> {
        let device = context.checked();
        let dispatches = plan.dispatches();
        let pipelines = dispatches
            .iter()
            .map(|dispatch| context.pipelines().get_or_compile(device, dispatch))
            .collect::<Result<Vec<_>, _>>()?;
        let block = size_of::<Params>();
        let stride = block.next_multiple_of(context.traits().min_uniform_buffer_offset_alignment as usize);
        let mut contents = vec![0u8; stride * dispatches.len()];
        for (bytes, dispatch) in contents.chunks_mut(stride).zip(dispatches) {
            bytes[..block].copy_from_slice(bytemuck::bytes_of(&dispatch.params));
        }
        let params = create_buffer_with(device, "params", &contents, wgpu::BufferUsages::UNIFORM)?;
        Ok(Self { plan, pipelines, params, params_stride: stride as u64 })
    }

    /// Binds tensors that [`crate::buffer::check`] has accepted.
    pub(crate) fn bind(
        self: &Arc<Self>,
        context: &Context,
        tensors: &[Bound<'_>],
        workspace: &BufferRange,
    ) -> Result<Bindings, BindError> {
        let device = context.device();
        let mut groups = Vec::with_capacity(self.pipelines.len());
        for (i, (dispatch, pipeline)) in self.plan.dispatches().iter().zip(&self.pipelines).enumerate() {
            let params = wgpu::BufferBinding {
                buffer: &self.params,
                offset: i as u64 * self.params_stride,
                size: NonZeroU64::new(size_of::<Params>() as u64),
            };
            let mut entries =
                vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(params) }];
            for piece in &dispatch.pieces {
                let buffer = self.place(piece, tensors, workspace)?;
                entries.push(wgpu::BindGroupEntry {
                    binding: piece.resource.binding(),
                    resource: wgpu::BindingResource::Buffer(buffer),
                });
            }
            let label = dispatch.step.label();
            let group = scoped(context.checked(), label, 0, || {
                device.create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(label),
                    layout: &pipeline.get_bind_group_layout(0),
                    entries: &entries,
                })
            });
            groups.push(group.map_err(|error| blame(context.checked(), tensors, workspace, error))?);
        }
        Ok(Bindings { program: self.clone(), groups })
    }

    /// The bytes of a buffer that a piece of a resource is.
    fn place<'b>(
        &self,
        piece: &Piece,
        tensors: &'b [Bound<'_>],
        workspace: &'b BufferRange,
    ) -> Result<wgpu::BufferBinding<'b>, TensorError> {
        let (range, start, bytes) = match self.plan.in_workspace(piece.resource) {
            Some(at) => (workspace, at.start, at.end - at.start),
            None => {
                let found = tensors.iter().find(|tensor| tensor.resource == piece.resource);
                let tensor = found.ok_or(TensorError::Missing {
                    tensor: piece.resource.name(),
                    reason: "the plan uses it",
                })?;
                (tensor.range, piece.offset, piece.size.unwrap_or(tensor.bytes))
            }
        };
        Ok(wgpu::BufferBinding {
            buffer: &range.buffer,
            offset: range.offset + start,
            size: NonZeroU64::new(bytes),
        })
    }
}

/// Why tensors were not bound.
pub(crate) enum BindError {
    Tensor(TensorError),
    Device(DeviceError),
}

impl From<TensorError> for BindError {
    fn from(error: TensorError) -> Self {
        Self::Tensor(error)
    }
}

/// Finds the tensor that made a bind group fail: all that was not checked before is whether the
/// buffer lives, on this device.
fn blame(on: &Checked, tensors: &[Bound<'_>], workspace: &BufferRange, error: DeviceError) -> BindError {
    let DeviceError::Refused { .. } = error else {
        return BindError::Device(error);
    };
    let storage = wgpu::BindGroupLayoutEntry {
        binding: 0,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: false },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let device = on.device();
    let layout = device
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &[storage] });
    let named = tensors.iter().map(|tensor| (tensor.name, tensor.range));
    for (tensor, range) in named.chain([("workspace", workspace)]) {
        let buffer = wgpu::BufferBinding {
            buffer: &range.buffer,
            offset: range.offset,
            size: NonZeroU64::new(range.size.min(wgpu::COPY_BUFFER_ALIGNMENT)),
        };
        let entries = [wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(buffer) }];
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries };
        if let Err(DeviceError::Refused { reason, .. }) =
            scoped(on, tensor, 0, || device.create_bind_group(&descriptor))
        {
            return BindError::Tensor(TensorError::OtherDevice { tensor, reason });
        }
    }
    BindError::Device(error)
}

/// A program bound to one set of tensors: recording it makes nothing new.
pub(crate) struct Bindings {
    program: Arc<Program>,
    groups: Vec<wgpu::BindGroup>,
}

impl Bindings {
    pub(crate) fn plan(&self) -> &Plan {
        &self.program.plan
    }

    /// Records the dispatches for which `wanted` holds.
    pub(crate) fn record(&self, pass: &mut wgpu::ComputePass<'_>, wanted: impl Fn(Step) -> bool) {
        let dispatches = self.program.plan.dispatches().iter().zip(&self.program.pipelines).zip(&self.groups);
        for ((dispatch, pipeline), group) in dispatches.filter(|((dispatch, _), _)| wanted(dispatch.step)) {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            let [x, y, z] = dispatch.grid;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}
