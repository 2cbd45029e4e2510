//! Statistics alone and normalization alone: together they are training.

use crate::Test;
use crate::subject::{
    Arena, Bounds, Buffers, DTYPES, EPSILON, LAYOUTS, Setup, device_still_works, expect, near, normals,
    positions, rounding, shape, submit,
};
use libtest_mimic::Failed;
use wgpu_batchnorm::{
    BatchNormError, Context, Dtype, FunctionalError, GivenStatistics, Layout, MomentsBackwardTensors,
    OptionsError, Shape, ShapeError, StatisticsTensors, Tensor, TensorError, Vector, reference,
    submit_batch_normalization, submit_moments,
};

pub(crate) const TESTS: &[Test] = &[
    ("moments_over_axes", moments_over_axes),
    ("composed_gradients_are_those_of_training", composed_gradients_are_those_of_training),
    ("gradients_of_moments_with_masks_and_groups", gradients_of_moments_with_masks_and_groups),
    ("what_does_not_fit", what_does_not_fit),
];

fn moments_over_axes(context: &Context) -> Result<(), Failed> {
    for dtype in DTYPES {
        for (sizes, axes) in [
            (&[4usize, 5, 6, 7][..], &[0usize, 2, 3][..]),
            (&[4, 5, 6, 7], &[0, 1, 2]),
            (&[4, 5, 6, 7], &[0, 3]),
            (&[4, 5, 6, 7], &[0, 1, 2, 3]),
            (&[3, 5, 7], &[]),
            (&[9, 11], &[0]),
            (&[2, 3, 2, 3, 2, 3], &[5, 4]),
        ] {
            let shape = Shape::of_moments(sizes, axes)?;
            let setup = Setup::new(shape, 2.0, 1.0).with_dtype(dtype);
            let moments = submit_moments(&Tensor::upload_as(context, shape, dtype, &setup.x)?)?;
            let expected = reference::statistics(&setup.x, &shape.into())?;
            let (mean, var) = (moments.mean.download_blocking()?, moments.variance.download_blocking()?);
            for c in 0..shape.channels() {
                let variance = expected.m2[c] / expected.count as f64;
                let bound = 8.0 * EPSILON * variance.sqrt() + 2.0 * EPSILON * expected.mean[c].abs();
                near("mean", mean[c], expected.mean[c], bound)?;
                near("variance", var[c], variance, 2e-6 * variance)?;
            }
        }
    }
    let shape = Shape::of_moments(&[2, 3, 4], &[1]);
    expect(shape, "axes apart", |e| matches!(e, ShapeError::NotAdjacent { .. }))?;
    let shape = Shape::of_moments(&[2, 3, 4], &[1, 1]);
    expect(shape, "an axis twice", |e| matches!(e, ShapeError::Axes { .. }))
}

