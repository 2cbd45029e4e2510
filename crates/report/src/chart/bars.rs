//! Horizontal bars in groups, each with its text at its end: as tall as it takes, so that nothing overlaps.

use super::{ChartError, FONT, GRID, INK, LIMIT, TEXT, WIDTH, series, with_label};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A bar.
pub struct Bar {
    /// Which of the page's colours.
    pub color: usize,
    /// How long it is.
    pub value: f64,
    /// At its end.
    pub text: String,
}

/// Bars that are compared with one another.
pub struct BarGroup {
    /// At the left.
    pub label: String,
    /// From the top.
    pub bars: Vec<Bar>,
}

/// The chart.
pub struct BarChart {
    /// For those who do not see it.
    pub name: String,
    /// What the length of a bar is, with the unit.
    pub label: String,
    /// A number at a tick.
    pub tick: fn(f64) -> String,
    /// From the top.
    pub groups: Vec<BarGroup>,
    /// A line that bars may reach.
    pub limit: Option<f64>,
}

const BAR: i32 = 15;
const GAP: i32 = 10;
/// Tall charts are read from both ends, so that ticks have their numbers at both.
const TOP: i32 = 26;
const BOTTOM: i32 = 52;
/// Of the groups' labels, and of the texts behind the longest bar.
const LEFT: i32 = 190;
const RIGHT: i32 = 150;
/// Of the bars, however narrow the chart is.
const LEAST_ROOM: i32 = 40;
/// Pixels of a character at most, on average.
const WIDE_CHARACTER: i32 = 7;
/// Characters that fit in [`LEFT`].
const MOST_LABEL: usize = 28;

impl BarChart {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`ChartError`] if there is no bar.
    pub fn svg(&self) -> Result<String, ChartError> {
        self.svg_of_width(WIDTH)
    }

    /// The chart as an SVG element of this width, for a place where text of the usual one would be too small.
    ///
    /// # Errors
    /// [`ChartError`] if there is no bar.
    pub fn svg_of_width(&self, width: u32) -> Result<String, ChartError> {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        if bars == 0 {
            return Err(ChartError::Empty { name: self.name.clone() });
        }
        let height = TOP + BOTTOM + bars as i32 * BAR + self.groups.len() as i32 * GAP;
        let mut svg = String::new();
        self.draw(&mut svg, (width, height))
            .map_err(|reason| ChartError::Draw { name: self.name.clone(), reason })?;
        Ok(with_label(&svg, &self.name))
    }

    fn draw(&self, svg: &mut String, (width, height): (u32, i32)) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<_>| error.to_string();
        let values = self.groups.iter().flat_map(|group| group.bars.iter().map(|bar| bar.value));
        let finite = values.chain(self.limit).filter(|value| value.is_finite());
        let longest = finite.fold(f64::MIN_POSITIVE, f64::max);
        let (left, right) = self.margins(width);
        let room = (width as i32 - left - right).max(LEAST_ROOM);
        let at = |value: f64| left + (value / longest * f64::from(room)).round() as i32;
        let style =
            |horizontal, vertical| (FONT, TEXT).into_font().color(&INK).pos(Pos::new(horizontal, vertical));

        let area = SVGBackend::with_string(svg, (width, height as u32)).into_drawing_area();
        let bottom = height - BOTTOM;
        // A number takes some 40 pixels.
        let every = if room < 6 * 45 { 2 } else { 1 };
        for tick in ticks(longest).into_iter().step_by(every) {
            let x = at(tick);
            area.draw(&PathElement::new([(x, TOP), (x, bottom)], GRID)).map_err(text)?;
            for (y, side) in [(TOP - 6, VPos::Bottom), (bottom + 8, VPos::Top)] {
                let label = Text::new((self.tick)(tick), (x, y), style(HPos::Center, side));
                area.draw(&label).map_err(text)?;
            }
        }
        // Behind the bars and their texts.
        if let Some(limit) = self.limit {
            let x = at(limit);
            area.draw(&PathElement::new([(x, TOP), (x, bottom)], LIMIT.stroke_width(2))).map_err(text)?;
        }
        let middle = (left + width as i32 - right) / 2;
        let label = Text::new(self.label.clone(), (middle, bottom + 30), style(HPos::Center, VPos::Top));
        area.draw(&label).map_err(text)?;

        let mut y = TOP + GAP / 2;
        for BarGroup { label, bars } in &self.groups {
            let tall = bars.len() as i32 * BAR;
            let place = (left - 8, y + tall / 2);
            area.draw(&Text::new(shortened(label), place, style(HPos::Right, VPos::Center))).map_err(text)?;
            for Bar { color, value, text: said, .. } in bars {
                let end = if value.is_finite() { at(value.max(0.0)).max(left + 1) } else { left + 1 };
                let corners = [(left, y + 1), (end, y + BAR - 1)];
                area.draw(&Rectangle::new(corners, series(*color).filled())).map_err(text)?;
                let place = (end + 5, y + BAR / 2);
                area.draw(&Text::new(said.clone(), place, style(HPos::Left, VPos::Center))).map_err(text)?;
                y += BAR;
            }
            y += GAP;
        }
        area.draw(&PathElement::new([(left, TOP), (left, bottom)], INK)).map_err(text)?;
        area.present().map_err(text)
    }

    /// Of the groups' labels and of the bars' texts: in a narrow chart no more than they take.
    fn margins(&self, width: u32) -> (i32, i32) {
        if width >= WIDTH {
            return (LEFT, RIGHT);
        }
        let room_of = |texts: &mut dyn Iterator<Item = &str>| {
            texts.map(|text| text.chars().count() as i32 * WIDE_CHARACTER).max().unwrap_or(0) + 14
        };
        let labels = room_of(&mut self.groups.iter().map(|group| group.label.as_str()));
        let texts =
            room_of(&mut self.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.text.as_str()));
        (labels.min(LEFT), texts.min(RIGHT))
    }
}

