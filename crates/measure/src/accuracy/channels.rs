//! Some channels stand for all where the reference would take minutes.

use std::borrow::Cow;
use wgpu_batchnorm::{Layout, Shape, ShapeError};

/// The channels of a tensor that are compared with the reference, each in full: the first, the last, and as many evenly
/// between them as fit.
#[derive(Clone, Debug)]
pub struct CheckedChannels {
    whole: Shape,
    channels: Vec<usize>,
    shape: Shape,
}

impl CheckedChannels {
    /// Channels with no more than `most_elements` elements in all, but two at least, where there are two.
    ///
    /// # Errors
    /// Never: the checked channels of a shape have one too.
    pub fn of(whole: Shape, most_elements: usize) -> Result<Self, ShapeError> {
        let all = whole.channels();
        let fitting = most_elements / whole.values_per_channel().max(1);
        let count = fitting.clamp(all.min(2), all);
        let gaps = count.saturating_sub(1).max(1);
        let channels = (0..count).map(|i| i * (all - 1) / gaps).collect();
        let shape = if count == all {
            whole
        } else {
            Shape::new(&[whole.samples(), count, whole.spatial()], Layout::ChannelsFirst)?
        };
        Ok(Self { whole, channels, shape })
    }

    /// The channels, in order.
    pub fn channels(&self) -> &[usize] {
        &self.channels
    }

    /// The shape of what is gathered: that of the tensor if all channels are checked, and channels first otherwise.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Whether every channel is checked.
    pub fn are_all(&self) -> bool {
        self.shape == self.whole
    }

    /// Where a gathered element lies in the tensor.
    pub fn index_in_whole(&self, index: usize) -> usize {
        if self.are_all() {
            return index;
        }
        let (channels, spatial) = (self.shape.channels(), self.shape.spatial());
        let (n, c) = (index / (channels * spatial), index / spatial % channels);
        self.whole.index(n, self.channels.get(c).copied().unwrap_or_default(), index % spatial)
    }

    /// The checked channels of the tensor, as far as it goes.
    pub fn gather<'t>(&self, tensor: &'t [f32]) -> Cow<'t, [f32]> {
        if self.are_all() || tensor.is_empty() {
            return tensor.into();
        }
        (0..self.shape.elements()).filter_map(|i| tensor.get(self.index_in_whole(i)).copied()).collect()
    }

    /// The values of the checked channels in an array with one for each channel, or in several of them in a row.
    pub fn pick(&self, values: &[f32]) -> Vec<f32> {
        let groups = values.chunks_exact(self.whole.channels());
        groups.flat_map(|group| self.channels.iter().filter_map(|&c| group.get(c).copied())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_channel_are_always_checked() -> Result<(), ShapeError> {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let sizes = match layout {
                Layout::ChannelsFirst => [2, 5, 3],
                Layout::ChannelsLast => [2, 3, 5],
            };
            let whole = Shape::new(&sizes, layout)?;
            let mut tensor = vec![0.0; whole.elements()];
            for n in 0..2 {
                for c in 0..5 {
                    for s in 0..3 {
                        tensor[whole.index(n, c, s)] = (100 * n + 10 * c + s) as f32;
                    }
                }
            }
            for (most, channels) in
                [(1, vec![0, 4]), (17, vec![0, 4]), (18, vec![0, 2, 4]), (30, vec![0, 1, 2, 3, 4])]
            {
                let checked = CheckedChannels::of(whole, most)?;
                assert_eq!(checked.channels(), channels);
                assert_eq!(checked.are_all(), channels.len() == 5);
                assert_eq!(
                    checked.pick(&[0.0, 1.0, 2.0, 3.0, 4.0]),
                    checked.pick(&[0.0, 1.0, 2.0, 3.0, 4.0, 9.0])
                );
                let gathered = checked.gather(&tensor);
                for n in 0..2 {
                    for (i, &c) in channels.iter().enumerate() {
                        for s in 0..3 {
                            let at = checked.shape().index(n, i, s);
                            assert_eq!(gathered[at], (100 * n + 10 * c + s) as f32);
                            assert_eq!(checked.index_in_whole(at), whole.index(n, c, s));
                        }
                    }
                }
            }
        }
        let one = CheckedChannels::of(Shape::new(&[4, 1, 9], Layout::ChannelsFirst)?, 1)?;
        assert!(one.are_all());
        Ok(())
    }
}
