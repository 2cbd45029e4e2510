//! What was tried, and how the cost model's choice compares.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use wgpu_batchnorm::{Plan, Schedule, Traversal};
use wgpu_batchnorm_report::Summary;

/// How much slower than the best the cost model's choice may be.
pub(super) const ACCEPTED: f64 = 1.15;

/// One plan, timed.
#[derive(Serialize)]
pub(super) struct Candidate {
    pub(super) traversal: &'static str,
    pub(super) width: Option<u32>,
    pub(super) workgroup: Option<u32>,
    pub(super) unroll: Option<u32>,
    pub(super) tiles: Option<u64>,
    pub(super) runs: Option<u64>,
    /// Sizes of the shared cache, of those that were tried, for which the runs of channels are such.
    pub(super) cache_bytes: Vec<u64>,
    pub(super) moves: f64,
    pub(super) rereads: f64,
    pub(super) dispatches: usize,
    pub(super) scratch_bytes: u64,
    /// How many times as long the cost model's choice took, if both were measured once more side by side: the median of
    /// the rounds' ratios, since whatever slows the machine down slows down all of a round.
    pub(super) chosen_over_this: Option<f64>,
    /// Whether its runs of channels are sized by the cache that the kind of adapter suggests.
    #[serde(skip)]
    pub(super) has_suggested_runs: bool,
    #[serde(flatten)]
    pub(super) time: Summary,
}

impl Candidate {
    /// A plan that all of `schedules` come out as; it is named by the first one.
    pub(super) fn new(
        schedules: &[Schedule],
        plan: &Plan,
        time: Summary,
        chosen_over_this: Option<f64>,
    ) -> Self {
        let first = schedules.first().copied().unwrap_or_default();
        let Schedule { width, workgroup, unroll, tiles, runs, .. } = first;
        Self {
            traversal: plan.traversal().map_or("split", Traversal::name),
            width,
            workgroup,
            unroll,
            tiles,
            runs,
            cache_bytes: schedules.iter().filter_map(|schedule| schedule.cache_bytes).collect(),
            moves: plan.moves(),
            rereads: plan.rereads(),
            dispatches: plan.dispatches().len(),
            scratch_bytes: plan.workspace_bytes(),
            chosen_over_this,
            has_suggested_runs: schedules.contains(&Schedule::with_traversal(Traversal::Pipelined)),
            time,
        }
    }
}

/// One pass on one shape: the first candidate is the cost model's choice.
#[derive(Serialize)]
pub(super) struct Tuned {
    pub(super) shape: String,
    pub(super) layout: &'static str,
    pub(super) pass: &'static str,
    /// How many times as long as the best candidate the cost model's choice takes.
    pub(super) of_best: f64,
    pub(super) candidates: Vec<Candidate>,
}

/// The cache for which runs of channels are best sized, in MiB, by the geometric mean of the times over those of what the
/// kind of adapter suggests; and that mean. Each size has its say in each row, if only that it makes no difference. Nothing if no
/// pass could be pipelined.
pub(super) fn fastest_cache(tuned: &[Tuned]) -> Option<(u64, f64)> {
    let mut logarithms: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for Tuned { candidates, .. } in tuned {
        let pipelined = candidates.iter().filter(|candidate| candidate.traversal == "pipelined");
        let suggested = pipelined.clone().find(|candidate| candidate.has_suggested_runs);
        let Some(suggested) = suggested else { continue };
        for candidate in pipelined {
            for bytes in &candidate.cache_bytes {
                let ratio = candidate.time.median_ms / suggested.time.median_ms;
                logarithms.entry(bytes >> 20).or_default().push(ratio.ln());
            }
        }
    }
    let means = logarithms.into_iter().map(|(mib, logs)| (mib, logs.iter().sum::<f64>() / logs.len() as f64));
    let (mib, mean) = means.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    Some((mib, mean.exp()))
}

