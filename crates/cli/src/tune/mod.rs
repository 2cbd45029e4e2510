//! `batchnorm tune`: the cost model's plans beside others, measured.

mod candidates;
mod report;

use crate::bench::config::Config;
use crate::bench::data::Data;
use crate::bench::measure::repeats_for;
use crate::bench::memory;
use crate::bench::selection::Selection;
use crate::bench::shapes::{BenchShape, layout_name};
use crate::bench::tensors::{Tensors, Turn};
use crate::bench::turns::{CACHE_MIB, Cache};
use crate::environment::{Environment, write_json};
use crate::{adapter, progress};
use anyhow::Context as _;
use report::{ACCEPTED, Candidate, Tuned};
use serde::Serialize;
use std::cell::Cell;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use wgpu_batchnorm::{BatchNorm, BatchNormError, BoundOperation, Context, Layout, PlanError, Schedule};
use wgpu_batchnorm_measure::copy::Copier;
use wgpu_batchnorm_measure::timer::Timer;
use wgpu_batchnorm_report::{Summary, median};

/// Measure the plans that the cost model chooses beside others.
#[derive(clap::Args)]
#[command(after_help = "\
Example: batchnorm tune --shapes quick --json tuned.json

For each shape, layout and pass a table of candidates, the fastest first. \"chosen\" is what the library runs by \
itself; the others are other traversals, or have other numbers of lanes in a workgroup, loads in flight, tiles at \
most, or runs of channels: a number of them, or as many as fit a cache of so many MiB. The fastest of all and the choice are measured once more, so that luck counts for \
nothing; the others follow with the times of the first round. Moves are reads and writes of the full tensor, and after the plus sign reads that a \
cache is to serve. A time whose spread makes it worthless is marked with an exclamation mark. The exit status is 1 \
if a choice takes more than 1.15 times the best.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// Run on the first adapter whose name contains this; see `batchnorm info`.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Write everything measured into this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How often everything is timed.
    #[arg(long, value_name = "COUNT", default_value = "9")]
    repetitions: NonZeroUsize,
    #[command(flatten)]
    config: Config,
}

/// What `--json` writes.
#[derive(Serialize)]
struct Record {
    #[serde(flatten)]
    environment: Environment,
    repetitions: usize,
    config: Config,
    tuned: Vec<Tuned>,
    /// What was not measured, and why.
    notes: Vec<String>,
}

