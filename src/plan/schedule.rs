//! How a pass goes over the big tensors, where there is a choice.

use super::error::PlanError;
use super::operation::Operation;
use super::traits::{DeviceKind, DeviceTraits};
use super::view::{AcrossRows, Loads};
use crate::shape::Shape;
use std::fmt;
use thiserror::Error;

/// How a training pass goes over the big tensors. What it computes is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Traversal {
    /// One step after the other over the whole tensor: any shape, 3 moves forward and 5 backward.
    Split,
    /// A run of channels is reduced while the one before it is written, so that each second read finds its
    /// data in a cache that all processors share: one dispatch a run, and one more.
    Pipelined,
    /// A workgroup has all values of its channels, and reads them twice: the second time from its cache.
    Revisited,
    /// A workgroup has all values of its channels, and keeps them in registers: 2 moves forward, 3 backward.
    Resident,
}

impl Traversal {
    /// All traversals.
    pub const ALL: [Self; 4] = [Self::Split, Self::Pipelined, Self::Revisited, Self::Resident];

    /// Its name, as the program takes and prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Pipelined => "pipelined",
            Self::Revisited => "revisited",
            Self::Resident => "resident",
        }
    }
}

impl fmt::Display for Traversal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is decided about a plan before the cost model decides the rest: by default nothing.
///
/// The same schedule, shape, options and device give the same plan, and the same plan gives the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// Plan as for a graphics processor, whatever the device is: to try such plans on a software adapter.
    pub as_gpu: bool,
    /// How training passes go over the tensors. Passes without a choice (with held statistics, statistics alone,
    /// synchronized ones) have [`Traversal::Split`] whatever is said here.
    pub traversal: Option<Traversal>,
    /// Invocations of a workgroup; rounded down to a power of two that the device allows. Where nothing is said, an invocation
    /// of a CPU adapter may have several channels that come last, with which a given number here does away.
    pub workgroup: Option<u32>,
    /// Elements of a load, as far as the type and the shape allow: 4, 2 or 1. A load of 32-bit elements may then bring
    /// some of the next row; if nothing is said, it does on CPU adapters in long odd rows.
    pub width: Option<u32>,
    /// Loads that an invocation has in flight, as far as there is work for them. Resident kernels take as many
    /// as they have to keep; where an invocation has several channels and writes, nothing said means one.
    pub unroll: Option<u32>,
    /// The most workgroups of a dispatch over the tensors: what makes it more or fewer splits.
    pub tiles: Option<u64>,
    /// Runs of channels of [`Traversal::Pipelined`]: if nothing is said, as many as it takes that what is under way fits
    /// the shared cache.
    pub runs: Option<u64>,
    /// Bytes of the cache that all processors share, if more is known than
    /// [`DeviceTraits::shared_cache_bytes`], as from `batchnorm tune`.
    pub cache_bytes: Option<u64>,
}

/// Elements of a run of channels, at least: fewer do not fill a large device.
const LEAST_RUN: u64 = 1 << 20;

impl Schedule {
    /// A schedule that says nothing but the traversal.
    pub fn with_traversal(traversal: Traversal) -> Self {
        Self { traversal: Some(traversal), ..Self::default() }
    }

    /// The device as it is planned for.
    pub(super) fn device(&self, device: &DeviceTraits) -> DeviceTraits {
        if self.as_gpu { device.to_gpu() } else { device.clone() }
    }

    /// How many elements a load may bring.
    pub(super) fn loads(&self, device: &DeviceTraits) -> Loads {
        let most = match self.width {
            Some(0 | 1) => 1,
            Some(2 | 3) => 2,
            Some(4..) | None => 4,
        };
        let across_rows = match (self.width, device.kind) {
            (Some(_), _) => AcrossRows::Everywhere,
            (None, DeviceKind::Cpu) => AcrossRows::LongOddRows,
            (None, DeviceKind::Gpu) => AcrossRows::Nowhere,
        };
        Loads { most, across_rows }
    }

    /// The size of the shared cache.
    pub(super) fn shared_cache_bytes(&self, device: &DeviceTraits) -> u64 {
        self.cache_bytes.unwrap_or(device.shared_cache_bytes).max(1)
    }

    /// Runs of channels, for an operation on tensors of so many elements and bytes.
    pub(super) fn runs(&self, operation: Operation, elements: u64, bytes: u64, device: &DeviceTraits) -> u64 {
        let sized_by_cache = || {
            let under_way = operation.tensors_under_way().saturating_mul(bytes);
            under_way.div_ceil(self.shared_cache_bytes(device)).min(elements / LEAST_RUN)
        };
        self.runs.unwrap_or_else(sized_by_cache).max(1)
    }
}

/// Why a traversal does not apply.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsuited {
    /// The tensors, or the groups of samples in them, are bound in parts.
    #[error("its tensors are bound in {parts} parts, expected one that holds whole channels")]
    Parts {
        /// Parts of the tensor.
        parts: usize,
    },
    /// A kernel that does everything binds more than the device allows.
    #[error("its kernel has {actual} storage bindings, expected at most {max} on this device")]
    Bindings {
        /// Storage bindings.
        actual: usize,
        /// The device's limit.
        max: u32,
    },
    /// A workgroup cannot keep all values of a channel in registers.
    #[error("a channel has {actual} values, expected at most {max} that a workgroup keeps in registers")]
    Registers {
        /// Values of a channel and group.
        actual: u64,
        /// The most values.
        max: u64,
    },
    /// A workgroup cannot go over all values of a channel.
    #[error("a channel has {actual} values, expected at most {max} that a workgroup loops over")]
    Values {
        /// Values of a channel and group.
        actual: u64,
        /// The most values.
        max: u64,
    },
}

impl Unsuited {
    pub(super) fn of(self, shape: &Shape, traversal: Traversal) -> PlanError {
        PlanError::Traversal { shape: *shape, traversal, reason: self }
    }
}
