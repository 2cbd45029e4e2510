//! The tensors of a layer on the adapter: what its passes take, and what they leave.

use super::config::Config;
use super::data::Data;
use super::row::Pass;
use super::turns::{self, Cache, Turns};
use crate::bench::memory;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BufferRange, Context, DeviceError, DoubleBackwardTensors,
    FoldTensors, ForwardTensors, GivenStatistics, Mask, Mode, MomentsBackwardTensors, RunningStatistics,
    SavedStatistics, Source, StatisticsTensors, Tensor, Vector,
};

/// Results by name.
pub(crate) type Results = Vec<(&'static str, Vec<f32>)>;

/// Everything that the passes of one configuration need. Passes that do not run together share outputs.
pub(crate) struct Tensors {
    context: Context,
    config: Config,
    pub(crate) x: Tensor,
    dy: Tensor,
    /// The residual, or the cotangent of dx.
    extra: Option<Tensor>,
    mask: Option<Mask>,
    weight: Vector,
    bias: Vector,
    given: GivenStatistics,
    /// Of training, which moves it.
    running: RunningStatistics,
    /// Of evaluation.
    held: RunningStatistics,
    /// Also grad_x.
    pub(crate) y: Tensor,
    /// Also grad_dy.
    dx: Tensor,
    dresidual: Option<Tensor>,
    /// Also grad_weight and the folded scale.
    dweight: Vector,
    /// Also the folded offset.
    dbias: Vector,
    dmean: Vector,
    dvariance: Vector,
    dgiven: GivenStatistics,
    saved: SavedStatistics,
    saved_in_evaluation: SavedStatistics,
}

/// The large tensors of one turn. What is there once a channel, and the mask, all turns share.
pub(crate) struct Turn {
    pub(crate) x: BufferRange,
    dy: BufferRange,
    extra: Option<BufferRange>,
    pub(crate) y: BufferRange,
    dx: BufferRange,
    dresidual: Option<BufferRange>,
}

impl Tensors {
    pub(crate) fn new(batch_norm: &BatchNorm, data: &Data, config: &Config) -> anyhow::Result<Self> {
        let (context, shape, dtype) = (batch_norm.context(), data.shape, config.dtype());
        let full = |values: &[f32]| Tensor::upload_as(context, shape, dtype, values);
        let zeros = || Tensor::zeros_as(context, shape, dtype);
        let vector = |values: &[f32]| Vector::upload(context, values);
        let no_vector = || vector(&vec![0.0; shape.channels()]);
        let (dmean, dvariance) = (no_vector()?, no_vector()?);
        Ok(Self {
            context: context.clone(),
            config: *config,
            x: full(&data.x)?,
            dy: full(&data.dy)?,
            extra: (!data.extra.is_empty()).then(|| full(&data.extra)).transpose()?,
            mask: data.mask.as_ref().map(|mask| Mask::upload(context, &shape, mask)).transpose()?,
            weight: vector(&data.weight)?,
            bias: vector(&data.bias)?,
            given: pair(&vector(&data.running.mean)?, &vector(&data.running.var)?),
            running: RunningStatistics::upload(context, &data.running)?,
            held: RunningStatistics::upload(context, &data.running)?,
            y: zeros()?,
            dx: zeros()?,
            dresidual: config.residual.then(zeros).transpose()?,
            dweight: no_vector()?,
            dbias: no_vector()?,
            dgiven: pair(&dmean, &dvariance),
            dmean,
            dvariance,
            saved: batch_norm.saved_statistics(&shape)?,
            saved_in_evaluation: batch_norm.saved_statistics(&shape)?,
        })
    }

    /// These tensors themselves, as the only turn.
    pub(crate) fn turn(&self) -> Turn {
        Turn {
            x: range(&self.x),
            dy: range(&self.dy),
            extra: self.extra.as_ref().map(range),
            y: range(&self.y),
            dx: range(&self.dx),
            dresidual: self.dresidual.as_ref().map(range),
        }
    }

    /// The turns of passes that touch at least `footprint` tensors each; fewer where memory does not last. All
    /// have the same values, so that what one leaves for the next pass holds for the others too.
    pub(crate) fn turns(&self, cache: Cache, footprint: u64) -> Result<(Vec<Turn>, Turns), DeviceError> {
        let bytes = self.x.range().size;
        let tensors = 4 + u64::from(self.extra.is_some()) + u64::from(self.dresidual.is_some());
        let planned = cache.turns(footprint * bytes, memory::affordable(&self.context, tensors * bytes));
        match self.more_turns(planned.sets - 1) {
            Ok(more) => Ok((std::iter::once(self.turn()).chain(more).collect(), planned)),
            Err(DeviceError::OutOfMemory { .. } | DeviceError::BufferTooLarge { .. }) => {
                Ok((vec![self.turn()], cache.turns(footprint * bytes, 1)))
            }
            Err(error) => Err(error),
        }
    }

    fn more_turns(&self, count: usize) -> Result<Vec<Turn>, DeviceError> {
        let filled = |tensor| turns::like(&self.context, tensor, count, true).map(Vec::into_iter);
        let empty = |tensor| turns::like(&self.context, tensor, count, false).map(Vec::into_iter);
        let (mut x, mut dy, mut y, mut dx) =
            (filled(&self.x)?, filled(&self.dy)?, empty(&self.y)?, empty(&self.dx)?);
        let mut extra = self.extra.as_ref().map(filled).transpose()?;
        let mut dresidual = self.dresidual.as_ref().map(empty).transpose()?;
        let turn = || {
            Some(Turn {
                x: x.next()?,
                dy: dy.next()?,
                extra: extra.as_mut().and_then(Iterator::next),
                y: y.next()?,
                dx: dx.next()?,
                dresidual: dresidual.as_mut().and_then(Iterator::next),
            })
        };
        Ok(std::iter::from_fn(turn).collect())
    }

    fn residual(&self, turn: &Turn) -> Option<BufferRange> {
        turn.extra.clone().filter(|_| self.config.residual)
    }

    pub(crate) fn forward(&self, turn: &Turn, mode: Mode) -> ForwardTensors<'_> {
        let (running, saved) = match mode {
            Mode::EVALUATION => (&self.held, &self.saved_in_evaluation),
            _ => (&self.running, &self.saved),
        };
        ForwardTensors {
            weight: Some(self.weight.range().clone()),
            bias: Some(self.bias.range().clone()),
            running: Some(running),
            given: (mode.source == Source::Given).then_some(&self.given),
            residual: self.residual(turn),
            mask: self.mask.as_ref(),
            ..ForwardTensors::new(turn.x.clone(), turn.y.clone(), saved)
        }
    }

    pub(crate) fn backward(&self, turn: &Turn, mode: Mode) -> BackwardTensors<'_> {
        BackwardTensors {
            residual: self.residual(turn),
            mask: self.mask.as_ref(),
            dx: Some(turn.dx.clone()),
            dresidual: turn.dresidual.clone(),
            dweight: Some((self.dweight.range().clone(), Accumulation::Replace)),
            dbias: Some((self.dbias.range().clone(), Accumulation::Replace)),
            dgiven: (mode.source == Source::Given).then_some(&self.dgiven),
            ..BackwardTensors::new(turn.x.clone(), turn.dy.clone(), &self.saved)
        }
    }

    pub(crate) fn statistics(&self, turn: &Turn) -> StatisticsTensors<'_> {
        let (x, mask) = (turn.x.clone(), self.mask.as_ref());
        StatisticsTensors { x, mask, running: None, saved: &self.saved, workspace: None }
    }

    /// The gradients of mean and variance are γ and β.
    pub(crate) fn moments_backward<'a>(
        &'a self,
        turn: &Turn,
        dmoments: &'a GivenStatistics,
    ) -> MomentsBackwardTensors<'a> {
        let (x, dx) = (turn.x.clone(), turn.dx.clone());
        let (mask, saved) = (self.mask.as_ref(), &self.saved);
        MomentsBackwardTensors { x, mask, saved, dmoments, dx, workspace: None }
    }

    pub(crate) fn dmoments(&self) -> GivenStatistics {
        pair(&self.weight, &self.bias)
    }

    pub(crate) fn fold(&self) -> FoldTensors<'_> {
        FoldTensors {
            statistics: &self.given,
            weight: Some(self.weight.range().clone()),
            bias: Some(self.bias.range().clone()),
            scale: self.dweight.range().clone(),
            offset: self.dbias.range().clone(),
        }
    }

    /// The cotangents of dγ and dβ are β and γ.
    pub(crate) fn double_backward(&self, turn: &Turn) -> Option<DoubleBackwardTensors<'_>> {
        Some(DoubleBackwardTensors {
            x: turn.x.clone(),
            dy: turn.dy.clone(),
            ddx: turn.extra.clone()?,
            ddweight: Some(self.bias.range().clone()),
            ddbias: Some(self.weight.range().clone()),
            mask: self.mask.as_ref(),
            saved: &self.saved,
            grad_dy: turn.dx.clone(),
            grad_x: turn.y.clone(),
            grad_weight: Some(self.dweight.range().clone()),
            workspace: None,
        })
    }

    /// What the pass has left, after everything that was submitted before.
    pub(crate) fn results(&self, pass: Pass) -> anyhow::Result<Results> {
        let mut results = Results::new();
        let full = |tensor: &Tensor| tensor.download_blocking();
        let vector = |vector: &Vector| vector.download_blocking();
        let from_batch = self.config.mode().source == Source::Batch;
        if matches!(pass, Pass::Forward | Pass::Evaluation) {
            results.push(("y", full(&self.y)?));
            let running = if pass == Pass::Evaluation { &self.held } else { &self.running };
            let running = running.download_blocking(&self.context)?;
            results.push(("num_batches_tracked", vec![running.num_batches_tracked as f32]));
            results.push(("num_batches_skipped", vec![running.num_batches_skipped as f32]));
            results.extend([("running_mean", running.mean), ("running_var", running.var)]);
        }
        if pass == Pass::Statistics || pass == Pass::Forward && from_batch {
            let groups = pollster::block_on(self.saved.download_groups(&self.context))?;
            results.push(("batch_mean", groups.iter().flat_map(|group| group.mean.clone()).collect()));
            results.push(("batch_var", groups.into_iter().flat_map(|group| group.var).collect()));
        }
        if matches!(pass, Pass::Backward | Pass::MomentsBackward) {
            results.push(("dx", full(&self.dx)?));
        }
        if pass == Pass::Backward {
            results.extend([("dweight", vector(&self.dweight)?), ("dbias", vector(&self.dbias)?)]);
            results.extend([("dmean", vector(&self.dmean)?), ("dvariance", vector(&self.dvariance)?)]);
            if let Some(dresidual) = &self.dresidual {
                results.push(("dresidual", full(dresidual)?));
            }
        }
        if pass == Pass::Fold {
            results.extend([("scale", vector(&self.dweight)?), ("offset", vector(&self.dbias)?)]);
        }
        if pass == Pass::DoubleBackward {
            results.extend([("grad_dy", full(&self.dx)?), ("grad_x", full(&self.y)?)]);
            results.push(("grad_weight", vector(&self.dweight)?));
        }
        Ok(results)
    }
}

fn pair(mean: &Vector, var: &Vector) -> GivenStatistics {
    GivenStatistics { mean: mean.range().clone(), var: var.range().clone() }
}

fn range(tensor: &Tensor) -> BufferRange {
    tensor.range().clone()
}
