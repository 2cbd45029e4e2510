//! The oracle cases of `tests/cases`, and that none of those the library implements is left out.

use crate::Test;
use crate::run_case::{RunError, run_case};
use libtest_mimic::Failed;
use wgpu_batchnorm::Context;
use wgpu_batchnorm_oracle::{Activation, Case, Dtype, Kind, find_cases, judge};

pub(crate) const TESTS: &[Test] = &[("every_implemented_case_passes", every_implemented_case_passes)];

fn every_implemented_case_passes(context: &Context) -> Result<(), Failed> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    let mut judged = 0;
    for path in find_cases([folder])? {
        let case = Case::load(&path)?;
        let implemented = case.kind == Kind::Step
            && case.dtype == Dtype::F32
            && case.activation == Activation::None
            && case.input("residual").is_none();
        match run_case(context, &case) {
            Ok(outputs) => {
                let verdict = judge(&case, &outputs);
                if !verdict.passed() || !implemented || verdict.tensors.len() < 4 {
                    return Err(verdict.to_string().into());
                }
                judged += 1;
            }
            Err(RunError::Unsupported(_)) if !implemented => {}
            Err(error) => return Err(format!("{}: {error}", case.name).into()),
        }
    }
    if judged == 21 { Ok(()) } else { Err(format!("{judged} cases judged, expected 21").into()) }
}
