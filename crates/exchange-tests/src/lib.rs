//! What every transport between replicas must pass: the tests of [`InProcess`](wgpu_batchnorm::InProcess), of
//! [`InTasks`](wgpu_batchnorm::InTasks), of `wgpu-batchnorm-mpi`, and of an [`Exchange`] of your own. They need no files,
//! and are tested themselves: `tests/transports/faulty.rs` of this package has transports with one fault each, all of
//! which are caught.
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
//! Run them with one replica and with several; three are enough for every test to mean something. Replicas that are tasks
//! of one thread run [`messages()`] and [`passes()`], which block nothing if the transport does not.

mod batch;
mod messages;
mod passes;
mod replica;

use std::error::Error;
use std::time::Duration;
use wgpu_batchnorm::{Context, Exchange, ExchangeError};

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

    /// Whether its ends wait by blocking their thread, for no longer than the limit. One whose ends wait as tasks only,
    /// however long it takes, is not tested for these two.
    fn blocks(&self) -> bool {
        true
    }
}

/// What came of a test on this replica.
#[derive(Debug)]
pub struct Outcome {
    /// The test's name.
    pub name: &'static str,
    /// Why it failed, if it did.
    pub result: Result<(), Failure>,
}

/// Runs tests one after the other, each by its name.
macro_rules! outcomes {
    ($arguments:tt: $($test:ident),* $(,)?) => {
        vec![$(crate::Outcome { name: stringify!($test), result: $test $arguments.await }),*]
    };
}
use outcomes;

/// Runs the tests that need no adapter: order, lengths, rounds under way, replicas that do not come or leave.
pub async fn messages<T: Transport>(transport: &mut T) -> Vec<Outcome> {
    messages::run(transport).await
}

/// Runs the tests of synchronized passes, on this replica's device: whatever the parts, the results are those of the
/// whole batch on one device within the bounds of the oracle cases, with the same bits on each replica.
pub async fn passes<T: Transport>(transport: &mut T, context: &Context) -> Vec<Outcome> {
    passes::run(transport, context).await
}

/// [`messages()`] in a thread or process of its own.
pub fn run_messages<T: Transport>(transport: &mut T) -> Vec<Outcome> {
    pollster::block_on(messages(transport))
}

/// [`passes()`] in a thread or process of its own.
pub fn run_passes<T: Transport>(transport: &mut T, context: &Context) -> Vec<Outcome> {
    pollster::block_on(passes(transport, context))
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

/// No replica waits longer than this for the others, however busy the machine is: a test that hangs would tell nothing.
const LIMIT: Duration = Duration::from_secs(120);
/// How long others are waited for where they will not come.
const SHORT: Duration = Duration::from_millis(500);

/// Gives `message` to all, and waits for theirs, as tasks or threads do.
async fn gather(end: &impl Exchange, message: Vec<u8>) -> Result<Vec<Vec<u8>>, ExchangeError> {
    end.start(message)?.gathered().await
}

/// Fails with what `what` says, unless `holds`.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(what().into()) }
}
