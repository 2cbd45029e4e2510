//! `batchnorm bench`: first whether the results are right, then how fast they come.

mod accuracy;
mod compare;
pub(crate) mod config;
pub(crate) mod data;
mod eviction;
mod features;
mod html;
pub(crate) mod measure;
pub(crate) mod memory;
mod replicas;
mod report;
mod row;
mod scratch;
pub(crate) mod selection;
pub(crate) mod shapes;
mod subject;
pub(crate) mod tensors;
pub(crate) mod turns;

use crate::environment::{Environment, write_json, write_text};
use crate::traversal::Forced;
use crate::{adapter, progress};
use anyhow::Context as _;
use compare::Peers;
use config::Config;
use eviction::Eviction;
use measure::{Bench, Measured};
use report::{Note, Record};
use selection::Selection;
use shapes::{BenchShape, layout_name};
use std::io::Write;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use turns::{CACHE_MIB, Cache};
use wgpu_batchnorm::{BatchNormError, DeviceError, Layout, UploadError};
use wgpu_batchnorm_measure::copy::Copier;
use wgpu_batchnorm_measure::timer::Timer;

/// Check every result against the reference, then time all passes against a copy and the CPU baseline.
#[derive(clap::Args)]
#[command(after_help = "\
Example: batchnorm bench --shapes quick --layout both --json quick.json
         batchnorm bench --shape 32,64,28,28 --dtype f16 --activation relu --residual
         batchnorm bench --compare pytorch.json burn.json --html bench.html

