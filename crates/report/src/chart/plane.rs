//! Points and lines in a plane with logarithmic axes: rooflines and growth.

use super::{ChartError, FONT, GRID, INK, LIMIT, TEXT, WIDTH, series, with_label};
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;

/// An axis: what it shows, and how its numbers are written.
#[derive(Clone, Copy)]
pub struct Axis {
    /// With the unit.
    pub label: &'static str,
    /// A number at a tick.
    pub tick: fn(f64) -> String,
}

/// How points look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A disc.
    Circle,
    /// A triangle.
    Triangle,
}

/// Points of one name.
pub struct Points {
    /// Which of the page's colours.
    pub color: usize,
    /// How they look.
    pub mark: Mark,
    /// Whether a line joins them, in the order of x.
    pub joined: bool,
    /// Of numbers above 0; others are left out.
    pub points: Vec<(f64, f64)>,
}

/// The chart.
pub struct Plane {
    /// For those who do not see it.
    pub name: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is shown.
    pub points: Vec<Points>,
    /// A line that nothing should cross, from point to point.
    pub limit: Vec<(f64, f64)>,
}

const HEIGHT: u32 = 460;
const RADIUS: i32 = 4;

impl Plane {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`ChartError`] if there is no point.
    pub fn svg(&self) -> Result<String, ChartError> {
        let draw = |error: String| ChartError::Draw { name: self.name.clone(), reason: error };
        let all = || self.points.iter().flat_map(|points| &points.points).chain(&self.limit).filter(drawable);
        if all().next().is_none() {
            return Err(ChartError::Empty { name: self.name.clone() });
        }
        let (x, y) =
            (Decades::around(all().map(|point| point.0)), Decades::around(all().map(|point| point.1)));
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
            let mut builder = ChartBuilder::on(&area);
            builder.margin(14).margin_right(28).x_label_area_size(50).y_label_area_size(78);
            let mut chart = builder.build_cartesian_2d(x, y).map_err(|error| draw(error.to_string()))?;
            let text = (FONT, TEXT).into_font().color(&INK);
            let mut mesh = chart.configure_mesh();
            mesh.x_desc(self.x.label).y_desc(self.y.label).label_style(text.clone()).axis_desc_style(text);
            mesh.axis_style(INK).bold_line_style(GRID).light_line_style(TRANSPARENT);
            mesh.x_labels(12).y_labels(12);
            let x_tick = |value: &f64| (self.x.tick)(*value);
            let y_tick = |value: &f64| (self.y.tick)(*value);
            mesh.x_label_formatter(&x_tick).y_label_formatter(&y_tick);
            mesh.draw().map_err(|error| draw(error.to_string()))?;

            let limit: Vec<_> = self.limit.iter().copied().filter(|point| drawable(&point)).collect();
            let line = PathElement::new(limit, LIMIT.stroke_width(2));
            chart.draw_series([line]).map_err(|error| draw(error.to_string()))?;
            for Points { color, mark, joined, points } in &self.points {
                let color = series(*color);
                let mut points: Vec<_> = points.iter().copied().filter(|point| drawable(&point)).collect();
                if *joined {
                    points.sort_by(|a, b| a.0.total_cmp(&b.0));
                    let line = PathElement::new(points.clone(), color.stroke_width(2));
                    chart.draw_series([line]).map_err(|error| draw(error.to_string()))?;
                }
                let drawn = match mark {
                    Mark::Circle => chart
                        .draw_series(points.iter().map(|&at| Circle::new(at, RADIUS, color.filled())))
                        .map(|_| ()),
                    Mark::Triangle => chart
                        .draw_series(
                            points.iter().map(|&at| TriangleMarker::new(at, RADIUS + 2, color.filled())),
                        )
                        .map(|_| ()),
                };
                drawn.map_err(|error| draw(error.to_string()))?;
            }
            area.present().map_err(|error| draw(error.to_string()))?;
        }
        Ok(with_label(&svg, &self.name))
    }
}

fn drawable(point: &&(f64, f64)) -> bool {
    [point.0, point.1].iter().all(|number| number.is_finite() && *number > 0.0)
}

/// A logarithmic axis. plotters' own labels decades alone, of which a chart may show one or none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decades {
    first: f64,
    last: f64,
}

impl Decades {
    /// With room for all of them, and a margin.
    pub(super) fn around(numbers: impl Iterator<Item = f64>) -> Self {
        let (mut first, mut last) = (f64::INFINITY, 0.0f64);
        for number in numbers {
            (first, last) = (first.min(number), last.max(number));
        }
        // At least a factor of four from end to end, so that equal numbers make an axis too.
        let margin = (2.0 / (last / first).sqrt()).max(1.25);
        Self { first: first / margin, last: last * margin }
    }

    /// 1, 2 and 5 times powers of ten, or fewer of them, so that there are at most `most`.
    fn ticks(&self, most: usize) -> Vec<f64> {
        let powers = self.first.log10().floor() as i32..=self.last.log10().ceil() as i32;
        let of = |digits: &[f64], every: i32| -> Vec<f64> {
            let powers = powers.clone().filter(|power| power.rem_euclid(every) == 0);
            powers
                .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
                .filter(|tick| (self.first..=self.last).contains(tick))
                .collect()
        };
        let every_power = [1, 2, 3, 5, 10, 20, 50, 100].into_iter().map(|every| (&[1.0][..], every));
        let choices = [(&[1.0, 2.0, 5.0][..], 1), (&[1.0, 3.0], 1)].into_iter().chain(every_power);
        let mut choices = choices.map(|(digits, every)| of(digits, every));
        choices.find(|ticks| ticks.len() <= most).unwrap_or_default()
    }
}

impl Ranged for Decades {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value / self.first).ln() / (self.last / self.first).ln();
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        self.ticks(hint.max_num_points())
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.first..self.last
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Decades {
    fn format(value: &f64) -> String {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_a_few_ticks_whatever_they_span() {
        for (first, last) in [(1.0, 1.0), (3.0, 4.0), (1e4, 1e8), (1e-9, 1e9), (2.0, 30.0), (1e-8, 1e38)] {
            let axis = Decades::around([first, last].into_iter());
            let ticks = axis.ticks(12);
            assert!((2..=12).contains(&ticks.len()), "{first} to {last}: {ticks:?}");
            assert!(axis.first < first && axis.last > last);
            let ends = [first, last].map(|end| axis.map(&end, (0, 1000)));
            assert!(ends.iter().all(|end| (1..1000).contains(end)), "{ends:?}");
        }
    }

    #[test]
    fn numbers_that_have_no_place_are_left_out() -> Result<(), ChartError> {
        let axis = Axis { label: "bytes", tick: |number| number.to_string() };
        let points = |points| Points { color: 0, mark: Mark::Circle, joined: true, points };
        let plane = |points| Plane {
            name: "a <test>".to_owned(),
            x: axis,
            y: axis,
            points: vec![points],
            limit: Vec::new(),
        };
        assert!(matches!(plane(points(vec![(0.0, 1.0)])).svg(), Err(ChartError::Empty { .. })));
        let svg = plane(points(vec![(1.0, 1.0), (f64::NAN, 2.0), (3.0, f64::INFINITY), (9.0, 2.0)])).svg()?;
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.starts_with("<svg role=\"img\" aria-label=\"a &lt;test>\""), "{svg}");
        Ok(())
    }
}
