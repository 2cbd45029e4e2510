//! The copy kernel whose bandwidth is the limit of every pass, in several variants: the best one counts.

use wgpu_batchnorm::{BufferRange, Context, wgpu};

/// Bytes of a vec4.
const VECTOR_BYTES: u64 = 16;

/// The variants of the copy kernel, compiled.
pub struct Copier {
    context: Context,
    variants: Vec<Variant>,
}

struct Variant {
    pipeline: wgpu::ComputePipeline,
    /// Vectors that a workgroup copies.
    vectors: u64,
}

/// A variant bound to two ranges.
pub struct Copy {
    pipeline: wgpu::ComputePipeline,
    /// Of each part of the ranges that one binding can hold.
    parts: Vec<(wgpu::BindGroup, [u32; 2])>,
}

impl Copier {
    /// Compiles them.
    pub fn new(context: &Context) -> Self {
        let device = context.device();
        let module = device.create_shader_module(wgpu::include_wgsl!("copy.wgsl"));
        let variant = |(entry_point, per_invocation): (&str, u64), lanes: u32| {
            let constants = [("LANES", f64::from(lanes))];
            let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("bench.copy"),
                layout: None,
                module: &module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    ..Default::default()
                },
                cache: None,
            });
            Variant { pipeline, vectors: u64::from(lanes) * per_invocation }
        };
        let kernels = [("one", 1), ("four", 4)];
        let variants = kernels.into_iter().flat_map(|kernel| [64, 256].map(|lanes| variant(kernel, lanes)));
        Self { context: context.clone(), variants: variants.collect() }
    }

    /// Every variant, bound to copy `from` to `to`, which are equally long: up to 15 bytes at the end
    /// that fill no vector are left out.
    pub fn bind(&self, from: &BufferRange, to: &BufferRange) -> Vec<Copy> {
        self.variants.iter().map(|variant| self.bind_variant(variant, from, to)).collect()
    }

    /// The same for several pairs of ranges that take turns: of each variant, the copies of all pairs.
    pub fn bind_turns<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a BufferRange, &'a BufferRange)> + Clone,
    ) -> Vec<Vec<Copy>> {
        let bind = |variant| pairs.clone().map(|(from, to)| self.bind_variant(variant, from, to)).collect();
        self.variants.iter().map(bind).collect()
    }

    fn bind_variant(&self, variant: &Variant, from: &BufferRange, to: &BufferRange) -> Copy {
        let limits = self.context.device().limits();
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(VECTOR_BYTES);
        let most = limits.max_storage_buffer_binding_size / alignment * alignment;
        let bytes = from.size / VECTOR_BYTES * VECTOR_BYTES;
        let starts = (0..).map(|part| part * most).take_while(|&start| start < bytes);
        let parts = starts.map(|start| {
            let size = most.min(bytes - start);
            let entry = |(binding, range)| part_of(range, binding, start, size);
            let entries = [(0, from), (1, to)].map(entry);
            let group = self.context.device().create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("bench.copy"),
                layout: &variant.pipeline.get_bind_group_layout(0),
                entries: &entries,
            });
            let workgroups = (size / VECTOR_BYTES).div_ceil(variant.vectors);
            (group, grid(workgroups, limits.max_compute_workgroups_per_dimension))
        });
        Copy { pipeline: variant.pipeline.clone(), parts: parts.collect() }
    }
}

impl Copy {
    /// Records the copy.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        for (group, [x, y]) in &self.parts {
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(*x, *y, 1);
        }
    }
}

/// A binding of `size` bytes of the range from its byte `start`.
fn part_of(range: &BufferRange, binding: u32, start: u64, size: u64) -> wgpu::BindGroupEntry<'_> {
    let BufferRange { buffer, offset, .. } = range;
    let size = wgpu::BufferSize::new(size);
    let resource = wgpu::BufferBinding { buffer, offset: offset + start, size };
    wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(resource) }
}

/// At least `workgroups` workgroups, in two dimensions of at most `most`. A binding holds less than 4 GiB,
/// so that 2³² vectors are never reached.
fn grid(workgroups: u64, most: u32) -> [u32; 2] {
    let width = workgroups.clamp(1, most.into());
    [width as u32, workgroups.div_ceil(width).max(1) as u32]
}

#[cfg(test)]
mod tests {
    use super::grid;

    #[test]
    fn grids_cover_and_keep_the_limit() {
        for workgroups in [1, 2, 65_535, 65_536, 200_000, 1 << 26] {
            let [x, y] = grid(workgroups, 65_535);
            assert!(u64::from(x) * u64::from(y) >= workgroups && x <= 65_535 && y <= 65_535);
        }
    }
}
