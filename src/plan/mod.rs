//! Plans: from a shape, options and a device's limits to dispatches, sizes and uniform values.
//!
//! Nothing here touches a device, so all of it is tested without one. The code that binds and records
//! does no arithmetic of its own.

mod choice;
mod cost;
mod dispatches;
mod error;
mod kernel;
mod operation;
mod part;
mod problem;
mod schedule;
mod steps;
#[cfg(test)]
mod tests;
mod tile;
mod traits;
mod view;
mod wishes;
mod work;

pub use error::PlanError;
pub(crate) use kernel::Kernel;
pub use operation::{Accumulation, Operation, Pass, Wanted};
pub(crate) use problem::{Problem, Records, Run, Walk};
pub use schedule::{Schedule, Traversal, Unsuited};
pub(crate) use tile::Tile;
pub use traits::{DeviceKind, DeviceTraits};
pub(crate) use work::{Coefficients, Kept, Monoid, Whole, Work};

use crate::elementwise::Activation;
use crate::kernels::Step;
use crate::options::{Momentum, Options};
use crate::params::Params;
use crate::resource::Resource;
use crate::shader::{self, parts::Part};
use crate::shape::Shape;
use error::MOST_BINDINGS;
use std::ops::Range;

/// The dispatches of one operation on one shape and device, and the workspace they need.
///
/// ```
/// use wgpu_batchnorm::{DeviceKind, DeviceTraits, Layout, Mode, Operation, Options, Plan, Shape};
///
/// let shape = Shape::new(&[64, 64, 56, 56], Layout::ChannelsFirst)?;
/// let forward = Operation::Forward { pass: Mode::TRAINING.into(), in_place: false };
/// let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
/// let plan = Plan::new(&shape, &Options::new(64), forward, &device)?;
/// // Two reads of x and a write of y; the second read is from a cache, if the device has one that suits.
/// assert_eq!(plan.moves() + plan.rereads(), 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    shape: Shape,
    traversal: Option<Traversal>,
    pub(crate) dispatches: Vec<Dispatch>,
    /// Groups of samples that have statistics of their own.
    pub(crate) groups: u64,
    /// Bytes of the records, wherever they lie.
    pub(crate) record_bytes: u64,
    coefficients: Range<u64>,
    records: Option<Range<u64>>,
    saved_of_batch: Range<u64>,
    workspace_bytes: u64,
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
    /// Elements of one big tensor that it goes over.
    elements: f64,
    /// Elements of all of them that it reads from memory or writes there.
    moved: f64,
    /// Elements that it reads again, from a cache if all goes as planned.
    reread: f64,
    /// Bytes of an element.
    element_bytes: u64,
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

    /// Big tensors that it reads or writes.
    fn moves(&self) -> f64 {
        use shader::parts::{OUTPUT_DX_OVER_DY, OUTPUT_Y_OVER_X};
        let tensors = self.pieces.iter().filter(|piece| piece.resource.is_tensor()).count();
        let in_place = [OUTPUT_Y_OVER_X, OUTPUT_DX_OVER_DY].iter().any(|file| self.files.contains(file));
        (tensors + usize::from(in_place)) as f64
    }

    /// How many of some tensors it binds.
    fn tensors_among(&self, resources: &[Resource]) -> f64 {
        self.pieces.iter().filter(|piece| resources.contains(&piece.resource)).count() as f64
    }

    pub(crate) fn source(&self) -> shader::Source {
        shader::compose(&self.tile.constants(), &self.files)
    }
}

/// Planes of C words that a step leaves for the next: see `shaders/shared/planes.wgsl`.
pub(crate) const PLANES: u64 = 7;
/// Planes of C words that `double_backward_finalize` leaves.
const SECOND_PLANES: u64 = 13;
pub(crate) const WORD_BYTES: u64 = 4;
/// Ghost batches; a step per channel goes through them one by one.
const MOST_GROUPS: u64 = 1 << 15;

impl Plan {
    /// Plans `operation` for one shape on one device, as the cost model thinks best.
    ///
    /// # Errors
    /// [`PlanError`] if C or N·S is beyond what the kernels can address.
    pub fn new(
        shape: &Shape,
        options: &Options,
        operation: Operation,
        device: &DeviceTraits,
    ) -> Result<Self, PlanError> {
        Self::with_schedule(shape, options, operation, device, &Schedule::default())
    }

