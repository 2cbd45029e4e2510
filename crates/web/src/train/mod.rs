//! Two networks that train side by side on the handwritten digits, one with batch normalization and one without: the
//! same start, the same images, the same learning rate.
//!
//! Each hidden layer is z = x·Wᵀ + b, then y = f(BN(z)), y = BN(f(z)) or y = f(z); the output layer has no activation,
//! and the loss is the cross-entropy of its softmax. Every step is one submission, and one small download of what is
//! shown.

mod charts;
mod kernels;
mod memory;
mod network;
mod passes;
mod settings;

pub use charts::Charts;
pub use network::{LayerValues, WIDTH};
pub use settings::{Activation, Arrangement, Settings, SettingsError};

use crate::digits::{Digits, DigitsError};
use fastrand::Rng;
use kernels::{Kernels, Operation};
use memory::Memory;
use network::Network;
use passes::{Batch, Binder, Observed};
use thiserror::Error;
use wgpu_batchnorm::{
    BatchNormError, Context, DeviceError, Layout, OptionsError, Shape, ShapeError, Tensor, UploadError, wgpu,
};

/// Bins of a histogram.
pub(crate) const BINS: usize = 32;
/// Of the histograms.
pub(crate) const RANGE: (f64, f64) = (-3.0, 3.0);
/// Steps from one look at the test set to the next.
const EVALUATED_EVERY: usize = 20;
/// Steps whose losses are averaged where they are shown.
pub const SMOOTHED: usize = 20;
const SEED: u64 = 0xd161;

/// Why the networks do not train.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A setting is out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The images are damaged.
    #[error(transparent)]
    Digits(#[from] DigitsError),
    /// The library refused a pass.
    #[error(transparent)]
    BatchNorm(#[from] BatchNormError),
    /// The library refused its options.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A shape is none.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The parameters did not become a tensor.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// What is known of a network, from its first step on.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Mean loss of each step.
    pub losses: Vec<f32>,
    /// ‖dW‖ of each layer in the last step, the output layer's last.
    pub norms: Vec<f32>,
    /// Of each hidden layer the share of its outputs in each bin, in the last step.
    pub histograms: Vec<Vec<f32>>,
    /// The share of the test set that it recognized when it was last asked.
    pub test_accuracy: Option<f32>,
}

/// The two networks and all they train with.
pub struct Trainer {
    context: Context,
    kernels: Kernels,
    settings: Settings,
    train: Digits,
    test: Digits,
    /// Of the last step.
    batch: Digits,
    /// With batch normalization, and without.
    networks: [Network; 2],
    bound: Bound,
    /// Of the images, this epoch's order, and how many of them it has used.
    order: Vec<usize>,
    used: usize,
    rng: Rng,
    steps: usize,
    progress: [Progress; 2],
}

/// What is bound for a batch size and a depth.
struct Bound {
    batch: Batch,
    learning_rate: wgpu::Buffer,
    training: [Vec<Operation>; 2],
    evaluation: [Vec<Operation>; 2],
    observations: Tensor,
    observed: [Observed; 2],
    /// Of the test set.
    evaluated: [Observed; 2],
    _memory: Memory,
}

impl Trainer {
    /// Two networks with the same weights, before their first step.
    ///
    /// # Errors
    /// [`TrainError`] if a setting is out of its range or the device fails.
    pub fn new(context: &Context, settings: Settings) -> Result<Self, TrainError> {
        settings.validate()?;
        let kernels = Kernels::new(context.device());
        let [train, test] = Digits::load()?;
        let networks = networks(context, &settings)?;
        let bound = bind(context, &kernels, &settings, &networks, &test)?;
        Ok(Self {
            context: context.clone(),
            order: (0..train.len()).collect(),
            used: train.len(),
            kernels,
            settings,
            train,
            test,
            batch: Digits::default(),
            networks,
            bound,
            rng: Rng::with_seed(SEED),
            steps: 0,
            progress: Default::default(),
        })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// What is known of the networks: first the one with batch normalization, then the one without.
    pub fn progress(&self) -> &[Progress; 2] {
        &self.progress
    }

    /// The images of the last step.
    pub fn batch(&self) -> &Digits {
        &self.batch
    }

    /// The parameters of each layer, the output layer's last: of the network with batch normalization, and of the one
    /// without.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub async fn parameters(&self) -> Result<[Vec<LayerValues>; 2], TrainError> {
        let [with, without] = &self.networks;
        Ok([with.values(&with.parameters).await?, without.values(&without.parameters).await?])
    }

    /// The gradients of the last step's loss with respect to the [`parameters`](Trainer::parameters) before it.
    ///
    /// # Errors
    /// [`TrainError::Device`] if the device fails.
    pub async fn gradients(&self) -> Result<[Vec<LayerValues>; 2], TrainError> {
        let [with, without] = &self.networks;
        Ok([with.values(&with.gradients).await?, without.values(&without.gradients).await?])
    }

    /// Goes on with other settings. Another depth makes other networks, which begin anew; everything else is changed
    /// under the feet of those that there are.
    ///
    /// # Errors
    /// [`TrainError`] if a setting is out of its range or the device fails; nothing is changed then.
    pub fn set(&mut self, settings: Settings) -> Result<(), TrainError> {
        settings.validate()?;
        if settings.depth != self.settings.depth {
            return self.restart(settings);
        }
        let bound_for = Settings { learning_rate: settings.learning_rate, ..self.settings };
        if settings != bound_for {
            self.bound = bind(&self.context, &self.kernels, &settings, &self.networks, &self.test)?;
        }
        self.settings = settings;
        Ok(())
    }

    /// Begins anew with the weights of the start.
    ///
    /// # Errors
    /// As [`Trainer::set`].
    pub fn restart(&mut self, settings: Settings) -> Result<(), TrainError> {
        settings.validate()?;
        let networks = networks(&self.context, &settings)?;
        self.bound = bind(&self.context, &self.kernels, &settings, &networks, &self.test)?;
        (self.networks, self.settings) = (networks, settings);
        (self.rng, self.used, self.steps) = (Rng::with_seed(SEED), self.train.len(), 0);
        self.order = (0..self.train.len()).collect();
        self.progress = Default::default();
        Ok(())
    }

    /// One step of both networks on the next images.
    ///
    /// # Errors
    /// [`TrainError`] if the device fails.
    pub async fn step(&mut self) -> Result<(), TrainError> {
        self.batch = next(self);
        let (queue, learning_rate) = (self.context.queue(), self.settings.learning_rate);
        self.bound.batch.write(queue, &self.batch);
        queue.write_buffer(&self.bound.learning_rate, 0, bytemuck::bytes_of(&learning_rate));
        let step = self.steps + 1;
        let evaluates = step == 1 || step.is_multiple_of(EVALUATED_EVERY);
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("step") };
        let mut encoder = self.context.device().create_command_encoder(&descriptor);
        {
            let descriptor = wgpu::ComputePassDescriptor { label: Some("step"), timestamp_writes: None };
            let mut pass = encoder.begin_compute_pass(&descriptor);
            let evaluation = self.bound.evaluation.iter().filter(|_| evaluates);
            for operation in self.bound.training.iter().chain(evaluation).flatten() {
                operation.record(&mut pass)?;
            }
        }
        self.context.queue().submit([encoder.finish()]);
        let values = self.bound.observations.download().await?;
        // One that has failed does not count.
        self.steps = step;
        for (network, progress) in self.progress.iter_mut().enumerate() {
            let (observed, evaluated) = (&self.bound.observed[network], &self.bound.evaluated[network]);
            progress.take(observed, evaluated, evaluates, &values);
        }
        Ok(())
    }
}

