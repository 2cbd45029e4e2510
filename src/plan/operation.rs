//! What can be planned for.

use crate::mode::{Mode, Source};
use crate::options::Options;

/// How a gradient per channel is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accumulation {
    /// It replaces what was there.
    Replace,
    /// It is added to what is there: gradient accumulation over micro-batches.
    Add,
}

/// What all operations on a batch have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    /// Which statistics normalize, and whether the running ones are updated.
    pub mode: Mode,
    /// Whether a residual is added before the activation.
    pub residual: bool,
    /// Whether only the positions that a mask shows count.
    pub mask: bool,
}

impl From<Mode> for Pass {
    /// A pass without residual and mask.
    fn from(mode: Mode) -> Self {
        Self { mode, residual: false, mask: false }
    }
}

/// The gradients that a backward pass gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Whether dx is wanted.
    pub dx: bool,
    /// Whether dx takes the place of dy.
    pub in_place: bool,
    /// Whether dresidual is wanted.
    pub dresidual: bool,
    /// Whether and how dweight is stored.
    pub dweight: Option<Accumulation>,
    /// Whether and how dbias is stored.
    pub dbias: Option<Accumulation>,
    /// Whether the gradients of given statistics are wanted.
    pub dstatistics: bool,
}

/// What to plan for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// y, and the saved statistics.
    Forward {
        /// What it works on.
        pass: Pass,
        /// Whether y takes the place of x.
        in_place: bool,
    },
    /// The gradients that are asked for.
    Backward {
        /// What the forward pass worked on.
        pass: Pass,
        /// The gradients.
        wanted: Wanted,
    },
    /// The batch's statistics alone: saved, and taken into the running ones if the pass updates them.
    Statistics {
        /// What it works on.
        pass: Pass,
    },
    /// The gradient of the batch's mean and variance with respect to x.
    MomentsBackward {
        /// Whether only the positions that a mask shows count.
        mask: bool,
    },
    /// The folded form, y = scale·x + offset, of given statistics.
    Fold,
    /// The gradients of a backward pass with respect to its inputs.
    DoubleBackward {
        /// What the forward pass worked on.
        pass: Pass,
        /// Whether dγ has a cotangent.
        ddweight: bool,
        /// Whether dβ has a cotangent.
        ddbias: bool,
        /// Whether the gradient of γ is wanted.
        grad_weight: bool,
    },
    /// The first half of a synchronized forward pass: one record of this replica's statistics.
    LocalStatistics {
        /// What it works on.
        pass: Pass,
    },
    /// The second half of a synchronized forward pass, from the records of all replicas.
    MergedForward {
        /// What it works on.
        pass: Pass,
        /// Whether y takes the place of x.
        in_place: bool,
        /// Records to merge.
        replicas: usize,
        /// Whether this replica has samples.
        samples: bool,
    },
    /// The first half of a synchronized backward pass: one record of this replica's gradient sums.
    LocalGradients {
        /// What the forward pass worked on.
        pass: Pass,
    },
    /// The second half of a synchronized backward pass, from the records of all replicas.
    MergedBackward {
        /// What the forward pass worked on.
        pass: Pass,
        /// The gradients.
        wanted: Wanted,
        /// Records to merge.
        replicas: usize,
    },
}

impl Operation {
    /// What the operation works on.
    pub(crate) fn pass(&self) -> Pass {
        match *self {
            Self::Forward { pass, .. }
            | Self::Backward { pass, .. }
            | Self::Statistics { pass }
            | Self::DoubleBackward { pass, .. }
            | Self::LocalStatistics { pass }
            | Self::MergedForward { pass, .. }
            | Self::LocalGradients { pass }
            | Self::MergedBackward { pass, .. } => pass,
            Self::MomentsBackward { mask } => Pass { mask, ..Mode::TRAINING.into() },
            Self::Fold => Mode::GIVEN.into(),
        }
    }

    /// The samples that share statistics, if not all of them do: those of a ghost batch where the statistics are
    /// the batch's. Replicas share the statistics of all their samples.
    pub(crate) fn ghost_batch(&self, options: &Options) -> Option<usize> {
        let Mode { source, update } = self.pass().mode;
        let has_groups = match self {
            Self::Forward { .. } | Self::Statistics { .. } => source == Source::Batch || update,
            Self::Backward { .. } | Self::DoubleBackward { .. } | Self::MomentsBackward { .. } => {
                source == Source::Batch
            }
            _ => false,
        };
        options.ghost_batch.filter(|_| has_groups)
    }

    /// Whether it reads the tensors twice, so that there is a choice of how to go over them.
    pub(crate) fn has_traversals(&self) -> bool {
        match self {
            Self::Forward { pass, .. } => pass.mode.source == Source::Batch,
            Self::Backward { pass, wanted } => pass.mode.source == Source::Batch && wanted.dx,
            _ => false,
        }
    }

    /// Tensors of which a pipelined kernel has a run in the cache: those that it will read again, in the run that is
    /// reduced and in the one that is written, and what it writes.
    pub(crate) fn tensors_under_way(&self) -> u64 {
        let residual = u64::from(self.pass().residual);
        match *self {
            Self::Backward { wanted, .. } => {
                2 * (2 + residual) + u64::from(!wanted.in_place) + u64::from(wanted.dresidual)
            }
            Self::Forward { in_place, .. } => 2 + residual + u64::from(!in_place),
            _ => 0,
        }
    }

    /// Whether the records are the caller's, to be exchanged with those of other replicas.
    pub(crate) fn exchanges_records(&self) -> bool {
        matches!(
            self,
            Self::LocalStatistics { .. }
                | Self::MergedForward { .. }
                | Self::LocalGradients { .. }
                | Self::MergedBackward { .. }
        )
    }
}
