//! The batch normalization layers of ResNet-50 (K. He et al., 2015), from the shapes that all benchmarks share.

use anyhow::Context as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use wgpu_batchnorm_mpi::model::{backward_bytes, forward_bytes};

const SHAPES: &str = include_str!("../../../../benches/shapes.json");

/// Layers of one shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers {
    pub(crate) channels: usize,
    /// Height and width.
    pub(crate) size: usize,
    pub(crate) count: usize,
}

#[derive(Deserialize)]
struct Set {
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
struct Shape {
    /// N, C, height and width.
    sizes: Vec<usize>,
    #[serde(default = "one")]
    layers: usize,
}

fn one() -> usize {
    1
}

pub(crate) struct Resnet50(Vec<Layers>);

impl Resnet50 {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let mut sets: BTreeMap<String, Set> =
            serde_json::from_str(SHAPES).context("cannot read benches/shapes.json")?;
        let set = sets.remove("resnet50").context("benches/shapes.json has no resnet50")?;
        let layers = set.shapes.into_iter().map(|Shape { sizes, layers: count }| match sizes[..] {
            [_, channels, size, _] => Ok(Layers { channels, size, count }),
            _ => {
                anyhow::bail!("a shape of {sizes:?} in benches/shapes.json, expected N, C, height and width")
            }
        });
        Ok(Self(layers.collect::<anyhow::Result<_>>()?))
    }

    /// Seconds that the exchanges of a training step take, forward and backward, by `seconds` of an exchange with
    /// records of so many bytes.
    pub(crate) fn seconds(&self, seconds: impl Fn(f64) -> f64) -> f64 {
        let layers = self.0.iter().map(|Layers { channels, count, .. }| {
            let bytes = [forward_bytes(*channels), backward_bytes(*channels)];
            *count as f64 * bytes.map(|bytes| seconds(bytes as f64)).into_iter().sum::<f64>()
        });
        layers.sum()
    }

    /// The smallest layer of each width, from few channels to many.
    pub(crate) fn of_each_width(&self) -> Vec<Layers> {
        let mut smallest = BTreeMap::new();
        for layers in &self.0 {
            let known = smallest.entry(layers.channels).or_insert(*layers);
            if layers.size < known.size {
                *known = *layers;
            }
        }
        smallest.into_values().collect()
    }
}
