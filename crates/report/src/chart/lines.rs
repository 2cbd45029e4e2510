//! Lines with bands around them: means of several runs, and their spread.

use super::plane::Decades;
use super::{ChartError, FONT, GRID, INK, TEXT, series, with_label};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// How an axis goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// In equal steps.
    Linear,
    /// In equal factors; numbers that are not above 0 have no place.
    Logarithmic,
}

/// What an axis shows.
#[derive(Clone, Debug)]
pub struct ScaledAxis {
    /// With the unit.
    pub label: String,
    /// How it goes.
    pub scale: Scale,
}

/// A line from point to point.
pub struct Line {
    /// Which of the page's colours.
    pub color: usize,
    /// Whether each point has a disc.
    pub marked: bool,
    /// In the order in which they are joined. What has no place is left out.
    pub points: Vec<(f64, f64)>,
    /// x, and the ends of the band there.
    pub band: Vec<(f64, f64, f64)>,
}

/// The chart.
pub struct Lines {
    /// For those who do not see it.
    pub name: String,
    /// To the right.
    pub x: ScaledAxis,
    /// Upwards.
    pub y: ScaledAxis,
    /// What is shown.
    pub lines: Vec<Line>,
    /// Width and height.
    pub size: (u32, u32),
}

const RADIUS: i32 = 3;
/// Of a band, through which lines behind it are seen.
const OPACITY: f64 = 0.18;

impl Lines {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`ChartError`] if there is no point.
    pub fn svg(&self) -> Result<String, ChartError> {
        let empty = || ChartError::Empty { name: self.name.clone() };
        let points =
            || self.lines.iter().flat_map(|line| &line.points).filter(|point| self.has_place(**point));
        let ends = || {
            self.lines.iter().flat_map(|line| &line.band).flat_map(|&(x, low, high)| [(x, low), (x, high)])
        };
        let ends = || ends().filter(|point| self.has_place(*point));
        let x = Span::around(self.x.scale, points().map(|point| point.0)).ok_or_else(empty)?;
        let y = points().copied().chain(ends()).map(|point| point.1);
        let y = Span::around(self.y.scale, y).ok_or_else(empty)?;
        let mut svg = String::new();
        self.draw(&mut svg, x, y).map_err(|reason| ChartError::Draw { name: self.name.clone(), reason })?;
        Ok(with_label(&svg, &self.name))
    }

    fn draw(&self, svg: &mut String, x: Span, y: Span) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<_>| error.to_string();
        let area = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let mut builder = ChartBuilder::on(&area);
        builder.margin(8).margin_right(18).x_label_area_size(42).y_label_area_size(66);
        let mut chart = builder.build_cartesian_2d(x, y).map_err(text)?;
        let font = (FONT, TEXT).into_font().color(&INK);
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.x.label).y_desc(&self.y.label).label_style(font.clone()).axis_desc_style(font);
        mesh.axis_style(INK).bold_line_style(GRID).light_line_style(TRANSPARENT);
        // A label takes some 60 pixels.
        mesh.x_labels((self.size.0 as usize / 80).clamp(2, 10)).y_labels(6);
        mesh.x_label_formatter(&tick).y_label_formatter(&tick);
        mesh.draw().map_err(text)?;
        for Line { color, band, .. } in &self.lines {
            let band: Vec<_> = band
                .iter()
                .filter(|&&(x, low, high)| self.has_place((x, low)) && self.has_place((x, high)))
                .collect();
            let there = band.iter().map(|&&(x, _, high)| (x, high));
            let back = band.iter().rev().map(|&&(x, low, _)| (x, low));
            let outline: Vec<_> = there.chain(back).collect();
            if band.iter().any(|(_, low, high)| low < high) && band.len() > 1 {
                let fill = series(*color).mix(OPACITY).filled();
                chart.draw_series([Polygon::new(outline, fill)]).map_err(text)?;
            }
        }
        for Line { color, marked, points, .. } in &self.lines {
            let color = series(*color);
            let points: Vec<_> = points.iter().copied().filter(|point| self.has_place(*point)).collect();
            if *marked {
                let discs = points.iter().map(|&at| Circle::new(at, RADIUS, color.filled()));
                chart.draw_series(discs).map_err(text)?;
            }
            chart.draw_series([PathElement::new(points, color.stroke_width(2))]).map_err(text)?;
        }
        area.present().map_err(text)
    }

    fn has_place(&self, point: (f64, f64)) -> bool {
        let fits = |number: f64, scale| number.is_finite() && (scale == Scale::Linear || number > 0.0);
        fits(point.0, self.x.scale) && fits(point.1, self.y.scale)
    }
}

