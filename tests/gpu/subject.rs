//! One step on the device beside the reference in f64: its inputs, its buffers, and the bounds between them.

mod bounds;
mod buffers;
mod compare;
mod data;
mod devices;
mod double;
mod setup;
mod traversals;

pub(crate) use bounds::{Bounds, rounding};
pub(crate) use buffers::{Buffers, Results, download, submit};
pub(crate) use compare::{near, near_all};
pub(crate) use data::{Random, SIZES, bits, normals, positions, rounded, shape};
pub(crate) use devices::{Arena, buffer, device_still_works, expect, with_limits};
pub(crate) use double::Double;
pub(crate) use setup::Setup;
pub(crate) use traversals::{check as check_traversal, plans};

pub(crate) use crate::common::{ACTIVATIONS, LAYOUTS};

use wgpu_batchnorm::Dtype;

/// Half the distance from 1 to the next f32.
pub(crate) const EPSILON: f64 = 1.0 / (1u64 << 24) as f64;

pub(crate) const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];
