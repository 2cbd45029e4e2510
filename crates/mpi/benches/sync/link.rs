//! Exchanges alone, of records of many sizes.

use crate::LIMIT;
use crate::record::Point;
use crate::stopwatch::Stopwatch;
use mpi::topology::SimpleCommunicator;
use mpi::traits::CommunicatorCollectives as _;
use wgpu_batchnorm::Exchange as _;
use wgpu_batchnorm_mpi::{Algorithm, MpiExchange};
use wgpu_batchnorm_report::median;

/// From a few channels to a few thousand, and beyond.
const BYTES: [usize; 7] = [64, 1_304, 5_144, 20_504, 40_984, 163_840, 655_360];
/// Exchanges in a row, and how often; less of the large ones.
const IN_A_ROW: usize = 10;
const REPETITIONS: usize = 15;

pub(crate) fn measure(group: &SimpleCommunicator) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    for (name, algorithm) in [
        ("direct", Algorithm::Direct),
        ("bruck", Algorithm::Bruck),
        ("two-level", Algorithm::TwoLevel { node: 2 }),
    ] {
        let exchange = MpiExchange::over(group, LIMIT)?.with_algorithm(algorithm);
        for bytes in BYTES {
            let message = vec![1; bytes];
            let mut times = Vec::with_capacity(REPETITIONS);
            for _ in 0..REPETITIONS {
                group.barrier();
                let watch = Stopwatch::start();
                for _ in 0..IN_A_ROW {
                    exchange.all_gather(&message)?;
                }
                times.push(watch.wall() / IN_A_ROW as f64);
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
