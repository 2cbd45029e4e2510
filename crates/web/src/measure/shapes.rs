//! The shapes that are measured: the sets that all programs of the benchmark share.

use anyhow::Context as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use wgpu_batchnorm::DeviceKind;

/// The sets of shapes that all programs of the benchmark share.
const SETS: &str = include_str!("../../../../benches/shapes.json");
/// 64 MiB of float32.
pub const MOST_ELEMENTS: usize = 1 << 24;

/// A set in the file.
#[derive(Deserialize)]
struct Set {
    /// N of all shapes on a CPU adapter, if not theirs.
    batch_on_cpu: Option<usize>,
    shapes: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    sizes: Vec<usize>,
}

/// The shapes of a set of `benches/shapes.json`: N, C and the spatial sizes, with N halved until a tensor has at most
/// [`MOST_ELEMENTS`], because a page may take less memory than a program.
///
/// # Errors
/// If there is no such set.
pub fn shapes(set: &str, kind: DeviceKind) -> anyhow::Result<Vec<Vec<usize>>> {
    let mut sets: BTreeMap<String, Set> = serde_json::from_str(SETS)?;
    let names: Vec<_> = sets.keys().cloned().collect();
    let Set { batch_on_cpu, shapes } =
        sets.remove(set).with_context(|| format!("there is no set {set:?}, expected one of {names:?}"))?;
    let batch = batch_on_cpu.filter(|_| kind == DeviceKind::Cpu);
    let with_batch = |Listed { mut sizes }: Listed| {
        if let (Some(samples), Some(batch)) = (sizes.first_mut(), batch) {
            *samples = batch;
        }
        while sizes.iter().product::<usize>() > MOST_ELEMENTS && sizes[0] > 1 {
            sizes[0] /= 2;
        }
        sizes
    };
    Ok(shapes.into_iter().map(with_batch).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu_batchnorm::{Layout, Shape};

    #[test]
    fn sets_of_shapes_are_known() -> anyhow::Result<()> {
        let quick = shapes("quick", DeviceKind::Gpu)?;
        assert!(
            quick.len() >= 3 && quick.iter().all(|sizes| Shape::new(sizes, Layout::ChannelsFirst).is_ok())
        );
        for set in ["quick", "resnet50"] {
            let all = shapes(set, DeviceKind::Gpu)?;
            assert!(all.iter().all(|sizes| sizes.iter().product::<usize>() <= MOST_ELEMENTS), "{all:?}");
        }
        let error = shapes("slow", DeviceKind::Gpu).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("quick")));
        Ok(())
    }
}
