//! What is tried: the cost model's choice, and others around it.

use wgpu_batchnorm::{DeviceKind, Schedule, Traversal};

/// The cost model's own choice first, then each traversal by itself and with one number changed. Plans that come
/// out equal are tried once.
pub(super) fn candidates(kind: DeviceKind) -> Vec<Schedule> {
    let workgroups: &[u32] = match kind {
        DeviceKind::Gpu => &[64, 128, 256, 512, 1024],
        DeviceKind::Cpu => &[8, 16, 32, 64],
    };
    let unrolls: &[u32] = match kind {
        DeviceKind::Gpu => &[1, 2, 4, 8],
        DeviceKind::Cpu => &[4, 8, 16, 32],
    };
    let tiles: &[u64] = match kind {
        DeviceKind::Gpu => &[512, 1024, 4096, 16_384],
        DeviceKind::Cpu => &[32, 128, 512, 2048],
    };
    let mut all = vec![Schedule::default()];
    for traversal in Traversal::ALL {
        let plain = Schedule::with_traversal(traversal);
        all.push(plain);
        all.extend([1, 2, 4].map(|width| Schedule { width: Some(width), ..plain }));
        all.extend(workgroups.iter().map(|&lanes| Schedule { workgroup: Some(lanes), ..plain }));
        match traversal {
            Traversal::Split => {
                all.extend(unrolls.iter().map(|&loads| Schedule { unroll: Some(loads), ..plain }));
                all.extend(tiles.iter().map(|&tiles| Schedule { tiles: Some(tiles), ..plain }));
            }
            Traversal::Pipelined => {
                all.extend([1, 2, 4, 8, 16].map(|runs| Schedule { runs: Some(runs), ..plain }));
                let caches = [4, 8, 32, 64, 128].map(|mib| Some(mib << 20));
                all.extend(caches.map(|cache_bytes| Schedule { cache_bytes, ..plain }));
                all.extend(tiles.iter().map(|&tiles| Schedule { tiles: Some(tiles), ..plain }));
            }
            Traversal::Revisited => {
                let loads = unrolls.get(1).copied();
                all.extend(workgroups.iter().map(|&lanes| Schedule {
                    workgroup: Some(lanes),
                    unroll: loads,
                    ..plain
                }));
                all.extend(unrolls.iter().map(|&loads| Schedule { unroll: Some(loads), ..plain }));
            }
            // What is kept decides how many loads there are.
            Traversal::Resident => {}
        }
    }
    all
}
