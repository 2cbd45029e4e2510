//! Which layer and which pass of an exchange a message belongs to.

use super::message::PassNumber;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many layers and passes one end of an exchange has had: what identifies a pass to the other replicas.
///
/// A pass counts as soon as it is begun, also if it is refused then or never sent. A replica that goes on without it is
/// out of step with the others from there on, and all are told so instead of merging records of different passes.
///
/// A transport keeps one for each end, and hands it out by [`Exchange::sequence`](crate::Exchange::sequence).
#[derive(Debug, Default)]
pub struct Sequence {
    layers: AtomicU32,
    passes: AtomicU32,
}

impl Sequence {
    /// One of an end that has had nothing yet.
    pub const fn new() -> Self {
        Self { layers: AtomicU32::new(0), passes: AtomicU32::new(0) }
    }

    /// The number of a layer that is made now.
    pub(super) fn next_layer(&self) -> u32 {
        self.layers.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of a pass of a layer that is begun now.
    pub(super) fn next_pass(&self, layer: u32) -> PassNumber {
        PassNumber { layer, pass: self.passes.fetch_add(1, Ordering::Relaxed) }
    }
}
