//! What was measured, held against what is promised.

use super::Memory;
use anyhow::{Context as _, ensure};
use serde_json::Value;
use wgpu_batchnorm_report::{WORTHLESS_SPREAD, geometric_mean};

const PASSES: [&str; 2] = ["forward", "backward"];
const LAYOUTS: [&str; 2] = ["channels-first", "channels-last"];

/// What a promise asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing is promised.
    Nothing,
}

/// A promise, and what was measured.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) what: String,
    pub(super) measured: f64,
    pub(super) bound: Bound,
}

impl Verdict {
    pub(super) fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtLeast(least) => self.measured >= least,
            Bound::AtMost(most) => self.measured <= most,
            Bound::Nothing => true,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, measured, bound } = self;
        let bound = match bound {
            Bound::AtLeast(least) => format!("at least {least}"),
            Bound::AtMost(most) => format!("at most {most}"),
            Bound::Nothing => return write!(f, "{:<7} {what:<82} {measured:>8.2}", "shown"),
        };
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        write!(f, "{verdict:<7} {what:<82} {measured:>8.2}, {bound}")
    }
}

/// How many times as long burn takes on the same adapter, which has channels first alone. It is promised of software adapters,
/// with the loss's gradient in burn's time; without, as burn would take if it had not even to read dy, it is shown.
pub(super) fn of_burn(ours: &[Value], burn: &Value) -> anyhow::Result<Vec<Verdict>> {
    for record in ours {
        let name =
            record.pointer("/adapter/name").and_then(Value::as_str).context("our adapter has no name")?;
        let theirs = burn["adapter"].as_str().unwrap_or_default();
        ensure!(theirs.starts_with(name), "burn ran on {theirs:?}, expected our adapter, {name:?}");
    }
    let mut verdicts = Vec::new();
    let software = |least| if on_cpu(ours) { Bound::AtLeast(least) } else { Bound::Nothing };
    for (pass, theirs, bound) in [
        ("forward", "forward", software(15.0)),
        ("backward", "backward", software(18.0)),
        ("backward", "backward_of_ones", Bound::Nothing),
    ] {
        for layout in LAYOUTS {
            let mut ratios = Vec::new();
            for row in rows(ours, layout, pass) {
                let sizes = channels_first(row)?;
                let same = |other: &&Value| other["shape"] == sizes && other["pass"] == theirs;
                let other = list(burn, "rows")?.iter().find(same);
                let other =
                    other.with_context(|| format!("burn has no row for {} {theirs}", row["shape"]))?;
                ratios.push(number(other, "/median_ms")? / number(row, "/time/median_ms")?);
            }
            ensure!(!ratios.is_empty(), "batchnorm bench has no row for {layout} {pass}");
            let theirs = theirs.replace('_', " ");
            let what = format!("burn's time over ours, {theirs}, {layout}, geometric mean");
            verdicts.push(Verdict { what, measured: geometric_mean(&ratios), bound });
        }
    }
    Ok(verdicts)
}

/// Whether all was measured on a software adapter.
fn on_cpu(ours: &[Value]) -> bool {
    ours.iter().all(|record| record["adapter"]["kind"] == "CPU")
}

/// The least share of a copy's bandwidth over the tensors beyond what caches hold: of 3 moves forward and 5 backward, but of
/// 2 and 3 channels first on a graphics processor. Smaller ones are shown, but nothing is promised of them: what a dispatch
/// costs by itself counts there.
pub(super) fn of_copies(ours: &[Value]) -> anyhow::Result<Vec<Verdict>> {
    let is_cpu = on_cpu(ours);
    let mut verdicts = Vec::new();
    for (layout, pass) in LAYOUTS.into_iter().flat_map(|layout| PASSES.map(|pass| (layout, pass))) {
        let (moves, least) = match (is_cpu, layout == "channels-first", pass == "forward") {
            (true, _, true) => (3.0, 50.0),
            (true, _, false) => (5.0, 50.0),
            (false, true, true) => (2.0, 75.0),
            (false, true, false) => (3.0, 75.0),
            (false, false, true) => (3.0, 90.0),
            (false, false, false) => (5.0, 90.0),
        };
        let large = least_share(ours, layout, pass, moves, is_large)?;
        let measured = large.with_context(|| format!("no tensor is large enough for {layout} {pass}"))?;
        let what = format!("% of a copy's bandwidth for {moves} moves, {pass} {layout}");
        verdicts.push(Verdict { what, measured, bound: Bound::AtLeast(least) });
        if let Some(measured) = least_share(ours, layout, pass, moves, |row| !is_large(row))? {
            let what = format!("% the same, tensors under 50 MB, {pass} {layout}");
            verdicts.push(Verdict { what, measured, bound: Bound::Nothing });
        }
    }
    Ok(verdicts)
}

