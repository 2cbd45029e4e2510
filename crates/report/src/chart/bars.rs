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
/// Characters that fit in [`LEFT`].
const MOST_LABEL: usize = 28;

impl BarChart {
    /// The chart as an SVG element.
    ///
    /// # Errors
    /// [`ChartError`] if there is no bar.
    pub fn svg(&self) -> Result<String, ChartError> {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        if bars == 0 {
            return Err(ChartError::Empty { name: self.name.clone() });
        }
        let height = TOP + BOTTOM + bars as i32 * BAR + self.groups.len() as i32 * GAP;
        let mut svg = String::new();
        self.draw(&mut svg, height).map_err(|reason| ChartError::Draw { name: self.name.clone(), reason })?;
        Ok(with_label(&svg, &self.name))
    }

    fn draw(&self, svg: &mut String, height: i32) -> Result<(), String> {
        let text = |error: DrawingAreaErrorKind<_>| error.to_string();
        let values = self.groups.iter().flat_map(|group| group.bars.iter().map(|bar| bar.value));
        let finite = values.chain(self.limit).filter(|value| value.is_finite());
        let longest = finite.fold(f64::MIN_POSITIVE, f64::max);
        let at =
            |value: f64| LEFT + (value / longest * f64::from(WIDTH as i32 - LEFT - RIGHT)).round() as i32;
        let style =
            |horizontal, vertical| (FONT, TEXT).into_font().color(&INK).pos(Pos::new(horizontal, vertical));

        let area = SVGBackend::with_string(svg, (WIDTH, height as u32)).into_drawing_area();
        let bottom = height - BOTTOM;
        for tick in ticks(longest) {
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
        let middle = (LEFT + WIDTH as i32 - RIGHT) / 2;
        let label = Text::new(self.label.clone(), (middle, bottom + 30), style(HPos::Center, VPos::Top));
        area.draw(&label).map_err(text)?;

        let mut y = TOP + GAP / 2;
        for BarGroup { label, bars } in &self.groups {
            let tall = bars.len() as i32 * BAR;
            let place = (LEFT - 8, y + tall / 2);
            area.draw(&Text::new(shortened(label), place, style(HPos::Right, VPos::Center))).map_err(text)?;
            for Bar { color, value, text: said, .. } in bars {
                let end = if value.is_finite() { at(value.max(0.0)).max(LEFT + 1) } else { LEFT + 1 };
                let corners = [(LEFT, y + 1), (end, y + BAR - 1)];
                area.draw(&Rectangle::new(corners, series(*color).filled())).map_err(text)?;
                let place = (end + 5, y + BAR / 2);
                area.draw(&Text::new(said.clone(), place, style(HPos::Left, VPos::Center))).map_err(text)?;
                y += BAR;
            }
            y += GAP;
        }
        area.draw(&PathElement::new([(LEFT, TOP), (LEFT, bottom)], INK)).map_err(text)?;
        area.present().map_err(text)
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
    fn ticks_are_round() {
        assert_eq!(ticks(1.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(13.0), [0.0, 5.0, 10.0]);
        for last in [0.003, 0.9, 7.0, 123.0, 5e9] {
            assert!((2..=7).contains(&ticks(last).len()), "{last}");
        }
    }
}
