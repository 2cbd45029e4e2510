//! Why there is no plan.

use super::schedule::{Traversal, Unsuited};
use crate::shape::Shape;
use thiserror::Error;

/// A tensor of more bindings than this would need more dispatches than anyone wants to wait for.
pub(super) const MOST_BINDINGS: u64 = 1 << 16;

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
    /// More ghost batches than the arrays per channel and group can bind, or the kernels count.
    #[error(
        "{shape} falls into {groups} ghost batches, expected at most {max} with so many channels on a device whose storage bindings hold {binding_bytes} bytes: make the ghost batches larger, or raise max_storage_buffer_binding_size when creating the device"
    )]
    TooManyGroups {
        /// The shape as given.
        shape: Shape,
        /// Its ghost batches.
        groups: u64,
        /// The most ghost batches.
        max: u64,
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
    /// The schedule asks for a traversal that does not apply.
    #[error(
        "{shape} cannot be traversed {traversal}: {reason}; leave the traversal to the cost model, or choose another"
    )]
    Traversal {
        /// The shape as given.
        shape: Shape,
        /// What the schedule asks for.
        traversal: Traversal,
        /// Why it does not apply.
        reason: Unsuited,
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