impl Tuned {
    pub(super) fn new(
        shape: String,
        layout: &'static str,
        pass: &'static str,
        candidates: Vec<Candidate>,
    ) -> Option<Self> {
        let of_best =
            candidates.iter().filter_map(|candidate| candidate.chosen_over_this).max_by(f64::total_cmp)?;
        Some(Self { shape, layout, pass, of_best, candidates })
    }

    /// The finalists, the fastest first, then the others; the cost model's choice is marked.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { shape, layout, pass, of_best, candidates } = self;
        let mut order: Vec<_> = candidates.iter().enumerate().collect();
        let rank = |candidate: &Candidate| candidate.chosen_over_this.unwrap_or(0.0);
        order.sort_by(|(_, a), (_, b)| {
            rank(b).total_cmp(&rank(a)).then(a.time.median_ms.total_cmp(&b.time.median_ms))
        });
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header([
            "",
            "traversal",
            "width",
            "lanes",
            "loads",
            "tiles",
            "runs",
            "cache MiB",
            "dispatches",
            "moves",
            "ms",
            "of best",
        ]);
        for (index, candidate) in order {
            let said = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
            let Candidate { traversal, time, moves, rereads, dispatches, .. } = candidate;
            let caches = candidate.cache_bytes.iter().map(|bytes| (bytes >> 20).to_string());
            let reread = if *rereads > 0.0 { format!(" + {rereads:.0}") } else { String::new() };
            table.add_row([
                if index == 0 { "chosen".to_owned() } else { String::new() },
                (*traversal).to_owned(),
                said(candidate.width.map(u64::from)),
                said(candidate.workgroup.map(u64::from)),
                said(candidate.unroll.map(u64::from)),
                said(candidate.tiles),
                said(candidate.runs),
                caches.collect::<Vec<_>>().join(", "),
                dispatches.to_string(),
                format!("{moves:.0}{reread}"),
                format!("{:.3}{}", time.median_ms, if time.is_worthless() { " !" } else { "" }),
                candidate
                    .chosen_over_this
                    .map_or_else(String::new, |ratio| format!("{:.2}", of_best / ratio)),
            ]);
        }
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let verdict = if *of_best <= ACCEPTED { "" } else { ": TOO SLOW" };
        writeln!(out, "{shape} {layout} {pass}: the chosen plan takes {of_best:.2} times the best{verdict}")?;
        writeln!(out, "{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(traversal: &'static str, mib: &[u64], has_suggested_runs: bool, seconds: f64) -> Candidate {
        Candidate {
            traversal,
            width: None,
            workgroup: None,
            unroll: None,
            tiles: None,
            runs: None,
            cache_bytes: mib.iter().map(|mib| mib << 20).collect(),
            moves: 2.0,
            rereads: 1.0,
            dispatches: 2,
            scratch_bytes: 0,
            chosen_over_this: Some(1.0),
            has_suggested_runs,
            time: Summary::of(&[seconds]),
        }
    }

    #[test]
    fn each_cache_has_its_say_in_each_row() {
        let tuned = |candidates| Tuned::new(String::new(), "", "", candidates);
        let rows: Vec<_> = [
            // Runs for 4 MiB take half of the time, those for 8 are what is suggested.
            vec![
                // The choice is one run, without regard to any cache.
                candidate("pipelined", &[], false, 9.0),
                candidate("pipelined", &[8], true, 4.0),
                candidate("pipelined", &[4], false, 2.0),
            ],
            // Here it makes no difference.
            vec![candidate("pipelined", &[4, 8], true, 4.0)],
            // Not pipelined at all.
            vec![candidate("split", &[], false, 1.0)],
        ]
        .into_iter()
        .filter_map(tuned)
        .collect();
        assert_eq!(rows.len(), 3);
        // Half of the time and all of it, as a geometric mean.
        let found = fastest_cache(&rows).map(|(mib, times)| (mib, (times * times * 1e6).round() / 1e6));
        assert_eq!(found, Some((4, 0.5)));
        assert_eq!(fastest_cache(&rows[2..]), None);
    }
}
