//! Which shapes are measured.

use super::shapes::{BenchShape, Layouts, ShapeSet};
use std::num::NonZeroUsize;
use wgpu_batchnorm::{Context, Layout};

/// Shapes and layouts, as the command line names them.
#[derive(clap::Args)]
pub(crate) struct Selection {
    /// A set of shapes; quick on a CPU adapter and resnet50 on any other if nothing is said.
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "shape")]
    shapes: Option<ShapeSet>,
    /// A shape: N, C and the spatial sizes, as in 64,64,56,56, whatever the layout. May be repeated.
    #[arg(long, value_name = "SIZES")]
    shape: Vec<BenchShape>,
    #[arg(long, value_enum, value_name = "LAYOUT", default_value = "both", help = "Where the channels lie")]
    layout: Layouts,
    /// Replaces N, the first size of each shape.
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
}

impl Selection {
    /// The shapes on this adapter.
    pub(crate) fn shapes(&self, context: &Context) -> anyhow::Result<Vec<BenchShape>> {
        let kind = context.traits().kind;
        let shapes = if self.shape.is_empty() {
            self.shapes.unwrap_or_else(|| ShapeSet::default_for(kind)).shapes(kind)?
        } else {
            self.shape.clone()
        };
        let with_batch = |shape: BenchShape| match self.batch {
            Some(batch) => shape.with_batch(batch.get()),
            None => shape,
        };
        Ok(shapes.into_iter().map(with_batch).collect())
    }

    pub(crate) fn layouts(&self) -> &'static [Layout] {
        self.layout.all()
    }

    /// Whether the shapes are to show how time grows with size.
    pub(crate) fn is_growth(&self) -> bool {
        self.shapes == Some(ShapeSet::Growth)
    }

    pub(crate) fn has_batch(&self) -> bool {
        self.batch.is_some()
    }
}
