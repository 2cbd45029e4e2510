//! Small histograms in rows and columns, all on one scale to the right.

use super::{ChartError, FONT, GRID, INK, TEXT, series, with_label};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Histograms side by side.
pub struct HistogramRow {
    /// At the left.
    pub label: String,
    /// Of each column the share of each bin; shorter if there is none.
    pub bins: Vec<Vec<f64>>,
}

/// The chart.
pub struct Histograms {
    /// For those who do not see it.
    pub name: String,
    /// Of the columns: which of the page's colours.
    pub colors: Vec<usize>,
    /// From the top.
    pub rows: Vec<HistogramRow>,
    /// What the first bin begins with, and the last one ends with. Both hold what lies beyond, too.
    pub range: (f64, f64),
    /// What the numbers are.
    pub label: String,
    /// Of the chart.
    pub width: u32,
}

const ROW: i32 = 44;
const GAP: i32 = 8;
const LEFT: i32 = 62;
const BOTTOM: i32 = 44;

impl Histograms {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`ChartError`] if there is no row or column.
    pub fn svg(&self) -> Result<String, ChartError> {
        if self.rows.is_empty() || self.colors.is_empty() {
            return Err(ChartError::Empty { name: self.name.clone() });
        }
        let mut svg = String::new();
        self.draw(&mut svg).map_err(|reason| ChartError::Draw { name: self.name.clone(), reason })?;
        Ok(with_label(&svg, &self.name))
    }

    fn draw(&self, svg: &mut String) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<_>| error.to_string();
        let style =
            |horizontal, vertical| (FONT, TEXT).into_font().color(&INK).pos(Pos::new(horizontal, vertical));
        let bottom = self.rows.len() as i32 * ROW;
        let size = (self.width, (bottom + BOTTOM) as u32);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        let columns = self.colors.len() as i32;
        let wide = (self.width as i32 - LEFT - GAP) / columns - GAP;
        for (column, color) in (0..).zip(&self.colors) {
            let left = LEFT + column * (wide + GAP);
            for (row, HistogramRow { bins, .. }) in (0..).zip(&self.rows) {
                let base = (row + 1) * ROW;
                let axis = PathElement::new([(left, base), (left + wide, base)], GRID);
                area.draw(&axis).map_err(text)?;
                let bins = bins.get(column as usize).map(Vec::as_slice).unwrap_or_default();
                let outline = outline(bins, (left, base), (wide, ROW - GAP));
                if !outline.is_empty() {
                    area.draw(&Polygon::new(outline, series(*color).filled())).map_err(text)?;
                }
            }
            let (first, last) = self.range;
            let ends = [
                (left, first, HPos::Left),
                (left + wide / 2, (first + last) / 2.0, HPos::Center),
                (left + wide, last, HPos::Right),
            ];
            for (x, number, side) in ends {
                let label = Text::new(number.to_string(), (x, bottom + 4), style(side, VPos::Top));
                area.draw(&label).map_err(text)?;
            }
        }
        for (row, HistogramRow { label, .. }) in (0..).zip(&self.rows) {
            let place = (LEFT - 8, row * ROW + ROW / 2 + GAP / 2);
            area.draw(&Text::new(label.clone(), place, style(HPos::Right, VPos::Center))).map_err(text)?;
        }
        let middle = (LEFT + self.width as i32) / 2;
        let label = Text::new(self.label.clone(), (middle, bottom + 23), style(HPos::Center, VPos::Top));
        area.draw(&label).map_err(text)?;
        area.present().map_err(text)
    }
}

/// The corners of a histogram's silhouette, whose highest bin is as tall as there is room. Heights are square roots, so
/// that the tails are seen beside a bin that has nearly all.
fn outline(bins: &[f64], (left, base): (i32, i32), (wide, tall): (i32, i32)) -> Vec<(i32, i32)> {
    let highest = bins.iter().copied().filter(|share| share.is_finite()).fold(0.0, f64::max);
    if highest <= 0.0 {
        return Vec::new();
    }
    let count = bins.len() as i32;
    let mut corners = vec![(left, base)];
    for (index, share) in (0..).zip(bins) {
        let share = if share.is_finite() { share.max(0.0) } else { 0.0 };
        let top = base - ((share / highest).sqrt() * f64::from(tall)).round() as i32;
        corners.extend([(left + index * wide / count, top), (left + (index + 1) * wide / count, top)]);
    }
    corners.push((left + wide, base));
    corners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(rows: usize) -> Histograms {
        let row = |index| HistogramRow {
            label: format!("layer {index}"),
            bins: vec![vec![0.1, 0.6, 0.3], vec![0.0, f64::NAN, 0.0]],
        };
        Histograms {
            name: "a test".to_owned(),
            colors: vec![0, 1],
            rows: (0..rows).map(row).collect(),
            range: (-3.0, 3.0),
            label: "outputs".to_owned(),
            width: 400,
        }
    }

    #[test]
    fn each_histogram_that_has_something_is_drawn() -> Result<(), ChartError> {
        let svg = chart(4).svg()?;
        assert_eq!(svg.matches("<polygon").count(), 4, "{svg}");
        assert!(matches!(chart(0).svg(), Err(ChartError::Empty { .. })));
        Ok(())
    }

    #[test]
    fn the_highest_bin_fills_its_place() {
        let corners = outline(&[0.25, 1.0], (10, 100), (20, 40));
        assert_eq!(corners, [(10, 100), (10, 80), (20, 80), (20, 60), (30, 60), (30, 100)]);
    }
}
