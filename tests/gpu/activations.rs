//! Activations: their values and gradients everywhere, at 0, at NaN and far out.

use crate::Test;
use crate::subject::{ACTIVATIONS, DTYPES, LAYOUTS, Setup, shape};
use libtest_mimic::Failed;
use wgpu_batchnorm::{Activation, Context, Layout, Mode, Options, Order, RunningValues};

pub(crate) const TESTS: &[Test] = &[
    ("each_in_each_place", each_in_each_place),
    ("values_and_gradients_on_a_fine_grid", values_and_gradients_on_a_fine_grid),
    ("large_arguments_are_finite", large_arguments_are_finite),
    ("gradients_at_zero_are_those_of_pytorch", gradients_at_zero_are_those_of_pytorch),
    ("nan_stays_nan", nan_stays_nan),
];

fn each_in_each_place(context: &Context) -> Result<(), Failed> {
    for activation in ACTIVATIONS {
        for order in [Order::Post, Order::Pre] {
            for layout in LAYOUTS {
                let setup = Setup::new(shape(&[5, 8, 6, 6], layout), 0.3, 1.2);
                let setup = setup.with_activation(activation, order);
                setup.check(context)?;
                setup.with_residual().check(context)?;
            }
        }
    }
    Ok(())
}

/// Arguments that neither statistics nor parameters change. After the normalization each has a channel of its own,
/// so that the bounds are its own; before, they share one, since the bounds are those of normalized values.
fn arguments(values: &[f32], activation: Activation, order: Order, layout: Layout) -> Setup {
    let sizes = if order == Order::Post { [1, values.len(), 2] } else { [values.len(), 1, 2] };
    let channels = sizes[1];
    let mut setup = Setup::new(shape(&sizes, layout), 0.0, 1.0)
        .with_x(|c, position, _| values[c + position / 2])
        .with_activation(activation, order)
        .with_residual();
    setup.mode = Mode::EVALUATION;
    setup.options = Options { eps: 2e-38, weight: false, bias: false, ..setup.options };
    setup.running = RunningValues::start(channels);
    setup.dy = vec![1.0; setup.shape.elements()];
    setup.residual = Some(vec![0.0; setup.shape.elements()]);
    setup
}

fn values_and_gradients_on_a_fine_grid(context: &Context) -> Result<(), Failed> {
    let grid: Vec<f32> = (-6000..=6000).map(|i| (f64::from(i) / 300.0) as f32).collect();
    for activation in ACTIVATIONS {
        for order in [Order::Post, Order::Pre] {
            let setup = arguments(&grid, activation, order, Layout::ChannelsLast);
            setup
                .compare(&setup.run(context)?)
                .map_err(|error| format!("{activation:?} {order:?}: {error}"))?;
        }
    }
    Ok(())
}

fn large_arguments_are_finite(context: &Context) -> Result<(), Failed> {
    let sizes = [14.0f32, 20.0, 50.0, 87.0, 88.5, 89.0, 104.0, 200.0, 1e3, 1e4];
    let values: Vec<f32> = sizes.into_iter().flat_map(|size| [size, -size]).collect();
    for activation in ACTIVATIONS {
        for order in [Order::Post, Order::Pre] {
            for layout in LAYOUTS {
                let setup = arguments(&values, activation, order, layout);
                let results = setup.run(context)?;
                let dresidual = results.dresidual.iter().flatten();
                if let Some(bad) =
                    results.y.iter().chain(&results.dx).chain(dresidual).find(|v| !v.is_finite())
                {
                    return Err(format!("{activation:?} {order:?}: {bad}").into());
                }
                setup.compare(&results).map_err(|error| format!("{activation:?} {order:?}: {error}"))?;
                // Training too: such x are nothing special.
                let mut training = Setup::new(shape(&[20, 3, 4], layout), 0.0, 1.0);
                training = training.with_x(|_, i, x| values[i % values.len()] + x);
                training.with_activation(activation, order).check(context)?;
            }
        }
    }
    Ok(())
}

fn gradients_at_zero_are_those_of_pytorch(context: &Context) -> Result<(), Failed> {
    for activation in ACTIVATIONS {
        // torch.autograd.grad(f(x), x) at 0
        let expected = match activation {
            Activation::None | Activation::Tanh => 1.0,
            Activation::Relu => 0.0,
            Activation::LeakyRelu { negative_slope } => negative_slope as f32,
            Activation::Silu | Activation::Gelu | Activation::GeluTanh => 0.5,
            Activation::Sigmoid => 0.25,
        };
        for dtype in DTYPES {
            for order in [Order::Post, Order::Pre] {
                let setup =
                    arguments(&[0.0, -0.0, 0.0], activation, order, Layout::ChannelsFirst).with_dtype(dtype);
                let results = setup.run(context)?;
                setup.compare(&results)?;
                let expected = crate::subject::rounded(dtype, &[expected])[0];
                for dx in results.dx {
                    if (dx - expected).abs() > 1e-6 {
                        return Err(format!(
                            "{activation:?} {order:?} {dtype:?}: dx is {dx}, expected {expected}"
                        )
                        .into());
                    }
                }
            }
        }
    }
    Ok(())
}

fn nan_stays_nan(context: &Context) -> Result<(), Failed> {
    for activation in ACTIVATIONS {
        for dtype in DTYPES {
            for order in [Order::Post, Order::Pre] {
                let values = [1.0, f32::NAN, -1.0, 2.0];
                let setup = arguments(&values, activation, order, Layout::ChannelsLast).with_dtype(dtype);
                let results = setup.run(context)?;
                for (x, y) in setup.x.iter().zip(&results.y) {
                    if x.is_nan() != y.is_nan() {
                        return Err(format!("{activation:?} {order:?} {dtype:?}: y is {y} for {x}").into());
                    }
                }
                setup
                    .compare(&results)
                    .map_err(|error| format!("{activation:?} {order:?} {dtype:?}: {error}"))?;
            }
        }
    }
    Ok(())
}
