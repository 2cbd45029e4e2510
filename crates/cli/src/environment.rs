//! What a record of results has to say about where they come from.

use crate::adapter::Description;
use anyhow::Context as _;
use serde::Serialize;
use std::path::Path;
use std::time::SystemTime;
use wgpu_batchnorm::Context;

/// Where and when results came about.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    /// UTC, RFC 3339.
    pub(crate) time: String,
    version: &'static str,
    /// The commit of the program, if it was built from a git checkout.
    commit: Option<&'static str>,
    wgpu: Option<&'static str>,
    /// Whether it was built with optimizations; times of one that was not say nothing.
    pub(crate) optimized: bool,
    /// Operating system and architecture.
    system: String,
    pub(crate) adapter: Description,
}

impl Environment {
    pub(crate) fn of(context: &Context) -> Self {
        Self::new(Description::of(context))
    }

    pub(crate) fn new(adapter: Description) -> Self {
        Self {
            time: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("BATCHNORM_COMMIT"),
            wgpu: option_env!("BATCHNORM_WGPU_VERSION"),
            optimized: !cfg!(debug_assertions),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            adapter,
        }
    }

    /// The program by its version, its commit, and what it is built with and for.
    pub(crate) fn program(&self) -> String {
        let commit = self.commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
        let wgpu = self.wgpu.map(|version| format!(", wgpu {version}")).unwrap_or_default();
        format!("batchnorm {}{commit}{wgpu}, {}", self.version, self.system)
    }
}

/// Writes `record` to the file at `path`, replacing it.
pub(crate) fn write_json(path: &Path, record: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(record)?;
    text.push('\n');
    write_text(path, &text)
}

/// Writes `text` to the file at `path`, replacing it.
pub(crate) fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
