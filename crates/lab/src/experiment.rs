//! What an experiment is, what comes of it, and what it works with.

use crate::data::Data;
use burn::tensor::Device;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wgpu_batchnorm_report::page::{Key, legend};

/// A claim about batch normalization, and how it is put to the test.
pub(crate) struct Experiment {
    /// From 1 on.
    pub(crate) number: u32,
    /// Of its section in the report: lower case, with hyphens.
    pub(crate) slug: &'static str,
    pub(crate) title: &'static str,
    /// What should come out.
    pub(crate) claim: &'static str,
    /// Who says so.
    pub(crate) source: &'static str,
    /// What is trained and measured, and from when on the claim has held.
    pub(crate) method: &'static str,
    pub(crate) run: fn(&Lab) -> anyhow::Result<Outcome>,
}

/// What came of an experiment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// The verdict's reason, in a sentence or two with the numbers that decided.
    pub(crate) because: String,
    /// What was measured, in the order of the report.
    pub(crate) findings: Vec<Finding>,
}

/// Whether the claim held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verdict {
    Held,
    Partly,
    NotHeld,
    NotRun,
}

impl Verdict {
    /// [`Verdict::Held`] if all parts of the claim held, [`Verdict::NotHeld`] if none did.
    pub(crate) fn of(parts: &[bool]) -> Self {
        match parts.iter().filter(|held| **held).count() {
            0 => Self::NotHeld,
            count if count == parts.len() => Self::Held,
            _ => Self::Partly,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Partly => "held in part",
            Self::NotHeld => "did not hold",
            Self::NotRun => "not run",
        }
    }
}

/// A piece of what was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Finding {
    Text(String),
    Table {
        title: String,
        head: Vec<String>,
        rows: Vec<Vec<String>>,
    },
    Chart {
        title: String,
        /// An SVG element, or HTML that ends with one.
        svg: String,
    },
}

impl Finding {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A table, whose columns line up to the right if their cells begin with numbers.
    pub(crate) fn table(title: &str, head: &[&str], rows: Vec<Vec<String>>) -> Self {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        Self::Table { title: title.to_owned(), head, rows }
    }

    /// A chart, with what the page's colours stand for in front. [`crate::chart`] makes the usual ones.
    pub(crate) fn chart(title: &str, keys: &[(usize, &str)], svg: impl AsRef<str>) -> Self {
        let keys: Vec<_> = keys.iter().map(|&(color, name)| Key::Color(color, name)).collect();
        Self::Chart { title: title.to_owned(), svg: legend(&keys) + svg.as_ref() }
    }
}

/// What experiments work with.
pub(crate) struct Lab {
    /// With autodiff.
    pub(crate) device: Device,
    /// Whether this is a trial of the programs, whose results say nothing.
    pub(crate) quick: bool,
    pub(crate) digits: Arc<Data>,
    pub(crate) progress: ProgressBar,
}

/// Seeds of networks and of the order of samples.
const SEEDS: [u64; 3] = [1, 2, 3];
/// Steps of a quick run: enough for each branch of the programs.
const FEW_STEPS: usize = 3;

impl Lab {
    /// One run for each.
    pub(crate) fn seeds(&self) -> &'static [u64] {
        if self.quick { &SEEDS[..1] } else { &SEEDS }
    }

    /// Those of experiments with many networks.
    pub(crate) fn two_seeds(&self) -> &'static [u64] {
        let all = self.seeds();
        &all[..all.len().min(2)]
    }

    /// So many steps, or a few in a quick run.
    pub(crate) fn steps(&self, steps: usize) -> usize {
        if self.quick { steps.min(FEW_STEPS) } else { steps }
    }

    /// Says how many ticks there are to come. The bar turns without it, too.
    pub(crate) fn expect(&self, ticks: usize) {
        self.progress.set_length(ticks as u64);
        self.progress.set_position(0);
    }

    /// A step is done.
    pub(crate) fn tick(&self) {
        self.progress.inc(1);
    }

    /// What is under way.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.progress.set_message(what.into());
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_claim_has_held_if_all_its_parts_have() {
        assert_eq!(Verdict::of(&[true, true]), Verdict::Held);
        assert_eq!(Verdict::of(&[true, false]), Verdict::Partly);
        assert_eq!(Verdict::of(&[false, false]), Verdict::NotHeld);
    }
}
