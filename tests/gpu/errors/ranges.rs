//! Ranges of buffers that do not do for a tensor.

use super::{CHANNELS, step};
use crate::subject::{buffer, device_still_works, expect};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::BufferUsages;
use wgpu_batchnorm::{
    BackwardTensors, BatchNormError, BufferRange, Context, ForwardTensors, SavedStatistics, TensorError,
    Vector,
};

pub(super) fn ranges(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    let bytes = 4 * step.setup.shape.elements() as u64;
    let alignment = u64::from(context.traits().min_storage_buffer_offset_alignment);
    let large = buffer(context, 2 * bytes, BufferUsages::STORAGE);
    let with_y = |y: BufferRange| step.bind_forward(&ForwardTensors { y, ..step.forward() });

    expect(with_y(BufferRange::new(&large, 0..bytes - 4)), "too small", |e| {
        *e == TensorError::TooSmall { tensor: "y", actual: bytes - 4, expected: bytes }.into()
    })?;
    expect(with_y(BufferRange::new(&large, 4..bytes + 4)), "misaligned", |e| {
        *e == TensorError::Misaligned { tensor: "y", offset: 4, alignment }.into()
    })?;
    for range in [2 * bytes..3 * bytes, u64::MAX - 4..u64::MAX] {
        expect(with_y(BufferRange::new(&large, range)), "out of bounds", |e| {
            matches!(e, BatchNormError::Tensor(TensorError::OutOfBounds { tensor: "y", .. }))
        })?;
    }
    let copied_only = buffer(context, bytes, BufferUsages::COPY_DST);
    expect(with_y(copied_only.into()), "usage", |e| {
        *e == TensorError::Usage { tensor: "y", actual: BufferUsages::COPY_DST }.into()
    })?;
    let short = Vector::upload(context, &[1.0; CHANNELS - 1])?;
    let tensors = ForwardTensors { weight: Some(short.range().clone()), ..step.forward() };
    expect(step.bind_forward(&tensors), "weight", |e| {
        *e == TensorError::TooSmall { tensor: "weight", actual: 20, expected: 24 }.into()
    })?;
    let tensors = BackwardTensors { dx: Some(short.range().clone()), ..step.backward() };
    expect(step.bind_backward(&tensors), "dx", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "dx", .. }))
    })?;
    let workspace = Some(short.range().clone());
    expect(step.bind_forward(&ForwardTensors { workspace, ..step.forward() }), "workspace", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "workspace", .. }))
    })?;
    let saved = SavedStatistics::in_range(short.range().clone(), CHANNELS);
    expect(step.bind_forward(&ForwardTensors { saved: &saved, ..step.forward() }), "saved", |e| {
        matches!(e, BatchNormError::Tensor(TensorError::TooSmall { tensor: "saved", .. }))
    })?;
    device_still_works(context)
}

pub(super) fn overlaps(context: &Context) -> Result<(), Failed> {
    let step = step(context)?;
    let bytes = 4 * step.setup.shape.elements() as u64;
    let alignment = u64::from(context.traits().min_storage_buffer_offset_alignment);
    let large = buffer(context, 8 * bytes, BufferUsages::STORAGE);
    let at = |offset: u64, bytes: u64| BufferRange::new(&large, offset..offset + bytes);
    let overlap = |first: &'static str, second: &'static str| {
        move |error: &BatchNormError| {
            matches!(error, BatchNormError::Tensor(TensorError::Overlap { first: a, second: b, .. })
                if *a == first && *b == second)
        }
    };
    let (x, shifted) = (at(0, bytes), at(alignment, bytes));
    let tensors = ForwardTensors { x: x.clone(), y: shifted.clone(), ..step.forward() };
    expect(step.bind_forward(&tensors), "x and a shifted y", overlap("x", "y"))?;
    let tensors = ForwardTensors { y: x.clone(), weight: Some(at(0, 24)), ..step.forward() };
    expect(step.bind_forward(&tensors), "y and weight", overlap("y", "weight"))?;
    let tensors =
        ForwardTensors { x: x.clone(), y: x.clone(), bias: Some(at(alignment, 24)), ..step.forward() };
    expect(step.bind_forward(&tensors), "x in place and bias", overlap("x", "bias"))?;
    let tensors = ForwardTensors { y: x.clone(), workspace: Some(at(0, 8 * bytes)), ..step.forward() };
    expect(step.bind_forward(&tensors), "y and workspace", overlap("y", "workspace"))?;
    let tensors = BackwardTensors { x: x.clone(), dx: Some(x.clone()), ..step.backward() };
    expect(step.bind_backward(&tensors), "dx over x", overlap("x", "dx"))?;
    let tensors = BackwardTensors { x: x.clone(), dy: x.clone(), ..step.backward() };
    expect(step.bind_backward(&tensors), "dy is x", overlap("x", "dy"))?;
    let tensors = BackwardTensors { dy: x.clone(), dx: Some(shifted), ..step.backward() };
    expect(step.bind_backward(&tensors), "dy and a shifted dx", overlap("dy", "dx"))?;
    // Side by side is no overlap, down to the last byte.
    let neighbour = at(bytes.next_multiple_of(alignment), bytes);
    step.bind_forward(&ForwardTensors { x, y: neighbour, ..step.forward() })?;
    device_still_works(context)
}
