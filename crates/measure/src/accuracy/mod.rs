//! How far off results may be, and are: by the bounds of the oracle cases.
//!
//! With ε = 2⁻²⁴, m = N·S, u what is normalized (x, or act(x) with the activation before), d = │dy│ (after an activation,
//! times its slope or 1/4), and maxima and sums over one channel and ghost batch, a result may be off by
//!
//! | result | bound |
//! |---|---|
//! | y | 16ε·k·(max│γ·x̂│ + │β│ + max│residual│) + p·12ε·│γ│/σ·max│u│ |
//! | dweight | 8ε·l·(Σd·│x̂│ + Σd) |
//! | dbias | 8ε·l·Σd |
//! | dx | 32ε·l·│γ│/σ·(max d + b·(Σd/m + max│x̂│·Σd·│x̂│/m))·(p: max│act′│ + 1/4) |
//! | dresidual | 66ε·max│dy│ |
//! | dmean, dvariance | those of dbias times 5/4·│γ│/σ, and of dweight times 5/8·│γ│/σ² |
//! | dx of moments | 32ε·(│dmean│ + 2·max│x − mean│·│dvariance│)/m |
//! | grad_weight | 16ε·(Σ│dy·ddx│ + Σd + Σd·│x̂│)/σ |
//!
//! where k = 3/2 and l = 3 with an activation and 1 without, p stands for an activation before, and b for statistics of
//! the batch.

mod bounds;
mod channels;
mod worst;

pub use bounds::{Bounds, group_of};
pub use channels::CheckedChannels;
pub use worst::{Accuracy, Worst};

use wgpu_batchnorm::{Layout, Shape};

/// 2⁻²⁴: half a unit in the last place of 1.
pub const EPSILON: f64 = 1.0 / (1 << 24) as f64;

/// The channel of the element at `index` in memory.
pub fn channel_of(shape: &Shape, index: usize) -> usize {
    match shape.layout() {
        Layout::ChannelsFirst => index / shape.spatial() % shape.channels(),
        Layout::ChannelsLast => index % shape.channels(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_in_both_layouts() -> Result<(), wgpu_batchnorm::ShapeError> {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let shape = match layout {
                Layout::ChannelsFirst => Shape::new(&[2, 3, 4], layout)?,
                Layout::ChannelsLast => Shape::new(&[2, 4, 3], layout)?,
            };
            for (n, c, s) in [(0, 0, 0), (1, 2, 3), (1, 0, 2), (0, 1, 3)] {
                assert_eq!(channel_of(&shape, shape.index(n, c, s)), c);
            }
        }
        Ok(())
    }
}
