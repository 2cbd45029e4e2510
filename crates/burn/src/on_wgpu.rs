//! The passes on burn's wgpu backend: our pipelines on burn's buffers.

use crate::Error;
use crate::ops::{BatchNormOps, Call, Forward, Gradient, Wanted};
use burn::backend::TensorMetadata as _;
use burn::backend::tensor::FloatTensor;
use burn::backend::wgpu::{AutoCompiler, CubeBackend, CubeTensor, into_contiguous};
use burn::tensor::{DType, Shape};
use cubecl::wgpu::WgpuServer;
use wgpu::CommandEncoder;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BufferRange, ForwardTensors, GivenStatistics, RunningStatistics, Source,
};

impl BatchNormOps for CubeBackend {
    fn batch_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        call: Call,
    ) -> Forward<Self> {
        let (x, residual) = (into_contiguous(x), into_contiguous(residual));
        let [weight, bias, mean, var] = [weight, bias, mean, var].map(into_contiguous);
        let y = like(&x, x.shape(), x.dtype);
        let saved = vector(&x, call.saved_values());
        let state = || vector(&x, if call.updates() { call.options().channels } else { 1 });
        let (new_mean, new_var) = (state(), state());
        let tensors = [&x, &weight, &bias, &residual, &mean, &var, &y, &saved, &new_mean, &new_var];
        run(&x, tensors, &call, |ranges, encoder| forward(ranges, encoder, &call));
        Forward { y, saved, mean: new_mean, var: new_var }
    }

    fn batch_norm_backward(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        saved: FloatTensor<Self>,
        call: Call,
        wanted: Wanted,
    ) -> Gradient<Self> {
        let [x, dy, residual, saved] = [x, dy, residual, saved].map(into_contiguous);
        let tensor = |wanted: bool| if wanted { like(&x, x.shape(), x.dtype) } else { vector(&x, 1) };
        let per_channel = |wanted: bool| vector(&x, if wanted { call.options().channels } else { 1 });
        let (dx, dresidual) = (tensor(wanted.dx), tensor(wanted.dresidual));
        let (dweight, dbias) = (per_channel(wanted.dweight), per_channel(wanted.dbias));
        let tensors = [&x, &dy, &residual, &saved, &dx, &dweight, &dbias, &dresidual];
        run(&x, tensors, &call, |ranges, encoder| backward(ranges, encoder, &call, wanted));
        Gradient { dx, dweight, dbias, dresidual }
    }
}

/// Records a forward pass.
fn forward(ranges: [BufferRange; 10], encoder: &mut CommandEncoder, call: &Call) -> Result<(), Error> {
    let [mut x, mut weight, mut bias, mut residual, mut mean, mut var, y, saved, new_mean, new_var] = ranges;
    let Call { engine, layer, shape, mode, .. } = call;
    let options = call.options();
    let is_given = mode.source == Source::Given;
    let bound = [
        (true, &mut x),
        (call.residual, &mut residual),
        (options.weight, &mut weight),
        (options.bias, &mut bias),
        (is_given, &mut mean),
        (is_given, &mut var),
    ];
    apart(bound, encoder, call);
    let saved = layer.recalled_statistics(saved, shape, *mode, call.residual, false);
    let mut tensors = ForwardTensors::new(x, y, &saved);
    tensors.weight = options.weight.then_some(weight);
    tensors.bias = options.bias.then_some(bias);
    tensors.residual = call.residual.then_some(residual);
    if is_given {
        let given = GivenStatistics { mean, var };
        tensors.given = Some(&given);
        layer.bind_forward(shape, *mode, &tensors)?.record(encoder)?;
        return Ok(());
    }
    if !call.updates() {
        layer.bind_forward(shape, *mode, &tensors)?.record(encoder)?;
        return Ok(());
    }
    let running = engine.scratch(options.channels).map_err(wgpu_batchnorm::BatchNormError::from)?;
    tensors.running = Some(&running);
    let forward = layer.bind_forward(shape, *mode, &tensors)?;
    let RunningStatistics { mean: own_mean, var: own_var, .. } = &running;
    copy(encoder, &mean, own_mean);
    copy(encoder, &var, own_var);
    forward.record(&mut *encoder)?;
    copy(encoder, own_mean, &new_mean);
    copy(encoder, own_var, &new_var);
    Ok(())
}

