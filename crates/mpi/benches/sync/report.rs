//! What the measurements say, and what they say of larger machines.

use crate::record::{Point, Record, Records, Row};
use crate::resnet::Resnet50;
use crate::verdict::Verdict;
use anyhow::{Context as _, ensure};
use comfy_table::{CellAlignment, Table, presets};
use std::path::PathBuf;
use wgpu_batchnorm_mpi::Algorithm;
use wgpu_batchnorm_mpi::model::{Cluster, Line, Link};
use wgpu_batchnorm_report::chart::{Axis, Mark, Plane, Points};
use wgpu_batchnorm_report::page::{Column, Key};
use wgpu_batchnorm_report::{Page, median};

/// Ranks to predict for.
const PREDICTED: std::ops::RangeInclusive<u32> = 3..=14;

/// What the measurements say, and what they predict for ResNet-50.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What `measure` has written, of ranks that share memory.
    memory: PathBuf,
    /// What `link` has written, of ranks that have a network between them.
    network: PathBuf,
    /// Predict with this network instead: its latency in µs, and GB/s of a node.
    #[arg(long, value_name = "US,GB/S", value_parser = network)]
    network_of: Option<Link>,
    /// Ranks of a node, each with a core of its own.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    node: u16,
    /// Write a page with charts into this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write all that was measured into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn network(text: &str) -> Result<Link, String> {
    let expected = || format!("{text:?}, expected two positive numbers as in 1.5,12.5");
    let (latency, bandwidth) = text.split_once(',').ok_or_else(expected)?;
    match (latency.trim().parse::<f64>(), bandwidth.trim().parse::<f64>()) {
        (Ok(latency), Ok(bandwidth)) if latency > 0.0 && bandwidth > 0.0 => {
            // The work of sending is small beside the latency of any network.
            let line = Line { latency: latency * 1e-6, per_byte: 1e-9 / bandwidth };
            Ok(Link { overhead: latency * 1e-7, ..Link::of(line) })
        }
        _ => Err(expected()),
    }
}

/// A table for the terminal and for the page.
struct Rows {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    fn to_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(&self.heads).add_rows(&self.rows);
        let numbers = table.column_iter_mut().zip(&self.heads).filter(|(_, head)| is_number(head));
        numbers.for_each(|(column, _)| column.set_cell_alignment(CellAlignment::Right));
        table
    }

    fn add_to(&self, page: &mut Page) {
        let columns: Vec<_> =
            self.heads.iter().map(|name| Column { name, is_number: is_number(name) }).collect();
        page.table(&columns, &self.rows);
    }
}

