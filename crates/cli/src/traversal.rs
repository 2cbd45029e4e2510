//! The option that forces a traversal.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use wgpu_batchnorm::{Context, Schedule, Traversal};

/// How passes go over the tensors, where there is a choice.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Forced {
    /// Go over the tensors in this way wherever there is a choice, instead of the way that the cost model thinks
    /// best.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Traversal::ALL.map(Traversal::name)).map(named))]
    pub(crate) traversal: Option<Traversal>,
}

impl Forced {
    /// A context that plans in this way.
    pub(crate) fn on(self, context: &Context) -> Context {
        context.with_schedule(Schedule { traversal: self.traversal, ..*context.schedule() })
    }
}

/// The parser has checked the name.
fn named(name: String) -> Traversal {
    Traversal::ALL.into_iter().find(|traversal| traversal.name() == name).unwrap_or(Traversal::Split)
}
