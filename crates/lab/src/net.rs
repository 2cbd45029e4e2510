//! A multilayer perceptron with and without batch normalization.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData, activation};
use burn_batchnorm::{BatchNorm, BatchNormConfig};
use wgpu_batchnorm_digits::{CLASSES, PIXELS};

/// The function of a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nonlinearity {
    Relu,
    Tanh,
    Sigmoid,
}

impl Nonlinearity {
    pub(crate) const ALL: [Self; 3] = [Self::Sigmoid, Self::Tanh, Self::Relu];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        }
    }

    pub(crate) fn of<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Relu => activation::relu(x),
            Self::Tanh => activation::tanh(x),
            Self::Sigmoid => activation::sigmoid(x),
        }
    }

    /// The gain of its weights: it keeps the variance of a deep network's activations, He's for ReLU and Glorot's for
    /// the others.
    pub(crate) fn gain(self) -> f64 {
        match self {
            Self::Relu => std::f64::consts::SQRT_2,
            Self::Tanh | Self::Sigmoid => 1.0,
        }
    }
}

/// Where a hidden layer normalizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Nowhere,
    /// linear → batch norm → activation.
    BeforeActivation,
    /// linear → activation → batch norm.
    AfterActivation,
}

/// What a network is made by.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// Hidden layers.
    pub(crate) depth: usize,
    /// Units of each.
    pub(crate) width: usize,
    pub(crate) nonlinearity: Nonlinearity,
    pub(crate) place: Place,
    /// Whether batch norm has scale and offset.
    pub(crate) affine: bool,
    /// Of the running statistics.
    pub(crate) momentum: f64,
    /// The standard deviation of the hidden weights, times √inputs.
    pub(crate) gain: f64,
}

impl Spec {
    /// Without batch norm.
    pub(crate) fn new(depth: usize, width: usize, nonlinearity: Nonlinearity) -> Self {
        Self {
            depth,
            width,
            nonlinearity,
            place: Place::Nowhere,
            affine: true,
            momentum: 0.1,
            gain: nonlinearity.gain(),
        }
    }

    /// linear → batch norm → activation.
    pub(crate) fn normalized(self) -> Self {
        self.at(Place::BeforeActivation)
    }

    pub(crate) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The network of a seed: the same weights with and without batch norm.
    pub(crate) fn init(&self, seed: u64, device: &Device) -> Net {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut inputs = PIXELS;
        let mut hidden = Vec::new();
        for _ in 0..self.depth {
            // An offset before the subtraction of the mean would have no effect.
            let bias = self.place != Place::BeforeActivation;
            hidden.push(linear(inputs, self.width, self.gain, bias, &mut random, device));
            inputs = self.width;
        }
        let head = linear(inputs, CLASSES, 1.0, true, &mut random, device);
        let count = if self.place == Place::Nowhere { 0 } else { self.depth };
        let config = BatchNormConfig::new(self.width).with_affine(self.affine).with_momentum(self.momentum);
        let norms = (0..count).map(|_| config.init(device)).collect();
        Net { hidden, norms, head, nonlinearity: self.nonlinearity, place: self.place }
    }
}

/// A layer with normally distributed weights of the standard deviation gain / √inputs, made on the host, so that they are
/// the same everywhere, and with biases of 0.
pub(crate) fn linear(
    inputs: usize,
    outputs: usize,
    gain: f64,
    bias: bool,
    random: &mut fastrand::Rng,
    device: &Device,
) -> Linear {
    let weights = normal(inputs * outputs, gain / (inputs as f64).sqrt(), random);
    let weights = Tensor::from_data(TensorData::new(weights, [inputs, outputs]), device);
    let bias = bias.then(|| Param::from_tensor(Tensor::zeros([outputs], device)));
    Linear { weight: Param::from_tensor(weights), bias }
}

/// Normally distributed numbers with mean 0.
pub(crate) fn normal(count: usize, deviation: f64, random: &mut fastrand::Rng) -> Vec<f32> {
    let mut one = || {
        // Box and Muller.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        (radius * (std::f64::consts::TAU * random.f64()).cos() * deviation) as f32
    };
    (0..count).map(|_| one()).collect()
}

