//! One step's buffers on the device, and what they hold afterwards.

use super::{Setup, bits};
use libtest_mimic::Failed;
use wgpu_batchnorm::wgpu::{self, CommandEncoder};
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchNormError, BatchStatistics, BoundOperation, BufferRange,
    Context, ForwardTensors, GivenStatistics, Mask, RunningStatistics, RunningValues, SavedStatistics,
    Source, Tensor, Vector,
};

/// What outputs hold before they are written; every element type has it.
const BEFORE: f32 = 77.0;

/// A buffer for each tensor of a step, one forward and one backward pass.
pub(crate) struct Buffers {
    pub(crate) setup: Setup,
    pub(crate) batch_norm: BatchNorm,
    pub(crate) x: Tensor,
    pub(crate) y: Tensor,
    pub(crate) dy: Tensor,
    pub(crate) dx: Tensor,
    pub(crate) residual: Option<Tensor>,
    pub(crate) dresidual: Option<Tensor>,
    pub(crate) weight: Vector,
    pub(crate) bias: Vector,
    pub(crate) dweight: Vector,
    pub(crate) dbias: Vector,
    pub(crate) running: RunningStatistics,
    pub(crate) given: GivenStatistics,
    pub(crate) dgiven: GivenStatistics,
    pub(crate) mask: Option<Mask>,
    pub(crate) saved: SavedStatistics,
}

/// What a step gives.
pub(crate) struct Results {
    pub(crate) y: Vec<f32>,
    pub(crate) dx: Vec<f32>,
    pub(crate) dresidual: Option<Vec<f32>>,
    pub(crate) dweight: Vec<f32>,
    pub(crate) dbias: Vec<f32>,
    /// With given statistics, the gradients of mean and variance.
    pub(crate) dgiven: Option<[Vec<f32>; 2]>,
    /// Of the first group.
    pub(crate) statistics: BatchStatistics,
    pub(crate) groups: Vec<BatchStatistics>,
    pub(crate) inv_std: Vec<f32>,
    pub(crate) running: Option<RunningValues>,
}

/// Records into an encoder of its own, and submits it.
pub(crate) fn submit<E>(
    context: &Context,
    record: impl FnOnce(&mut CommandEncoder) -> Result<(), E>,
) -> Result<(), E> {
    let mut encoder = context.device().create_command_encoder(&Default::default());
    record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);
    Ok(())
}

impl Buffers {
    /// Uploads the inputs; outputs hold [`BEFORE`] before they are written.
    pub(crate) fn new(context: &Context, setup: &Setup) -> Result<Self, Failed> {
        let Setup { shape, options, .. } = setup;
        let upload = |values: &[f32]| Tensor::upload_as(context, *shape, options.dtype, values);
        let output = || upload(&vec![BEFORE; shape.elements()]);
        let vector = |values: &[f32]| Vector::upload(context, values);
        let gradient = || vector(&vec![BEFORE; shape.channels()]);
        let pair = |mean: Vector, var: Vector| {
            let (mean, var) = (mean.range().clone(), var.range().clone());
            GivenStatistics { mean, var }
        };
        let batch_norm = BatchNorm::new(context, *options)?;
        let [mean, var] = &setup.given;
        Ok(Self {
            x: upload(&setup.x)?,
            y: output()?,
            dy: upload(&setup.dy)?,
            dx: output()?,
            residual: setup.residual.as_deref().map(upload).transpose()?,
            dresidual: setup.residual.as_ref().map(|_| output()).transpose()?,
            weight: vector(&setup.weight)?,
            bias: vector(&setup.bias)?,
            dweight: gradient()?,
            dbias: gradient()?,
            running: RunningStatistics::upload(context, &setup.running)?,
            given: pair(vector(mean)?, vector(var)?),
            dgiven: pair(gradient()?, gradient()?),
            mask: setup.mask.as_ref().map(|mask| Mask::upload(context, shape, mask)).transpose()?,
            saved: batch_norm.saved_statistics(shape)?,
            batch_norm,
            setup: setup.clone(),
        })
    }

