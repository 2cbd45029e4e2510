//! The shapes that are measured: layers of known networks, hard cases, and those of the caller.

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use wgpu_batchnorm::{DeviceKind, Layout, Shape, ShapeError};

/// A named set of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShapeSet {
    /// The 53 layers of ResNet-50 v1.5; batch 64, on a CPU adapter 8.
    Resnet50,
    /// The layers of GoogLeNet v3 (Inception); batch 96.
    #[value(name = "googlenet-v3")]
    GooglenetV3,
    /// Few channels, many channels, large planes, odd sizes, 3-D.
    Hard,
    /// Three layers that take little time.
    Quick,
    /// One layer from 10⁴ to 10⁸ elements: how the time of an element grows.
    Growth,
}

/// Which layouts to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layouts {
    ChannelsFirst,
    ChannelsLast,
    Both,
}

impl Layouts {
    pub(crate) fn all(self) -> &'static [Layout] {
        match self {
            Self::ChannelsFirst => &[Layout::ChannelsFirst],
            Self::ChannelsLast => &[Layout::ChannelsLast],
            Self::Both => &[Layout::ChannelsFirst, Layout::ChannelsLast],
        }
    }
}

/// The name of a layout, as options and reports have it.
pub(crate) fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::ChannelsFirst => "channels-first",
        Layout::ChannelsLast => "channels-last",
    }
}

/// A shape to measure: N, C and the spatial sizes, whatever the layout.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct BenchShape {
    pub(crate) sizes: Vec<usize>,
    /// How many layers of the network have it.
    #[serde(default = "one")]
    pub(crate) layers: usize,
    /// The element type the shape is listed with, where that is not f32.
    pub(crate) listed_as: Option<String>,
}

fn one() -> usize {
    1
}

/// The sets of shapes that all programs of the benchmark share, the peers too.
const SETS: &str = include_str!("../../../../benches/shapes.json");

/// A set in that file.
#[derive(Deserialize)]
struct Listed {
    /// N of all shapes on a CPU adapter, if not theirs.
    batch_on_cpu: Option<usize>,
    shapes: Vec<BenchShape>,
}

impl ShapeSet {
    /// The set that is measured if none is named: one that the adapter gets through in a minute or two.
    pub(crate) fn default_for(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Cpu => Self::Quick,
            DeviceKind::Gpu => Self::Resnet50,
        }
    }

    /// The shapes of the set.
    pub(crate) fn shapes(self, kind: DeviceKind) -> anyhow::Result<Vec<BenchShape>> {
        let mut sets: BTreeMap<String, Listed> = serde_json::from_str(SETS)?;
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let set = sets.remove(&name).with_context(|| format!("shapes.json has no set {name}"))?;
        let batch = set.batch_on_cpu.filter(|_| kind == DeviceKind::Cpu);
        let with_batch = |shape: BenchShape| match batch {
            Some(batch) => shape.with_batch(batch),
            None => shape,
        };
        Ok(set.shapes.into_iter().map(with_batch).collect())
    }
}

impl BenchShape {
    fn new(sizes: &[usize]) -> Self {
        Self { sizes: sizes.to_vec(), layers: 1, listed_as: None }
    }

    /// The same with another N.
    pub(crate) fn with_batch(mut self, batch: usize) -> Self {
        if let Some(samples) = self.sizes.first_mut() {
            *samples = batch;
        }
        self
    }

    /// The sizes in memory order.
    pub(crate) fn sizes_in(&self, layout: Layout) -> Vec<usize> {
        let mut sizes = self.sizes.clone();
        if layout == Layout::ChannelsLast
            && let Some(from_channels) = sizes.get_mut(1..)
        {
            from_channels.rotate_left(from_channels.len().min(1));
        }
        sizes
    }

    pub(crate) fn in_layout(&self, layout: Layout) -> Result<Shape, ShapeError> {
        Shape::new(&self.sizes_in(layout), layout)
    }
}

impl FromStr for BenchShape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Result<Vec<usize>, _> = text.split(',').map(|size| size.trim().parse()).collect();
        let sizes = sizes.map_err(|error| format!("{error}; expected N,C and spatial sizes: 64,64,56,56"))?;
        let shape = Self::new(&sizes);
        shape.in_layout(Layout::ChannelsFirst).map_err(|error| error.to_string())?;
        Ok(shape)
    }
}

impl fmt::Display for BenchShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.sizes.iter().map(usize::to_string).collect();
        f.write_str(&sizes.join("×"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_complete_and_make_shapes() -> anyhow::Result<()> {
        let layers = |set: ShapeSet| -> anyhow::Result<usize> {
            Ok(set.shapes(DeviceKind::Gpu)?.iter().map(|shape| shape.layers).sum())
        };
        assert_eq!((layers(ShapeSet::Resnet50)?, layers(ShapeSet::GooglenetV3)?), (53, 94));
        for set in ShapeSet::value_variants() {
            for shape in set.shapes(DeviceKind::Cpu)? {
                let first = shape.in_layout(Layout::ChannelsFirst)?;
                let last = shape.in_layout(Layout::ChannelsLast)?;
                let sizes = |shape: &Shape| (shape.samples(), shape.channels(), shape.spatial());
                assert_eq!(sizes(&first), sizes(&last));
            }
        }
        let batches = [DeviceKind::Cpu, DeviceKind::Gpu].map(|kind| {
            let shapes = ShapeSet::Resnet50.shapes(kind).unwrap_or_default();
            shapes.iter().map(|shape| shape.sizes.first().copied().unwrap_or(0)).max()
        });
        assert_eq!(batches, [Some(8), Some(64)]);
        Ok(())
    }

    #[test]
    fn growth_goes_from_ten_thousand_to_a_hundred_million_elements() -> anyhow::Result<()> {
        let shapes = ShapeSet::Growth.shapes(DeviceKind::Gpu)?;
        let elements: Vec<f64> =
            shapes.iter().map(|shape| shape.sizes.iter().product::<usize>() as f64).collect();
        assert!(elements.first().is_some_and(|&first| (1e4..2e4).contains(&first)));
        assert!(elements.last().is_some_and(|&last| (0.9e8..1.1e8).contains(&last)));
        for pair in elements.windows(2) {
            assert!((2.0..4.0).contains(&(pair[1] / pair[0])), "{pair:?}");
        }
        Ok(())
    }

    #[test]
    fn a_shape_is_read_and_written() {
        let shape: Result<BenchShape, _> = "8, 3,5,7".parse();
        let shape = shape.map(|shape| (shape.to_string(), shape.sizes_in(Layout::ChannelsLast)));
        assert_eq!(shape, Ok(("8×3×5×7".to_owned(), vec![8, 5, 7, 3])));
        for wrong in ["", "8", "8,0", "8,x", "1,2,3,4,5,6"] {
            assert!(wrong.parse::<BenchShape>().is_err(), "{wrong}");
        }
        let batch = "64,3,5".parse::<BenchShape>().map(|shape| shape.with_batch(2).to_string());
        assert_eq!(batch, Ok("2×3×5".to_owned()));
    }
}
