//! Devices, buffers and errors to test with.

use super::{Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::{
    Buffer, BufferDescriptor, BufferUsages, DeviceDescriptor, Instance, InstanceDescriptor, Limits,
};
use wgpu_batchnorm::{BufferRange, Context, Layout};

/// A context whose device has these limits and no features.
pub(crate) fn with_limits(limits: Limits) -> Result<Context, Failed> {
    let instance = Instance::new(InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.request_adapter(&Default::default()))?;
    let descriptor = DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Ok(Context::from_device(&device, &queue))
}

/// Fails unless `result` is the error that `is_expected` describes; it must have something to say.
pub(crate) fn expect<T, E: std::error::Error>(
    result: Result<T, E>,
    what: &str,
    is_expected: impl FnOnce(&E) -> bool,
) -> Result<(), Failed> {
    match result {
        Ok(_) => Err(format!("{what}: no error").into()),
        Err(error) if is_expected(&error) && error.to_string().len() > 20 => Ok(()),
        Err(error) => Err(format!("{what}: another error: {error:?}").into()),
    }
}

pub(crate) fn device_still_works(context: &Context) -> Result<(), Failed> {
    Setup::new(shape(&[2, 3, 5], Layout::ChannelsFirst), 0.0, 1.0).check(context)
}

pub(crate) fn buffer(context: &Context, size: u64, usage: BufferUsages) -> Buffer {
    let descriptor = BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    context.device().create_buffer(&descriptor)
}

/// One buffer with a range for each tensor, at the least alignment there is.
pub(crate) struct Arena<'c> {
    context: &'c Context,
    pub(crate) buffer: Buffer,
    used: u64,
}

impl<'c> Arena<'c> {
    pub(crate) fn new(context: &'c Context, bytes: u64) -> Self {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        Self { context, buffer: buffer(context, bytes, usage), used: 0 }
    }

    pub(crate) fn bytes(&mut self, bytes: u64) -> BufferRange {
        let alignment = u64::from(self.context.traits().min_storage_buffer_offset_alignment);
        let start = self.used.next_multiple_of(alignment);
        self.used = start + bytes;
        BufferRange::new(&self.buffer, start..self.used)
    }

    /// A range that holds the values.
    pub(crate) fn filled<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> BufferRange {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        // Ranges and copies are whole words.
        let mut words = bytes.to_vec();
        words.resize(bytes.len().next_multiple_of(4), 0);
        let range = self.bytes(words.len() as u64);
        self.context.queue().write_buffer(&self.buffer, range.offset, &words);
        range
    }
}
