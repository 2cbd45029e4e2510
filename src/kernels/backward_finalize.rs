//! `backward_finalize`: `GradSums` records → dγ, dβ and the coefficients of `backward_apply`.

use super::{Step, finalize::weight_file};
use crate::plan::{Accumulation, Dispatch, Kernel, Problem, tile_of_records};
use crate::resource::Resource;
use crate::shader::parts::*;

/// `splits` records per channel are merged; with 0, the two means that dx needs are 0, as they are
/// with constant statistics.
pub(crate) fn backward_finalize(
    problem: &Problem<'_>,
    splits: u64,
    weight: bool,
    dweight: Option<Accumulation>,
    dbias: Option<Accumulation>,
) -> Dispatch {
    let mut resources = vec![Resource::Saved, Resource::Coefficients, Resource::Records];
    let weight = weight_file(weight, &mut resources);
    let mut slot = |resource, wanted: Option<Accumulation>, [discarded, written, added]: [Part; 3]| {
        resources.extend(wanted.map(|_| resource));
        match wanted {
            None => discarded,
            Some(Accumulation::Replace) => written,
            Some(Accumulation::Add) => added,
        }
    };
    let dweight = slot(Resource::Dweight, dweight, [DWEIGHT_DISCARDED, DWEIGHT_WRITTEN, DWEIGHT_ADDED]);
    let dbias = slot(Resource::Dbias, dbias, [DBIAS_DISCARDED, DBIAS_WRITTEN, DBIAS_ADDED]);
    let files = vec![
        PARAMS,
        TILE,
        PER_CHANNEL,
        EXACT,
        RECORDS,
        COEFFICIENTS,
        GRAD_SUMS,
        LOAD_GRAD_SUMS,
        tile_of_records(problem, splits).reduction(),
        weight,
        dweight,
        dbias,
        BACKWARD_FINALIZE,
    ];
    problem.per_channel(splits, &Kernel { step: Step::BackwardFinalize, files, resources })
}