/// A plan, bound to the tensors of every turn, and its times in seconds.
struct Entrant {
    /// All that come out as this plan.
    schedules: Vec<Schedule>,
    operations: Vec<BoundOperation>,
    /// Steps in a row.
    repeats: u32,
    seconds: Vec<f64>,
    is_finalist: bool,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let context = adapter::open(arguments.adapter.as_deref())?;
    let timer = pollster::block_on(Timer::new(&context, &Copier::new(&context)))?;
    let shapes = arguments.selection.shapes(&context)?;
    let layouts = arguments.selection.layouts();
    let environment = Environment::of(&context);
    writeln!(out, "{}\n{}, clock: {}", environment.program(), environment.adapter, timer.clock())?;
    let bar = progress::bar(shapes.len() * layouts.len());
    let (mut tuned, mut notes) = (Vec::new(), Vec::new());
    for (shape, &layout) in shapes.iter().flat_map(|shape| layouts.iter().map(move |layout| (shape, layout)))
    {
        bar.set_message(format!("{shape} {}", layout_name(layout)));
        let name = format!("{shape} {}", layout_name(layout));
        bar.inc(1);
        let sizes = shape.in_layout(layout)?;
        let Config { residual, .. } = arguments.config;
        if let Some(reason) = memory::reason_to_skip(&context, &sizes, arguments.config.dtype(), residual) {
            let note = format!("{name}: not measured: {reason}");
            bar.suspend(|| writeln!(out, "{note}"))?;
            notes.push(note);
            continue;
        }
        let found = tune(&context, &timer, arguments, shape, layout).context(name)?;
        bar.suspend(|| found.iter().try_for_each(|tuned| tuned.write(out)))?;
        tuned.extend(found);
    }
    bar.finish_and_clear();
    anyhow::ensure!(!tuned.is_empty(), "no shape was measured");
    let worst = tuned.iter().map(|tuned| tuned.of_best).fold(1.0, f64::max);
    if let Some((mib, times)) = report::fastest_cache(&tuned) {
        writeln!(
            out,
            "pipelined, runs of channels sized for a cache of {mib} MiB are fastest: {times:.2} times as long as \
             sized for what the kind of adapter suggests; Schedule::cache_bytes takes that figure"
        )?;
    }
    writeln!(out, "the chosen plans take {worst:.2} times the best at most, expected {ACCEPTED:.2}")?;
    if let Some(path) = &arguments.json {
        let repetitions = arguments.repetitions.get();
        write_json(path, &Record { environment, repetitions, config: arguments.config, tuned, notes })?;
    }
    Ok(if worst <= ACCEPTED { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Both passes on one shape.
fn tune(
    context: &Context,
    timer: &Timer,
    arguments: &Arguments,
    shape: &BenchShape,
    layout: Layout,
) -> anyhow::Result<Vec<Tuned>> {
    let config = &arguments.config;
    let data = Data::of(context, shape.in_layout(layout)?, config, false)?;
    let mode = config.mode();
    let layer = BatchNorm::new(context, config.options(data.shape.channels()))?;
    let tensors = Tensors::new(&layer, &data, config)?;
    let (turns, _) = tensors.turns(Cache::Cold { bytes: u64::from(CACHE_MIB) << 20 }, 2)?;
    let first = turns.first().context("there are no tensors")?;
    // The backward pass needs the statistics of a forward pass.
    submit(context, &layer.bind_forward(&data.shape, mode, &tensors.forward(first, mode))?)?;
    let forward =
        |layer: &BatchNorm, turn: &Turn| layer.bind_forward(&data.shape, mode, &tensors.forward(turn, mode));
    let backward = |layer: &BatchNorm, turn: &Turn| {
        layer.bind_backward(&data.shape, mode, &tensors.backward(turn, mode))
    };
    type Bind<'a> = &'a dyn Fn(&BatchNorm, &Turn) -> Result<BoundOperation, BatchNormError>;
    let passes: [(&str, Bind<'_>); 2] = [("forward", &forward), ("backward", &backward)];
    let mut tuned = Vec::new();
    for (pass, bind) in passes {
        let mut entrants: Vec<Entrant> = Vec::new();
        for schedule in candidates::candidates(context.traits().kind) {
            let layer = BatchNorm::new(&context.with_schedule(schedule), *layer.options())?;
            let operations: Result<Vec<_>, _> = turns.iter().map(|turn| bind(&layer, turn)).collect();
            let operations = match operations {
                Err(BatchNormError::Plan(PlanError::Traversal { .. })) => continue,
                operations => operations?,
            };
            let plan = |operations: &[BoundOperation]| operations.first().map(|first| first.plan().clone());
            match entrants.iter_mut().find(|other| plan(&other.operations) == plan(&operations)) {
                Some(equal) => equal.schedules.push(schedule),
                None => entrants.push(Entrant {
                    schedules: vec![schedule],
                    operations,
                    repeats: 1,
                    seconds: Vec::new(),
                    is_finalist: false,
                }),
            }
        }
        let repetitions = arguments.repetitions.get();
        measure(timer, &mut entrants.iter_mut().collect::<Vec<_>>(), repetitions)?;
        measure(timer, &mut finalists(&mut entrants), FINAL_ROUNDS * repetitions)?;
        let chosen = entrants.first().map(|chosen| chosen.seconds.clone()).unwrap_or_default();
        let candidates = entrants.iter().filter_map(|entrant| {
            let Entrant { schedules, operations, seconds, is_finalist, .. } = entrant;
            let mut ratios: Vec<_> = chosen.iter().zip(seconds).map(|(chosen, own)| chosen / own).collect();
            let ratio = is_finalist.then(|| median(&mut ratios));
            Some(Candidate::new(schedules, operations.first()?.plan(), Summary::of(seconds), ratio))
        });
        tuned.extend(Tuned::new(shape.to_string(), layout_name(layout), pass, candidates.collect()));
    }
    Ok(tuned)
}

/// The cost model's choice, which is the first entrant, and the fastest others. Of some thirty times the smallest
/// is so by luck too: only what is measured after the choice of whom to measure says how much faster one is.
fn finalists(entrants: &mut [Entrant]) -> Vec<&mut Entrant> {
    let Some((chosen, others)) = entrants.split_first_mut() else { return Vec::new() };
    let mut others: Vec<_> = others.iter_mut().collect();
    others.sort_by(|a, b| Summary::of(&a.seconds).median_ms.total_cmp(&Summary::of(&b.seconds).median_ms));
    others.truncate(FINALISTS);
    for entrant in std::iter::once(&mut *chosen).chain(others.iter_mut().map(|other| &mut **other)) {
        entrant.is_finalist = true;
    }
    std::iter::once(chosen).chain(others).collect()
}

/// Others that are measured once more beside the cost model's choice.
const FINALISTS: usize = 4;

/// Rounds that compile, and that find out how many steps in a row a measurement takes.
const WARM_UPS: usize = 2;

/// Rounds of the finalists for each round of all.
const FINAL_ROUNDS: usize = 2;

/// Times all in rounds, so that whatever drifts on the machine hits all alike.
fn measure(timer: &Timer, entrants: &mut [&mut Entrant], repetitions: usize) -> anyhow::Result<()> {
    for entrant in &mut *entrants {
        entrant.seconds.clear();
    }
    // Each run works on the tensors that were used longest ago, whoever used them.
    let turn = Cell::new(0);
    for round in 0..WARM_UPS + repetitions {
        for entrant in &mut *entrants {
            let Entrant { operations, repeats, seconds, .. } = &mut **entrant;
            let time = pollster::block_on(timer.time(*repeats, &|pass| {
                turn.set(turn.get() + 1);
                let index = turn.get() % operations.len().max(1);
                operations.get(index).map_or(Ok(()), |operation| Ok(operation.record(&mut *pass)?))
            }))?;
            if round < WARM_UPS {
                *repeats = repeats_for(time);
            } else {
                seconds.push(time);
            }
        }
    }
    Ok(())
}

fn submit(context: &Context, operation: &BoundOperation) -> anyhow::Result<()> {
    let descriptor = wgpu_batchnorm::wgpu::CommandEncoderDescriptor { label: Some("tune") };
    let mut encoder = context.device().create_command_encoder(&descriptor);
    operation.record(&mut encoder)?;
    context.queue().submit([encoder.finish()]);
    Ok(())
}