/// Over the rows that count; of several rounds, the geometric mean.
fn least_share(
    ours: &[Value],
    layout: &str,
    pass: &str,
    moves: f64,
    counts: impl Fn(&Value) -> bool,
) -> anyhow::Result<Option<f64>> {
    let mut shares: Vec<(&Value, Vec<f64>)> = Vec::new();
    for record in ours {
        let record = std::slice::from_ref(record);
        for row in rows(record, layout, pass).filter(|row| counts(row)) {
            let copy = rows(record, layout, "copy").find(|copy| copy["sizes"] == row["sizes"]);
            let copy = copy.with_context(|| format!("no copy of {} {layout}", row["shape"]))?;
            let share =
                100.0 * number(copy, "/time/median_ms")? / 2.0 * moves / number(row, "/time/median_ms")?;
            match shares.iter_mut().find(|(sizes, _)| *sizes == &row["sizes"]) {
                Some((_, of_shape)) => of_shape.push(share),
                None => shares.push((&row["sizes"], vec![share])),
            }
        }
    }
    Ok(shares.iter().map(|(_, of_shape)| geometric_mean(of_shape)).min_by(f64::total_cmp))
}

/// How many times as long as the CPU baseline PyTorch takes for large tensors, in its fastest mode.
pub(super) fn of_the_baseline(
    ours: &[Value],
    pytorch: &Value,
    memory: Memory,
) -> anyhow::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for (pass, least) in PASSES.into_iter().zip([2.0, 1.4]) {
        for layout in LAYOUTS {
            let mut ratios = Vec::new();
            for row in rows(ours, layout, pass).filter(|row| is_large(row)) {
                let sizes = channels_first(row)?;
                let mut fastest = f64::INFINITY;
                for other in list(pytorch, "rows")? {
                    let same_layout = other["layout"] == layout.replace('-', "_");
                    if same_layout && other["shape"] == sizes && other["pass"] == pass {
                        fastest = fastest.min(number(other, "/median_ms")?);
                    }
                }
                ratios.push(fastest / number(row, "/cpu/median_ms")?);
            }
            let measured = geometric_mean(&ratios);
            ensure!(!ratios.is_empty() && measured.is_finite(), "no large row of both for {layout} {pass}");
            let what = format!("PyTorch's time, {}, over the CPU baseline's, {pass} {layout}", memory.said());
            verdicts.push(Verdict { what, measured, bound: Bound::AtLeast(least) });
        }
    }
    Ok(verdicts)
}

/// How many times as long as the best of the candidates the chosen plan takes, at worst.
pub(super) fn of_tune(tuned: &Value) -> anyhow::Result<Verdict> {
    let left_out = list(tuned, "notes")?;
    ensure!(left_out.is_empty(), "batchnorm tune has left out {left_out:?}");
    let mut measured = f64::NEG_INFINITY;
    for pass in list(tuned, "tuned")? {
        measured = measured.max(number(pass, "/of_best")?);
    }
    ensure!(measured.is_finite(), "batchnorm tune has measured nothing");
    let what = "the chosen plan's time over the best candidate's, at worst".to_owned();
    Ok(Verdict { what, measured, bound: Bound::AtMost(1.15) })
}