/// The network: hidden layers, and a linear one to the classes.
#[derive(Module, Debug)]
pub(crate) struct Net {
    pub(crate) hidden: Vec<Linear>,
    /// One for each hidden layer, or none.
    pub(crate) norms: Vec<BatchNorm>,
    pub(crate) head: Linear,
    #[module(skip)]
    pub(crate) nonlinearity: Nonlinearity,
    #[module(skip)]
    pub(crate) place: Place,
}

/// Mean and biased variance of each unit, `[1, C]`.
#[derive(Clone)]
pub(crate) struct Statistics {
    pub(crate) mean: Tensor<2>,
    pub(crate) var: Tensor<2>,
}

impl Statistics {
    /// Of a batch.
    pub(crate) fn of(x: Tensor<2>) -> Self {
        let (var, mean) = x.var_mean_bias(0);
        Self { mean, var }
    }

    pub(crate) fn detach(self) -> Self {
        Self { mean: self.mean.detach(), var: self.var.detach() }
    }

    /// What a layer gives with these, composed of burn's operations.
    pub(crate) fn normalize(&self, norm: &BatchNorm, x: Tensor<2>) -> Tensor<2> {
        let sigma = self.var.clone().add_scalar(norm.epsilon).sqrt();
        let x = (x - self.mean.clone()) / sigma;
        match (&norm.gamma, &norm.beta) {
            (Some(gamma), Some(beta)) => x * gamma.val().unsqueeze() + beta.val().unsqueeze(),
            _ => x,
        }
    }
}

/// A place in a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// What the linear layer gives.
    Linear,
    /// What enters the activation.
    Entry,
    /// What leaves the layer.
    Exit,
}

impl Net {
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.forward_with(x, |_, _, x| x)
    }

    /// The same, where each hidden layer's tensors, by its number from 0 on, pass through a function: to look at them, or
    /// to change them.
    pub(crate) fn forward_with(
        &self,
        x: Tensor<2>,
        mut hook: impl FnMut(usize, Point, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        self.forward_by(x, &mut hook, |layer, x| match self.norms.get(layer) {
            Some(norm) => norm.forward(x),
            None => x,
        })
    }

    /// The same with another normalization than the layers' own.
    pub(crate) fn forward_by(
        &self,
        x: Tensor<2>,
        hook: &mut dyn FnMut(usize, Point, Tensor<2>) -> Tensor<2>,
        mut normalize: impl FnMut(usize, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let mut x = x;
        for (layer, linear) in self.hidden.iter().enumerate() {
            x = hook(layer, Point::Linear, linear.forward(x));
            if self.place == Place::BeforeActivation {
                x = normalize(layer, x);
            }
            x = self.nonlinearity.of(hook(layer, Point::Entry, x));
            if self.place == Place::AfterActivation {
                x = normalize(layer, x);
            }
            x = hook(layer, Point::Exit, x);
        }
        self.head.forward(x)
    }

    /// The output with the batch's statistics, whatever the mode, and these.
    pub(crate) fn forward_with_batch(&self, x: Tensor<2>) -> (Tensor<2>, Vec<Statistics>) {
        let mut seen = Vec::new();
        let output = self.forward_by(x, &mut |_, _, x| x, |layer, x| {
            let statistics = Statistics::of(x.clone());
            let y = self.normalize(layer, &statistics, x);
            seen.push(statistics);
            y
        });
        (output, seen)
    }

    /// The output with given statistics, one for each hidden layer.
    pub(crate) fn forward_with_given(&self, x: Tensor<2>, given: &[Statistics]) -> Tensor<2> {
        self.forward_by(x, &mut |_, _, x| x, |layer, x| match given.get(layer) {
            Some(statistics) => self.normalize(layer, statistics, x),
            None => x,
        })
    }

    /// What a layer's batch norm gives with these statistics.
    pub(crate) fn normalize(&self, layer: usize, statistics: &Statistics, x: Tensor<2>) -> Tensor<2> {
        match self.norms.get(layer) {
            Some(norm) => statistics.normalize(norm, x),
            None => x,
        }
    }

    /// All tensors at a point, layer by layer.
    pub(crate) fn trace(&self, x: Tensor<2>, at: Point) -> Vec<Tensor<2>> {
        let mut seen = Vec::new();
        self.forward_with(x, |_, point, x| {
            if point == at {
                seen.push(x.clone());
            }
            x
        });
        seen
    }
}
