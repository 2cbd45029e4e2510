//! 64 pixels → 32 features → batch normalization and ReLU → 10 scores, trained by gradient descent on their cross
//! entropy. The linear layers are plain loops in float64, so that what differs between runs is the normalization.

use super::Digit;
use crate::{CLASSES, PIXELS};
use anyhow::Context as _;
use wgpu_batchnorm::{
    Accumulation, Activation, BackwardTensors, BatchNorm, Context, Exchange, ForwardTensors, Layout, Options,
    SavedStatistics, Shape, Synchronized, Tensor, Vector,
};

const HIDDEN: usize = 32;
const RATE: f64 = 0.1;

/// One replica's copy of the network.
pub struct Net<'a, S, G> {
    context: Context,
    layer: Synchronized<&'a S>,
    gradients: &'a G,
    /// All that is trained.
    parameters: Parameters,
}

/// The parameters, or their gradients.
#[derive(Clone)]
struct Parameters {
    /// `[HIDDEN, PIXELS]`
    first: Vec<f64>,
    /// `[CLASSES, HIDDEN]`
    second: Vec<f64>,
    /// `[CLASSES]`
    offset: Vec<f64>,
    /// γ and β, `[HIDDEN]`.
    weight: Vec<f64>,
    bias: Vec<f64>,
}

impl Parameters {
    fn zeros() -> Self {
        Self {
            first: vec![0.0; HIDDEN * PIXELS],
            second: vec![0.0; CLASSES * HIDDEN],
            offset: vec![0.0; CLASSES],
            weight: vec![0.0; HIDDEN],
            bias: vec![0.0; HIDDEN],
        }
    }

    fn all(&mut self) -> [&mut Vec<f64>; 5] {
        [&mut self.first, &mut self.second, &mut self.offset, &mut self.weight, &mut self.bias]
    }
}

