//! The record as a page.

use super::compare;
use super::report::Record;
use super::row::{Pass, Row};
use super::scratch::MOST_SHARE;
use std::collections::BTreeMap;
use wgpu_batchnorm_report::chart::{Axis, Bar, BarChart, BarGroup, ChartError, Mark, Plane, Points};
use wgpu_batchnorm_report::page::{Column, Key};
use wgpu_batchnorm_report::{Page, unit};

/// Of the bars. The peers have those between.
const OURS: usize = 0;
const CPU: usize = 7;
const PEERS: usize = 6;
/// Of the passes that every run has, and of all others.
const PASSES: [(Pass, usize); 3] = [(Pass::Forward, 0), (Pass::Evaluation, 1), (Pass::Backward, 2)];
const OTHERS: usize = 3;

/// What `--html` writes.
pub(crate) fn page(record: &Record) -> Result<String, ChartError> {
    let lead = "Training batch normalization as WGSL compute shaders: what each pass takes, and how close that \
                is to what a kernel takes that only copies.";
    let mut page = Page::new("wgpu-batchnorm benchmark", lead);
    facts(&mut page, record);
    for doubt in record.doubts() {
        page.warning(doubt);
    }
    if !record.rows.is_empty() {
        roofline(&mut page, record)?;
        bars(&mut page, record)?;
        if record.growth {
            growth(&mut page, record)?;
        }
        table(&mut page, record);
    }
    let notes: Vec<_> = record.all_notes().collect();
    if !notes.is_empty() {
        page.heading("Notes", "");
        page.list(&notes);
    }
    Ok(page.render())
}

fn facts(page: &mut Page, record: &Record) {
    let environment = &record.environment;
    page.fact("Adapter", &environment.adapter);
    page.fact("Times", &record.clock);
    page.fact("CPU baseline", format!("{} threads of {}", record.cpu_threads, record.cpu));
    page.fact("Layer", record.config);
    page.fact("Cache", record.cache());
    page.fact("Measurements", format!("medians of {}, {}", record.repetitions, environment.time));
    page.fact("Program", environment.program());
    for run in &record.peers {
        let clock = run.clock.as_deref().unwrap_or("times as the peer takes them");
        page.fact(
            "Peer",
            format!("{} on {} ({clock}; {} rows compared)", run.peer, run.adapter, run.compared),
        );
    }
}

/// Passes whose bytes mean something.
fn moving(record: &Record) -> impl Iterator<Item = &Row> {
    record.rows.iter().filter(|row| row.bytes > 0.0 && !matches!(row.pass, Pass::Copy | Pass::Step(_)))
}

fn mark(row: &Row) -> Mark {
    if row.layout == "channels-first" { Mark::Circle } else { Mark::Triangle }
}

fn color(row: &Row) -> usize {
    let plain = PASSES.iter().find(|(pass, _)| row.is_plain(*pass));
    plain.map_or(OTHERS, |(_, color)| *color)
}

