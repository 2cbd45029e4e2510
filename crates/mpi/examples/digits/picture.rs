//! Loss curves as a table and as a picture.

use anyhow::Context as _;
use comfy_table::{Table, presets};
use std::path::{Path, PathBuf};
use wgpu_batchnorm_digits::replicas::Curve;
use wgpu_batchnorm_report::Page;
use wgpu_batchnorm_report::chart::{Axis, Mark, Plane, Points};
use wgpu_batchnorm_report::page::{Column, Key};

type Named = (String, Curve);

/// Means over so many steps: single batches of 8 vary too much to be read.
const WINDOW: usize = 20;

fn means(curve: &Curve) -> impl Iterator<Item = (usize, f64)> {
    let mean = |(index, losses): (usize, &[f64])| {
        ((index + 1) * WINDOW, losses.iter().sum::<f64>() / losses.len() as f64)
    };
    curve.chunks_exact(WINDOW).enumerate().map(mean)
}

/// A row for every so many steps, a column for each curve.
fn rows(curves: &[Named]) -> Vec<Vec<String>> {
    let columns: Vec<Vec<_>> = curves.iter().map(|(_, curve)| means(curve).collect()).collect();
    let steps = columns.first().map_or(0, Vec::len);
    let row = |i: usize| {
        let cells = columns.iter().filter_map(|column| column.get(i));
        let step = cells.clone().map(|(step, _)| step.to_string()).take(1);
        step.chain(cells.map(|(_, loss)| format!("{loss:.4}"))).collect()
    };
    (0..steps).map(row).collect()
}

fn heads(curves: &[Named]) -> Vec<&str> {
    std::iter::once("step").chain(curves.iter().map(|(name, _)| name.as_str())).collect()
}

/// The mean loss of each run of 20 steps.
pub(crate) fn table(curves: &[Named]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(heads(curves)).add_rows(rows(curves));
    table
}

/// Writes the picture, and a page with its legend.
pub(crate) fn write(folder: &Path, curves: &[Named]) -> anyhow::Result<[PathBuf; 2]> {
    let points = |(color, (_, curve)): (usize, &Named)| Points {
        color,
        // The first two lie on one another.
        mark: if color == 1 { Mark::Triangle } else { Mark::Circle },
        joined: true,
        points: means(curve).map(|(step, loss)| (step as f64, loss)).collect(),
    };
    let plane = Plane {
        name: "Loss of training on handwritten digits".to_owned(),
        x: Axis { label: "steps of 8 samples", tick: |step| format!("{step:.0}") },
        y: Axis { label: "cross entropy, mean of 20 steps", tick: |loss| format!("{loss}") },
        points: curves.iter().enumerate().map(points).collect(),
        limit: Vec::new(),
    };
    let svg = plane.svg()?;
    let lead = "A small network on handwritten digits: few samples a rank are enough if their statistics are \
                synchronized, and not otherwise.";
    let mut page = Page::new("Synchronized batch normalization", lead);
    page.heading("Loss", "Each point is the mean of 20 steps.");
    let keys = curves.iter().enumerate().map(|(color, (name, _))| Key::Color(color, name));
    page.chart(
        "Both axes are logarithmic; curves that are equal hide one another.",
        &svg,
        &keys.collect::<Vec<_>>(),
    );
    let columns: Vec<_> = heads(curves).into_iter().map(|name| Column { name, is_number: true }).collect();
    page.table(&columns, &rows(curves));

    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = [("digits.svg", svg), ("digits.html", page.render())].map(|(name, text)| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    });
    let [svg, page] = files;
    Ok([svg?, page?])
}
