//! Checking and binding what is not a forward or backward pass: statistics alone, the folded form and the
//! double backward pass.

use super::tensor_list::TensorList;
use super::{
    BatchNorm, BatchNormError, BoundOperation, DoubleBackwardTensors, FoldTensors, MomentsBackwardTensors,
    StatisticsTensors,
};
use crate::mode::{Mode, Source};
use crate::plan::{Operation, Pass};
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::{GivenStatistics, LeftBy};

impl BatchNorm {
    /// Checks and binds the statistics alone, without a y: mean = Σx/m and variance = Σ(x − mean)²/m over the m
    /// values of each channel (TensorFlow's `tf.nn.moments`) in `saved`, and taken into `running` if there is one.
    ///
    /// With [`Momentum::Cumulative`](crate::Momentum::Cumulative), running statistics that begin with 0 batches are
    /// the population estimate of Ioffe and Szegedy (2015, Algorithm 2) over the batches that are recorded: the
    /// mean of the batch means, and of the unbiased batch variances, accumulated on the device. Over another
    /// domain's data this is AdaBN (Li et al. 2016).
    ///
    /// ```no_run
    /// use wgpu_batchnorm::*;
    ///
    /// let context = Context::new_blocking()?;
    /// let batch_norm = BatchNorm::new(&context, Options { momentum: Momentum::Cumulative, ..Options::new(3) })?;
    /// let running = RunningStatistics::upload(&context, &RunningValues::start(3))?;
    /// let saved = SavedStatistics::new(&context, 3)?;
    /// let shape = Shape::new(&[8, 3, 16, 16], Layout::ChannelsFirst)?;
    /// let batches = [Tensor::zeros(&context, shape)?, Tensor::zeros(&context, shape)?];
    /// let mut encoder = context.device().create_command_encoder(&Default::default());
    /// for x in &batches {
    ///     let x = x.range().clone();
    ///     let (running, saved) = (Some(&running), &saved);
    ///     let tensors = StatisticsTensors { x, mask: None, running, saved, workspace: None };
    ///     batch_norm.bind_statistics(&shape, &tensors)?.record(&mut encoder)?;
    /// }
    /// context.queue().submit([encoder.finish()]);
    /// assert_eq!(running.download_blocking(&context)?.num_batches_tracked, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_statistics(
        &self,
        shape: &Shape,
        tensors: &StatisticsTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        let StatisticsTensors { x, mask, running, saved, workspace } = tensors;
        let mode = Mode { source: Source::Batch, update: running.is_some() };
        let pass = Pass { mode, residual: false, mask: mask.is_some() };
        let operation = Operation::Statistics { pass };
        let mut list = TensorList::new(self, shape);
        list.tensor(Resource::X, x).mask(*mask).saved(saved, self.groups(shape, operation));
        list.running(running.is_some() && self.options.running_statistics, *running);
        self.check_mask(operation, *mask)?;
        let bindings = list.bind(operation, workspace.as_ref())?;
        let origin = self.origin(shape, pass, LeftBy::Statistics);
        Ok(BoundOperation::leaving(self, bindings, saved, origin))
    }

    /// Checks and binds the gradient of the statistics: dx = (dmean + 2·(x − mean)·dvariance)/m, of all ghost
    /// batches with the same dmean and dvariance. [`submit_moments`](crate::submit_moments) has an example.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_moments_backward(
        &self,
        shape: &Shape,
        tensors: &MomentsBackwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        let MomentsBackwardTensors { x, mask, saved, dmoments, dx, workspace } = tensors;
        let operation = Operation::MomentsBackward { mask: mask.is_some() };
        let mut list = TensorList::new(self, shape);
        list.tensor(Resource::X, x).mask(*mask).saved(saved, self.groups(shape, operation));
        list.per_channel(Resource::Dmean, &dmoments.mean).per_channel(Resource::Dvariance, &dmoments.var);
        list.tensor(Resource::Dx, dx);
        let bindings = list.bind(operation, workspace.as_ref())?;
        let origin = self.origin(shape, operation.pass(), LeftBy::Statistics);
        Ok(BoundOperation::needing(self, bindings, saved, origin))
    }

    /// Checks and binds the folded form for inference, y = scale·x + offset with scale = γ/σ and
    /// offset = β − γ·mean/σ: to be merged into the weights of a convolution before it (PyTorch's
    /// `fuse_conv_bn_eval`). [`Layer::submit_fold`](crate::Layer::submit_fold) folds a layer's own.
    ///
    /// These are the normalization's alone: an activation after it remains to be applied, and one before it
    /// ([`Order::Pre`](crate::Order::Pre)) stands between it and the convolution, so that nothing can be merged.
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_fold(&self, tensors: &FoldTensors<'_>) -> Result<BoundOperation, BatchNormError> {
        let FoldTensors { statistics: GivenStatistics { mean, var }, weight, bias, scale, offset } = tensors;
        // Only C counts.
        let shape = Shape::of_channels(self.options.channels);
        let mut list = TensorList::new(self, &shape);
        list.per_channel(Resource::GivenMean, mean).per_channel(Resource::GivenVar, var);
        list.parameter(Resource::Weight, self.options.weight, weight.as_ref());
        list.parameter(Resource::Bias, self.options.bias, bias.as_ref());
        list.per_channel(Resource::FoldedScale, scale).per_channel(Resource::FoldedOffset, offset);
        let bindings = list.bind(Operation::Fold, None)?;
        Ok(BoundOperation::free(self, bindings))
    }

    /// Checks and binds a double backward pass: the gradients of ⟨dx, ddx⟩ + ⟨dγ, ddweight⟩ + ⟨dβ, ddbias⟩
    /// with respect to dy, x and γ (PyTorch's `batchnorm_double_backward`), in two passes over the tensors.
    /// The layer must be without activation; a residual plays no part.
    ///
    /// ```text
    /// with batch statistics, ⟨·⟩ the mean over the m values of a channel, and g = dy, v = ddx:
    /// G = g − ⟨g⟩ − x̂·⟨g·x̂⟩     V = v − ⟨v⟩ − x̂·⟨v·x̂⟩     f = ⟨g·v⟩ − ⟨g⟩·⟨v⟩ − ⟨g·x̂⟩·⟨v·x̂⟩
    /// grad_dy     = γ/σ·V + ddweight·x̂ + ddbias
    /// grad_x      = −γ/σ²·(f·x̂ + ⟨g·x̂⟩·V + ⟨v·x̂⟩·G) + ddweight/σ·G
    /// grad_weight = m/σ·f
    /// with other statistics:
    /// grad_dy     = γ/σ·v + ddweight·x̂ + ddbias     grad_x = ddweight/σ·g     grad_weight = Σg·v/σ
    /// ```
    ///
    /// ```no_run
    /// use wgpu_batchnorm::*;
    ///
    /// # let context = Context::new_blocking()?;
    /// # let options = Options { weight: false, bias: false, running_statistics: false, ..Options::new(3) };
    /// # let batch_norm = BatchNorm::new(&context, options)?;
    /// # let shape = Shape::new(&[8, 3, 16, 16], Layout::ChannelsFirst)?;
    /// # let saved = SavedStatistics::new(&context, 3)?;
    /// # let zeros = || Tensor::zeros(&context, shape).map(|tensor| tensor.range().clone());
    /// # let (x, y, dy, ddx, grad_dy, grad_x) = (zeros()?, zeros()?, zeros()?, zeros()?, zeros()?, zeros()?);
    /// # let mut encoder = context.device().create_command_encoder(&Default::default());
    /// let tensors = ForwardTensors::new(x.clone(), y, &saved);
    /// batch_norm.bind_forward(&shape, Mode::TRAINING, &tensors)?.record(&mut encoder)?;
    /// // … the backward pass that makes dx from dy, and what depends on dx, until ddx is known …
    /// let double = batch_norm.bind_double_backward(&shape, Mode::TRAINING, &DoubleBackwardTensors {
    ///     ddweight: None,
    ///     ddbias: None,
    ///     mask: None,
    ///     grad_weight: None,
    ///     workspace: None,
    ///     saved: &saved,
    ///     x, dy, ddx, grad_dy, grad_x,
    /// })?;
    /// double.record(&mut encoder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BatchNormError`] for anything that does not fit; nothing is made then.
    pub fn bind_double_backward(
        &self,
        shape: &Shape,
        mode: Mode,
        tensors: &DoubleBackwardTensors<'_>,
    ) -> Result<BoundOperation, BatchNormError> {
        let DoubleBackwardTensors { x, dy, ddx, ddweight, ddbias, mask, saved, .. } = tensors;
        let DoubleBackwardTensors { grad_dy, grad_x, grad_weight, workspace, .. } = tensors;
        let mode = Mode { update: false, ..mode };
        let operation = Operation::DoubleBackward {
            pass: Pass { mode, residual: false, mask: mask.is_some() },
            ddweight: ddweight.is_some(),
            ddbias: ddbias.is_some(),
            grad_weight: grad_weight.is_some(),
        };
        let mut list = TensorList::new(self, shape);
        list.tensor(Resource::X, x).tensor(Resource::Dy, dy).tensor(Resource::Ddx, ddx).mask(*mask);
        list.tensor(Resource::GradDy, grad_dy).tensor(Resource::GradX, grad_x);
        for (resource, range) in
            [(Resource::Ddweight, ddweight), (Resource::Ddbias, ddbias), (Resource::GradWeight, grad_weight)]
        {
            if let Some(range) = range {
                list.per_channel(resource, range);
            }
        }
        list.saved(saved, self.groups(shape, operation));
        let bindings = list.bind(operation, workspace.as_ref())?;
        let origin = self.origin(shape, operation.pass(), LeftBy::Forward);
        Ok(BoundOperation::needing(self, bindings, saved, origin))
    }
}
