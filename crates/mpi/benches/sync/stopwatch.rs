//! Time that passes, and time that this thread has a core.

use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// Microseconds since a moment.
pub(crate) struct Stopwatch {
    start: Instant,
    cpu: f64,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { cpu: cpu(), start: Instant::now() }
    }

    pub(crate) fn wall(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e6
    }

    pub(crate) fn cpu(&self) -> f64 {
        cpu() - self.cpu
    }
}

fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}
