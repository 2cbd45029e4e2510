//! The values of the axes that the tests of the reference and those of the device go through.

use wgpu_batchnorm::{Activation, Layout};

pub(crate) const LAYOUTS: [Layout; 2] = [Layout::ChannelsFirst, Layout::ChannelsLast];

pub(crate) const ACTIVATIONS: [Activation; 8] = [
    Activation::None,
    Activation::Relu,
    Activation::LeakyRelu { negative_slope: 0.2 },
    Activation::Silu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Sigmoid,
    Activation::Tanh,
];
