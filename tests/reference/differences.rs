//! Gradients against finite differences.

use super::{ACTIVATIONS, H, LAYOUTS, grid, wide};
use wgpu_batchnorm::reference::{
    Moments, Parameters, Problem, Segment, Source, activate, activation_gradient, backward, double_backward,
    finalize, forward, moments_backward, statistics,
};
use wgpu_batchnorm::{Activation, Layout, Order, Shape};

/// The derivative of `loss` with respect to every value, by central differences.
fn differences(values: &[f32], loss: impl Fn(&[f32]) -> f64) -> Vec<f64> {
    let mut moved = values.to_vec();
    (0..values.len())
        .map(|i| {
            let value = values[i];
            moved[i] = value + H;
            let above = loss(&moved);
            moved[i] = value - H;
            let below = loss(&moved);
            moved[i] = value;
            (above - below) / (2.0 * f64::from(H))
        })
        .collect()
}

fn assert_close(name: &str, got: &[f64], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let bound = 1e-6 * expected.abs().max(1.0);
        assert!((got - expected).abs() < bound, "{name}[{i}]: {got}, by differences {expected}");
    }
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}

/// The inputs of a problem, all of them, on the grid.
struct Inputs {
    shape: Shape,
    x: Vec<f32>,
    dy: Vec<f32>,
    residual: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    mask: Vec<bool>,
}

impl Inputs {
    fn new(sizes: &[usize], layout: Layout, seed: u64) -> Self {
        let shape = Shape::new(sizes, layout).unwrap();
        let full = |i| grid(10 * seed + i, shape.elements());
        let channel = |i| grid(10 * seed + i, shape.channels());
        Self {
            shape,
            x: full(0),
            dy: full(1),
            residual: full(2),
            weight: channel(3),
            bias: channel(4),
            mean: channel(5),
            variance: channel(6).iter().map(|value| value.abs() + 0.5).collect(),
            mask: grid(10 * seed + 7, shape.values_per_channel()).iter().map(|&value| value < 1.0).collect(),
        }
    }

    fn parameters(&self) -> Parameters<'_> {
        Parameters { weight: Some(&self.weight), bias: Some(&self.bias), epsilon: 0.125 }
    }

    fn sources(&self) -> [Source<'_>; 2] {
        [Source::Batch, Source::Held { mean: &self.mean, variance: &self.variance }]
    }

    /// The choices of mask and ghost batches, the last of which is shorter.
    fn segments(&self) -> [(Option<&[bool]>, Option<usize>); 4] {
        let mask = Some(self.mask.as_slice());
        [(None, None), (mask, None), (None, Some(3)), (mask, Some(3))]
    }
}

