//! `batchnorm state`: the layers of batch normalization in a checkpoint.

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use wgpu_batchnorm_state::{Checkpoint, LayerState, StateError};

/// List the batch normalization layers in a safetensors checkpoint: channels, parts and batches tracked.
#[derive(clap::Args)]
#[command(after_help = "\
Example: batchnorm state model.safetensors

A layer is listed by its running statistics, under PyTorch's names; one without them cannot be told from \
other layers. Every layer is loaded, with all checks. The exit status is 1 if one cannot be.")]
pub(crate) struct Arguments {
    /// A safetensors file, such as safetensors.torch.save_file writes of a state_dict.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let name = arguments.file.display();
    let checkpoint = Checkpoint::load(&arguments.file).with_context(|| format!("no state in {name}"))?;
    let layers = checkpoint.layers();
    if layers.is_empty() {
        anyhow::bail!("no layers in {name}: no tensor is called running_mean or running_var");
    }
    let (mut table, mut refused) = (Table::new(), Vec::new());
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["layer", "channels", "weight", "bias", "running statistics", "batches"]);
    for prefix in layers {
        match row(&checkpoint, &prefix) {
            Ok(row) => drop(table.add_row(row)),
            Err(error) => refused.push(format!("{}: {error}", shown(&prefix))),
        }
    }
    for column in [1, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if !table.is_empty() {
        writeln!(out, "{table}")?;
    }
    refused.iter().try_for_each(|line| writeln!(out, "FAILED  {line}"))?;
    Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn row(checkpoint: &Checkpoint, prefix: &str) -> Result<[String; 6], StateError> {
    let parts = checkpoint.parts(prefix)?;
    let LayerState { running, .. } = checkpoint.layer(prefix, &parts)?;
    let has = |part: bool| if part { "yes" } else { "no" }.to_owned();
    let batches = running.and_then(|running| running.num_batches_tracked);
    Ok([
        shown(prefix).to_owned(),
        parts.channels.to_string(),
        has(parts.weight),
        has(parts.bias),
        has(parts.running),
        batches.map_or("not counted".to_owned(), |batches| batches.to_string()),
    ])
}

/// The prefix; that of a layer saved by itself is empty.
fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "(no name)" } else { prefix }
}
