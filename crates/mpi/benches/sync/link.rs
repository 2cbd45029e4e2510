//! Exchanges alone, of records of many sizes.

use crate::record::Point;
use crate::stopwatch::Stopwatch;
use crate::{Effort, LIMIT};
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives as _;
use wgpu_batchnorm::Exchange as _;
use wgpu_batchnorm_mpi::{Algorithm, MpiExchange};
use wgpu_batchnorm_report::median;

/// From a few channels to a few thousand, and beyond.
const BYTES: [usize; 10] = [64, 1_316, 5_156, 10_276, 20_516, 40_996, 81_920, 163_840, 327_680, 655_360];

pub(crate) fn measure(group: &SimpleCommunicator, effort: Effort) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    let [in_a_row, repetitions] = effort.exchanges;
    for (name, algorithm) in [
        ("direct", Algorithm::Direct),
        ("bruck", Algorithm::Bruck),
        ("two-level", Algorithm::TwoLevel { node: 2 }),
    ] {
        let exchange = MpiExchange::over(group, LIMIT)?.with_algorithm(algorithm)?;
        for bytes in BYTES.into_iter().step_by(effort.step) {
            let message = vec![1; bytes];
            let mut times = Vec::with_capacity(repetitions);
            for _ in 0..repetitions {
                group.barrier();
                let watch = Stopwatch::start();
                for _ in 0..in_a_row {
                    exchange.all_gather(&message)?;
                }
                times.push(watch.wall() / in_a_row as f64);
            }
            points.push(Point {
                algorithm: name.to_owned(),
                ranks: exchange.replicas(),
                bytes,
                microseconds: median(&mut times),
            });
        }
    }
    Ok(points)
}
