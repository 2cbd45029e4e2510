//! The options that force a traversal.

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde::{Serialize, Serializer};
use std::num::NonZeroU64;
use wgpu_batchnorm::{Context, Schedule, Traversal};

/// How passes go over the tensors, where there is a choice.
#[derive(clap::Args, Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Forced {
    /// Go over the tensors in this way wherever there is a choice, instead of the way that the cost model thinks
    /// best.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Traversal::ALL.map(Traversal::name)).map(named))]
    #[serde(serialize_with = "by_name")]
    pub(crate) traversal: Option<Traversal>,
    /// Cut the channels into so many runs where the traversal is pipelined, as far as there are channels, instead of as
    /// many as fit the cache.
    #[arg(long, value_name = "COUNT", requires = "traversal")]
    pub(crate) runs: Option<NonZeroU64>,
}

impl Forced {
    /// A context that plans in this way.
    pub(crate) fn on(self, context: &Context) -> Context {
        let Self { traversal, runs } = self;
        let runs = runs.map(NonZeroU64::get);
        context.with_schedule(Schedule { traversal, runs, ..*context.schedule() })
    }
}

fn by_name<S: Serializer>(traversal: &Option<Traversal>, serializer: S) -> Result<S::Ok, S::Error> {
    traversal.map(Traversal::name).serialize(serializer)
}

/// The parser has checked the name.
fn named(name: String) -> Traversal {
    Traversal::ALL.into_iter().find(|traversal| traversal.name() == name).unwrap_or(Traversal::Split)
}