fn composed_gradients_are_those_of_training(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for dtype in DTYPES {
            for [weight, bias] in [[true, true], [false, false]] {
                let mut setup = Setup::new(shape(&[5, 6, 7, 3], layout), 0.3, 1.2).with_dtype(dtype);
                (setup.options.weight, setup.options.bias) = (weight, bias);
                let x = Tensor::upload_as(context, setup.shape, dtype, &setup.x)?;
                let dy = Tensor::upload_as(context, setup.shape, dtype, &setup.dy)?;
                let parameter = |wanted: bool, values: &[f32]| {
                    wanted.then(|| Vector::upload(context, values)).transpose()
                };
                let (scale, offset) = (parameter(weight, &setup.weight)?, parameter(bias, &setup.bias)?);
                let moments = submit_moments(&x)?;
                let (mean, variance) = (&moments.mean, &moments.variance);
                let normalized = submit_batch_normalization(
                    &x,
                    mean,
                    variance,
                    offset.as_ref(),
                    scale.as_ref(),
                    setup.options.eps,
                )?;
                let gradients = normalized.submit_backward(&dy)?;
                let through = moments.submit_backward(&gradients.dmean, &gradients.dvariance)?;
                let (direct, through) = (gradients.dx.download_blocking()?, through.download_blocking()?);
                assert_eq!((gradients.dscale.is_some(), gradients.doffset.is_some()), (weight, bias));

                let problem = setup.problem();
                let forward = reference::forward(&problem, &setup.x)?;
                let backward = reference::backward(&problem, &setup.x, &setup.dy)?;
                let y = normalized.y.download_blocking()?;
                let (relative, absolute) = rounding(dtype);
                for c in 0..6 {
                    let bounds = Bounds::of(&setup, c, 0..5, &forward.groups[0], &forward.z);
                    for (i, _) in positions(setup.shape, c, 0..5) {
                        near("y", y[i], forward.y[i], bounds.y + absolute + relative * forward.y[i].abs())?;
                        // The two parts are rounded each by itself.
                        let parts = f64::from(direct[i]).abs() + f64::from(through[i]).abs();
                        let bound = 2.0 * (bounds.dx + absolute) + relative * parts;
                        near(&format!("{dtype:?} dx[{i}]"), direct[i] + through[i], backward.dx[i], bound)?;
                    }
                }
                for (got, expected, wide) in
                    [(&gradients.dscale, &backward.dweight, 2.0), (&gradients.doffset, &backward.dbias, 1.0)]
                {
                    let Some(got) = got else { continue };
                    let got = got.download_blocking()?;
                    for c in 0..6 {
                        let bounds = Bounds::of(&setup, c, 0..5, &forward.groups[0], &forward.z);
                        near("dscale or doffset", got[c], expected[c], wide * bounds.dweight)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn gradients_of_moments_with_masks_and_groups(context: &Context) -> Result<(), Failed> {
    for layout in LAYOUTS {
        for dtype in DTYPES {
            for (ghost, masked) in [(None, false), (None, true), (Some(2), false), (Some(2), true)] {
                let mut setup = Setup::new(shape(&[5, 6, 7, 3], layout), 0.3, 1.2).with_dtype(dtype);
                setup.options.ghost_batch = ghost;
                if masked {
                    setup = setup.with_mask(0.5);
                }
                let buffers = Buffers::new(context, &setup)?;
                let [dmean, dvariance] = [normals(1, 6), normals(2, 6)];
                let (mean, var) = (Vector::upload(context, &dmean)?, Vector::upload(context, &dvariance)?);
                let dmoments = GivenStatistics { mean: mean.range().clone(), var: var.range().clone() };
                let statistics = buffers.batch_norm.bind_statistics(
                    &setup.shape,
                    &StatisticsTensors {
                        x: buffers.x.range().clone(),
                        mask: buffers.mask.as_ref(),
                        running: Some(&buffers.running),
                        saved: &buffers.saved,
                        workspace: None,
                    },
                )?;
                let backward = buffers.batch_norm.bind_moments_backward(
                    &setup.shape,
                    &MomentsBackwardTensors {
                        x: buffers.x.range().clone(),
                        mask: buffers.mask.as_ref(),
                        saved: &buffers.saved,
                        dmoments: &dmoments,
                        dx: buffers.dx.range().clone(),
                        workspace: None,
                    },
                )?;
                let early = submit(context, |encoder| backward.record(encoder));
                expect(early, "no statistics", |e| matches!(e, BatchNormError::NoForward { .. }))?;
                submit::<BatchNormError>(context, |encoder| {
                    statistics.record(&mut *encoder)?;
                    backward.record(encoder)
                })?;
                let dx = buffers.dx.download_blocking()?;
                let (relative, absolute) = rounding(dtype);
                let segment = reference::Segment::new(setup.shape, setup.mask.as_deref())?;
                for (range, segment) in segment.groups(ghost)? {
                    let (x, dx) = (&setup.x[range.clone()], &dx[range]);
                    let moments = reference::statistics(x, &segment)?;
                    let expected = reference::moments_backward(x, &segment, &moments, &dmean, &dvariance)?;
                    // Of numbers of size 1, two terms.
                    for (i, (&got, &expected)) in dx.iter().zip(&expected).enumerate() {
                        let bound =
                            64.0 * EPSILON / moments.count as f64 + absolute + relative * expected.abs();
                        near(&format!("{dtype:?} {ghost:?} dx[{i}]"), got, expected, bound)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn what_does_not_fit(context: &Context) -> Result<(), Failed> {
    let shape = shape(&[4, 5, 6], Layout::ChannelsFirst);
    let x = Tensor::upload(context, shape, &normals(3, 120))?;
    let (vector, short) = (Vector::upload(context, &[1.0; 5])?, Vector::upload(context, &[1.0; 4])?);
    let other = Vector::upload(context, &[1.0; 5])?;
    let normalized = |mean, variance, offset, scale, eps| {
        submit_batch_normalization(&x, mean, variance, offset, scale, eps)
    };
    for (named, result) in [
        ("mean", normalized(&short, &vector, None, None, 1e-3)),
        ("variance", normalized(&vector, &short, None, None, 1e-3)),
        ("offset", normalized(&vector, &other, Some(&short), None, 1e-3)),
        ("scale", normalized(&vector, &other, None, Some(&short), 1e-3)),
    ] {
        expect(result, named, |e| *e == FunctionalError::Length { what: named, actual: 4, expected: 5 })?;
    }
    expect(normalized(&vector, &other, None, None, 0.0), "eps", |e| {
        *e == FunctionalError::Options(OptionsError::Epsilon { actual: 0.0 })
    })?;
    expect(normalized(&vector, &vector, None, None, 1e-3), "one vector for both", |e| {
        matches!(e, FunctionalError::BatchNorm(BatchNormError::Tensor(TensorError::Overlap { .. })))
    })?;
    let moments = submit_moments(&x)?;
    expect(moments.submit_backward(&short, &vector), "a short dmean", |e| {
        *e == FunctionalError::Length { what: "dmean", actual: 4, expected: 5 }
    })?;
    let normalized = normalized(&vector, &other, None, None, 1e-3)?;
    let other = Tensor::zeros(context, Shape::new(&[4, 6, 5], Layout::ChannelsLast)?)?;
    expect(normalized.submit_backward(&other), "another shape", |e| {
        matches!(e, FunctionalError::BatchNorm(BatchNormError::Shapes { tensor: "dy", .. }))
    })?;
    let other = Tensor::zeros_as(context, shape, Dtype::BF16)?;
    expect(normalized.submit_backward(&other), "another dtype", |e| {
        matches!(e, FunctionalError::BatchNorm(BatchNormError::Dtype { tensor: "dy", .. }))
    })?;
    // A mask of the statistics belongs to their gradient too.
    let setup = Setup::new(shape, 0.0, 1.0).with_mask(0.5);
    let buffers = Buffers::new(context, &setup)?;
    let dmoments = GivenStatistics { mean: vector.range().clone(), var: Arena::new(context, 64).bytes(20) };
    let unmasked = buffers.batch_norm.bind_moments_backward(
        &shape,
        &MomentsBackwardTensors {
            x: buffers.x.range().clone(),
            mask: None,
            saved: &buffers.saved,
            dmoments: &dmoments,
            dx: buffers.dx.range().clone(),
            workspace: None,
        },
    )?;
    let forward = buffers.bind_forward(&buffers.forward())?;
    submit(context, |encoder| forward.record(encoder))?;
    expect(
        submit(context, |encoder| unmasked.record(encoder)),
        "without the mask",
        |e| matches!(e, BatchNormError::OtherForward { actual, .. } if actual.contains("mask")),
    )?;
    device_still_works(context)
}