impl<'a, S: Exchange, G: Exchange> Net<'a, S, G> {
    /// A network whose statistics are those of all replicas of one exchange, and its gradients those of all of another;
    /// `seed` gives its first parameters.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(context: &Context, seed: u64, statistics: &'a S, gradients: &'a G) -> anyhow::Result<Self> {
        let options =
            Options { running_statistics: false, activation: Activation::Relu, ..Options::new(HIDDEN) };
        let mut random = fastrand::Rng::with_seed(seed);
        let mut values = |count: usize, scale: f64| -> Vec<f64> {
            (0..count).map(|_| (2.0 * random.f64() - 1.0) * scale).collect()
        };
        let parameters = Parameters {
            first: values(HIDDEN * PIXELS, 0.2),
            second: values(CLASSES * HIDDEN, 0.3),
            weight: vec![1.0; HIDDEN],
            ..Parameters::zeros()
        };
        let layer = Synchronized::new(&BatchNorm::new(context, options)?, statistics);
        Ok(Self { context: context.clone(), layer, gradients, parameters })
    }

    /// A step on this replica's samples of a batch of so many, and the mean loss of the whole batch.
    ///
    /// # Errors
    /// If the device fails or a replica leaves.
    pub fn step(&mut self, samples: &[Digit], batch: usize) -> anyhow::Result<f64> {
        let Self { context, layer, gradients, parameters } = self;
        let shape = Shape::new(&[samples.len(), HIDDEN], Layout::ChannelsLast)?;
        let upload = |values: &[f32]| Tensor::upload(context, shape, values);
        let vector =
            |values: &[f64]| Vector::upload(context, &values.iter().map(|v| *v as f32).collect::<Vec<_>>());
        let range = |tensor: &Tensor| tensor.range().clone();

        // Forward.
        let features: Vec<f32> = samples
            .iter()
            .flat_map(|digit| parameters.first.chunks(PIXELS).map(|row| dot(row, &digit.pixels) as f32))
            .collect();
        let (x, y) = (upload(&features)?, Tensor::zeros(context, shape)?);
        let (weight, bias) = (vector(&parameters.weight)?, vector(&parameters.bias)?);
        let saved = SavedStatistics::new(context, HIDDEN)?;
        let forward = ForwardTensors {
            weight: Some(weight.range().clone()),
            bias: Some(bias.range().clone()),
            ..ForwardTensors::new(range(&x), range(&y), &saved)
        };
        pollster::block_on(layer.submit_forward(&shape, &forward))?;
        let hidden: Vec<f64> = y.download_blocking()?.into_iter().map(f64::from).collect();

        // The loss, and back to the normalization.
        let mut own = Parameters::zeros();
        let (mut loss, mut dy) = (0.0, Vec::with_capacity(hidden.len()));
        for (digit, hidden) in samples.iter().zip(hidden.chunks(HIDDEN)) {
            let rows = parameters.second.chunks(HIDDEN).zip(&parameters.offset);
            let scores: Vec<f64> = rows.map(|(row, offset)| dot(row, hidden) + offset).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
            let mut dhidden = [0.0; HIDDEN];
            for (class, score) in scores.iter().enumerate() {
                let probability = (score - highest).exp() / total;
                let is_label = class == digit.label;
                if is_label {
                    loss -= probability.max(f64::MIN_POSITIVE).ln() / batch as f64;
                }
                let dscore = (probability - f64::from(u8::from(is_label))) / batch as f64;
                own.offset[class] += dscore;
                for i in 0..HIDDEN {
                    own.second[class * HIDDEN + i] += dscore * hidden[i];
                    dhidden[i] += dscore * parameters.second[class * HIDDEN + i];
                }
            }
            dy.extend(dhidden.map(|value| value as f32));
        }

        // Backward.
        let (dy, dx) = (upload(&dy)?, Tensor::zeros(context, shape)?);
        let (dweight, dbias) = (vector(&[0.0; HIDDEN])?, vector(&[0.0; HIDDEN])?);
        let into = |vector: &Vector| Some((vector.range().clone(), Accumulation::Replace));
        let backward = BackwardTensors {
            dx: Some(range(&dx)),
            dweight: into(&dweight),
            dbias: into(&dbias),
            ..BackwardTensors::new(range(&x), range(&dy), &saved)
        };
        pollster::block_on(layer.submit_backward(&shape, &backward))?;
        for (digit, dx) in samples.iter().zip(dx.download_blocking()?.chunks(HIDDEN)) {
            for (row, dx) in own.first.chunks_mut(PIXELS).zip(dx) {
                row.iter_mut().zip(&digit.pixels).for_each(|(sum, pixel)| *sum += f64::from(*dx) * pixel);
            }
        }
        // Those of γ and β are already of all replicas that share statistics: they must not be added up again.
        let once = 1.0 / layer.exchange().replicas() as f64;
        let scaled = |vector: &Vector| -> anyhow::Result<Vec<f64>> {
            Ok(vector.download_blocking()?.into_iter().map(|value| f64::from(value) * once).collect())
        };
        (own.weight, own.bias) = (scaled(&dweight)?, scaled(&dbias)?);

        let (loss, mut total) = sum(gradients, loss, own)?;
        for (parameter, gradient) in parameters.all().into_iter().zip(total.all()) {
            parameter
                .iter_mut()
                .zip(gradient)
                .for_each(|(parameter, gradient)| *parameter -= RATE * *gradient);
        }
        Ok(loss)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The sums over all replicas, in the order of their ranks, so that they have the same bits on each.
fn sum(exchange: &impl Exchange, loss: f64, mut own: Parameters) -> anyhow::Result<(f64, Parameters)> {
    let values = own.all().into_iter().flat_map(|values| values.iter().copied());
    let message: Vec<u8> = [loss].into_iter().chain(values).flat_map(f64::to_le_bytes).collect();
    let mut total = Parameters::zeros();
    let mut loss = 0.0;
    for message in exchange.all_gather(&message)? {
        let mut values = message.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value));
        loss += values.next().context("an empty message")?;
        total.all().into_iter().flatten().zip(values).for_each(|(sum, value)| *sum += value);
    }
    Ok((loss, total))
}