const MARKS: [Key<'_>; 2] = [Key::Circle("channels first"), Key::Triangle("channels last")];

fn roofline(page: &mut Page, record: &Record) -> Result<(), ChartError> {
    page.heading(
        "Bandwidth",
        "Batch normalization computes little and moves much, so the limit is the bandwidth of a copy kernel over \
         the same tensors in the same run. The bytes of a pass are its planned moves (reads and writes of the \
         full tensor) times the tensor. A small pass lies below the limit because of what it costs to begin one.",
    );
    // The best copy of each size.
    let mut limit: BTreeMap<u64, f64> = BTreeMap::new();
    for row in record.rows.iter().filter(|row| row.pass == Pass::Copy) {
        let rate = limit.entry(row.bytes as u64).or_default();
        *rate = rate.max(row.bytes_per_second);
    }
    let mut points: Vec<Points> = Vec::new();
    for row in moving(record) {
        let (color, mark, point) = (color(row), mark(row), (row.bytes, row.bytes_per_second));
        match points.iter_mut().find(|points| points.color == color && points.mark == mark) {
            Some(points) => points.points.push(point),
            None => points.push(Points { color, mark, joined: false, points: vec![point] }),
        }
    }
    let mut limit: Vec<_> = limit.into_iter().map(|(bytes, rate)| (bytes as f64, rate)).collect();
    // Passes move fewer bytes than the smallest copy, and more than the largest.
    let moved = || points.iter().flat_map(|points| &points.points).map(|point| point.0);
    if let (Some(&(first, low)), Some(&(last, high))) = (limit.first(), limit.last()) {
        limit.insert(0, (moved().fold(first, f64::min), low));
        limit.push((moved().fold(last, f64::max), high));
    }
    points.sort_by_key(|points| std::cmp::Reverse(points.color));
    let has = |color| points.iter().any(|points| points.color == color);
    let mut keys: Vec<_> = PASSES
        .iter()
        .filter(|(_, color)| has(*color))
        .map(|(pass, color)| {
            let name = match pass {
                Pass::Evaluation => "forward (evaluation)",
                Pass::Backward => "backward",
                _ => "forward",
            };
            Key::Color(*color, name)
        })
        .collect();
    if has(OTHERS) {
        keys.push(Key::Color(OTHERS, "features"));
    }
    keys.extend(MARKS);
    keys.push(Key::Limit("copy kernel: the limit"));
    let plane = Plane {
        name: "Bandwidth of each pass over the bytes it moves".to_owned(),
        x: Axis { label: "bytes moved by the pass", tick: |bytes| unit::prefixed(bytes, "B") },
        y: Axis { label: "bytes per second", tick: |rate| unit::prefixed(rate, "B/s") },
        points,
        limit,
    };
    page.chart("Bandwidth over bytes moved", &plane.svg()?, &keys);
    Ok(())
}

fn bars(page: &mut Page, record: &Record) -> Result<(), ChartError> {
    let peers = compare::names(&record.rows);
    let text = "The bar is the time the limit allows over the time taken: 100 % is a pass that takes no longer than a \
                copy kernel would for the same bytes. Peers are held against the bytes of our plan, whatever \
                they move themselves. Behind a peer's time stands how many times as long as ours it is; ! marks \
                times that spread too far to be worth much.";
    page.heading(if peers.is_empty() { "Share of the limit" } else { "Beside the peers" }, text);
    let mut groups: Vec<(String, Vec<BarGroup>)> = Vec::new();
    for row in moving(record) {
        let place = format!("{} {}", row.shape, row.layout.trim_start_matches("channels-"));
        // Plain passes of all shapes side by side; the features of a shape side by side.
        let (chart, label) = match row.feature {
            None => (format!("{}, {}", row.name(), record.config), place),
            Some(_) => (format!("features, {place}"), row.name()),
        };
        let group = BarGroup { label, bars: bars_of(row, &peers) };
        match groups.iter_mut().find(|(name, _)| *name == chart) {
            Some((_, groups)) => groups.push(group),
            None => groups.push((chart, vec![group])),
        }
    }
    for (name, groups) in groups {
        // Not every peer measures everything.
        let has = |color| groups.iter().flat_map(|group| &group.bars).any(|bar| bar.color == color);
        let names = std::iter::once((OURS, "wgpu-batchnorm"))
            .chain(peers.iter().enumerate().map(|(index, name)| (1 + index % PEERS, *name)))
            .chain([(CPU, "our CPU baseline")]);
        let keys = names.filter(|(color, _)| has(*color)).map(|(color, name)| Key::Color(color, name));
        let keys: Vec<_> = keys.chain([Key::Limit("copy kernel: the limit")]).collect();
        let chart = BarChart {
            name: format!("Share of the limit: {name}"),
            label: "share of the copy kernel's bandwidth".to_owned(),
            tick: |share| format!("{:.0} %", share * 100.0),
            groups,
            limit: Some(1.0),
        };
        page.chart(&name, &chart.svg()?, &keys);
    }
    Ok(())
}

fn bars_of(row: &Row, peers: &[&str]) -> Vec<Bar> {
    let mark = |worthless| if worthless { " !" } else { "" };
    let ours = unit::milliseconds(row.time.median_ms) + mark(row.time.is_worthless());
    let mut bars = vec![Bar { color: OURS, value: row.share_of_copy, text: ours }];
    let mut other = |color, median_ms: f64, worthless| {
        let ratio = median_ms / row.time.median_ms;
        let text = format!("{} · {}{}", unit::milliseconds(median_ms), unit::factor(ratio), mark(worthless));
        bars.push(Bar { color, value: row.share_of_copy / ratio, text });
    };
    for compared in &row.peers {
        let index = peers.iter().position(|name| *name == compared.peer).unwrap_or(0);
        other(1 + index % PEERS, compared.median_ms, compared.worthless);
    }
    if let Some(cpu) = &row.cpu {
        other(CPU, cpu.median_ms, cpu.is_worthless());
    }
    bars
}

fn growth(page: &mut Page, record: &Record) -> Result<(), ChartError> {
    page.heading(
        "Growth",
        "The time of an element falls until a pass is large enough to fill the adapter, and should stay flat from \
         there on. Scratch memory, the workspace between the steps of a pass, should stay below 1 % of the tensor.",
    );
    let elements = Axis { label: "elements of the tensor", tick: |elements| unit::prefixed(elements, "") };
    let lines = |value: fn(&Row) -> Option<f64>, passes: &[(Pass, usize)]| {
        let mut lines = Vec::new();
        for &(pass, color) in passes {
            for (layout, mark) in [("channels-first", Mark::Circle), ("channels-last", Mark::Triangle)] {
                let rows = record.rows.iter().filter(|row| row.is_plain(pass) && row.layout == layout);
                let points: Vec<_> = rows.filter_map(|row| Some((row.elements(), value(row)?))).collect();
                if !points.is_empty() {
                    lines.push(Points { color, mark, joined: true, points });
                }
            }
        }
        lines
    };
    let names = ["forward", "forward (evaluation)", "backward", "copy kernel"];
    let keys = |count: usize| -> Vec<Key<'_>> {
        let colors = names.iter().take(count).enumerate().map(|(color, name)| Key::Color(color, name));
        colors.chain(MARKS).collect()
    };
    let passes = [PASSES[0], PASSES[1], PASSES[2], (Pass::Copy, OTHERS)];
    let time = Plane {
        name: "Time of an element over the number of elements".to_owned(),
        x: elements,
        y: Axis { label: "time per element", tick: |ns| unit::prefixed(ns * 1e-9, "s") },
        points: lines(|row| Some(row.ns_per_element), &passes),
        limit: Vec::new(),
    };
    page.chart("Time per element", &time.svg()?, &keys(4));
    let points = lines(|row| row.scratch.map(|scratch| scratch.scratch_share), &PASSES);
    let ends = points.iter().flat_map(|points| &points.points).map(|point| point.0);
    let (first, last) = ends.fold((f64::INFINITY, 0.0f64), |(first, last), x| (first.min(x), last.max(x)));
    let scratch = Plane {
        name: "Scratch memory over the number of elements".to_owned(),
        x: elements,
        y: Axis {
            label: "scratch memory, share of the tensor",
            tick: |share| format!("{} %", round(share * 100.0)),
        },
        points,
        limit: vec![(first, MOST_SHARE), (last, MOST_SHARE)],
    };
    let mut keys = keys(3);
    keys.push(Key::Limit("1 % of the tensor"));
    page.chart("Scratch memory", &scratch.svg()?, &keys);
    Ok(())
}

/// Without the digits that come from counting in twos.
fn round(number: f64) -> f64 {
    (number * 1e9).round() / 1e9
}

fn table(page: &mut Page, record: &Record) {
    page.heading("All rows", "");
    let peers = compare::names(&record.rows);
    let columns = Record::COLUMNS
        .iter()
        .enumerate()
        .map(|(index, name)| Column { name, is_number: Record::is_number(index) });
    let columns = columns.chain(peers.iter().map(|name| Column { name, is_number: true }));
    let columns: Vec<_> = columns.collect();
    let rows = record.rows.iter().map(|row| {
        let mut cells = row.cells().to_vec();
        cells.extend(peers.iter().map(|peer| row.peer_cell(peer)));
        cells
    });
    let rows: Vec<Vec<String>> = rows.collect();
    // What no row has, such as a CPU that knows no 16-bit elements.
    let kept: Vec<_> =
        (0..columns.len()).filter(|&index| rows.iter().any(|row| !row[index].is_empty())).collect();
    let columns: Vec<_> = kept.iter().map(|&index| columns[index]).collect();
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| kept.iter().map(|&index| row[index].clone()).collect()).collect();
    page.table(&columns, &rows);
}