/// Our rows whose spread makes their medians worthless.
pub(super) fn noisy_rows(ours: &[Value]) -> anyhow::Result<Vec<String>> {
    let mut noisy = Vec::new();
    for record in ours {
        for row in list(record, "rows")? {
            let spread = number(row, "/time/spread")?;
            if spread > WORTHLESS_SPREAD {
                let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
                noisy.push(format!("{} {} {} ({spread:.2})", text("shape"), text("layout"), text("pass")));
            }
        }
    }
    Ok(noisy)
}

fn rows<'a>(records: &'a [Value], layout: &'a str, pass: &'a str) -> impl Iterator<Item = &'a Value> {
    let all = records.iter().filter_map(|record| record["rows"].as_array()).flatten();
    all.filter(move |row| row["layout"] == layout && row["pass"] == pass)
}

/// N, C and the spatial sizes of one of our rows, whose sizes are in memory order: peers name shapes so whatever the layout.
fn channels_first(row: &Value) -> anyhow::Result<Value> {
    let mut sizes = list(row, "sizes")?.clone();
    if row["layout"] == "channels-last" && sizes.len() > 2 {
        sizes[1..].rotate_right(1);
    }
    Ok(sizes.into())
}

/// Whether a tensor is beyond what caches hold: 50 MB.
fn is_large(row: &Value) -> bool {
    let sizes = row["sizes"].as_array().map(Vec::as_slice).unwrap_or_default();
    4.0 * sizes.iter().filter_map(Value::as_f64).product::<f64>() >= 50e6
}

fn list<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    value[name].as_array().with_context(|| format!("no list {name:?}"))
}

