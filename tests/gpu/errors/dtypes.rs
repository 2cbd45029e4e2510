//! Tensors whose elements have another size, or another type.

use crate::subject::{Arena, Buffers, DTYPES, Setup, device_still_works, expect, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BackwardTensors, BatchNormError, Context, Dtype, Extras, ForwardTensors, Layer, Layout, Mode, Options,
    Tensor, TensorError,
};

pub(super) fn ranges_that_are_too_small(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        let setup =
            Setup::new(shape(&[3, 5, 7], Layout::ChannelsFirst), 0.0, 1.0).with_dtype(dtype).with_residual();
        let buffers = Buffers::new(context, &setup)?;
        let expected = if dtype == Dtype::F32 { 420 } else { 212 };
        let mut arena = Arena::new(context, 4096);
        let short = arena.bytes(expected - 4);
        let is_short = |named: &'static str| {
            move |e: &BatchNormError| {
                *e == TensorError::TooSmall { tensor: named, actual: expected - 4, expected }.into()
            }
        };
        for (named, tensors) in [
            ("x", ForwardTensors { x: short.clone(), ..buffers.forward() }),
            ("y", ForwardTensors { y: short.clone(), ..buffers.forward() }),
            ("residual", ForwardTensors { residual: Some(short.clone()), ..buffers.forward() }),
        ] {
            expect(buffers.bind_forward(&tensors), named, is_short(named))?;
        }
        for (named, tensors) in [
            ("dy", BackwardTensors { dy: short.clone(), ..buffers.backward() }),
            ("dx", BackwardTensors { dx: Some(short.clone()), ..buffers.backward() }),
            ("dresidual", BackwardTensors { dresidual: Some(short.clone()), ..buffers.backward() }),
        ] {
            expect(buffers.bind_backward(&tensors), named, is_short(named))?;
        }
        buffers.expect_untouched(context)?;
        // A word that holds the last half is enough.
        let enough = arena.bytes(expected);
        buffers.bind_forward(&ForwardTensors { y: enough, ..buffers.forward() })?;
    }
    device_still_works(context)
}

pub(super) fn tensors_of_another_dtype(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[3, 5, 7], Layout::ChannelsFirst);
    for (expected, actual) in [(Dtype::F32, Dtype::F16), (Dtype::F16, Dtype::BF16), (Dtype::BF16, Dtype::F32)]
    {
        let mut layer = Layer::new(context, Options { dtype: expected, ..Options::new(5) })?;
        let (fits, other) =
            (Tensor::zeros_as(context, shape, expected)?, Tensor::zeros_as(context, shape, actual)?);
        let before = layer.running_blocking()?;
        let named = |tensor: &'static str| {
            move |e: &BatchNormError| *e == BatchNormError::Dtype { tensor, actual, expected }
        };
        expect(layer.submit_forward(Mode::TRAINING, &other), "x", named("x"))?;
        let extras = Extras { residual: Some(&other), ..Default::default() };
        expect(layer.submit_forward_with(Mode::TRAINING, &fits, extras), "residual", named("residual"))?;
        assert_eq!(layer.running_blocking()?, before);
        layer.submit_forward(Mode::TRAINING, &fits)?;
        expect(layer.submit_backward(&fits, &other), "dy", named("dy"))?;
    }
    device_still_works(context)
}