#[test]
fn every_option_has_the_gradients_of_its_forward_pass() {
    let mut compared = 0;
    for (a, activation) in ACTIVATIONS.into_iter().enumerate() {
        for (o, order) in [Order::Post, Order::Pre].into_iter().enumerate() {
            let sizes = [&[4, 2, 3][..], &[5, 3]][o];
            // With a kink within reach of a step there is no derivative: other inputs.
            let smooth = |inputs: &Inputs| !has_kink(inputs, activation, order);
            let layout = LAYOUTS[a % 2];
            let inputs = (1..).map(|seed| Inputs::new(sizes, layout, seed)).find(smooth).unwrap();
            for problem in problems(&inputs, activation, order) {
                compare(&problem, &inputs);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 8 * 2 * 2 * 4 * 2);
}

/// The problems with and without residual, mask and ghost batches, for both sources.
fn problems(inputs: &Inputs, activation: Activation, order: Order) -> Vec<Problem<'_>> {
    let mut problems = Vec::new();
    for source in inputs.sources() {
        for (mask, ghost_batch) in inputs.segments() {
            for residual in [None, Some(inputs.residual.as_slice())] {
                let plain = Problem::new(inputs.shape, inputs.parameters(), source);
                problems.push(Problem { activation, order, residual, mask, ghost_batch, ..plain });
            }
        }
    }
    problems
}

/// Whether an argument of the activation is close to 0, where relu and its like are not smooth.
fn has_kink(inputs: &Inputs, activation: Activation, order: Order) -> bool {
    if !matches!(activation, Activation::Relu | Activation::LeakyRelu { .. }) {
        return false;
    }
    problems(inputs, activation, order).iter().any(|problem| {
        let arguments = match order {
            Order::Pre => wide(&inputs.x),
            Order::Post => forward(problem, &inputs.x).unwrap().z,
        };
        // Hidden ones are exactly 0.
        arguments.iter().any(|value| value.abs() < 1e-3 && *value != 0.0)
    })
}

fn compare(problem: &Problem<'_>, inputs: &Inputs) {
    let Inputs { x, dy, residual, weight, bias, mean, variance, .. } = inputs;
    let loss = |problem: &Problem<'_>, x: &[f32]| dot(&forward(problem, x).unwrap().y, dy);
    let gradients = backward(problem, x, dy).unwrap();
    let what = |name: &str| format!("{name} of {problem:?}");
    assert_close(&what("dx"), &gradients.dx, &differences(x, |x| loss(problem, x)));
    let dweight = differences(weight, |weight| {
        let parameters = Parameters { weight: Some(weight), ..problem.parameters };
        loss(&Problem { parameters, ..*problem }, x)
    });
    assert_close(&what("dweight"), &gradients.dweight, &dweight);
    let dbias = differences(bias, |bias| {
        let parameters = Parameters { bias: Some(bias), ..problem.parameters };
        loss(&Problem { parameters, ..*problem }, x)
    });
    assert_close(&what("dbias"), &gradients.dbias, &dbias);
    // g is the residual's gradient whether there is one or not: then it is that of zeros.
    let zeros = vec![0.0; x.len()];
    let residual = problem.residual.map_or(&zeros, |_| residual);
    let g = differences(residual, |r| loss(&Problem { residual: Some(r), ..*problem }, x));
    assert_close(&what("g"), &gradients.g, &g);
    assert_eq!(gradients.dresidual, if problem.residual.is_some() { gradients.g } else { Vec::new() });
    if problem.source == Source::Batch {
        assert_eq!((gradients.dmean.len(), gradients.dvariance.len()), (0, 0));
        return;
    }
    let dmean =
        differences(mean, |mean| loss(&Problem { source: Source::Held { mean, variance }, ..*problem }, x));
    assert_close(&what("dmean"), &gradients.dmean, &dmean);
    let dvariance = differences(variance, |variance| {
        loss(&Problem { source: Source::Held { mean, variance }, ..*problem }, x)
    });
    assert_close(&what("dvariance"), &gradients.dvariance, &dvariance);
}

#[test]
fn double_backward_is_the_gradient_of_backward() {
    for (seed, sizes) in [&[5, 3][..], &[4, 2, 3], &[4, 2, 2, 2, 1]].into_iter().enumerate() {
        for layout in LAYOUTS {
            let inputs = Inputs::new(sizes, layout, seed as u64 + 1);
            let Inputs { x, dy, weight, .. } = &inputs;
            // ddx takes the place of the residual.
            let ddx = &inputs.residual;
            let ddweight = grid(100 + seed as u64, weight.len());
            let ddbias = grid(200 + seed as u64, weight.len());
            let loss = |problem: &Problem<'_>, x: &[f32], dy: &[f32]| {
                let gradients = backward(problem, x, dy).unwrap();
                dot(&gradients.dx, ddx) + dot(&gradients.dweight, &ddweight) + dot(&gradients.dbias, &ddbias)
            };
            for source in inputs.sources() {
                for (mask, ghost_batch) in inputs.segments() {
                    let plain = Problem::new(inputs.shape, inputs.parameters(), source);
                    let problem = Problem { mask, ghost_batch, ..plain };
                    let got = double_backward(&problem, x, dy, ddx, &ddweight, &ddbias).unwrap();
                    let what = |name: &str| format!("{name} of {problem:?}");
                    let grad_dy = differences(dy, |dy| loss(&problem, x, dy));
                    assert_close(&what("grad_dy"), &got.grad_dy, &grad_dy);
                    assert_close(&what("grad_x"), &got.grad_x, &differences(x, |x| loss(&problem, x, dy)));
                    let grad_weight = differences(weight, |w| {
                        let parameters = Parameters { weight: Some(w), ..problem.parameters };
                        loss(&Problem { parameters, ..problem }, x, dy)
                    });
                    assert_close(&what("grad_weight"), &got.grad_weight, &grad_weight);
                }
            }
        }
    }
}

#[test]
fn moments_have_gradients() {
    for layout in LAYOUTS {
        let inputs = Inputs::new(&[4, 2, 3], layout, 1);
        let (dmean, dvariance) = (&inputs.weight, &inputs.bias);
        for mask in [None, Some(inputs.mask.as_slice())] {
            let segment = Segment::new(inputs.shape, mask).unwrap();
            let loss = |moments: &Moments| {
                let outputs = finalize(moments, 0.0);
                dot(&outputs.mean, dmean) + dot(&outputs.variance, dvariance)
            };
            let moments = statistics(&inputs.x, &segment).unwrap();
            let got = moments_backward(&inputs.x, &segment, &moments, dmean, dvariance).unwrap();
            let expected = differences(&inputs.x, |x| loss(&statistics(x, &segment).unwrap()));
            assert_close("dx", &got, &expected);
        }
    }
}

#[test]
fn activations_have_gradients() {
    let points: Vec<f32> = (-120..=120).map(|i| i as f32 / 16.0 + 0.03125).collect();
    for activation in ACTIVATIONS {
        for v in &points {
            let expected = differences(&[*v], |v| activate(activation, v[0].into()));
            let got = activation_gradient(activation, (*v).into(), 1.0);
            assert_close(&format!("{activation:?} at {v}"), &[got], &expected);
        }
    }
}

/// The harness above can fail: without the terms through the statistics the gradient is another one.
#[test]
fn finite_differences_see_the_statistics() {
    let shape = Shape::new(&[5, 3], Layout::ChannelsFirst).unwrap();
    let (x, dy) = (grid(1, 15), grid(2, 15));
    let parameters = Parameters { weight: None, bias: None, epsilon: 0.125 };
    let batch = finalize(&statistics(&x, &shape.into()).unwrap(), parameters.epsilon);
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    let (mean, variance) = (narrow(&batch.mean), narrow(&batch.variance));
    let held = Source::Held { mean: &mean, variance: &variance };
    let dx = |source| backward(&Problem::new(shape, parameters, source), &x, &dy).unwrap().dx;
    let pairs = dx(Source::Batch).into_iter().zip(dx(held));
    assert!(pairs.into_iter().all(|(with, without)| (with - without).abs() > 1e-4));
}