    pub(crate) fn forward(&self) -> ForwardTensors<'_> {
        let Setup { options, mode, .. } = &self.setup;
        let range = |tensor: &Tensor| tensor.range().clone();
        ForwardTensors {
            weight: options.weight.then(|| self.weight.range().clone()),
            bias: options.bias.then(|| self.bias.range().clone()),
            running: options.running_statistics.then_some(&self.running),
            given: (mode.source == Source::Given).then_some(&self.given),
            residual: self.residual.as_ref().map(range),
            mask: self.mask.as_ref(),
            ..ForwardTensors::new(range(&self.x), range(&self.y), &self.saved)
        }
    }

    pub(crate) fn backward(&self) -> BackwardTensors<'_> {
        let range = |tensor: &Tensor| tensor.range().clone();
        let replaced = |vector: &Vector| Some((vector.range().clone(), Accumulation::Replace));
        BackwardTensors {
            residual: self.residual.as_ref().map(range),
            mask: self.mask.as_ref(),
            dx: Some(range(&self.dx)),
            dresidual: self.dresidual.as_ref().map(range),
            dweight: replaced(&self.dweight),
            dbias: replaced(&self.dbias),
            dgiven: (self.setup.mode.source == Source::Given).then_some(&self.dgiven),
            ..BackwardTensors::new(range(&self.x), range(&self.dy), &self.saved)
        }
    }

    pub(crate) fn bind_forward(
        &self,
        tensors: &ForwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        self.batch_norm.bind_forward(&self.setup.shape, self.setup.mode, tensors)
    }

    pub(crate) fn bind_backward(
        &self,
        tensors: &BackwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        self.batch_norm.bind_backward(&self.setup.shape, self.setup.mode, tensors)
    }

    /// Runs the forward and the backward pass.
    pub(crate) fn submit(&self, context: &Context) -> Result<(), Failed> {
        let forward = self.bind_forward(&self.forward())?;
        let backward = self.bind_backward(&self.backward())?;
        submit::<BatchNormError>(context, |encoder| {
            forward.record(&mut *encoder)?;
            backward.record(encoder)
        })?;
        Ok(())
    }

    /// Fails unless nothing was computed: the running statistics are those of the setup, y and dx those before.
    pub(crate) fn expect_untouched(&self, context: &Context) -> Result<(), Failed> {
        let running = self.running.download_blocking(context)?;
        if running != self.setup.running {
            return Err(format!("running statistics are {running:?} after an error").into());
        }
        for (what, tensor) in [("y", &self.y), ("dx", &self.dx)] {
            if tensor.download_blocking()?.iter().any(|&value| value != BEFORE) {
                return Err(format!("{what} was written in spite of an error").into());
            }
        }
        Ok(())
    }

    pub(crate) fn results(&self, context: &Context) -> Result<Results, Failed> {
        let groups = pollster::block_on(self.saved.download_groups(context))?;
        let is_given = self.setup.mode.source == Source::Given;
        let GivenStatistics { mean, var } = &self.dgiven;
        let channels = self.setup.shape.channels();
        let running = self.setup.options.running_statistics.then(|| self.running.download_blocking(context));
        let dgiven = is_given
            .then(|| -> Result<_, Failed> { Ok([download(context, mean)?, download(context, var)?]) });
        Ok(Results {
            y: self.y.download_blocking()?,
            dx: self.dx.download_blocking()?,
            dresidual: self.dresidual.as_ref().map(Tensor::download_blocking).transpose()?,
            dweight: self.dweight.download_blocking()?,
            dbias: self.dbias.download_blocking()?,
            dgiven: dgiven.transpose()?,
            statistics: groups.first().cloned().ok_or("no group was saved")?,
            groups,
            // The fourth plane of the first group.
            inv_std: download(context, self.saved.range())?[3 * channels..4 * channels].to_vec(),
            running: running.transpose()?,
        })
    }
}

impl Results {
    /// Fails unless all have the same bits.
    pub(crate) fn same_bits(&self, other: &Self) -> Result<(), String> {
        let tensors = |results: &Self| {
            let Self { y, dx, dresidual, dweight, dbias, dgiven, .. } = results;
            let [dmean, dvariance] = dgiven.clone().unwrap_or_default();
            let dresidual = dresidual.clone().unwrap_or_default();
            let running = results.running.clone();
            let [mean, var] = running.map_or_else(Default::default, |running| [running.mean, running.var]);
            [y.clone(), dx.clone(), dresidual, dweight.clone(), dbias.clone(), dmean, dvariance, mean, var]
        };
        let names =
            ["y", "dx", "dresidual", "dweight", "dbias", "dmean", "dvariance", "running_mean", "running_var"];
        for ((name, a), b) in names.into_iter().zip(tensors(self)).zip(tensors(other)) {
            let differs = |(a, b): (u32, u32)| a != b;
            if a.len() != b.len() {
                return Err(format!("{name} has {} values, and {}", a.len(), b.len()));
            }
            if let Some(i) = bits(&a).into_iter().zip(bits(&b)).position(differs) {
                return Err(format!("{name}[{i}] is {}, and {}", a[i], b[i]));
            }
        }
        let counts = |results: &Self| {
            let running = results.running.as_ref();
            running.map(|running| (running.num_batches_tracked, running.num_batches_skipped))
        };
        if counts(self) != counts(other) {
            return Err(format!("batches are {:?}, and {:?}", counts(self), counts(other)));
        }
        Ok(())
    }
}

/// The f32 in a range.
pub(crate) fn download(context: &Context, range: &BufferRange) -> Result<Vec<f32>, Failed> {
    let device = context.device();
    let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
    let staging = super::buffer(context, range.size, usage);
    submit::<Failed>(context, |encoder| {
        encoder.copy_buffer_to_buffer(&range.buffer, range.offset, &staging, 0, range.size);
        Ok(())
    })?;
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely())?;
    Ok(bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..)?))
}
