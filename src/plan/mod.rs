//! Plans: from a shape, options and a device's limits to dispatches, sizes and uniform values.
//!
//! Nothing here touches a device, so all of it is tested without one. The code that binds and records
//! does no arithmetic of its own.

mod problem;
#[cfg(test)]
mod tests;
mod tile;
mod traits;
mod view;

pub(crate) use problem::{Kernel, Problem};
pub(crate) use tile::{Tile, Work};
pub use traits::{DeviceKind, DeviceTraits};

use crate::kernels::{self, Source, Step};
use crate::options::{Mode, Momentum, Options};
use crate::params::Params;
use crate::resource::Resource;
use crate::shader::{self, parts::Part};
use crate::shape::Shape;
use std::ops::Range;
use thiserror::Error;

/// How a gradient per channel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulation {
    /// It replaces what was there.
    Replace,
    /// It is added to what is there: gradient accumulation over micro-batches.
    Add,
}

/// What to plan for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// y, and the saved statistics.
    Forward {
        /// Which statistics normalize.
        mode: Mode,
        /// Whether y takes the place of x.
        in_place: bool,
    },
    /// The gradients that are asked for.
    Backward {
        /// Which statistics normalized in the forward pass.
        mode: Mode,
        /// Whether dx is wanted.
        dx: bool,
        /// Whether dx takes the place of dy.
        in_place: bool,
        /// Whether and how dweight is stored.
        dweight: Option<Accumulation>,
        /// Whether and how dbias is stored.
        dbias: Option<Accumulation>,
    },
}

/// A tensor of more bindings than this would need more dispatches than anyone wants to wait for.
const MOST_BINDINGS: u64 = 1 << 16;

/// Why there is no plan for a shape.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// More channels than the arrays per channel can bind.
    #[error(
        "{shape} has {actual} channels, expected at most {max} on a device whose storage bindings hold {binding_bytes} bytes: raise max_storage_buffer_binding_size when creating the device"
    )]
    TooManyChannels {
        /// The shape as given.
        shape: Shape,
        /// Its channels.
        actual: usize,
        /// The most channels.
        max: u64,
        /// The device's limit.
        binding_bytes: u64,
    },
    /// More values per channel than are counted.
    #[error("{shape} has {actual} values per channel, expected at most {max}: split the batch")]
    TooManyValues {
        /// The shape as given.
        shape: Shape,
        /// Its values per channel.
        actual: usize,
        /// The most values.
        max: u32,
    },
    /// The tensor would have to be bound in too many parts.
    #[error(
        "{shape} does not fit {MOST_BINDINGS} storage bindings of {binding_bytes} bytes: raise max_storage_buffer_binding_size when creating the device, or split the batch"
    )]
    TooManyBindings {
        /// The shape as given.
        shape: Shape,
        /// The device's limit.
        binding_bytes: u64,
    },
    /// The device's traits are none that a WebGPU device can have.
    #[error(
        "the device's {limit} is too small, or no power of two where it must be one: expected at least what WebGPU grants"
    )]
    Device {
        /// The limit that is at fault.
        limit: &'static str,
    },
    /// The tensor falls into so many parts that the records of all of them exceed a binding.
    #[error(
        "{shape} needs {actual} bytes of records, expected at most {max} as one storage binding holds: raise max_storage_buffer_binding_size when creating the device, or split the batch"
    )]
    TooManyRecords {
        /// The shape as given.
        shape: Shape,
        /// Bytes of its records.
        actual: u64,
        /// The device's limit.
        max: u64,
    },
}

/// The dispatches of one operation on one shape and device, and the workspace they need.
///
/// ```
/// use wgpu_batchnorm::{DeviceKind, DeviceTraits, Layout, Mode, Operation, Options, Plan, Shape};
///
/// let shape = Shape::new(&[64, 64, 56, 56], Layout::ChannelsFirst)?;
/// let forward = Operation::Forward { mode: Mode::TRAINING, in_place: false };
/// let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
/// let plan = Plan::new(&shape, &Options::new(64), forward, &device)?;
/// assert_eq!(plan.moves(), 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    shape: Shape,
    pub(crate) dispatches: Vec<Dispatch>,
    coefficients: Range<u64>,
    records: Range<u64>,
}

/// One dispatch: which shader, what it binds, with what numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    pub(crate) step: Step,
    pub(crate) files: Vec<Part>,
    pub(crate) tile: Tile,
    pub(crate) params: Params,
    pub(crate) grid: [u32; 3],
    pub(crate) pieces: Vec<Piece>,
}

/// What is bound of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) resource: Resource,
    /// Bytes from the resource's first.
    pub(crate) offset: u64,
    /// Bytes, or all there are.
    pub(crate) size: Option<u64>,
}

impl Dispatch {
    /// The step it runs.
    pub fn step(&self) -> Step {
        self.step
    }

    /// Workgroups in x, y and z.
    pub fn grid(&self) -> [u32; 3] {
        self.grid
    }

    /// Invocations in a workgroup.
    pub fn workgroup_size(&self) -> u32 {
        self.tile.lanes()
    }

    pub(crate) fn source(&self) -> shader::Source {
        shader::compose(&self.tile.constants(), &self.files)
    }
}

/// Planes of C words that `backward_finalize` leaves, the most that any step does.
const COEFFICIENT_PLANES: u64 = 5;
/// Planes of C words that `finalize` saves for the backward pass.
pub(crate) const SAVED_PLANES: u64 = 4;
pub(crate) const WORD_BYTES: u64 = 4;

