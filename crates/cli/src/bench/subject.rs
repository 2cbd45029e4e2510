//! A layer on the adapter with everything bound: what is checked, then timed.

use super::accuracy::{Accuracy, EPS, Judge};
use super::data::Data;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchNormError, BoundOperation, Context, ForwardTensors,
    Layout, Mode, Options, RunningStatistics, SavedStatistics, Shape, Tensor, wgpu,
};

/// The three passes of a layer, bound to tensors on the adapter.
pub(crate) struct Subject {
    context: Context,
    pub(crate) x: Tensor,
    /// Of both forward passes.
    pub(crate) y: Tensor,
    dx: Tensor,
    dweight: Tensor,
    dbias: Tensor,
    running: RunningStatistics,
    saved: SavedStatistics,
    pub(crate) forward: BoundOperation,
    pub(crate) evaluation: BoundOperation,
    pub(crate) backward: BoundOperation,
}

/// How right each pass is.
pub(crate) struct Accuracies {
    pub(crate) forward: Accuracy,
    pub(crate) evaluation: Accuracy,
    pub(crate) backward: Accuracy,
}

impl Subject {
    pub(crate) fn new(context: &Context, data: &Data) -> anyhow::Result<Self> {
        let shape = data.shape;
        let channels = shape.channels();
        let batch_norm = BatchNorm::new(context, Options { eps: EPS, ..Options::new(channels) })?;
        let x = Tensor::upload(context, shape, &data.x)?;
        let dy = Tensor::upload(context, shape, &data.dy)?;
        let (y, dx) = (Tensor::zeros(context, shape)?, Tensor::zeros(context, shape)?);
        let vector = Shape::new(&[1, channels], Layout::ChannelsLast)?;
        let weight = Tensor::upload(context, vector, &data.weight)?;
        let bias = Tensor::upload(context, vector, &data.bias)?;
        let (dweight, dbias) = (Tensor::zeros(context, vector)?, Tensor::zeros(context, vector)?);
        // Evaluation has its own, which training does not move.
        let (running, held) = (
            RunningStatistics::upload(context, &data.running)?,
            RunningStatistics::upload(context, &data.running)?,
        );
        let (saved, saved_in_evaluation) =
            (SavedStatistics::new(context, channels)?, SavedStatistics::new(context, channels)?);
        let forward = |running, saved| ForwardTensors {
            weight: Some(weight.range().clone()),
            bias: Some(bias.range().clone()),
            running: Some(running),
            ..ForwardTensors::new(x.range().clone(), y.range().clone(), saved)
        };
        let backward = BackwardTensors {
            dx: Some(dx.range().clone()),
            dweight: Some((dweight.range().clone(), Accumulation::Replace)),
            dbias: Some((dbias.range().clone(), Accumulation::Replace)),
            ..BackwardTensors::new(x.range().clone(), dy.range().clone(), &saved)
        };
        let training = forward(&running, &saved);
        let evaluation = forward(&held, &saved_in_evaluation);
        Ok(Self {
            forward: batch_norm.bind_forward(&shape, Mode::TRAINING, &training)?,
            evaluation: batch_norm.bind_forward(&shape, Mode::EVALUATION, &evaluation)?,
            backward: batch_norm.bind_backward(&shape, Mode::TRAINING, &backward)?,
            context: context.clone(),
            x,
            y,
            dx,
            dweight,
            dbias,
            running,
            saved,
        })
    }

    /// Runs each pass once and judges every result. To be called before anything else has run, because
    /// training moves the running statistics.
    pub(crate) fn check(&self, judge: &Judge<'_>) -> anyhow::Result<Accuracies> {
        self.submit(|encoder| self.forward.record(encoder))?;
        let batch = pollster::block_on(self.saved.download(&self.context))?;
        let running = pollster::block_on(self.running.download(&self.context))?;
        let forward = judge.forward(&self.y.download_blocking()?, &batch, &running)?;

        self.submit(|encoder| self.backward.record(encoder))?;
        let (dweight, dbias) = (self.dweight.download_blocking()?, self.dbias.download_blocking()?);
        let backward = judge.backward(&self.dx.download_blocking()?, &dweight, &dbias)?;

        self.submit(|encoder| self.evaluation.record(encoder))?;
        let evaluation = judge.evaluation(&self.y.download_blocking()?)?;
        Ok(Accuracies { forward, evaluation, backward })
    }

    fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<(), BatchNormError>,
    ) -> Result<(), BatchNormError> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("bench.check") };
        let mut encoder = self.context.device().create_command_encoder(&descriptor);
        record(&mut encoder)?;
        self.context.queue().submit([encoder.finish()]);
        Ok(())
    }
}
