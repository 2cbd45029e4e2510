//! Oracle cases for batch normalization: reading, judging and saving.
//!
//! A case is a safetensors file with the inputs of one computation, the outputs expected of it and
//! the bound each output must meet; `tests/cases/FORMAT.md` of the repository defines the format.
//! Whoever computes hands the outputs to [`judge`]. With the feature `run`, `run_case` computes a case with the library
//! on a device, `verify_replica` as one replica of a transport, and `Report` is its verdict as a line and as JSON; without, this crate knows no GPU.
//!
//! ```
//! use wgpu_batchnorm_oracle::{Case, Outputs, find_cases, judge};
//!
//! for path in find_cases(["../../tests/cases"])? {
//!     let case = Case::load(&path)?;
//!     if let Some(reason) = case.unsupported() {
//!         println!("{}: skipped: {reason}", case.name);
//!         continue;
//!     }
//!     let mut outputs = Outputs::default(); // An implementation fills them from `case.inputs`.
//!     for (name, expected) in &case.expected {
//!         let values = expected.values.iter().map(|&value| value as f32).collect();
//!         outputs.insert(name, expected.shape.clone(), values);
//!     }
//!     outputs.num_batches_tracked = case.expected_num_batches_tracked;
//!     outputs.num_batches_skipped = case.expected_num_batches_skipped;
//!     if case.is_judged() {
//!         println!("{}", judge(&case, &outputs));
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod case;
mod check;
mod error;
mod find;
mod judge;
mod meta;
mod outputs;
mod parse;
#[cfg(feature = "run")]
mod report;
#[cfg(feature = "run")]
mod run;
mod tensor;

pub use case::Case;
pub use error::{CaseError, FindError, SaveError};
pub use find::find_cases;
pub use judge::{CounterVerdict, Failure, TensorVerdict, Verdict, Worst, judge};
pub use meta::{Activation, Dtype, Kind, Layout, Momentum, Order, Stats, Update};
pub use outputs::{Output, Outputs, save_outputs};
#[cfg(feature = "run")]
pub use report::{Report, Tally, name_of};
#[cfg(feature = "run")]
pub use run::{RunError, run_case, verify_replica};
pub use tensor::{Expected, Tensor};
pub use wgpu_batchnorm_tensors::Damaged;
