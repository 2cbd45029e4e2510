//! One file an experiment.

mod e01_learning_rates;
mod e02_gradients;
mod e03_covariate_shift;
mod e04_smoothness;
mod e05_order;
mod e06_preactivation;
mod e07_inference;
mod e08_moving_statistics;
mod e09_batch_coupling;
mod e10_domain_shift;
mod e11_scale_and_offset;
mod e12_devices;
mod e13_axes;

use crate::experiment::Experiment;

/// In the order of the report.
pub(crate) const ALL: [Experiment; 13] = [
    e01_learning_rates::EXPERIMENT,
    e02_gradients::EXPERIMENT,
    e03_covariate_shift::EXPERIMENT,
    e04_smoothness::EXPERIMENT,
    e05_order::EXPERIMENT,
    e06_preactivation::EXPERIMENT,
    e07_inference::EXPERIMENT,
    e08_moving_statistics::EXPERIMENT,
    e09_batch_coupling::EXPERIMENT,
    e10_domain_shift::EXPERIMENT,
    e11_scale_and_offset::EXPERIMENT,
    e12_devices::EXPERIMENT,
    e13_axes::EXPERIMENT,
];
