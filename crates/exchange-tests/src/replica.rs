//! One replica of a layer, with its part of a batch.

use crate::batch::{Batch, PerChannel};
use crate::{Failure, ensure};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Begun, BufferRange, Context, Exchange, ForwardTensors,
    GradientsWithoutSamples, RunningStatistics, RunningValues, SavedStatistics, Shape, SyncError,
    Synchronized, Tensor, Vector, WithoutSamples,
};

/// A layer, and what its passes read and write on this device.
pub(crate) struct Replica<'e, E> {
    context: Context,
    layer: Synchronized<&'e E>,
    samples: Option<Samples>,
    weight: Vector,
    bias: Vector,
    dweight: Vector,
    dbias: Vector,
    running: RunningStatistics,
    saved: SavedStatistics,
}

struct Samples {
    shape: Shape,
    x: Tensor,
    dy: Tensor,
    y: Tensor,
    dx: Tensor,
}

/// What a replica has computed.
pub(crate) struct Computed {
    pub(crate) y: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) per_channel: PerChannel,
}

fn range(tensor: &Tensor) -> BufferRange {
    tensor.range().clone()
}

impl<'e, E: Exchange> Replica<'e, E> {
    pub(crate) fn new(context: &Context, end: &'e E, batch: &Batch) -> Result<Self, Failure> {
        let rank = end.rank();
        let zeros = vec![0.0; batch.channels()];
        let samples = match batch.shape(rank)? {
            None => None,
            Some(shape) => {
                let upload = |values: &[f32]| {
                    let part = batch.part(rank, values)?;
                    Ok::<_, Failure>(Tensor::upload_as(context, shape, batch.options.dtype, &part)?)
                };
                let empty = || Tensor::zeros_as(context, shape, batch.options.dtype);
                Some(Samples {
                    shape,
                    x: upload(&batch.x)?,
                    dy: upload(&batch.dy)?,
                    y: empty()?,
                    dx: empty()?,
                })
            }
        };
        let values = RunningValues::new(batch.running_mean.clone(), batch.running_var.clone(), 3);
        Ok(Self {
            layer: Synchronized::new(&BatchNorm::new(context, batch.options)?, end),
            samples,
            weight: Vector::upload(context, &batch.weight)?,
            bias: Vector::upload(context, &batch.bias)?,
            dweight: Vector::upload(context, &zeros)?,
            dbias: Vector::upload(context, &zeros)?,
            running: RunningStatistics::upload(context, &values)?,
            saved: SavedStatistics::new(context, batch.channels())?,
            context: context.clone(),
        })
    }

    pub(crate) fn begin_forward(&self) -> Result<Begun<'_, &'e E>, SyncError> {
        let parameters = [&self.weight, &self.bias].map(|vector| Some(vector.range().clone()));
        let Some(Samples { shape, x, y, .. }) = &self.samples else {
            return self.layer.begin_forward_without_samples(&WithoutSamples {
                parameters,
                running: Some(&self.running),
                saved: &self.saved,
            });
        };
        let [weight, bias] = parameters;
        let tensors = ForwardTensors {
            weight,
            bias,
            running: Some(&self.running),
            ..ForwardTensors::new(range(x), range(y), &self.saved)
        };
        self.layer.begin_forward(shape, &tensors)
    }

    pub(crate) fn begin_backward(&self) -> Result<Begun<'_, &'e E>, SyncError> {
        let gradient = |vector: &Vector| Some((vector.range().clone(), Accumulation::Replace));
        let (dweight, dbias) = (gradient(&self.dweight), gradient(&self.dbias));
        let Some(Samples { shape, x, dy, dx, .. }) = &self.samples else {
            let tensors = GradientsWithoutSamples { saved: &self.saved, dweight, dbias };
            return self.layer.begin_backward_without_samples(&tensors);
        };
        let tensors = BackwardTensors {
            dx: Some(range(dx)),
            dweight,
            dbias,
            ..BackwardTensors::new(range(x), range(dy), &self.saved)
        };
        self.layer.begin_backward(shape, &tensors)
    }

    /// Both passes, one after the other.
    pub(crate) async fn run(&self) -> Result<(), SyncError> {
        self.begin_forward()?.send().await?.arrived().await?.finish()?;
        self.begin_backward()?.send().await?.arrived().await?.finish()
    }

    pub(crate) async fn computed(&self) -> Result<Computed, Failure> {
        let (y, dx) = match &self.samples {
            Some(Samples { y, dx, .. }) => (y.download().await?, dx.download().await?),
            None => Default::default(),
        };
        let batch = self.saved.download(&self.context).await?;
        let running = self.running.download(&self.context).await?;
        ensure(running.num_batches_tracked == 4, || {
            format!("{} batches are counted, expected 4", running.num_batches_tracked)
        })?;
        let per_channel = PerChannel {
            dweight: self.dweight.download().await?,
            dbias: self.dbias.download().await?,
            mean: batch.mean,
            var: batch.var,
            running_mean: running.mean,
            running_var: running.var,
            count: batch.count,
        };
        Ok(Computed { y, dx, per_channel })
    }
}

pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}
