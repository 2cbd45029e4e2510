//! Charts as SVG elements, to stand in a [`Page`](crate::Page), whose style sheet gives them their colours: the
//! colours that they are drawn with are only names for those of the page, which has them for light and dark.

mod bars;
mod curves;
mod histograms;
mod lines;
mod plane;

pub use bars::{Bar, BarChart, BarGroup};
pub use curves::{Curve, Curves};
pub use histograms::{HistogramRow, Histograms};
pub use lines::{Line, Lines, Scale, ScaledAxis};
pub use plane::{Axis, Mark, Plane, Points};

use plotters::style::RGBColor;
use thiserror::Error;

/// Why there is no chart.
#[derive(Debug, Error)]
pub enum ChartError {
    /// Nothing to draw.
    #[error("the chart {name} has nothing to show")]
    Empty {
        /// Its name.
        name: String,
    },
    /// The library that draws it failed.
    #[error("the chart {name} cannot be drawn: {reason}")]
    Draw {
        /// Its name.
        name: String,
        /// What the library says.
        reason: String,
    },
}

/// Of series, in turn; readable with all kinds of colour vision.
pub const SERIES: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x8c, 0x6b, 0xb1),
    RGBColor(0x7f, 0x7f, 0x7f),
];
/// Text and axes.
pub(crate) const INK: RGBColor = RGBColor(0x1a, 0x1a, 0x1a);
/// Lines that help to read off values.
pub(crate) const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// The limit.
pub(crate) const LIMIT: RGBColor = RGBColor(0xb0, 0x00, 0x20);

/// The colour of a series.
pub(crate) fn series(index: usize) -> RGBColor {
    SERIES[index % SERIES.len()]
}

/// A colour as it stands in an SVG file.
pub(crate) fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

pub(crate) const WIDTH: u32 = 960;
pub(crate) const FONT: &str = "sans-serif";
pub(crate) const TEXT: i32 = 13;

/// For readers who do not see it: `svg` with a role and a name.
pub(crate) fn with_label(svg: &str, label: &str) -> String {
    let label = label.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1)
}
