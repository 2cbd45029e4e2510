//! The verdict of the benchmark, on records that are made up: the benchmark itself has no test harness.

#![allow(missing_docs)]

#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../benches/sync/record.rs"]
mod record;
#[allow(dead_code, reason = "the benchmark uses the rest")]
#[path = "../benches/sync/verdict.rs"]
mod verdict;

use record::{Record, Row};
use verdict::Verdict;

/// A record of passes with so many ranks, each with CPU times of the exchange and of MPI.
fn record(passes: &[(usize, f64, f64)]) -> Record {
    let row = |&(ranks, sync_cpu, all_reduce_cpu)| Row {
        ranks,
        channels: 64,
        size: 56,
        pass: "forward".to_owned(),
        bytes: 1316,
        device: 1.0,
        copy: 1.0,
        sync: 1.0,
        sync_cpu,
        all_reduce: 1.0,
        all_reduce_cpu,
    };
    Record { optimized: true, rows: passes.iter().map(row).collect(), ..Record::new(true, false) }
}

#[test]
fn the_worst_pass_of_two_ranks_counts() -> anyhow::Result<()> {
    let record = record(&[(2, 60.0, 20.0), (2, 70.0, 25.0), (4, 500.0, 20.0)]);
    assert_eq!(Verdict::of(&record)?, Verdict::Met(45.0));
    Ok(())
}

#[test]
fn a_target_that_is_missed_is_not_met() -> anyhow::Result<()> {
    assert_eq!(Verdict::of(&record(&[(2, 20.0, 20.0), (2, 70.0, 20.0)]))?, Verdict::Missed(50.0));
    assert!(matches!(Verdict::of(&record(&[(2, f64::NAN, 1.0), (2, 20.0, 20.0)]))?, Verdict::Missed(_)));
    Ok(())
}

#[test]
fn nothing_measured_is_nothing_met() {
    for passes in [&[][..], &[(4, 1.0, 1.0)]] {
        assert!(Verdict::of(&record(passes)).is_err());
    }
}

#[test]
fn what_says_nothing_is_not_judged() -> anyhow::Result<()> {
    let slow = record(&[(2, 500.0, 1.0)]);
    let [debug, quick] =
        [Record { optimized: false, ..slow }, Record { quick: true, ..record(&[(2, 1.0, 1.0)]) }];
    for record in [debug, quick] {
        assert!(matches!(Verdict::of(&record)?, Verdict::NotJudged(_)));
    }
    Ok(())
}
