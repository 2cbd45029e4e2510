//! The shapes that are measured: layers of known networks, hard cases, and those of the caller.

use clap::ValueEnum;
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BenchShape {
    sizes: Vec<usize>,
    /// How many layers of the network have it.
    pub(crate) layers: usize,
    /// The element type the shape is listed with, where that is not f32.
    pub(crate) listed_as: Option<&'static str>,
}

/// Channels, size of the square plane, layers.
type Layers = &'static [(usize, usize, usize)];

const RESNET50: Layers = &[
    (64, 112, 1),
    (64, 56, 6),
    (256, 56, 4),
    (128, 56, 1),
    (128, 28, 7),
    (512, 28, 5),
    (256, 28, 1),
    (256, 14, 11),
    (1024, 14, 7),
    (512, 14, 1),
    (512, 7, 5),
    (2048, 7, 4),
];

const GOOGLENET_V3: Layers = &[
    (32, 149, 1),
    (32, 147, 1),
    (64, 147, 1),
    (80, 73, 1),
    (192, 71, 1),
    (64, 35, 12),
    (48, 35, 3),
    (96, 35, 7),
    (32, 35, 1),
    (384, 17, 1),
    (96, 17, 1),
    (192, 17, 26),
    (128, 17, 6),
    (160, 17, 12),
    (320, 8, 3),
    (192, 8, 3),
    (384, 8, 12),
    (448, 8, 2),
];

const QUICK: &[&[usize]] = &[&[64, 64, 56, 56], &[32, 256, 14, 14], &[64, 512, 7, 7]];

/// Ends in the one that is meant for f16.
const HARD: &[&[usize]] = &[
    &[20, 6, 65_536],
    &[1, 512, 65_536],
    &[70_000, 1],
    &[2, 70_000],
    &[64, 257, 7, 7],
    &[32, 3, 224, 224],
    &[4096, 1024],
    &[16, 32, 16, 56, 56],
    &[4, 128, 1024, 1024],
];

impl ShapeSet {
    /// The set that is measured if none is named: one that the adapter gets through in a minute or two.
    pub(crate) fn default_for(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Cpu => Self::Quick,
            DeviceKind::Gpu => Self::Resnet50,
        }
    }

    /// The shapes of the set.
    pub(crate) fn shapes(self, kind: DeviceKind) -> Vec<BenchShape> {
        let network = |batch: usize, layers: Layers| {
            let shape = |&(channels, size, layers): &(usize, usize, usize)| BenchShape {
                layers,
                ..BenchShape::new(&[batch, channels, size, size])
            };
            layers.iter().map(shape).collect()
        };
        match self {
            Self::Resnet50 => network(if kind == DeviceKind::Cpu { 8 } else { 64 }, RESNET50),
            Self::GooglenetV3 => network(96, GOOGLENET_V3),
            Self::Quick => QUICK.iter().map(|sizes| BenchShape::new(sizes)).collect(),
            Self::Hard => {
                let mut shapes: Vec<_> = HARD.iter().map(|sizes| BenchShape::new(sizes)).collect();
                if let Some(last) = shapes.last_mut() {
                    last.listed_as = Some("f16");
                }
                shapes
            }
        }
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
    fn sets_are_complete_and_make_shapes() -> Result<(), ShapeError> {
        let layers =
            |set: ShapeSet| -> usize { set.shapes(DeviceKind::Gpu).iter().map(|shape| shape.layers).sum() };
        assert_eq!(layers(ShapeSet::Resnet50), 53);
        assert_eq!(layers(ShapeSet::GooglenetV3), 94);
        for set in ShapeSet::value_variants() {
            for shape in set.shapes(DeviceKind::Cpu) {
                let first = shape.in_layout(Layout::ChannelsFirst)?;
                let last = shape.in_layout(Layout::ChannelsLast)?;
                let sizes = |shape: &Shape| (shape.samples(), shape.channels(), shape.spatial());
                assert_eq!(sizes(&first), sizes(&last));
            }
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
