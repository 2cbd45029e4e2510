//! Progress bars: on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal as _, stderr, stdout};

/// A bar of `length` steps on stderr; an invisible one unless both it and stdout are terminals.
pub(crate) fn bar(length: usize) -> ProgressBar {
    if !(stderr().is_terminal() && stdout().is_terminal()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
        Ok(style) => bar.with_style(style),
        // indicatif's own style says as much.
        Err(_) => bar,
    }
}
