//! Whether an exchange costs no more CPU time than is promised.

use crate::record::{Record, Row};
use std::fmt;

/// CPU time in µs that an exchange may take beyond MPI's own, with 2 ranks.
pub(crate) const MOST_OVERHEAD: f64 = 50.0;

#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// With the most that an exchange took.
    Met(f64),
    Missed(f64),
    /// The measurement cannot tell, and why.
    NotJudged(&'static str),
}

impl Verdict {
    /// # Errors
    /// If there is nothing to judge.
    pub(crate) fn of(record: &Record) -> anyhow::Result<Self> {
        let of_two = || record.rows.iter().filter(|row| row.ranks == 2).map(Row::overhead);
        anyhow::ensure!(of_two().count() > 0, "no pass of 2 ranks was measured, expected some");
        // A time that is no number has not met anything either.
        let most = of_two()
            .fold(f64::NEG_INFINITY, |most, time| if most.is_nan() || time <= most { most } else { time });
        Ok(match () {
            () if !record.optimized => Self::NotJudged("the program was built without optimizations"),
            () if record.quick => Self::NotJudged("the measurement was a quick one"),
            () if most < MOST_OVERHEAD => Self::Met(most),
            () => Self::Missed(most),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let promise = format!("At most {MOST_OVERHEAD} µs are promised");
        match self {
            Self::Met(most) | Self::Missed(most) => {
                let verdict = if matches!(self, Self::Met(_)) { "met" } else { "MISSED" };
                write!(
                    f,
                    "With 2 ranks an exchange takes at most {most:.1} µs of CPU time more than MPI_Allreduce of as many \
                     bytes. {promise}: {verdict}."
                )
            }
            Self::NotJudged(reason) => write!(f, "{promise}, which is not judged here: {reason}."),
        }
    }
}
