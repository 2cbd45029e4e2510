//! Creating things on a wgpu device, and reading them back, with errors as values.

use std::future::Future;
use std::sync::{Arc, OnceLock};
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

/// A device with its queue, whose errors become values. In a browser they arrive later than the call that caused them,
/// and the next use reports them; that, and what else is different there on the way to the device and back, is handled in
/// this file.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    device: wgpu::Device,
    queue: wgpu::Queue,
    health: Health,
}

/// What is known to have gone wrong on a device; shared with its callbacks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Trouble>);

#[derive(Debug, Default)]
struct Trouble {
    lost: OnceLock<String>,
    /// An error that was not known when the call returned that caused it.
    #[cfg(target_arch = "wasm32")]
    late: std::sync::Mutex<Option<DeviceError>>,
}

impl Health {
    pub(crate) fn mark_lost(&self, reason: String) {
        // Only the first reason is the cause.
        let _ = self.0.lost.set(reason);
    }

    /// Keeps an error for the next check; of several the first one, which is the cause.
    #[cfg(target_arch = "wasm32")]
    fn report(&self, error: DeviceError) {
        crate::context::lock(&self.0.late).get_or_insert(error);
    }

    pub(crate) fn check(&self) -> Result<(), DeviceError> {
        if let Some(reason) = self.0.lost.get() {
            return Err(DeviceError::Lost { reason: reason.clone() });
        }
        #[cfg(target_arch = "wasm32")]
        if let Some(error) = crate::context::lock(&self.0.late).take() {
            return Err(error);
        }
        Ok(())
    }
}

impl Checked {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self { device: device.clone(), queue: queue.clone(), health: Health::default() }
    }

    pub(crate) fn device(&self) -> &wgpu::Device {
        &self.device
    }

    pub(crate) fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Takes over the callbacks of a device that is the library's own.
    pub(crate) fn watch(&self) {
        let health = self.health.clone();
        self.device.set_device_lost_callback(move |reason, message| {
            health.mark_lost(format!("{reason:?}: {message}"));
        });
        // What no error scope has seen would only show in the browser's console.
        #[cfg(target_arch = "wasm32")]
        {
            let health = self.health.clone();
            let report = move |error| health.report(DeviceError::of("a submission", 0, error));
            self.device.on_uncaptured_error(Arc::new(report));
        }
    }

    /// Waits until the errors of all earlier calls are known, and returns the first that was not reported yet.
    pub(crate) async fn settled(&self) -> Result<(), DeviceError> {
        // Scopes are settled in the order in which they were closed.
        #[cfg(target_arch = "wasm32")]
        let _ = self.device.push_error_scope(wgpu::ErrorFilter::Validation).pop().await;
        self.health.check()
    }
}

impl DeviceError {
    fn of(what: &str, bytes: u64, error: wgpu::Error) -> Self {
        let what = what.to_owned();
        match error {
            wgpu::Error::OutOfMemory { .. } => Self::OutOfMemory { what, bytes },
            error => Self::Refused { what, reason: error.to_string() },
        }
    }
}

/// Runs `create` and returns what it made, or the error that the device reported meanwhile. In a browser that error
/// is not known yet: the device's [`Health`] gets it when it arrives.
pub(crate) fn scoped<T>(
    on: &Checked,
    what: &str,
    bytes: u64,
    create: impl FnOnce() -> T,
) -> Result<T, DeviceError> {
    let filters =
        [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Validation];
    let mut scopes: Vec<_> = filters.into_iter().map(|filter| on.device.push_error_scope(filter)).collect();
    let value = create();
    // The innermost first.
    let errors: Vec<_> = std::iter::from_fn(|| scopes.pop()).map(|scope| scope.pop()).collect();
    settle(on, what, bytes, errors)?;
    Ok(value)
}

/// The first of the errors; all of them are known at once.
#[cfg(not(target_arch = "wasm32"))]
fn settle(
    _: &Checked,
    what: &str,
    bytes: u64,
    errors: Vec<impl Future<Output = Option<wgpu::Error>>>,
) -> Result<(), DeviceError> {
    match errors.into_iter().filter_map(|error| known_now(error).flatten()).next() {
        Some(error) => Err(DeviceError::of(what, bytes, error)),
        None => Ok(()),
    }
}

/// Has the first of the errors reported as soon as they are known.
#[cfg(target_arch = "wasm32")]
fn settle(
    on: &Checked,
    what: &str,
    bytes: u64,
    errors: Vec<impl Future<Output = Option<wgpu::Error>> + 'static>,
) -> Result<(), DeviceError> {
    let (health, what) = (on.health.clone(), what.to_owned());
    wasm_bindgen_futures::spawn_local(async move {
        for error in errors {
            if let Some(error) = error.await {
                health.report(DeviceError::of(&what, bytes, error));
            }
        }
    });
    Ok(())
}

