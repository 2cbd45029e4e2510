//! `backward_finalize`: dγ and dβ are discarded, written or added, each by itself.

use crate::Test;
use crate::subject::{Setup, download, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, Context, ForwardTensors, Layout, Mode, RunningStatistics,
    SavedStatistics, Shape, Tensor,
};

pub(crate) const TESTS: &[Test] =
    &[("gradients_are_written_or_added_or_neither", gradients_are_written_or_added_or_neither)];

fn gradients_are_written_or_added_or_neither(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[5, 9, 4, 3], Layout::ChannelsFirst), 1.0, 2.0);
    let vector = Shape::new(&[1, 9], Layout::ChannelsLast)?;
    let choices = [None, Some(Accumulation::Replace), Some(Accumulation::Add)];
    for mode in [Mode::TRAINING, Mode::EVALUATION] {
        let expected = Setup { mode, ..setup.clone() }.run(context)?;
        for dweight_choice in choices {
            for dbias_choice in choices {
                for wants_dx in [false, true] {
                    let batch_norm = BatchNorm::new(context, setup.options)?;
                    let x = Tensor::upload(context, setup.shape, &setup.x)?;
                    let dy = Tensor::upload(context, setup.shape, &setup.dy)?;
                    let y = Tensor::zeros(context, setup.shape)?;
                    let weight = Tensor::upload(context, vector, &setup.weight)?;
                    let bias = Tensor::upload(context, vector, &setup.bias)?;
                    let running = RunningStatistics::upload(context, &setup.running)?;
                    let saved = SavedStatistics::new(context, 9)?;
                    let dx = Tensor::zeros(context, setup.shape)?;
                    let dweight = Tensor::upload(context, vector, &[100.0; 9])?;
                    let dbias = Tensor::upload(context, vector, &[200.0; 9])?;
                    let forward = ForwardTensors {
                        x: x.range().clone(),
                        y: y.range().clone(),
                        weight: Some(weight.range().clone()),
                        bias: Some(bias.range().clone()),
                        running: Some(&running),
                        saved: &saved,
                        workspace: None,
                    };
                    let backward = BackwardTensors {
                        x: x.range().clone(),
                        dy: dy.range().clone(),
                        weight: Some(weight.range().clone()),
                        saved: &saved,
                        dx: wants_dx.then(|| dx.range().clone()),
                        dweight: dweight_choice.map(|choice| (dweight.range().clone(), choice)),
                        dbias: dbias_choice.map(|choice| (dbias.range().clone(), choice)),
                        workspace: None,
                    };
                    let mut encoder = context.device().create_command_encoder(&Default::default());
                    batch_norm.bind_forward(&setup.shape, mode, &forward)?.record(&mut encoder)?;
                    batch_norm.bind_backward(&setup.shape, mode, &backward)?.record(&mut encoder)?;
                    context.queue().submit([encoder.finish()]);
                    let after = |start: f32, choice: Option<Accumulation>, gradient: &[f32]| -> Vec<f32> {
                        gradient
                            .iter()
                            .map(|gradient| match choice {
                                None => start,
                                Some(Accumulation::Replace) => *gradient,
                                Some(Accumulation::Add) => start + gradient,
                            })
                            .collect()
                    };
                    let got = (
                        download(context, dweight.range())?,
                        download(context, dbias.range())?,
                        dx.download_blocking()?,
                    );
                    let dx = if wants_dx { expected.dx.clone() } else { vec![0.0; setup.shape.elements()] };
                    let expected = (
                        after(100.0, dweight_choice, &expected.dweight),
                        after(200.0, dbias_choice, &expected.dbias),
                        dx,
                    );
                    if got != expected {
                        return Err(format!(
                            "{mode:?} dweight {dweight_choice:?} dbias {dbias_choice:?} dx {wants_dx}"
                        )
                        .into());
                    }
                }
            }
        }
    }
    Ok(())
}