impl Plan {
    /// Plans `operation` for one shape on one device.
    ///
    /// # Errors
    /// [`PlanError`] if C or N·S is beyond what the kernels can address.
    pub fn new(
        shape: &Shape,
        options: &Options,
        operation: Operation,
        device: &DeviceTraits,
    ) -> Result<Self, PlanError> {
        if let Some(limit) = device.unusable() {
            return Err(PlanError::Device { limit });
        }
        let binding_bytes = device.max_storage_buffer_binding_size;
        let max = binding_bytes / (COEFFICIENT_PLANES * WORD_BYTES);
        if shape.channels() as u64 > max {
            return Err(PlanError::TooManyChannels {
                shape: *shape,
                actual: shape.channels(),
                max,
                binding_bytes,
            });
        }
        let values = shape.values_per_channel();
        let count = u32::try_from(values).map_err(|_| PlanError::TooManyValues {
            shape: *shape,
            actual: values,
            max: u32::MAX,
        })?;
        let problem = Problem::new(shape, device, common_params(shape, options, count));
        if problem.view.bindings(device) > MOST_BINDINGS {
            return Err(PlanError::TooManyBindings { shape: *shape, binding_bytes });
        }
        let (dispatches, splits) = match operation {
            Operation::Forward { mode, in_place } => forward(&problem, options, mode, in_place),
            Operation::Backward { mode, dx, in_place, dweight, dbias } => {
                let reduces = mode == Mode::TRAINING && dx || dweight.is_some() || dbias.is_some();
                let (mut dispatches, splits) =
                    if reduces { kernels::backward_reduce(&problem) } else { (Vec::new(), 0) };
                // γ matters to dx alone.
                let weight = options.weight && dx;
                dispatches.push(kernels::backward_finalize(&problem, splits, weight, dweight, dbias));
                if dx {
                    dispatches.extend(kernels::backward_apply(&problem, mode, in_place));
                }
                (dispatches, splits)
            }
        };
        let channels = shape.channels() as u64;
        let alignment = u64::from(device.min_storage_buffer_offset_alignment);
        let coefficients = 0..COEFFICIENT_PLANES * WORD_BYTES * channels;
        let first_record = coefficients.end.next_multiple_of(alignment);
        // A binding may not be empty, even where no record is read.
        let bytes = problem::RECORD_BYTES * channels * splits.max(1);
        if bytes > binding_bytes {
            return Err(PlanError::TooManyRecords { shape: *shape, actual: bytes, max: binding_bytes });
        }
        let records = first_record..first_record + bytes;
        Ok(Self { shape: *shape, dispatches, coefficients, records })
    }

    /// The shape it is for.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its dispatches, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.dispatches
    }

    /// Bytes of workspace it needs; what is in there before and after does not matter.
    pub fn workspace_bytes(&self) -> u64 {
        self.records.end
    }

    /// Reads and writes of the full tensor: the unit in which bandwidth is counted.
    pub fn moves(&self) -> f64 {
        Step::ALL.into_iter().map(|step| self.moves_of(step)).sum()
    }

    /// The share of one step in [`Plan::moves`].
    pub fn moves_of(&self, step: Step) -> f64 {
        let elements = self.shape.elements() as f64;
        let moved: f64 = self
            .dispatches
            .iter()
            .filter(|dispatch| dispatch.step == step)
            .map(|dispatch| {
                let reads_x = dispatch.pieces.iter().any(|piece| piece.resource == Resource::X);
                let params = &dispatch.params;
                let lane_values =
                    params.positions as f64 * params.channels as f64 * f64::from(dispatch.tile.width);
                f64::from(dispatch.step.moves(reads_x)) * lane_values
            })
            .sum();
        moved / elements
    }

    /// Where a resource lies in the workspace, if it does.
    pub(crate) fn in_workspace(&self, resource: Resource) -> Option<Range<u64>> {
        match resource {
            Resource::Coefficients => Some(self.coefficients.clone()),
            Resource::Records => Some(self.records.clone()),
            _ => None,
        }
    }
}

fn forward(problem: &Problem<'_>, options: &Options, mode: Mode, in_place: bool) -> (Vec<Dispatch>, u64) {
    use crate::options::Source as From;
    let (mut dispatches, splits) = match mode.source {
        From::Batch => kernels::statistics(problem),
        From::Running | From::Given => (Vec::new(), 0),
    };
    let source = match mode.source {
        From::Batch => Source::Batch { splits },
        From::Running | From::Given => Source::Running,
    };
    dispatches.push(kernels::finalize(problem, source, options.weight, options.bias));
    if mode == Mode::TRAINING && options.running_statistics {
        dispatches.push(kernels::running_stats(problem, options.momentum));
    }
    dispatches.extend(kernels::normalize(problem, in_place));
    (dispatches, splits)
}

fn common_params(shape: &Shape, options: &Options, count: u32) -> Params {
    let momentum = match options.momentum {
        Momentum::MovingAverage(momentum) => momentum,
        // The shader takes it from the number of batches.
        Momentum::Cumulative => 0.0,
    };
    let n = f64::from(count);
    Params {
        all_channels: shape.channels() as u32,
        count,
        epsilon: options.eps as f32,
        momentum: momentum as f32,
        keep: (1.0 - momentum) as f32,
        // A single value has no unbiased variance; training refuses it before this is used.
        unbias: if count > 1 { (n / (n - 1.0)) as f32 } else { 1.0 },
        ..Params::default()
    }
}

/// The tile of the step that merges `records` per channel.
pub(crate) fn tile_of_records(problem: &Problem<'_>, records: u64) -> Tile {
    Tile::per_channel(records, problem.channels, problem.device)
}