    /// The same with some of the decisions made.
    ///
    /// # Errors
    /// As [`Plan::new`], and [`PlanError::Traversal`] if the schedule's traversal does not apply.
    pub fn with_schedule(
        shape: &Shape,
        options: &Options,
        operation: Operation,
        device: &DeviceTraits,
        schedule: &Schedule,
    ) -> Result<Self, PlanError> {
        let device = &schedule.device(device);
        if let Some(limit) = device.unusable() {
            return Err(PlanError::Device { limit });
        }
        let binding_bytes = device.max_storage_buffer_binding_size;
        let planes = planes_of(operation);
        let (channels, max) = (shape.channels() as u64, binding_bytes / (planes * WORD_BYTES));
        if channels > max {
            let actual = shape.channels();
            return Err(PlanError::TooManyChannels { shape: *shape, actual, max, binding_bytes });
        }
        let values = shape.values_per_channel();
        if u32::try_from(values).is_err() {
            return Err(PlanError::TooManyValues { shape: *shape, actual: values, max: u32::MAX });
        }
        let problem =
            Problem::new(shape, options, operation, device, *schedule, common_params(shape, options));
        let (groups, max) = (problem.groups(), (max / channels).min(MOST_GROUPS));
        if groups > max {
            return Err(PlanError::TooManyGroups { shape: *shape, groups, max, binding_bytes });
        }
        if problem.bindings() > MOST_BINDINGS {
            return Err(PlanError::TooManyBindings { shape: *shape, binding_bytes });
        }
        if !operation.has_traversals() {
            return Self::traversing(&problem, shape, operation, Traversal::Split);
        }
        if let Some(traversal) = schedule.traversal {
            return Self::traversing(&problem, shape, operation, traversal);
        }
        Self::chosen(&problem, shape, operation)
    }

    /// The plan that goes over the tensors as `traversal` says.
    fn traversing(
        problem: &Problem<'_>,
        shape: &Shape,
        operation: Operation,
        traversal: Traversal,
    ) -> Result<Self, PlanError> {
        let (channels, groups) = (problem.channels, problem.groups());
        let binding_bytes = problem.device.max_storage_buffer_binding_size;
        let steps = steps::of(problem, problem.options, operation, traversal)
            .map_err(|unsuited| unsuited.of(shape, traversal))?;
        // A binding may not be empty, even where no record is read.
        let record_bytes = steps.record_bytes.max(WORD_BYTES * channels);
        if record_bytes > binding_bytes {
            return Err(PlanError::TooManyRecords {
                shape: *shape,
                actual: record_bytes,
                max: binding_bytes,
            });
        }
        let alignment = u64::from(problem.device.min_storage_buffer_offset_alignment);
        let mut end = 0u64;
        let mut place = |bytes: u64| {
            let start = end.next_multiple_of(alignment);
            end = start + bytes;
            start..end
        };
        let binds =
            |resource| steps.dispatches.iter().any(|dispatch| dispatch.tensors_among(&[resource]) > 0.0);
        let mut place_if = |wanted: bool, bytes: u64| place(if wanted { bytes } else { 0 });
        let planes = planes_of(operation);
        let coefficients = place_if(binds(Resource::Coefficients), planes * WORD_BYTES * channels * groups);
        let records =
            (!operation.exchanges_records()).then(|| place_if(binds(Resource::Records), record_bytes));
        let saved_of_batch =
            place(if steps.saves_batch { PLANES * WORD_BYTES * channels * groups } else { 0 });
        Ok(Self {
            shape: *shape,
            traversal: operation.has_traversals().then_some(traversal),
            dispatches: steps.dispatches,
            groups,
            record_bytes,
            coefficients,
            records,
            saved_of_batch,
            workspace_bytes: end,
        })
    }

    /// How it goes over the tensors, if there was a choice.
    pub fn traversal(&self) -> Option<Traversal> {
        self.traversal
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
        self.workspace_bytes
    }

    /// Reads and writes of the full tensor: the unit in which bandwidth is counted.
    pub fn moves(&self) -> f64 {
        Step::ALL.into_iter().map(|step| self.moves_of(step)).sum()
    }

    /// Reads of the full tensor besides, from a cache if all goes as planned: each follows soon on the first read
    /// of the same data.
    pub fn rereads(&self) -> f64 {
        let reread: f64 = self.dispatches.iter().map(|dispatch| dispatch.reread).sum();
        reread / self.shape.elements() as f64
    }

    /// The share of one step in [`Plan::moves`].
    pub fn moves_of(&self, step: Step) -> f64 {
        let elements = self.shape.elements() as f64;
        let dispatches = self.dispatches.iter().filter(|dispatch| dispatch.step == step);
        let moved: f64 = dispatches.map(|dispatch| dispatch.moved).sum();
        moved / elements
    }

    /// Where a resource lies in the workspace, if it does.
    pub(crate) fn in_workspace(&self, resource: Resource) -> Option<Range<u64>> {
        match resource {
            Resource::Coefficients => Some(self.coefficients.clone()),
            Resource::Records => self.records.clone(),
            Resource::SavedOfBatch => Some(self.saved_of_batch.clone()),
            _ => None,
        }
    }
}

/// Planes of the coefficients that an operation leaves for its last step.
fn planes_of(operation: Operation) -> u64 {
    if matches!(operation, Operation::DoubleBackward { .. }) { SECOND_PLANES } else { PLANES }
}

fn common_params(shape: &Shape, options: &Options) -> Params {
    let momentum = match options.momentum {
        Momentum::MovingAverage(momentum) => momentum,
        // The shader takes it from the number of batches.
        Momentum::Cumulative => 0.0,
    };
    let negative_slope = match options.activation {
        Activation::LeakyRelu { negative_slope } => negative_slope,
        _ => 0.0,
    };
    Params {
        all_channels: shape.channels() as u32,
        epsilon: options.eps as f32,
        momentum: momentum as f32,
        keep: (1.0 - momentum) as f32,
        negative_slope: negative_slope as f32,
        ..Params::default()
    }
}
