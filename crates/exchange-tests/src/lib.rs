//! What every transport between replicas must pass: the tests of [`InProcess`](wgpu_batchnorm::InProcess), of
//! `wgpu-batchnorm-mpi`, and of an [`Exchange`] of your own.
//!
//! Every replica runs the same tests in the same order, in a thread, process or host of its own. A transport is brought
//! along by a [`Transport`], which connects the replicas anew for each test:
//!
//! ```
//! use std::time::Duration;
//! use wgpu_batchnorm::{Exchange, InProcess};
//! use wgpu_batchnorm_exchange_tests::{Failure, Transport, report, run_messages};
//!
//! /// One replica alone.
//! struct Alone;
//!
//! impl Transport for Alone {
//!     type End = InProcess;
//!
//!     fn connect(&mut self, limit: Duration) -> Result<InProcess, Failure> {
//!         let end = InProcess::group(1).pop().ok_or("no end")?;
//!         Ok(end.with_limit(limit))
//!     }
//! }
//!
//! report(&run_messages(&mut Alone))?; // the messages alone; `run_passes` also takes an adapter
//! # Ok::<(), Failure>(())
//! ```
//!
//! Run them with one replica and with several; three are enough for every test to mean something.

mod batch;
mod cases;
mod messages;
mod passes;
mod replica;

use std::error::Error;
use std::time::Duration;
use wgpu_batchnorm::{Context, Exchange};

/// Why a test failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A transport under test, on one replica.
pub trait Transport {
    /// One end of it.
    type End: Exchange;

    /// An end of a new exchange between the same replicas, which waits so long for the others. All replicas call
    /// this equally often.
    ///
    /// # Errors
    /// [`Failure`] if there is none.
    fn connect(&mut self, limit: Duration) -> Result<Self::End, Failure>;
}

/// What came of a test on this replica.
#[derive(Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: &'static str,
    /// Why it failed, if it did.
    pub result: Result<(), Failure>,
}

/// A test of messages alone.
type MessageTest<T> = (&'static str, fn(&mut T) -> Result<(), Failure>);
/// A test of passes on a device.
type PassTest<T> = (&'static str, fn(&mut T, &Context) -> Result<(), Failure>);

/// Runs the tests that need no adapter: order, lengths, rounds under way, replicas that do not come or leave.
pub fn run_messages<T: Transport>(transport: &mut T) -> Vec<Outcome> {
    let tests = messages::tests::<T>();
    tests.into_iter().map(|(name, test)| Outcome { name, result: test(transport) }).collect()
}

/// Runs the tests of synchronized passes, on this replica's device: whatever the parts, the results are those of the
/// whole batch on one device within the bounds of the oracle cases, with the same bits on each replica.
pub fn run_passes<T: Transport>(transport: &mut T, context: &Context) -> Vec<Outcome> {
    let tests = passes::tests::<T>().into_iter().chain(cases::tests());
    tests.map(|(name, test)| Outcome { name, result: test(transport, context) }).collect()
}

/// One failure that tells of all that failed.
///
/// # Errors
/// [`Failure`] if there is any, or there are no outcomes.
pub fn report(outcomes: &[Outcome]) -> Result<(), Failure> {
    if outcomes.is_empty() {
        return Err("no test has run".into());
    }
    let failed = outcomes.iter().filter_map(|Outcome { name, result }| {
        let error = result.as_ref().err()?;
        Some(format!("{name}: {error}"))
    });
    let failed: Vec<_> = failed.collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n").into()) }
}

/// No replica waits longer than this for the others: a test that hangs would tell nothing.
const LIMIT: Duration = Duration::from_secs(30);

/// Fails with what `what` says, unless `holds`.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(what().into()) }
}