Columns: milliseconds (median, and half the distance of the quartiles), bytes per second, their share of \
what a copy kernel reaches in the same run, the moves (reads and writes of the full tensor) that were \
planned, the megabytes these are, scratch memory and its share of the tensor, the CPU baseline on the same \
data, and how many times as fast we are. The last one is the largest error in units of the bound it must \
meet: above 1 it says ACCURACY FAIL, and the exit status is 1. A ! marks figures whose spread makes them \
worthless, and scratch memory beyond its limits.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Run on the first adapter whose name contains this; see `batchnorm info`.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Write everything measured into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write it all as a page with charts too, in one file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print what a peer takes beside our times: the JSON that the programs in benches/peers write.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    compare: Vec<PathBuf>,
    /// How often everything is timed.
    #[arg(long, value_name = "COUNT", default_value = "11")]
    repetitions: NonZeroUsize,
    /// Begin no shape after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<NonZeroU64>,
    /// Time each step of the passes by itself too.
    #[arg(long)]
    steps: bool,
    /// Measure everything else too that the operator can do, with the settings below as far as they go with it.
    #[arg(long)]
    features: bool,
    /// Tensors take turns until so many MiB lie between two uses of one, so that no cache holds them.
    #[arg(long, value_name = "MIB", default_value_t = CACHE_MIB)]
    cache_mib: u32,
    /// Use the same tensors in every run: a cache may hold them.
    #[arg(long, conflicts_with = "cache_mib")]
    warm_cache: bool,
    #[command(flatten)]
    forced: Forced,
    #[command(flatten)]
    config: Config,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !arguments.selection.is_growth() || !arguments.selection.has_batch(),
        "the shapes of growth differ in N alone, and --batch would make them equal: leave one of the two out"
    );
    let peers = Peers::load(&arguments.compare)?;
    let context = arguments.forced.on(&adapter::open(arguments.adapter.as_deref())?);
    let shapes = arguments.selection.shapes(&context)?;
    // This thread works too, instead of waking others and waiting for them.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    let copier = Copier::new(&context);
    let timer = pollster::block_on(Timer::new(&context, &copier))?;
    let repetitions = arguments.repetitions.get();
    let cold = (!arguments.warm_cache).then_some(u64::from(arguments.cache_mib) << 20);
    let mut record = Record {
        environment: Environment::of(&context),
        clock: timer.clock().clone(),
        cpu: cpu_name(),
        cpu_threads: rayon::current_num_threads(),
        cache_bytes: cold,
        repetitions,
        growth: arguments.selection.is_growth(),
        peers: Vec::new(),
        config: arguments.config,
        rows: Vec::new(),
        notes: Vec::new(),
    };
    record.write_head(out)?;
    out.flush()?;

    let bench = Bench {
        context: &context,
        copier,
        timer,
        repetitions,
        steps: arguments.steps,
        cache: cold.map_or(Cache::Warm, |bytes| Cache::Cold { bytes }),
        eviction: cold.map(Eviction::new).transpose()?,
    };
    let layouts = arguments.selection.layouts();
    let bar = progress::bar(shapes.len() * layouts.len());
    let mut result = Ok(());
    let limit = arguments.time_limit.map(|seconds| Duration::from_secs(seconds.get()));
    let start = Instant::now();
    for (shape, &layout) in shapes.iter().flat_map(|shape| layouts.iter().map(move |layout| (shape, layout)))
    {
        let name = format!("{shape} {}", layout_name(layout));
        bar.set_message(name.clone());
        if limit.is_some_and(|limit| start.elapsed() > limit) {
            let note = "not measured: the time limit is over".to_owned();
            record.notes.push(Note { shape: shape.to_string(), layout: layout_name(layout), note });
            continue;
        }
        result = measure(&bench, arguments, shape, layout, &mut record).context(name);
        if result.is_err() {
            break;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();

    // What was measured before an error is not lost.
    record.peers = peers.compare(&mut record.rows);
    record.write(out)?;
    if let Some(path) = &arguments.json {
        write_json(path, &record)?;
    }
    if let Some(path) = &arguments.html {
        write_text(path, &html::page(&record)?)?;
    }
    result?;
    anyhow::ensure!(!record.rows.is_empty(), "no shape was measured");
    Ok(if record.failures() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds the rows of one shape to the record, or notes why some are missing.
fn measure(
    bench: &Bench<'_>,
    arguments: &Arguments,
    shape: &BenchShape,
    layout: Layout,
    record: &mut Record,
) -> anyhow::Result<()> {
    let sizes = shape.in_layout(layout)?;
    let mut note = |note| {
        record.notes.push(Note { shape: shape.to_string(), layout: layout_name(layout), note });
    };
    let Arguments { config, features, .. } = *arguments;
    if let Some(reason) =
        memory::reason_to_skip(bench.context, &sizes, config.dtype(), features || config.residual)
    {
        note(format!("not measured: {reason}"));
        return Ok(());
    }
    for (index, variation) in features::variations(config, features, &sizes).into_iter().enumerate() {
        let feature = variation.label.map(|label| format!("{label}: ")).unwrap_or_default();
        let Some(varied) = &variation.config else {
            note(format!("{feature}not measured: too few samples"));
            continue;
        };
        match bench.measure(shape, layout, varied, &variation) {
            Ok(Measured { rows, checked_channels }) => {
                let dtype = config.dtype.name();
                // The other variations have the same to say.
                let is_first = index == 0;
                if let Some(listed) = shape.listed_as.as_ref().filter(|&listed| is_first && listed != dtype) {
                    note(format!("listed as {listed}, measured as {dtype}"));
                }
                if let Some(count) = checked_channels.filter(|_| is_first) {
                    let all = sizes.channels();
                    note(format!("{count} of {all} channels were checked against the reference"));
                }
                record.rows.extend(rows);
            }
            // What does not fit in one variation may in another.
            Err(error) => {
                let reason = does_not_fit(error).context(variation.label.unwrap_or("plain passes"))?;
                note(format!("{feature}not measured: {reason}"));
            }
        }
    }
    Ok(())
}

/// The error as the reason why a shape does not fit the adapter, or as it is if it has another cause.
fn does_not_fit(error: anyhow::Error) -> Result<String, anyhow::Error> {
    let device = error
        .downcast_ref::<DeviceError>()
        .or_else(|| match error.downcast_ref::<UploadError>() {
            Some(UploadError::Device(device)) => Some(device),
            _ => None,
        })
        .or_else(|| match error.downcast_ref::<BatchNormError>() {
            Some(BatchNormError::Device(device)) => Some(device),
            _ => None,
        });
    let too_large = matches!(error.downcast_ref::<BatchNormError>(), Some(BatchNormError::Plan(_)))
        || matches!(device, Some(DeviceError::OutOfMemory { .. } | DeviceError::BufferTooLarge { .. }));
    if too_large { Ok(error.to_string()) } else { Err(error) }
}

/// The processor's name, if the system tells it.
fn cpu_name() -> String {
    let cpus = sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing());
    let system = sysinfo::System::new_with_specifics(cpus);
    let name = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "an unknown processor".to_owned())
}
