//! Two replicas in this process, on the same device: what synchronization costs from end to end, with
//! the host's part in it.

use super::accuracy::{Accuracy, Judge};
use super::config::Config;
use super::data::Data;
use super::row::Pass;
use super::tensors::{Results, Tensors};
use std::time::Instant;
use wgpu_batchnorm::{
    Accumulation, BatchNorm, Context, InProcess, Operation, Pass as Work, Shape, Synchronized, Wanted, wgpu,
};

/// Of a batch that is halved.
const REPLICAS: usize = 2;

/// The replicas, each with its tensors.
pub(crate) struct Replicas {
    context: Context,
    config: Config,
    shape: Shape,
    replicas: Vec<Replica>,
}

struct Replica {
    shape: Shape,
    tensors: Tensors,
    layer: Synchronized<InProcess>,
}

impl Replicas {
    pub(crate) fn new(context: &Context, data: &Data, config: &Config) -> anyhow::Result<Self> {
        let samples = data.shape.samples();
        let first = |rank: usize| rank * samples / REPLICAS;
        let replica = |(rank, end): (usize, InProcess)| {
            let data = data.part(first(rank)..first(rank + 1))?;
            let batch_norm = BatchNorm::new(context, config.options(data.shape.channels()))?;
            let tensors = Tensors::new(&batch_norm, &data, config)?;
            Ok(Replica { shape: data.shape, tensors, layer: Synchronized::new(&batch_norm, end) })
        };
        let ends = InProcess::group(REPLICAS).into_iter().enumerate();
        let replicas = ends.map(replica).collect::<anyhow::Result<_>>()?;
        Ok(Self { context: context.clone(), config: *config, shape: data.shape, replicas })
    }

    /// The tensors of the first replica, which the copy kernel runs on.
    pub(crate) fn tensors(&self) -> Option<&Tensors> {
        self.replicas.first().map(|replica| &replica.tensors)
    }

    /// Seconds that a pass takes on all replicas, one of `repeats` in a row, until the device is done.
    pub(crate) fn run(&self, pass: Pass, repeats: u32) -> anyhow::Result<f64> {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let run =
                |replica| scope.spawn(move || (0..repeats).try_for_each(|_| self.run_one(replica, pass)));
            let threads: Vec<_> = self.replicas.iter().map(run).collect();
            // All are joined before the first error is told.
            let done: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            done.into_iter()
                .try_for_each(|done| done.unwrap_or_else(|_| Err(anyhow::anyhow!("a replica panicked"))))
        })?;
        self.context.device().poll(wgpu::PollType::wait_indefinitely())?;
        Ok(start.elapsed().as_secs_f64() / f64::from(repeats))
    }

    fn run_one(&self, replica: &Replica, pass: Pass) -> anyhow::Result<()> {
        let (Replica { shape, tensors, layer }, mode) = (replica, self.config.mode());
        Ok(match pass {
            Pass::Forward => {
                pollster::block_on(layer.submit_forward(shape, &tensors.forward(&tensors.turn(), mode)))
            }
            Pass::Backward => {
                pollster::block_on(layer.submit_backward(shape, &tensors.backward(&tensors.turn(), mode)))
            }
            _ => anyhow::bail!("{} is not synchronized", pass.name()),
        }?)
    }

    /// Runs each pass once and judges every result; see [`Subject::check`](super::subject::Subject::check).
    pub(crate) fn check(&self, judge: &Judge<'_>, passes: &[Pass]) -> anyhow::Result<Vec<Accuracy>> {
        let check = |&pass: &Pass| {
            self.run(pass, 1)?;
            let mut joined = Results::new();
            for replica in &self.replicas {
                join(&mut joined, replica.tensors.results(pass)?)?;
            }
            judge.judge(pass, &joined)
        };
        passes.iter().map(check).collect()
    }

    /// Moves of the whole tensor that the replicas make together.
    pub(crate) fn moves(&self, pass: Pass) -> anyhow::Result<f64> {
        let Config { residual, mask, .. } = self.config;
        let (work, replicas) = (Work { mode: self.config.mode(), residual, mask }, REPLICAS);
        let add = Some(Accumulation::Replace);
        let wanted = Wanted { dx: true, dresidual: residual, dweight: add, dbias: add, ..Wanted::default() };
        let operations = match pass {
            Pass::Forward => [
                Operation::LocalStatistics { pass: work },
                Operation::MergedForward { pass: work, in_place: false, replicas, samples: true },
            ],
            _ => [
                Operation::LocalGradients { pass: work },
                Operation::MergedBackward { pass: work, wanted, replicas },
            ],
        };
        let mut moves = 0.0;
        for Replica { shape, layer, .. } in &self.replicas {
            let share = shape.elements() as f64 / self.shape.elements() as f64;
            for operation in operations {
                moves += share * layer.batch_norm().plan(shape, operation)?.moves();
            }
        }
        Ok(moves)
    }
}

/// Adds a replica's results: full tensors follow one another, all others must be the same.
fn join(joined: &mut Results, other: Results) -> anyhow::Result<()> {
    if joined.is_empty() {
        *joined = other;
        return Ok(());
    }
    for ((name, all), (_, values)) in joined.iter_mut().zip(other) {
        if ["y", "dx", "dresidual"].contains(name) {
            all.extend(values);
        } else {
            let same = all.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits()));
            anyhow::ensure!(same, "{name} differs between the replicas");
        }
    }
    Ok(())
}
