//! Lines over a linear axis, with a logarithmic one upwards: what moves while a program runs.

use super::plane::{Axis, Decades};
use super::{ChartError, FONT, GRID, INK, TEXT, series, with_label};
use plotters::prelude::*;

/// A line from point to point.
pub struct Curve {
    /// Which of the page's colours.
    pub color: usize,
    /// Whether each point has a disc.
    pub marked: bool,
    /// In the order in which they are joined. Heights that are not above 0 are left out.
    pub points: Vec<(f64, f64)>,
}

/// The chart.
pub struct Curves {
    /// For those who do not see it.
    pub name: String,
    /// To the right: linear, of whole numbers.
    pub x: Axis,
    /// Upwards: logarithmic.
    pub y: Axis,
    /// Where the axis to the right begins and ends, at least.
    pub x_range: (f64, f64),
    /// What is shown.
    pub curves: Vec<Curve>,
    /// Width and height.
    pub size: (u32, u32),
}

const RADIUS: i32 = 3;

impl Curves {
    /// The chart as an SVG element; without a point it has axes alone.
    ///
    /// # Errors
    /// [`ChartError`] if the library that draws it fails.
    pub fn svg(&self) -> Result<String, ChartError> {
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|reason| ChartError::Draw { name: self.name.clone(), reason })?;
        Ok(with_label(&svg, &self.name))
    }

    fn draw(&self, svg: &mut String) -> Result<(), String> {
        let all = || self.curves.iter().flat_map(|curve| &curve.points).filter(|point| is_drawable(point));
        let (mut first, mut last) = self.x_range;
        for point in all() {
            (first, last) = (first.min(point.0), last.max(point.0));
        }
        let y = match all().next() {
            Some(_) => Decades::around(all().map(|point| point.1)),
            None => Decades::around([0.1, 10.0].into_iter()),
        };
        let area = SVGBackend::with_string(svg, self.size).into_drawing_area();
        let mut builder = ChartBuilder::on(&area);
        builder.margin(8).margin_right(16).x_label_area_size(40).y_label_area_size(62);
        let mut chart =
            builder.build_cartesian_2d(first..last.max(first + 1.0), y).map_err(|error| error.to_string())?;
        let text = (FONT, TEXT).into_font().color(&INK);
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.x.label).y_desc(self.y.label).label_style(text.clone()).axis_desc_style(text);
        mesh.axis_style(INK).bold_line_style(GRID).light_line_style(TRANSPARENT);
        // A label takes some 60 pixels.
        mesh.x_labels((self.size.0 as usize / 80).clamp(2, 10)).y_labels(6);
        let (x_tick, y_tick) = (|value: &f64| (self.x.tick)(*value), |value: &f64| (self.y.tick)(*value));
        mesh.x_label_formatter(&x_tick).y_label_formatter(&y_tick);
        mesh.draw().map_err(|error| error.to_string())?;
        for Curve { color, marked, points } in &self.curves {
            let color = series(*color);
            let points: Vec<_> = points.iter().copied().filter(is_drawable).collect();
            if *marked {
                let discs = points.iter().map(|&at| Circle::new(at, RADIUS, color.filled()));
                chart.draw_series(discs).map_err(|error| error.to_string())?;
            }
            let line = PathElement::new(points, color.stroke_width(2));
            chart.draw_series([line]).map_err(|error| error.to_string())?;
        }
        area.present().map_err(|error| error.to_string())
    }
}

fn is_drawable(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite() && point.1 > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(points: Vec<(f64, f64)>) -> Curves {
        let axis = Axis { label: "step", tick: |number| number.to_string() };
        Curves {
            name: "a test".to_owned(),
            x: axis,
            y: axis,
            x_range: (0.0, 10.0),
            curves: vec![Curve { color: 1, marked: true, points }],
            size: (400, 200),
        }
    }

    #[test]
    fn lines_stay_within_the_chart_and_leave_out_what_has_no_place() -> Result<(), ChartError> {
        let svg = curves(vec![(0.0, 2.0), (5.0, f64::NAN), (20.0, 0.01), (21.0, 0.0)]).svg()?;
        assert_eq!(svg.matches("<circle").count(), 2);
        let centers = svg.split("<circle cx=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let centers: Vec<i32> = centers.filter_map(|center| center.parse().ok()).collect();
        assert!(centers.len() == 2 && centers.iter().all(|center| (0..=400).contains(center)), "{centers:?}");
        Ok(())
    }

    #[test]
    fn nothing_makes_axes() -> Result<(), ChartError> {
        let svg = curves(Vec::new()).svg()?;
        assert!(svg.contains("step") && !svg.contains("<circle"), "{svg}");
        Ok(())
    }
}
