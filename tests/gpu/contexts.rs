//! The contexts that the tests run on.

use libtest_mimic::Failed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wgpu_batchnorm::{Context, ContextError, DeviceKind};

/// One context for all tests or, on a software adapter, one for each test that runs at the same time: it compiles and
/// runs all that one device is given on a single thread.
pub(crate) struct Contexts {
    kind: DeviceKind,
    /// Those that no test has; on a graphics processor the one for all.
    idle: Mutex<Vec<Context>>,
}

impl Contexts {
    pub(crate) fn new() -> Result<Self, ContextError> {
        let context = Context::new_blocking()?;
        Ok(Self { kind: context.traits().kind, idle: Mutex::new(vec![context]) })
    }

    /// Runs a test. Of a software adapter, a context in which it panics is not lent again.
    pub(crate) fn lend(&self, test: impl FnOnce(&Context) -> Result<(), Failed>) -> Result<(), Failed> {
        let context = match self.kind {
            DeviceKind::Gpu => self.idle().first().cloned(),
            DeviceKind::Cpu => self.idle().pop(),
        };
        let context = match context {
            Some(context) => context,
            None => Context::new_blocking()?,
        };
        let result = test(&context);
        if self.kind == DeviceKind::Cpu {
            self.idle().push(context);
        }
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Context>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