/// Five or so round numbers from 0 up to `last`.
fn ticks(last: f64) -> Vec<f64> {
    let power = 10f64.powf((last / 5.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|step| last / step <= 6.0);
    let step = step.unwrap_or(last);
    (0..=6).map(|index| f64::from(index) * step).take_while(|tick| *tick <= last * 1.001).collect()
}

fn shortened(label: &str) -> String {
    if label.chars().count() <= MOST_LABEL {
        return label.to_owned();
    }
    label.chars().take(MOST_LABEL - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(groups: usize, bars: usize) -> BarChart {
        let bar = |color| Bar { color, value: color as f64 + 0.5, text: format!("{color} ms") };
        let group = |index| BarGroup { label: format!("shape {index}"), bars: (0..bars).map(bar).collect() };
        BarChart {
            name: "a test".to_owned(),
            label: "share".to_owned(),
            tick: |number| number.to_string(),
            groups: (0..groups).map(group).collect(),
            limit: Some(1.0),
        }
    }

    /// The places of the texts that begin with `start`, from the top.
    fn heights(svg: &str, end: &str) -> Vec<i32> {
        let texts = svg
            .split("<text ")
            .skip(1)
            .filter(|text| text.split('<').next().is_some_and(|text| text.trim_end().ends_with(end)));
        texts.filter_map(|text| text.split("y=\"").nth(1)?.split('"').next()?.parse().ok()).collect()
    }

    #[test]
    fn bars_of_any_number_do_not_overlap() -> Result<(), ChartError> {
        for (groups, bars) in [(1, 1), (3, 2), (60, 6)] {
            let svg = chart(groups, bars).svg()?;
            let heights = heights(&svg, " ms");
            assert_eq!(heights.len(), groups * bars);
            assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= BAR), "{heights:?}");
        }
        assert!(matches!(chart(3, 0).svg(), Err(ChartError::Empty { .. })));
        Ok(())
    }

    #[test]
    fn a_narrow_chart_has_room_for_its_bars() -> Result<(), ChartError> {
        let svg = chart(2, 2).svg_of_width(360)?;
        let widths = svg
            .split("<rect ")
            .skip(1)
            .filter_map(|rect| rect.split("width=\"").nth(1)?.split('"').next()?.parse().ok());
        let widths: Vec<i32> = widths.collect();
        assert!(widths.len() == 4 && widths.iter().any(|&width| width > 150), "{widths:?}");
        Ok(())
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(13.0), [0.0, 5.0, 10.0]);
        for last in [0.003, 0.9, 7.0, 123.0, 5e9] {
            assert!((2..=7).contains(&ticks(last).len()), "{last}");
        }
    }
}
