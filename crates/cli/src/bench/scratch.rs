//! The workspace of a plan, held against what it may take.

use serde::Serialize;

/// Of the bytes of x, and in bytes: what a workspace should stay within.
pub(crate) const MOST_SHARE: f64 = 0.01;
pub(crate) const MOST_BYTES: u64 = 64 << 20;

/// Bytes of workspace that a pass needs besides its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scratch {
    pub(crate) scratch_bytes: u64,
    /// Of the bytes of x.
    pub(crate) scratch_share: f64,
}

impl Scratch {
    pub(crate) fn new(scratch_bytes: u64, tensor_bytes: f64) -> Self {
        Self { scratch_bytes, scratch_share: scratch_bytes as f64 / tensor_bytes }
    }

    /// Whether it is more than it should be.
    pub(crate) fn is_over(&self) -> bool {
        self.scratch_share > MOST_SHARE || self.scratch_bytes > MOST_BYTES
    }
}

impl std::fmt::Display for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (bytes, percent) = (self.scratch_bytes as f64, self.scratch_share * 100.0);
        let mark = if self.is_over() { " !" } else { "" };
        let decimals = if percent < 9.95 { 1 } else { 0 };
        if bytes < 1e5 {
            write!(f, "{:.1} kB {percent:.decimals$} %{mark}", bytes * 1e-3)
        } else {
            write!(f, "{:.1} MB {percent:.decimals$} %{mark}", bytes * 1e-6)
        }
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::bench::shapes::{BenchShape, Layouts, ShapeSet};
    use clap::ValueEnum as _;
    use wgpu_batchnorm::{
        Accumulation, DeviceKind, DeviceTraits, Dtype, Layout, Mode, Operation, Options, Pass, Plan, Wanted,
    };

    /// Forward and backward, and the bytes a channel that no plan can do without: of its only record, and of its coefficients.
    fn passes() -> [(Operation, u64); 2] {
        let pass = Pass { mode: Mode::TRAINING, residual: false, mask: false };
        let wanted = Wanted {
            dx: true,
            dweight: Some(Accumulation::Replace),
            dbias: Some(Accumulation::Replace),
            ..Wanted::default()
        };
        [
            (Operation::Forward { pass, in_place: false }, 5 * 4),
            (Operation::Backward { pass, wanted }, 4 * 4 + 7 * 4),
        ]
    }

    /// Whether the plan is an exception: the only record of each channel is more than its share, as its values are few. There
    /// are no other exceptions.
    fn is_exception(shape: &BenchShape, layout: Layout, dtype: Dtype, device: &DeviceTraits) -> Vec<bool> {
        let options = Options { dtype, ..Options::new(shape.sizes[1]) };
        let sized = shape.in_layout(layout).expect("a shape");
        let tensor_bytes = shape.sizes.iter().product::<usize>() as u64 * dtype.bytes();
        // Records begin where a binding may, after the coefficients, and so does what follows them.
        let gaps = 2 * u64::from(device.min_storage_buffer_offset_alignment);
        let check = |(operation, least)| {
            let plan = Plan::new(&sized, &options, operation, device).expect("a plan");
            let scratch = Scratch::new(plan.workspace_bytes(), tensor_bytes as f64);
            let single = options.channels as u64 * least + gaps;
            let is_exception = single as f64 > MOST_SHARE * tensor_bytes as f64;
            assert!(
                if is_exception { scratch.scratch_bytes <= single } else { !scratch.is_over() },
                "{:?} {:?} {layout:?} {dtype:?} {operation:?}: {scratch}",
                device.kind,
                shape.sizes
            );
            is_exception
        };
        passes().map(check).to_vec()
    }

    #[test]
    fn plans_stay_within_the_limits_on_all_shapes_of_the_benchmark() {
        let mut exceptions = Vec::new();
        for kind in [DeviceKind::Cpu, DeviceKind::Gpu] {
            let device = DeviceTraits::webgpu_defaults(kind);
            for set in ShapeSet::value_variants() {
                for shape in set.shapes(kind).expect("the shapes") {
                    for layout in Layouts::Both.all() {
                        for dtype in [Dtype::F32, Dtype::F16] {
                            exceptions.extend(is_exception(&shape, *layout, dtype, &device));
                        }
                    }
                }
            }
        }
        let count = exceptions.iter().filter(|is_exception| **is_exception).count();
        assert!(count * 10 < exceptions.len(), "{count} of {} plans are exceptions", exceptions.len());
    }

    #[test]
    fn both_limits_count() {
        let over = |bytes, tensor| Scratch::new(bytes, tensor).is_over();
        assert!(!over(1000, 100_000.0) && over(1001, 100_000.0));
        assert!(!over(MOST_BYTES, 1e12) && over(MOST_BYTES + 1, 1e12));
    }

    #[test]
    fn it_is_written_with_its_share() {
        assert_eq!(Scratch::new(1_500, 1e6).to_string(), "1.5 kB 0.1 %");
        assert_eq!(Scratch::new(2_500_000, 1e7).to_string(), "2.5 MB 25 % !");
    }
}