/// The result of a future, if it has one already.
#[cfg(not(target_arch = "wasm32"))]
fn known_now<T>(future: impl Future<Output = T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A buffer of `bytes` bytes, rounded up to whole words, with unspecified content that wgpu zeroes.
pub(crate) fn create_buffer(
    on: &Checked,
    what: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, DeviceError> {
    create(on, what, bytes, usage, false)
}

/// A buffer that holds `contents`. Needs no queue: the contents travel with the buffer's creation.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn create_buffer_with(
    on: &Checked,
    what: &str,
    contents: &[u8],
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, DeviceError> {
    let buffer = create(on, what, contents.len() as u64, usage, true)?;
    // A lost device hands out buffers that cannot be mapped, without any other sign.
    let lost = |error: wgpu::MapRangeError| DeviceError::Lost { reason: error.to_string() };
    let mut view = buffer.get_mapped_range_mut(..).map_err(lost)?;
    view.slice(..contents.len()).copy_from_slice(contents);
    drop(view);
    buffer.unmap();
    Ok(buffer)
}

/// A buffer that holds `contents`. A browser that has no room to map a buffer throws, which wgpu makes a panic of; what
/// the queue cannot write is an error as any other.
#[cfg(target_arch = "wasm32")]
pub(crate) fn create_buffer_with(
    on: &Checked,
    what: &str,
    contents: &[u8],
    usage: wgpu::BufferUsages,
) -> Result<wgpu::Buffer, DeviceError> {
    let bytes = contents.len() as u64;
    let buffer = create(on, what, bytes, usage | wgpu::BufferUsages::COPY_DST, false)?;
    // It writes whole words.
    let (words, rest) = contents.split_at(contents.len() / 4 * 4);
    scoped(on, what, bytes, || {
        on.queue.write_buffer(&buffer, 0, words);
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            on.queue.write_buffer(&buffer, words.len() as u64, &word);
        }
    })?;
    Ok(buffer)
}

fn create(
    on: &Checked,
    what: &str,
    bytes: u64,
    usage: wgpu::BufferUsages,
    mapped_at_creation: bool,
) -> Result<wgpu::Buffer, DeviceError> {
    let max = on.device.limits().max_buffer_size;
    let size = bytes
        .checked_next_multiple_of(wgpu::COPY_BUFFER_ALIGNMENT)
        .filter(|&size| size <= max)
        .ok_or_else(|| DeviceError::BufferTooLarge { what: what.into(), bytes, max })?;
    let label = format!("batch_norm.{what}");
    let descriptor = wgpu::BufferDescriptor { label: Some(&label), size, usage, mapped_at_creation };
    scoped(on, what, size, || on.device.create_buffer(&descriptor))
}

/// A copy of `bytes` bytes of a buffer on its way to the host.
pub(crate) struct Download {
    on: Checked,
    staging: wgpu::Buffer,
    mapped: futures_intrusive::channel::shared::OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg_attr(target_arch = "wasm32", expect(dead_code, reason = "a browser drives its queue by itself"))]
    submission: wgpu::SubmissionIndex,
    bytes: u64,
}

impl Download {
    /// Submits the copy.
    pub(crate) fn submit(
        on: &Checked,
        what: &str,
        source: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Self, DeviceError> {
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = create_buffer(on, &format!("download of {what}"), bytes, usage)?;
        let submission = scoped(on, what, bytes, || {
            let mut encoder = on.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(source, offset, &staging, 0, staging.size());
            on.queue.submit([encoder.finish()])
        })?;
        let (sender, mapped) = futures_intrusive::channel::shared::oneshot_channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody waits any more if the receiver is gone.
            let _ = sender.send(result);
        });
        Ok(Self { on: on.clone(), staging, mapped, submission, bytes })
    }

    /// The bytes, when they have arrived. Does not block: a thread of its own drives the queue.
    pub(crate) async fn finish(self) -> Result<Vec<u8>, DeviceError> {
        #[cfg(not(target_arch = "wasm32"))]
        {
            let (device, submission) = (self.on.device.clone(), self.submission.clone());
            std::thread::spawn(move || wait(&device, submission));
        }
        self.collect().await
    }

    async fn collect(self) -> Result<Vec<u8>, DeviceError> {
        let lost = |reason: String| DeviceError::Lost { reason };
        let mapped = self.mapped.receive().await;
        // What went wrong before is the cause of what went wrong here.
        self.on.settled().await?;
        match mapped {
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

/// A browser frees what is only dropped when it collects garbage, and does not know how much memory it would free.
#[cfg(target_arch = "wasm32")]
impl Drop for Download {
    fn drop(&mut self) {
        self.staging.destroy();
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
