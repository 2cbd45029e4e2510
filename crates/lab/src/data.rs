//! The handwritten digits as tensors.

use anyhow::ensure;
use burn::tensor::{Device, Tensor, TensorData};
use wgpu_batchnorm_digits::{CLASSES, Digits, PIXELS};

/// 1,500 digits to train with, and 297 others.
pub(crate) struct Data {
    pub(crate) train: Digits,
    pub(crate) test: Digits,
}

/// Samples on a device.
#[derive(Clone)]
pub(crate) struct Batch {
    /// `[N, 64]`, from −1 to 1.
    pub(crate) x: Tensor<2>,
    /// `[N, 10]`: 1 for what the digit is, 0 for all else.
    pub(crate) target: Tensor<2>,
    pub(crate) labels: Vec<u32>,
}

impl Data {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let [train, test] = Digits::load()?;
        ensure!(!train.is_empty() && !test.is_empty(), "there are no digits");
        Ok(Self { train, test })
    }
}

impl Batch {
    /// All of them.
    pub(crate) fn of(digits: &Digits, device: &Device) -> Self {
        let count = digits.len();
        let mut target = vec![0f32; count * CLASSES];
        for (row, &label) in target.chunks_exact_mut(CLASSES).zip(&digits.labels) {
            row.iter_mut().skip(label as usize).take(1).for_each(|value| *value = 1.0);
        }
        Self {
            x: Tensor::from_data(TensorData::new(digits.pixels.clone(), [count, PIXELS]), device),
            target: Tensor::from_data(TensorData::new(target, [count, CLASSES]), device),
            labels: digits.labels.clone(),
        }
    }

    /// Those with these numbers, in this order.
    pub(crate) fn pick(digits: &Digits, numbers: &[usize], device: &Device) -> Self {
        Self::of(&digits.batch(numbers), device)
    }

    /// The first so many.
    pub(crate) fn first(digits: &Digits, count: usize, device: &Device) -> Self {
        let numbers: Vec<_> = (0..count.min(digits.len())).collect();
        Self::pick(digits, &numbers, device)
    }

    /// The same as images of one channel, `[N, 1, 8, 8]`.
    pub(crate) fn images(&self) -> Tensor<4> {
        const SIDE: usize = 8;
        self.x.clone().reshape([self.labels.len(), 1, SIDE, SIDE])
    }
}

/// Batches without end: each sample once an epoch, in an order of the seed's; an incomplete batch at an epoch's end is
/// left out.
pub(crate) struct Batches<'a> {
    digits: &'a Digits,
    device: Device,
    size: usize,
    random: fastrand::Rng,
    order: Vec<usize>,
    next: usize,
}

impl<'a> Batches<'a> {
    pub(crate) fn new(digits: &'a Digits, size: usize, seed: u64, device: &Device) -> Self {
        let size = size.clamp(1, digits.len().max(1));
        let order: Vec<usize> = (0..digits.len()).collect();
        // The first batch shuffles.
        let next = order.len();
        Self { digits, device: device.clone(), size, random: fastrand::Rng::with_seed(seed), order, next }
    }

    pub(crate) fn next(&mut self) -> Batch {
        if self.next + self.size > self.order.len() {
            self.random.shuffle(&mut self.order);
            self.next = 0;
        }
        let numbers = &self.order[self.next..self.next + self.size];
        self.next += self.size;
        Batch::pick(self.digits, numbers, &self.device)
    }
}
