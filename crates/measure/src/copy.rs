//! The copy kernel whose bandwidth is the limit of every pass, in several variants: the best one counts.

use wgpu_batchnorm::{BufferRange, Context, wgpu};

/// Bytes of the longest vector: what is shorter is not copied.
pub const LEAST_BYTES: u64 = 32;

/// What a vector is, and its bytes. Software adapters take as long for 64 bits as for 32.
const VECTORS: [(&str, u64); 1] = [("vec4<f32>", 16)];
const LONG_VECTORS: [(&str, u64); 2] = [("vec2<u64>", 16), ("vec4<u64>", LEAST_BYTES)];

/// The variants of the copy kernel, compiled.
pub struct Copier {
    context: Context,
    variants: Vec<Variant>,
}

struct Variant {
    pipeline: wgpu::ComputePipeline,
    /// Bytes of a vector.
    vector_bytes: u64,
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
        let long = context.traits().shader_int64;
        let vectors = VECTORS.iter().chain(LONG_VECTORS.iter().filter(|_| long));
        let variants = vectors.flat_map(|vector| Self::of_vectors(context.device(), *vector)).collect();
        Self { context: context.clone(), variants }
    }

    fn of_vectors(device: &wgpu::Device, (vector, vector_bytes): (&str, u64)) -> Vec<Variant> {
        let source = format!("alias Vector = {vector};\n{}", include_str!("copy.wgsl"));
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("bench.copy"),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
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
            Variant { pipeline, vector_bytes, vectors: u64::from(lanes) * per_invocation }
        };
        let kernels = [("one", 1), ("four", 4)];
        kernels.into_iter().flat_map(|kernel| [64, 256].map(|lanes| variant(kernel, lanes))).collect()
    }

    /// Every variant, bound to copy `from` to `to`, which are equally long: up to 31 bytes at the end
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
        let vector_bytes = variant.vector_bytes;
        let alignment = u64::from(limits.min_storage_buffer_offset_alignment).max(vector_bytes);
        let most = limits.max_storage_buffer_binding_size / alignment * alignment;
        let bytes = from.size / vector_bytes * vector_bytes;
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
            let workgroups = (size / vector_bytes).div_ceil(variant.vectors);
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