/// Whether a column with this head has numbers.
fn is_number(head: &str) -> bool {
    !matches!(head, "layer" | "pass" | "algorithm")
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let memory = Record::read(&arguments.memory)?;
    let within = fit(&memory).context("too few points of ranks that share memory")?;
    let resnet = Resnet50::load()?;
    let (between, how, network) = match arguments.network_of {
        Some(link) => (link, "as given", None),
        None => {
            let record = Record::read(&arguments.network)?;
            let link = fit(&record).context("too few points of ranks with a network")?;
            // Two ranks have no further message; more of them would share the cores of this machine.
            let overhead = link.overhead.max(within.overhead);
            (Link { overhead, ..link }, "measured through TCP on this machine", Some(record))
        }
    };
    let node = usize::from(arguments.node);
    let cluster = Cluster { node, within, between, cores: node };
    let here = Cluster { node: usize::MAX, within, between, cores: memory.cores };
    let (passes, links, predicted) =
        (passes(&memory.rows), links(&memory.points, &here), prediction(&cluster, &resnet));

    let described = |link: Link| {
        let line = |line: Line| {
            let (latency, bandwidth) = (line.latency * 1e6, 1e-9 / line.per_byte);
            format!("α = {latency:.2} µs and β = 1/({bandwidth:.2} GB/s)")
        };
        let long = match link.long_from {
            from if from.is_finite() => format!(", from {from:.0} bytes on {}", line(link.long)),
            _ => String::new(),
        };
        format!("{}{long}, o = {:.2} µs", line(link.short), link.overhead * 1e6)
    };
    let verdict = Verdict::of(&memory)?;
    let (pays, agreement) = (pays(&cluster, &resnet), agreement(&memory.points, &here));
    println!("{} cores, {}", memory.cores, memory.adapter.as_deref().unwrap_or_default());
    if !memory.optimized {
        println!("warning: built without optimizations, these times say nothing");
    }
    println!("\nPasses of layers with 2 samples a rank: medians in µs\n{}", passes.to_table());
    println!("\n{verdict}");
    println!("\nWithin a node: {}. Between nodes ({how}): {}.", described(within), described(between));
    println!("\nExchanges alone in µs, and as the model has them\n{}\n{agreement}", links.to_table());
    println!(
        "\nA training step of ResNet-50, exchanges only, {node} ranks a node: predicted ms\n{}",
        predicted.to_table()
    );
    println!("\n{pays}");

    if let Some(path) = &arguments.html {
        let lead = "What batch normalization that is synchronized through MPI takes, measured, and predicted for more ranks.";
        let mut page = Page::new("Synchronized batch normalization", lead);
        page.fact(
            "Machine",
            format!("{} cores, {}", memory.cores, memory.adapter.as_deref().unwrap_or_default()),
        );
        page.fact("Within a node", described(within));
        page.fact(&format!("Between nodes ({how})"), described(between));
        if !memory.optimized {
            page.warning("Built without optimizations, these times say nothing.");
        }
        page.heading("Prediction", &pays);
        let keys: Vec<_> =
            CURVES.iter().enumerate().map(|(color, (name, _))| Key::Color(color, name)).collect();
        page.chart("Exchanges of a training step of ResNet-50", &chart(&cluster, &resnet)?, &keys);
        predicted.add_to(&mut page);
        page.heading(
            "The model and the measurements",
            &format!("Exchanges without a device, in µs. {agreement}"),
        );
        links.add_to(&mut page);
        page.heading("Passes", &verdict.to_string());
        passes.add_to(&mut page);
        std::fs::write(path, page.render()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &arguments.json {
        Records { memory, network }.write(path)?;
    }
    ensure!(!matches!(verdict, Verdict::Missed(_)), "{verdict}");
    Ok(())
}

/// The link: latency and bandwidth between two ranks, and the overhead of further messages from the shortest ones
/// between more.
fn fit(record: &Record) -> Option<Link> {
    let direct = || record.points.iter().filter(|point| point.algorithm == "direct");
    let two = direct().filter(|point| point.ranks == 2);
    let link =
        Link::fit(&two.map(|point| (point.bytes as f64, point.microseconds * 1e-6)).collect::<Vec<_>>())?;
    let shortest = direct().map(|point| point.bytes).min()?;
    let more = direct().filter(|point| point.ranks > 2 && point.bytes == shortest);
    let overheads = more.map(|point| {
        let turns = (point.ranks as f64 / record.cores as f64).max(1.0);
        (point.microseconds * 1e-6 / turns - link.line(shortest as f64).seconds(shortest as f64))
            / (point.ranks - 2) as f64
    });
    let mut overheads: Vec<_> = overheads.collect();
    let overhead = if overheads.is_empty() { 0.0 } else { median(&mut overheads).max(0.0) };
    Some(Link { overhead, ..link })
}

fn passes(rows: &[Row]) -> Rows {
    let cells = |row: &Row| {
        let numbers = [
            row.device,
            row.copy,
            row.sync,
            row.sync_cpu,
            row.all_reduce,
            row.all_reduce_cpu,
            row.overhead(),
        ];
        let names =
            [row.ranks.to_string(), format!("{}×{}×{}", row.channels, row.size, row.size), row.pass.clone()];
        let bytes = [row.bytes.to_string()];
        names.into_iter().chain(bytes).chain(numbers.map(|number| format!("{number:.1}"))).collect()
    };
    let heads = vec![
        "ranks",
        "layer",
        "pass",
        "bytes",
        "device",
        "copy",
        "exchange",
        "its CPU",
        "Allreduce",
        "its CPU",
        "CPU beyond",
    ];
    Rows { heads, rows: rows.iter().map(cells).collect() }
}

/// Microseconds of an exchange as the model has it, all ranks in one node.
fn modelled(point: &Point, here: &Cluster) -> f64 {
    let algorithm = match point.algorithm.as_str() {
        "direct" => Algorithm::Direct,
        "bruck" => Algorithm::Bruck,
        _ => Algorithm::TwoLevel { node: 2 },
    };
    let one_node = Cluster { node: point.ranks, between: here.within, ..*here };
    one_node.seconds(algorithm, point.ranks, point.bytes as f64) * 1e6
}

fn links(points: &[Point], here: &Cluster) -> Rows {
    let cells = |point: &Point| {
        let predicted = modelled(point, here);
        let texts = [point.algorithm.clone(), point.ranks.to_string(), point.bytes.to_string()];
        let ratio = predicted / point.microseconds;
        texts.into_iter().chain([point.microseconds, predicted, ratio].map(|n| format!("{n:.2}"))).collect()
    };
    let heads = vec!["algorithm", "ranks", "bytes", "measured", "model", "model / measured"];
    Rows { heads, rows: points.iter().map(cells).collect() }
}

/// How far the model is off, for the records of ResNet-50 and for all; it was fitted to the exchanges of 2 ranks.
fn agreement(points: &[Point], here: &Cluster) -> String {
    let range = |ranks: usize, bytes: std::ops::RangeInclusive<usize>| {
        let points = points.iter().filter(|point| point.ranks == ranks && bytes.contains(&point.bytes));
        let ratios = points.map(|point| modelled(point, here) / point.microseconds);
        let [least, most] =
            ratios.fold([f64::INFINITY, 0.0f64], |[least, most], ratio| [least.min(ratio), most.max(ratio)]);
        format!("{least:.2} to {most:.2}")
    };
    let mut ranks: Vec<_> = points.iter().map(|point| point.ranks).collect();
    ranks.dedup();
    ranks.sort_unstable();
    ranks.dedup();
    let of = |ranks: usize| {
        let [records, all] = [1_000..=41_000, 0..=usize::MAX].map(|bytes| range(ranks, bytes));
        format!("with {ranks} ranks {records} (all sizes: {all})")
    };
    let all: Vec<_> = ranks.into_iter().map(of).collect();
    format!("The model's time is of the measured one, for records of 1 to 41 KB: {}.", all.join("; "))
}

/// Seconds of an exchange by the number of ranks and the bytes of a record.
type Curve = fn(&Cluster, usize, f64) -> f64;

const CURVES: [(&str, Curve); 4] = [
    ("every rank to every other", |cluster, ranks, bytes| cluster.seconds(Algorithm::Direct, ranks, bytes)),
    ("Bruck", |cluster, ranks, bytes| cluster.seconds(Algorithm::Bruck, ranks, bytes)),
    ("two levels", |cluster, ranks, bytes| {
        cluster.seconds(Algorithm::TwoLevel { node: cluster.node }, ranks, bytes)
    }),
    ("within nodes only", |cluster, ranks, bytes| {
        cluster.seconds(Algorithm::Direct, ranks.min(cluster.node), bytes)
    }),
];

fn ranks() -> impl Iterator<Item = usize> {
    PREDICTED.map(|power| 1 << power)
}

fn prediction(cluster: &Cluster, resnet: &Resnet50) -> Rows {
    let row = |ranks: usize| {
        let times = CURVES.map(|(_, seconds)| resnet.seconds(|bytes| seconds(cluster, ranks, bytes)) * 1e3);
        let received = resnet.seconds(|bytes| bytes * (ranks - 1) as f64) / 1e6;
        let times = times.map(|time| format!("{time:.2}"));
        [ranks.to_string()].into_iter().chain(times).chain([format!("{received:.1}")]).collect()
    };
    let heads = ["ranks"].into_iter().chain(CURVES.map(|(name, _)| name)).chain(["MB a rank receives"]);
    Rows { heads: heads.collect(), rows: ranks().map(row).collect() }
}

/// From where on hierarchical groups pay.
fn pays(cluster: &Cluster, resnet: &Resnet50) -> String {
    let of = |curve: usize, ranks| resnet.seconds(|bytes| CURVES[curve].1(cluster, ranks, bytes));
    let pays = |ranks: &usize| *ranks > cluster.node && of(2, *ranks) < of(0, *ranks).min(of(1, *ranks));
    let candidates =
        (1..).map(|nodes| nodes * cluster.node).take_while(|ranks| *ranks <= 1 << PREDICTED.end());
    let first = candidates.clone().find(pays);
    // A step of ResNet-50 takes some 100 ms; a tenth of it is worth a thought.
    let dear = candidates.clone().find(|ranks| (0..3).all(|curve| of(curve, *ranks) > 0.01));
    let pays = match first {
        Some(ranks) => format!("Two levels pay from {ranks} ranks on"),
        None => "Two levels do not pay".to_owned(),
    };
    let dear = match dear {
        Some(ranks) => format!(
            "from {ranks} ranks on the exchanges of a step take more than 10 ms however they are made, and groups are the only remedy"
        ),
        None => "the exchanges of a step take less than 10 ms everywhere".to_owned(),
    };
    format!("{pays} ({} a node); {dear}.", cluster.node)
}

fn chart(cluster: &Cluster, resnet: &Resnet50) -> anyhow::Result<String> {
    let points = |(color, (_, seconds)): (usize, &(&str, Curve))| Points {
        color,
        mark: Mark::Circle,
        joined: true,
        points: ranks()
            .map(|ranks| (ranks as f64, resnet.seconds(|bytes| seconds(cluster, ranks, bytes)) * 1e3))
            .collect(),
    };
    let plane = Plane {
        name: "Exchanges of a training step of ResNet-50 by the number of ranks".to_owned(),
        x: Axis { label: "ranks", tick: |ranks| format!("{ranks:.0}") },
        y: Axis { label: "ms a step", tick: |time| format!("{time}") },
        points: CURVES.iter().enumerate().map(points).collect(),
        limit: Vec::new(),
    };
    Ok(plane.svg()?)
}
