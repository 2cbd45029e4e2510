//! The buffers of one owner, which it takes with it when it goes.

use wgpu_batchnorm::{BufferRange, DestroyOnDrop, wgpu};

/// Makes buffers, and destroys them when it is dropped.
pub(super) struct Memory {
    device: wgpu::Device,
    made: DestroyOnDrop,
}

impl Memory {
    pub(super) fn new(device: &wgpu::Device) -> Self {
        Self { device: device.clone(), made: DestroyOnDrop::default() }
    }

    /// A buffer of zeros for so many words, which every kernel can use.
    pub(super) fn empty(&self, label: &str, words: usize) -> wgpu::Buffer {
        self.kept(self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: size_of::<u32>() as u64 * words as u64,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        }))
    }

    /// A buffer that holds these words.
    pub(super) fn filled(&self, label: &str, words: &[u32], usage: wgpu::BufferUsages) -> wgpu::Buffer {
        use wgpu::util::{BufferInitDescriptor, DeviceExt as _};
        let contents = bytemuck::cast_slice(words);
        self.kept(self.device.create_buffer_init(&BufferInitDescriptor {
            label: Some(label),
            contents,
            usage,
        }))
    }

    /// Takes over what the library has made.
    pub(super) fn keep<'a>(&self, ranges: impl IntoIterator<Item = &'a BufferRange>) {
        self.made.add(ranges);
    }

    fn kept(&self, buffer: wgpu::Buffer) -> wgpu::Buffer {
        self.keep([&BufferRange::from(&buffer)]);
        buffer
    }
}
