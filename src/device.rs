//! Creating things on a wgpu device, and reading them back, with errors as values.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use thiserror::Error;

/// What went wrong on the device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// The device has no memory left.
    #[error("out of device memory for {what} ({bytes} bytes): free buffers, or use a smaller batch")]
    OutOfMemory {
        /// What was to be created.
        what: String,
        /// Its size in bytes, 0 where the driver decides.
        bytes: u64,
    },
    /// The buffer would be larger than the device allows.
    #[error(
        "{what} needs a buffer of {bytes} bytes, expected at most {max}: raise max_buffer_size when creating the device, or use a smaller batch"
    )]
    BufferTooLarge {
        /// What was to be created.
        what: String,
        /// Its size in bytes.
        bytes: u64,
        /// The device's limit.
        max: u64,
    },
    /// The device is lost: driver reset, unplugged, or destroyed.
    #[error("the device is lost ({reason}): create a new device and upload the tensors again")]
    Lost {
        /// What the driver said.
        reason: String,
    },
    /// A range cannot be copied to the host.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What was to be read.
        what: String,
        /// What is wrong with its range, and what to do.
        reason: String,
    },
    /// The device refused something; please report it, because all inputs were checked before.
    #[error("the device refused {what}: {reason}")]
    Refused {
        /// What was to be created or done.
        what: String,
        /// What wgpu said.
        reason: String,
    },
}

/// Whether a device is lost; shared with the device's callback.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost(Arc<OnceLock<String>>);

impl Lost {
    pub(crate) fn mark(&self, reason: String) {
        // Only the first reason is the cause.
        let _ = self.0.set(reason);
    }

    pub(crate) fn check(&self) -> Result<(), DeviceError> {
        match self.0.get() {
            Some(reason) => Err(DeviceError::Lost { reason: reason.clone() }),
            None => Ok(()),
        }
    }
}

/// Runs `create` and returns what it made, or the error that the device reported meanwhile.
///
/// On native devices errors are known at once. In a browser they arrive later than this returns: there
/// they go to the device's handler of uncaptured errors.
pub(crate) fn scoped<T>(
    device: &wgpu::Device,
    what: &str,
    bytes: u64,
    create: impl FnOnce() -> T,
) -> Result<T, DeviceError> {
    let filters =
        [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let mut scopes: Vec<_> = filters.into_iter().map(|filter| device.push_error_scope(filter)).collect();
    let value = create();
    let mut error = None;
    while let Some(scope) = scopes.pop() {
        error = error.or(known_now(scope.pop()).flatten());
    }
    match error {
        None => Ok(value),
        Some(wgpu::Error::OutOfMemory { .. }) => Err(DeviceError::OutOfMemory { what: what.into(), bytes }),
        Some(error) => Err(DeviceError::Refused { what: what.into(), reason: error.to_string() }),
    }
}

/// The result of a future, if it has one already.
fn known_now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A buffer of `bytes` bytes, rounded up to whole words, with unspecified content that wgpu zeroes.
pub(crate) fn create_buffer(
    device: &wgpu::Device,
    what: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, DeviceError> {
    create(device, what, bytes, usage, false)
}

/// A buffer that holds `contents`. Needs no queue: the contents travel with the buffer's creation.
pub(crate) fn create_buffer_with(
    device: &wgpu::Device,
    what: &str,
    contents: &[u8],
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, DeviceError> {
    let buffer = create(device, what, contents.len() as u64, usage, true)?;
    // A lost device hands out buffers that cannot be mapped, without any other sign.
    let lost = |error: wgpu::MapRangeError| DeviceError::Lost { reason: error.to_string() };
    let mut view = buffer.get_mapped_range_mut(..).map_err(lost)?;
    view.slice(..contents.len()).copy_from_slice(contents);
    drop(view);
    buffer.unmap();
    Ok(buffer)
}

fn create(
    device: &wgpu::Device,
    what: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
    mapped_at_creation: bool,
) -> Result<wgpu::Buffer, DeviceError> {
    let max = device.limits().max_buffer_size;
    let size = bytes
        .checked_next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT)
        .filter(|&size| size <= max)
        .ok_or_else(|| DeviceError::BufferTooLarge { what: what.into(), bytes, max })?;
    let label = format!("batch_norm.{what}");
    let descriptor = wgpu::BufferDescriptor { label: Some(&label), size, usage, mapped_at_creation };
    scoped(device, what, size, || device.create_buffer(&descriptor))
}

/// A copy of `bytes` bytes of a buffer on its way to the host.
pub(crate) struct Download {
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser drives its queue by itself"))]
    device: wgpu::Device,
    staging: wgpu::Buffer,
    mapped: futures_intrusive::channel::shared::OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser drives its queue by itself"))]
    submission: wgpu::SubmissionIndex,
    bytes: u64,
}

impl Download {
    /// Submits the copy.
    pub(crate) fn submit(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        what: &str,
        source: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Self, DeviceError> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = create_buffer(device, &format!("download of {what}"), bytes, usage)?;
        let submission = scoped(device, what, bytes, || {
            let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(source, offset, &staging, 0, staging.size());
            queue.submit([encoder.finish()])
        })?;
        let (sender, mapped) = futures_intrusive::channel::shared::oneshot_channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody waits any more if the receiver is gone.
            let _ = sender.send(result);
        });
        Ok(Self { device: device.clone(), staging, mapped, submission, bytes })
    }

    /// The bytes, when they have arrived. Does not block: a thread of its own drives the queue.
    pub(crate) async fn finish(self) -> Result<Vec<u8>, DeviceError> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (device, submission) = (self.device.clone(), self.submission.clone());
            std::thread::spawn(move || wait(&device, submission));
        }
        self.collect().await
    }

    async fn collect(self) -> Result<Vec<u8>, DeviceError> {
        let lost = |reason: String| DeviceError::Lost { reason };
        match self.mapped.receive().await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(lost(error.to_string())),
            None => return Err(lost("the device went away during a download".into())),
        }
        let view = self.staging.get_mapped_range(..).map_err(|error| lost(error.to_string()))?;
        let mut bytes = view.to_vec();
        bytes.truncate(usize::try_from(self.bytes).unwrap_or(usize::MAX));
        Ok(bytes)
    }
}

/// Waits until the device has done `submission`.
#[cfg(not(target_arch = "wasm32"))]
fn wait(device: &wgpu::Device, submission: wgpu::SubmissionIndex) -> Result<(), DeviceError> {
    let poll = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
    match device.poll(poll) {
        Ok(_) => Ok(()),
        Err(error) => Err(DeviceError::Lost { reason: error.to_string() }),
    }
}