pub(super) fn number(value: &Value, path: &str) -> anyhow::Result<f64> {
    value.pointer(path).and_then(Value::as_f64).with_context(|| format!("no number {path} in {value}"))
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(sizes: &[u64], layout: &str, pass: &str, ms: f64) -> Value {
        json!({"sizes": sizes, "shape": "", "layout": layout, "pass": pass, "time": {"median_ms": ms, "spread": ms / 100.0},
            "cpu": {"median_ms": ms / 2.0}})
    }

    /// Two rounds, the second twice as slow.
    fn ours(kind: &str, sizes: [u64; 3]) -> [Value; 2] {
        let [n, c, s] = sizes;
        [1.0, 2.0].map(|slower| {
            let rows: Vec<_> = LAYOUTS
                .into_iter()
                .zip([[n, c, s], [n, s, c]])
                .flat_map(|(layout, sizes)| {
                    [("copy", 2.0), ("forward", 4.0), ("backward", 8.0)]
                        .map(|(pass, ms)| row(&sizes, layout, pass, slower * ms))
                })
                .collect();
            json!({"adapter": {"kind": kind, "name": "one"}, "cpu_threads": 2, "rows": rows})
        })
    }

    fn measured(verdicts: &[Verdict]) -> Vec<(f64, bool)> {
        verdicts.iter().map(|verdict| ((verdict.measured * 1e3).round() / 1e3, verdict.is_met())).collect()
    }

    #[test]
    fn burn_is_compared_by_geometric_means() {
        let mut burn = json!({"adapter": "one (vulkan)", "rows": [
            {"shape": [2, 3, 5], "pass": "forward", "median_ms": 100.0},
            {"shape": [2, 3, 5], "pass": "backward", "median_ms": 200.0},
            {"shape": [2, 3, 5], "pass": "backward_of_ones", "median_ms": 100.0},
        ]});
        // 25 and 12.5 times.
        let verdicts = of_burn(&ours("CPU", [2, 3, 5]), &burn).expect("verdicts");
        let expected = 12.5 * 2f64.sqrt();
        assert_eq!(
            measured(&verdicts)[..4],
            [(17.678, true), (17.678, true), (17.678, false), (17.678, false)]
        );
        assert_eq!(measured(&verdicts)[4..], [(8.839, true); 2]);
        assert!((expected - 17.678).abs() < 1e-3);
        assert!(of_burn(&ours("CPU", [2, 5, 3]), &burn).is_err());
        let shown = of_burn(&ours("discrete GPU", [2, 3, 5]), &burn).expect("verdicts");
        assert!(shown.iter().all(|verdict| verdict.bound == Bound::Nothing));
        burn["adapter"] = "another (vulkan)".into();
        assert!(of_burn(&ours("CPU", [2, 3, 5]), &burn).is_err());
    }

    #[test]
    fn shares_are_of_the_moves_that_the_kind_of_adapter_must_make() {
        let verdicts = of_copies(&ours("CPU", [4096, 16, 256])).expect("verdicts");
        assert_eq!(measured(&verdicts), [(75.0, true), (62.5, true), (75.0, true), (62.5, true)]);
        let verdicts = of_copies(&ours("discrete GPU", [4096, 16, 256])).expect("verdicts");
        assert_eq!(measured(&verdicts), [(50.0, false), (37.5, false), (75.0, false), (62.5, false)]);
        assert!(of_copies(&ours("discrete GPU", [2, 3, 5])).is_err());
    }

    #[test]
    fn tensors_that_caches_hold_are_shown_and_not_judged() {
        let [mut small, large] =
            [ours("CPU", [2, 3, 5]), ours("CPU", [4096, 16, 256])].map(|[first, _]| first);
        for row in small["rows"].as_array_mut().expect("rows") {
            if row["pass"] != "copy" {
                row["time"]["median_ms"] = 100.0.into();
            }
        }
        let verdicts = of_copies(&[small, large]).expect("verdicts");
        let bounds: Vec<_> = verdicts.iter().map(|verdict| verdict.bound).collect();
        assert_eq!(bounds, [Bound::AtLeast(50.0), Bound::Nothing].repeat(4));
        assert_eq!(measured(&verdicts)[..4], [(75.0, true), (3.0, true), (62.5, true), (5.0, true)]);
    }

    #[test]
    fn the_baseline_meets_the_fastest_mode() {
        let other = |layout: &str, pass: &str, ms: f64| json!({"shape": [4096, 16, 256], "layout": layout, "pass": pass, "median_ms": ms});
        let pytorch = json!({"rows": [
            other("channels_first", "forward", 9.0), other("channels_first", "forward", 6.0),
            other("channels_first", "backward", 6.0), other("channels_last", "forward", 8.0),
            other("channels_last", "backward", 12.0),
        ]});
        let verdicts =
            of_the_baseline(&ours("CPU", [4096, 16, 256]), &pytorch, Memory::New).expect("verdicts");
        assert_eq!(measured(&verdicts), [(2.121, true), (2.828, true), (1.061, false), (2.121, true)]);
        assert!(of_the_baseline(&ours("CPU", [8, 8, 8]), &pytorch, Memory::New).is_err());
        assert!(of_the_baseline(&ours("CPU", [4096, 16, 256]), &json!({"rows": []}), Memory::Kept).is_err());
    }

    #[test]
    fn rows_that_say_little_are_named() {
        let mut ours = ours("CPU", [2, 3, 5]);
        assert!(noisy_rows(&ours).expect("rows").is_empty());
        ours[1]["rows"][2]["time"]["spread"] = 0.3.into();
        assert_eq!(noisy_rows(&ours).expect("rows"), [" channels-first backward (0.30)"]);
    }

    #[test]
    fn the_worst_choice_counts() {
        let tuned = |ratios: &[f64]| {
            let tuned: Vec<_> = ratios.iter().map(|of_best| json!({"of_best": of_best})).collect();
            json!({"tuned": tuned, "notes": []})
        };
        assert_eq!(measured(&[of_tune(&tuned(&[1.0, 1.2])).expect("a verdict")]), [(1.2, false)]);
        assert_eq!(measured(&[of_tune(&tuned(&[1.0, 1.1])).expect("a verdict")]), [(1.1, true)]);
        assert!(of_tune(&tuned(&[])).is_err());
        let mut incomplete = tuned(&[1.0]);
        incomplete["notes"] = json!(["a shape"]);
        assert!(of_tune(&incomplete).is_err());
    }
}
