//! A layer on the adapter with everything bound: what is checked, then timed.

use super::accuracy::{Accuracy, Judge};
use super::config::Config;
use super::data::Data;
use super::row::Pass;
use super::tensors::{Tensors, Turn};
use super::turns::{Cache, Turns};
use anyhow::Context as _;
use wgpu_batchnorm::{BatchNorm, BoundOperation, Context, Mode, wgpu};

/// Passes of a layer, bound to tensors on the adapter.
pub(crate) struct Subject {
    context: Context,
    pub(crate) tensors: Tensors,
    /// Leaves the statistics that the other passes need, and moves no running ones.
    before: BoundOperation,
    /// In the order in which they are to be checked, each bound to the tensors of every turn; of the first
    /// turn the results are checked.
    pub(crate) operations: Vec<(Pass, Vec<BoundOperation>)>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) distance: Turns,
}

impl Subject {
    pub(crate) fn new(
        context: &Context,
        data: &Data,
        config: &Config,
        passes: &[Pass],
        (cache, footprint): (Cache, u64),
    ) -> anyhow::Result<Self> {
        let (shape, mode) = (&data.shape, config.mode());
        let batch_norm = BatchNorm::new(context, config.options(shape.channels()))?;
        let tensors = Tensors::new(&batch_norm, data, config)?;
        let (turns, distance) = tensors.turns(cache, footprint)?;
        let bind = |pass, turn: &Turn| -> anyhow::Result<_> {
            let operation = match pass {
                Pass::Forward => batch_norm.bind_forward(shape, mode, &tensors.forward(turn, mode)),
                Pass::Evaluation => {
                    let mode = Mode::EVALUATION;
                    batch_norm.bind_forward(shape, mode, &tensors.forward(turn, mode))
                }
                Pass::Backward => batch_norm.bind_backward(shape, mode, &tensors.backward(turn, mode)),
                Pass::Statistics => batch_norm.bind_statistics(shape, &tensors.statistics(turn)),
                Pass::MomentsBackward => {
                    let dmoments = tensors.dmoments();
                    batch_norm.bind_moments_backward(shape, &tensors.moments_backward(turn, &dmoments))
                }
                Pass::Fold => batch_norm.bind_fold(&tensors.fold()),
                Pass::DoubleBackward => {
                    let tensors = tensors.double_backward(turn).context("there is no cotangent of dx")?;
                    batch_norm.bind_double_backward(shape, mode, &tensors)
                }
                Pass::Copy | Pass::Step(_) => anyhow::bail!("{} is not bound", pass.name()),
            };
            Ok(operation?)
        };
        let bind_all = |&pass: &Pass| {
            // Of values per channel there are no turns.
            let turns = if pass == Pass::Fold { &turns[..1] } else { &turns[..] };
            let operations: anyhow::Result<Vec<_>> = turns.iter().map(|turn| bind(pass, turn)).collect();
            Ok((pass, operations?))
        };
        let before = Mode { update: false, ..mode };
        Ok(Self {
            context: context.clone(),
            before: batch_norm.bind_forward(shape, before, &tensors.forward(&tensors.turn(), before))?,
            operations: passes.iter().map(bind_all).collect::<anyhow::Result<_>>()?,
            tensors,
            turns,
            distance,
        })
    }

    /// Runs each pass once and judges every result. To be called before anything else has run, because
    /// training moves the running statistics.
    pub(crate) fn check(&self, judge: &Judge<'_>) -> anyhow::Result<Vec<Accuracy>> {
        self.submit(&self.before)?;
        let check = |(pass, operations): &(Pass, Vec<BoundOperation>)| {
            self.submit(operations.first().context("nothing is bound")?)?;
            judge.judge(*pass, &self.tensors.results(*pass)?)
        };
        self.operations.iter().map(check).collect()
    }

    fn submit(&self, operation: &BoundOperation) -> anyhow::Result<()> {
        let descriptor = wgpu::CommandEncoderDescriptor { label: Some("bench.check") };
        let mut encoder = self.context.device().create_command_encoder(&descriptor);
        operation.record(&mut encoder)?;
        self.context.queue().submit([encoder.finish()]);
        Ok(())
    }
}
