//! The shapes that are measured: those of the benchmark, or the caller's.

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

/// The sets of shapes that all programs of the benchmark share.
const SETS: &str = include_str!("../../../shapes.json");

/// The sizes of one tensor, channels first: `[N, C, spatial…]`.
#[derive(Clone)]
pub(crate) struct Sizes(pub(crate) Vec<usize>);

/// A set of shapes by its name.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ShapeSet {
    Resnet50,
    #[value(name = "googlenet-v3")]
    GooglenetV3,
    Hard,
    /// Three layers of ResNet-50, small enough for a CPU adapter.
    Quick,
    /// The same layer from 10⁴ to 10⁸ elements.
    Growth,
}

#[derive(Deserialize)]
struct Set {
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
struct Shape {
    sizes: Vec<usize>,
}

impl ShapeSet {
    pub(crate) fn sizes(self) -> Result<Vec<Sizes>, Box<dyn Error>> {
        let sets: BTreeMap<String, Set> = serde_json::from_str(SETS)?;
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let set = sets.get(&name).ok_or_else(|| format!("shapes.json has no set {name}"))?;
        Ok(set.shapes.iter().map(|shape| Sizes(shape.sizes.clone())).collect())
    }
}

impl Sizes {
    /// The same with another N.
    pub(crate) fn with_batch(mut self, batch: usize) -> Self {
        if let Some(samples) = self.0.first_mut() {
            *samples = batch;
        }
        self
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes = text
            .split(',')
            .map(|size| match size.trim().parse::<usize>() {
                Ok(0) => Err(format!("size 0 in '{text}', expected at least 1 in every axis")),
                Ok(size) => Ok(size),
                Err(error) => Err(format!("'{size}' in '{text}': {error}, expected sizes like 64,64,56,56")),
            })
            .collect::<Result<Vec<_>, _>>()?;
        match sizes.len() {
            2..=5 => Ok(Self(sizes)),
            rank => {
                Err(format!("'{text}' has rank {rank}, expected 2 to 5: N,C and up to three spatial sizes"))
            }
        }
    }
}