/// Records a backward pass.
fn backward(
    ranges: [BufferRange; 8],
    encoder: &mut CommandEncoder,
    call: &Call,
    wanted: Wanted,
) -> Result<(), Error> {
    let [mut x, mut dy, mut residual, saved, dx, dweight, dbias, dresidual] = ranges;
    let Call { layer, shape, mode, .. } = call;
    let has_residual = call.residual && call.activates_output();
    apart([(true, &mut x), (true, &mut dy), (has_residual, &mut residual)], encoder, call);
    let saved = layer.recalled_statistics(saved, shape, *mode, call.residual, false);
    let mut tensors = BackwardTensors::new(x, dy, &saved);
    tensors.residual = has_residual.then_some(residual);
    tensors.dx = wanted.dx.then_some(dx);
    tensors.dresidual = wanted.dresidual.then_some(dresidual);
    tensors.dweight = wanted.dweight.then_some((dweight, Accumulation::Replace));
    tensors.dbias = wanted.dbias.then_some((dbias, Accumulation::Replace));
    layer.bind_backward(shape, *mode, &tensors)?.record(encoder)?;
    Ok(())
}

/// Gives each of the inputs that are bound bytes of its own: a residual may be x itself, or a gradient a view of another
/// tensor, while the shaders bind everything writable, since most of burn's tensors lie in one buffer.
fn apart<const N: usize>(inputs: [(bool, &mut BufferRange); N], encoder: &mut CommandEncoder, call: &Call) {
    let mut before: Vec<BufferRange> = Vec::with_capacity(N);
    for (_, range) in inputs.into_iter().filter(|(is_bound, _)| *is_bound) {
        let overlaps = |other: &BufferRange| {
            other.buffer == range.buffer
                && other.offset < range.offset + range.size
                && range.offset < other.offset + other.size
        };
        if before.iter().any(overlaps) {
            let own = call.engine.context().device().create_buffer(&wgpu::BufferDescriptor {
                label: Some("batch_norm.own_copy"),
                size: range.size,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let own = BufferRange::from(own);
            copy(encoder, range, &own);
            *range = own;
        }
        before.push(range.clone());
    }
}

/// Copies a range into one of another buffer, as many bytes as it has.
fn copy(encoder: &mut CommandEncoder, from: &BufferRange, to: &BufferRange) {
    encoder.copy_buffer_to_buffer(&from.buffer, from.offset, &to.buffer, to.offset, to.size.min(from.size));
}

/// Records a pass on the buffers of `tensors`, and submits it after what burn has pending.
///
/// # Panics
/// If the device fails: what can be known before is checked before a pass is queued. burn brings the message to whoever reads
/// the results.
fn run<const N: usize>(
    on: &CubeTensor,
    tensors: [&CubeTensor; N],
    call: &Call,
    record: impl FnOnce([BufferRange; N], &mut CommandEncoder) -> Result<(), Error> + Send,
) {
    let client = on.client.clone();
    let handles = tensors.map(|tensor| tensor.handle.clone());
    let engine = call.engine.clone();
    // On burn's own thread: nobody submits in between, and the buffers cost no further hops.
    let outcome = client.exclusive(|| -> Result<(), String> {
        // Held until the work is submitted: burn may move what nobody holds.
        let mut held = Vec::with_capacity(N);
        for handle in handles {
            let resource = client.get_resource::<WgpuServer<AutoCompiler>>(handle);
            held.push(resource.map_err(|error| format!("burn has no buffer: {error:?}"))?);
        }
        let ranges = held.iter().map(|held| {
            let resource = held.resource();
            // An odd number of halves ends within a word, whose rest is burn's padding.
            let size = resource.size.next_multiple_of(4);
            BufferRange::new(&resource.buffer, resource.offset..resource.offset + size)
        });
        let ranges = ranges.collect::<Vec<_>>().try_into().map_err(|_| "as many buffers as tensors")?;
        let (device, queue) = (engine.context().device(), engine.context().queue());
        let mut encoder =
            device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("batch_norm") });
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let recorded = record(ranges, &mut encoder).map_err(|error| error.to_string());
        queue.submit([encoder.finish()]);
        let refused = pollster::block_on(scope.pop()).map(|error| error.to_string());
        drop(held);
        recorded.and(refused.map_or(Ok(()), Err))
    });
    let failed = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(error) => format!("burn's device cannot be had: {error:?}"),
    };
    #[expect(clippy::panic, reason = "burn's operations return no errors")]
    {
        panic!("batch normalization of {}: {failed}", call.shape);
    }
}

/// A new tensor beside another one, with unspecified values.
fn like(tensor: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let handle = tensor.client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(tensor.client.clone(), tensor.device.clone(), shape, handle, dtype)
}

/// The same of so many f32 values.
fn vector(tensor: &CubeTensor, values: usize) -> CubeTensor {
    like(tensor, [values].into(), DType::F32)
}
