//! `backward_finalize`: dγ and dβ are discarded, written or added, each by itself.

use crate::Test;
use crate::subject::{Buffers, Setup, shape, submit};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    Accumulation, BackwardTensors, BatchNorm, BatchNormError, Context, Layout, Mode, Vector,
};

pub(crate) const TESTS: &[Test] =
    &[("gradients_are_written_or_added_or_neither", gradients_are_written_or_added_or_neither)];

fn gradients_are_written_or_added_or_neither(context: &Context) -> Result<(), Failed> {
    let setup = Setup::new(shape(&[5, 9, 4, 3], Layout::ChannelsFirst), 1.0, 2.0);
    let choices = [None, Some(Accumulation::Replace), Some(Accumulation::Add)];
    for mode in [Mode::TRAINING, Mode::EVALUATION] {
        let expected = Setup { mode, ..setup.clone() }.run(context)?;
        for dweight_choice in choices {
            for dbias_choice in choices {
                for wants_dx in [false, true] {
                    let batch_norm = BatchNorm::new(context, setup.options)?;
                    let buffers = Buffers::new(context, &setup)?;
                    let dweight = Vector::upload(context, &[100.0; 9])?;
                    let dbias = Vector::upload(context, &[200.0; 9])?;
                    let backward = BackwardTensors {
                        dx: wants_dx.then(|| buffers.dx.range().clone()),
                        dweight: dweight_choice.map(|choice| (dweight.range().clone(), choice)),
                        dbias: dbias_choice.map(|choice| (dbias.range().clone(), choice)),
                        ..buffers.backward()
                    };
                    submit::<BatchNormError>(context, |encoder| {
                        let forward = batch_norm.bind_forward(&setup.shape, mode, &buffers.forward())?;
                        forward.record(&mut *encoder)?;
                        batch_norm.bind_backward(&setup.shape, mode, &backward)?.record(encoder)
                    })?;
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
                        dweight.download_blocking()?,
                        dbias.download_blocking()?,
                        buffers.dx.download_blocking()?,
                    );
                    let dx = if wants_dx { expected.dx.clone() } else { vec![77.0; setup.shape.elements()] };
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
