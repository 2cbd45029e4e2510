//! The charts of experiments.

use crate::experiment::Finding;
use crate::train::Spread;
use wgpu_batchnorm_report::chart::{
    Bar, BarChart, BarGroup, HistogramRow, Histograms, Line, Lines, Scale, ScaledAxis,
};

/// Of all charts, in pixels: narrow enough that a phone shows their text.
pub(crate) const WIDTH: u32 = 540;
const HEIGHT: u32 = 320;

/// Runs of one name.
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    /// Which of the page's colours.
    pub(crate) color: usize,
    /// Where each point is on the axis to the right.
    pub(crate) x: Vec<f64>,
    /// The mean is a line, the ends are a band around it.
    pub(crate) y: Vec<Spread>,
}

impl<'a> Series<'a> {
    /// Over 1, 2, 3, …
    pub(crate) fn of_steps(name: &'a str, color: usize, y: Vec<Spread>) -> Self {
        Self { name, color, x: (1..=y.len()).map(|step| step as f64).collect(), y }
    }

    /// Of single numbers.
    pub(crate) fn of_numbers(name: &'a str, color: usize, points: &[(f64, f64)]) -> Self {
        let spread = |&(_, y): &(f64, f64)| Spread { mean: y, least: y, most: y };
        Self {
            name,
            color,
            x: points.iter().map(|point| point.0).collect(),
            y: points.iter().map(spread).collect(),
        }
    }
}

/// Lines with bands from the least to the largest of the runs. Points that are no numbers, and on a logarithmic axis
/// those that are not above 0, are left out.
pub(crate) fn lines(
    title: &str,
    x: (&str, Scale),
    y: (&str, Scale),
    series: &[Series<'_>],
) -> anyhow::Result<Finding> {
    let axis = |(label, scale): (&str, Scale)| ScaledAxis { label: label.to_owned(), scale };
    let line = |series: &Series<'_>| Line {
        color: series.color,
        // Points that are few are measurements of their own.
        marked: series.x.len() <= 24,
        points: series.x.iter().zip(&series.y).map(|(&x, y)| (x, y.mean)).collect(),
        band: series.x.iter().zip(&series.y).map(|(&x, y)| (x, y.least, y.most)).collect(),
    };
    let chart = Lines {
        name: title.to_owned(),
        x: axis(x),
        y: axis(y),
        lines: series.iter().map(line).collect(),
        size: (WIDTH, HEIGHT),
    };
    let mut keys: Vec<(usize, &str)> = Vec::new();
    for Series { color, name, .. } in series {
        if !name.is_empty() && !keys.contains(&(*color, name)) {
            keys.push((*color, name));
        }
    }
    Ok(Finding::chart(title, &keys, &chart.svg()?))
}

/// A bar for each of the names in each group: `groups` are labels with a value and its text for each name; the first has
/// the first colour.
pub(crate) fn bars(
    title: &str,
    label: &str,
    names: &[&str],
    groups: &[(String, Vec<(f64, String)>)],
) -> anyhow::Result<Finding> {
    let group = |(label, bars): &(String, Vec<(f64, String)>)| BarGroup {
        label: label.clone(),
        bars: (0..)
            .zip(bars)
            .map(|(color, (value, text))| Bar { color, value: *value, text: text.clone() })
            .collect(),
    };
    let chart = BarChart {
        name: title.to_owned(),
        label: label.to_owned(),
        tick: crate::train::short,
        groups: groups.iter().map(group).collect(),
        limit: None,
    };
    let keys: Vec<_> = names.iter().copied().enumerate().collect();
    Ok(Finding::chart(title, &keys, &chart.svg_of_width(WIDTH)?))
}

/// Histograms: a column for each name, a row for each label; `rows` have the values of each column.
pub(crate) fn histograms(
    title: &str,
    label: &str,
    range: (f64, f64),
    names: &[&str],
    rows: &[(String, Vec<Vec<f32>>)],
) -> anyhow::Result<Finding> {
    let row = |(label, columns): &(String, Vec<Vec<f32>>)| HistogramRow {
        label: label.clone(),
        bins: columns.iter().map(|values| bins(values, range)).collect(),
    };
    let chart = Histograms {
        name: title.to_owned(),
        colors: (0..names.len()).collect(),
        rows: rows.iter().map(row).collect(),
        range,
        label: label.to_owned(),
        width: WIDTH,
    };
    let keys: Vec<_> = names.iter().copied().enumerate().collect();
    Ok(Finding::chart(title, &keys, &chart.svg()?))
}

const BINS: usize = 48;

/// The share of values in each bin; the first and the last hold what lies beyond, too.
fn bins(values: &[f32], (first, last): (f64, f64)) -> Vec<f64> {
    let mut bins = vec![0.0; BINS];
    for value in values.iter().map(|&value| f64::from(value)).filter(|value| value.is_finite()) {
        let bin = ((value - first) / (last - first) * BINS as f64).clamp(0.0, (BINS - 1) as f64);
        bins[bin as usize] += 1.0 / values.len() as f64;
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::bins;

    #[test]
    fn each_value_is_in_a_bin() {
        let bins = bins(&[-9.0, -1.0, 0.5, 9.0], (-1.0, 1.0));
        assert_eq!(bins.iter().sum::<f64>(), 1.0);
        assert_eq!((bins[0], bins.last().copied()), (0.5, Some(0.25)));
    }
}