impl Progress {
    fn take(&mut self, observed: &Observed, evaluated: &Observed, evaluates: bool, values: &[f32]) {
        let piece = |first: usize, count: usize| values.iter().skip(first).take(count).copied();
        let Observed { results, rows, norms, depth, .. } = *observed;
        self.losses.push(piece(results, 2 * rows).step_by(2).sum::<f32>() / rows as f32);
        self.norms = piece(norms, depth + 1).collect();
        self.histograms = (0..depth).map(|layer| piece(observed.bins_of(layer), BINS).collect()).collect();
        if evaluates {
            let recognized: f32 = piece(evaluated.results, 2 * evaluated.rows).skip(1).step_by(2).sum();
            self.test_accuracy = Some(recognized / evaluated.rows as f32);
        }
    }

    /// The mean loss of the last [`SMOOTHED`] steps.
    pub fn loss(&self) -> Option<f32> {
        let last = &self.losses[self.losses.len().saturating_sub(SMOOTHED)..];
        (!last.is_empty()).then(|| last.iter().sum::<f32>() / last.len() as f32)
    }
}

/// The next images, in an order that is drawn anew for each epoch. The last ones of an epoch fill no batch.
fn next(trainer: &mut Trainer) -> Digits {
    let batch_size = trainer.settings.batch_size;
    if trainer.used + batch_size > trainer.order.len() {
        trainer.rng.shuffle(&mut trainer.order);
        trainer.used = 0;
    }
    let images = trainer.train.batch(&trainer.order[trainer.used..trainer.used + batch_size]);
    trainer.used += batch_size;
    images
}

fn networks(context: &Context, settings: &Settings) -> Result<[Network; 2], TrainError> {
    let network = |normalized| Network::new(context, settings.depth, normalized, SEED);
    Ok([network(true)?, network(false)?])
}

fn bind(
    context: &Context,
    kernels: &Kernels,
    settings: &Settings,
    networks: &[Network; 2],
    test: &Digits,
) -> Result<Bound, TrainError> {
    let Settings { depth, batch_size, .. } = *settings;
    let memory = Memory::new(context.device());
    let first = Observed::new(0, batch_size, depth);
    let second = Observed::new(first.end, batch_size, depth);
    let first_evaluated = Observed::new(second.end, test.len(), 0);
    let second_evaluated = Observed::new(first_evaluated.end, test.len(), 0);
    let words = Shape::new(&[1, second_evaluated.end], Layout::ChannelsLast)?;
    let observations = Tensor::zeros(context, words)?;
    memory.keep([observations.range()]);
    let (batch, images) = (Batch::new(&memory, batch_size), Batch::new(&memory, test.len()));
    images.write(context.queue(), test);
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let learning_rate = memory.filled("learning_rate", &[0], usage);
    let bind = |network, batch, observed| Binder {
        context,
        kernels,
        memory: &memory,
        settings,
        network,
        batch,
        observations: &observations,
        observed,
    };
    let [with, without] = networks;
    Ok(Bound {
        training: [
            bind(with, &batch, first).training(&learning_rate)?,
            bind(without, &batch, second).training(&learning_rate)?,
        ],
        evaluation: [
            bind(with, &images, first_evaluated).evaluation()?,
            bind(without, &images, second_evaluated).evaluation()?,
        ],
        batch,
        learning_rate,
        observed: [first, second],
        evaluated: [first_evaluated, second_evaluated],
        observations,
        _memory: memory,
    })
}