/// A number at a tick, as short as it can be.
fn tick(number: &f64) -> String {
    // Sums of steps end in noise.
    let rounded = (number * 1e9).round() / 1e9;
    match number.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{number:e}"),
        _ => rounded.to_string(),
    }
}

/// What an axis spans.
enum Span {
    Linear(RangedCoordf64),
    Logarithmic(Decades),
}

impl Span {
    /// Nothing without a number.
    fn around(scale: Scale, numbers: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
        for number in numbers {
            (first, last) = (first.min(number), last.max(number));
        }
        if first > last {
            return None;
        }
        if scale == Scale::Logarithmic {
            return Some(Self::Logarithmic(Decades::around([first, last].into_iter())));
        }
        // From 0 on if that costs little room.
        let first = if first > 0.0 && first < last / 3.0 { 0.0 } else { first };
        let margin = ((last - first) * 0.03).max(last.abs() * 1e-6).max(f64::MIN_POSITIVE);
        let first = if first == 0.0 { first } else { first - margin };
        Some(Self::Linear((first..last + margin).into()))
    }
}

impl Ranged for Span {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        match self {
            Self::Linear(axis) => axis.map(value, limit),
            Self::Logarithmic(axis) => axis.map(value, limit),
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match self {
            Self::Linear(axis) => axis.key_points(hint),
            Self::Logarithmic(axis) => axis.key_points(hint),
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        match self {
            Self::Linear(axis) => axis.range(),
            Self::Logarithmic(axis) => axis.range(),
        }
    }
}

impl ValueFormatter<f64> for Span {
    fn format(value: &f64) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scale: Scale, points: Vec<(f64, f64)>) -> Lines {
        let axis = |label: &str| ScaledAxis { label: label.to_owned(), scale };
        let band = points.iter().map(|&(x, y)| (x, y * 0.5, y * 1.5)).collect();
        Lines {
            name: "a test".to_owned(),
            x: axis("rate"),
            y: axis("loss"),
            lines: vec![Line { color: 1, marked: true, points, band }],
            size: (400, 240),
        }
    }

    #[test]
    fn what_has_no_place_is_left_out() -> Result<(), ChartError> {
        let points = vec![(0.0, 2.0), (1.0, -1.0), (2.0, f64::NAN), (3.0, 4.0), (9.0, 1.0)];
        let linear = chart(Scale::Linear, points.clone()).svg()?;
        assert_eq!(
            (linear.matches("<circle").count(), linear.matches("<polygon").count()),
            (4, 1),
            "{linear}"
        );
        let logarithmic = chart(Scale::Logarithmic, points).svg()?;
        assert_eq!(logarithmic.matches("<circle").count(), 2, "{logarithmic}");
        assert!(matches!(chart(Scale::Linear, Vec::new()).svg(), Err(ChartError::Empty { .. })));
        Ok(())
    }

    #[test]
    fn equal_numbers_make_an_axis_too() -> Result<(), ChartError> {
        let svg = chart(Scale::Linear, vec![(1.0, 0.0), (1.0, 0.0)]).svg()?;
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        Ok(())
    }

    #[test]
    fn ticks_are_short() {
        let written = [0.0, 0.30000000000000004, 1e-5, 2e6, 40.0].map(|number| tick(&number));
        assert_eq!(written, ["0", "0.3", "1e-5", "2e6", "40"]);
    }
}
