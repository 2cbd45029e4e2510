//! Shapes and memory layouts: every tensor is `[N, C, S]`, S the product of the spatial sizes.

use thiserror::Error;

/// Where the channel axis of a tensor lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `[N, C, spatial…]`, element `(n, c, s)` at `(n·C + c)·S + s`: PyTorch's default (NCHW).
    #[default]
    ChannelsFirst,
    /// `[N, spatial…, C]`, element `(n, c, s)` at `(n·S + s)·C + c`: TensorFlow's default (NHWC).
    ChannelsLast,
}

/// The shape of `x`, `y`, `dy` and `dx`, reduced to what batch normalization sees of it.
///
/// Made from the sizes in memory order, so a `[64, 3, 224, 224]` tensor with
/// [`Layout::ChannelsFirst`] and a `[64, 224, 224, 3]` tensor with [`Layout::ChannelsLast`]
/// both have N = 64, C = 3 and S = 50,176.
///
/// ```
/// use wgpu_batchnorm::{Layout, Shape};
///
/// let images = Shape::new(&[64, 224, 224, 3], Layout::ChannelsLast)?;
/// assert_eq!((images.samples(), images.channels(), images.spatial()), (64, 3, 50_176));
/// # Ok::<(), wgpu_batchnorm::ShapeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    samples: usize,
    channels: usize,
    spatial: usize,
    layout: Layout,
}

/// Why sizes do not make a [`Shape`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShapeError {
    /// The number of sizes is not 2, 3, 4 or 5.
    #[error("{sizes:?} has rank {}, expected 2 to 5: [N, C], [N, C, L], [N, C, H, W] or [N, C, D, H, W] (channels last: C at the end)", sizes.len())]
    Rank {
        /// The sizes as given.
        sizes: Vec<usize>,
    },
    /// A size is zero.
    #[error("{sizes:?} has size 0 in axis {axis}, expected at least 1 in every axis: skip empty batches")]
    Zero {
        /// The sizes as given.
        sizes: Vec<usize>,
        /// The first axis of size 0.
        axis: usize,
    },
    /// The axes to take moments over are not axes of the tensor, or come twice.
    #[error("axes {axes:?} of {sizes:?}, expected each axis from 0 to {} at most once", sizes.len().saturating_sub(1))]
    Axes {
        /// The sizes as given.
        sizes: Vec<usize>,
        /// The axes as given.
        axes: Vec<usize>,
    },
    /// The axes that remain are not adjacent.
    #[error(
        "axes {axes:?} of {sizes:?} leave axes {remaining:?}, expected adjacent ones: transpose the tensor, or take the moments in two steps"
    )]
    NotAdjacent {
        /// The sizes as given.
        sizes: Vec<usize>,
        /// The axes as given.
        axes: Vec<usize>,
        /// The other axes.
        remaining: Vec<usize>,
    },
    /// The tensor would have more bytes than can be addressed.
    #[error("{sizes:?} has more elements than can be addressed, expected a product of at most {max}: split the batch", max = Shape::MAX_ELEMENTS)]
    Overflow {
        /// The sizes as given.
        sizes: Vec<usize>,
    },
}

impl Shape {
    /// The most elements a tensor may have: its bytes must fit an `isize`.
    pub const MAX_ELEMENTS: usize = isize::MAX as usize / size_of::<f32>();

    /// The shape with these sizes, in memory order: `[N, C, spatial…]` or `[N, spatial…, C]`.
    ///
    /// # Errors
    /// [`ShapeError`] if the rank is not 2 to 5, a size is 0, or the product overflows.
    pub fn new(sizes: &[usize], layout: Layout) -> Result<Self, ShapeError> {
        let (samples, channels, spatial) = match (layout, sizes) {
            (_, [_] | []) | (_, [_, _, _, _, _, _, ..]) => {
                return Err(ShapeError::Rank { sizes: sizes.to_vec() });
            }
            (Layout::ChannelsFirst, [n, c, spatial @ ..]) => (*n, *c, spatial),
            (Layout::ChannelsLast, [n, spatial @ .., c]) => (*n, *c, spatial),
        };
        if let Some(axis) = sizes.iter().position(|&size| size == 0) {
            return Err(ShapeError::Zero { sizes: sizes.to_vec(), axis });
        }
        sizes
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size))
            .filter(|&elements| elements <= Self::MAX_ELEMENTS)
            .ok_or_else(|| ShapeError::Overflow { sizes: sizes.to_vec() })?;
        Ok(Self { samples, channels, spatial: spatial.iter().product(), layout })
    }

    /// The shape with which the moments over `axes` of a tensor with these sizes, in memory order, are those of its
    /// channels: the axes that remain are the channels, and must be adjacent. Any rank from 1 on.
    ///
    /// ```
    /// use wgpu_batchnorm::Shape;
    ///
    /// // tf.nn.moments(x, axes=[0, 1, 2]) of images in NHWC
    /// let shape = Shape::of_moments(&[8, 32, 32, 3], &[0, 1, 2])?;
    /// assert_eq!((shape.channels(), shape.values_per_channel()), (3, 8 * 32 * 32));
    /// # Ok::<(), wgpu_batchnorm::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeError`] if an axis is none or comes twice, the others are not adjacent, a size is 0, or the product
    /// overflows.
    pub fn of_moments(sizes: &[usize], axes: &[usize]) -> Result<Self, ShapeError> {
        let twice = |i: usize, axis: &usize| axes.iter().take(i).any(|earlier| earlier == axis);
        if sizes.is_empty() || axes.iter().enumerate().any(|(i, axis)| *axis >= sizes.len() || twice(i, axis))
        {
            return Err(ShapeError::Axes { sizes: sizes.to_vec(), axes: axes.to_vec() });
        }
        let remaining: Vec<usize> = (0..sizes.len()).filter(|axis| !axes.contains(axis)).collect();
        let first = remaining.first().copied().unwrap_or(0);
        if remaining.iter().enumerate().any(|(i, &axis)| axis != first + i) {
            let (sizes, axes) = (sizes.to_vec(), axes.to_vec());
            return Err(ShapeError::NotAdjacent { sizes, axes, remaining });
        }
        // Saturation is seen as an overflow below, and a zero is found before.
        let product =
            |sizes: &[usize]| sizes.iter().fold(1usize, |product, &size| product.saturating_mul(size));
        if let Some(axis) = sizes.iter().position(|&size| size == 0) {
            return Err(ShapeError::Zero { sizes: sizes.to_vec(), axis });
        }
        let (outer, rest) = sizes.split_at(first);
        let (channels, inner) = rest.split_at(remaining.len());
        let collapsed = [product(outer), product(channels), product(inner)];
        Self::new(&collapsed, Layout::ChannelsFirst)
            .map_err(|_| ShapeError::Overflow { sizes: sizes.to_vec() })
    }

    /// One value of each channel: for what depends on C alone.
    pub(crate) fn of_channels(channels: usize) -> Self {
        Self { samples: 1, channels, spatial: 1, layout: Layout::ChannelsFirst }
    }

    /// N, the number of samples.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// C, the number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// S, the number of spatial positions of one sample: the product of the spatial sizes, 1 for `[N, C]`.
    pub fn spatial(&self) -> usize {
        self.spatial
    }

    /// Where the channel axis lies.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// N·S, the number of values that share one channel's statistics.
    pub fn values_per_channel(&self) -> usize {
        self.samples * self.spatial
    }

    /// N·C·S.
    pub fn elements(&self) -> usize {
        self.samples * self.channels * self.spatial
    }

    /// The position in memory, in elements, of sample `n`, channel `c` and spatial position `s`.
    pub fn index(&self, n: usize, c: usize, s: usize) -> usize {
        match self.layout {
            Layout::ChannelsFirst => (n * self.channels + c) * self.spatial + s,
            Layout::ChannelsLast => (n * self.spatial + s) * self.channels + c,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { samples, channels, spatial, layout } = self;
        match layout {
            Layout::ChannelsFirst => write!(f, "[N={samples}, C={channels}, S={spatial}]"),
            Layout::ChannelsLast => write!(f, "[N={samples}, S={spatial}, C={channels}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_memory_order() -> Result<(), ShapeError> {
        let first = Shape::new(&[2, 3, 4, 5, 6], Layout::ChannelsFirst)?;
        assert_eq!((first.samples(), first.channels(), first.spatial()), (2, 3, 120));
        assert_eq!(first.index(1, 2, 7), (3 + 2) * 120 + 7);
        let last = Shape::new(&[2, 4, 5, 6, 3], Layout::ChannelsLast)?;
        assert_eq!((last.samples(), last.channels(), last.spatial()), (2, 3, 120));
        assert_eq!(last.index(1, 2, 7), (120 + 7) * 3 + 2);
        let columns = Shape::new(&[7, 9], Layout::ChannelsLast)?;
        assert_eq!((columns.samples(), columns.channels(), columns.spatial()), (7, 9, 1));
        Ok(())
    }

    #[test]
    fn moments_leave_adjacent_axes() -> Result<(), ShapeError> {
        let collapsed = |sizes: &[usize], axes: &[usize]| {
            Shape::of_moments(sizes, axes).map(|shape| [shape.samples(), shape.channels(), shape.spatial()])
        };
        assert_eq!(collapsed(&[2, 3, 4, 5], &[3, 0, 2])?, [2, 3, 20]);
        assert_eq!(collapsed(&[2, 3, 4, 5], &[0, 3])?, [2, 12, 5]);
        assert_eq!(collapsed(&[2, 3, 4], &[1, 2])?, [1, 2, 12]);
        assert_eq!(collapsed(&[2, 3], &[0])?, [2, 3, 1]);
        assert_eq!(collapsed(&[2, 3], &[0, 1])?, [1, 1, 6]);
        assert_eq!(collapsed(&[2, 3, 4, 5, 6, 7], &[0])?, [2, 2520, 1]);
        assert_eq!(collapsed(&[7], &[])?, [1, 7, 1]);
        let remaining = vec![0, 2];
        let error = ShapeError::NotAdjacent { sizes: vec![2, 3, 4], axes: vec![1], remaining };
        assert_eq!(collapsed(&[2, 3, 4], &[1]), Err(error));
        for (sizes, axes) in [(&[2usize, 3][..], &[2usize][..]), (&[2, 3], &[0, 0]), (&[], &[])] {
            let error = ShapeError::Axes { sizes: sizes.to_vec(), axes: axes.to_vec() };
            assert_eq!(collapsed(sizes, axes), Err(error));
        }
        assert!(matches!(collapsed(&[0, 3], &[0]), Err(ShapeError::Zero { axis: 0, .. })));
        assert!(matches!(collapsed(&[usize::MAX, 3], &[0]), Err(ShapeError::Overflow { .. })));
        Ok(())
    }

    #[test]
    fn what_is_no_shape_is_refused() {
        let first = |sizes: &[usize]| Shape::new(sizes, Layout::ChannelsFirst);
        assert_eq!(first(&[]), Err(ShapeError::Rank { sizes: vec![] }));
        assert_eq!(first(&[3]), Err(ShapeError::Rank { sizes: vec![3] }));
        assert_eq!(first(&[1; 6]), Err(ShapeError::Rank { sizes: vec![1; 6] }));
        assert_eq!(first(&[2, 3, 0]), Err(ShapeError::Zero { sizes: vec![2, 3, 0], axis: 2 }));
        let huge = [usize::MAX / 2, 3];
        assert_eq!(first(&huge), Err(ShapeError::Overflow { sizes: huge.to_vec() }));
        // A product that wraps around to a small number, and a zero beside a product that overflows.
        let wraps = [1 << (usize::BITS / 2), 1 << (usize::BITS / 2)];
        assert_eq!(first(&wraps), Err(ShapeError::Overflow { sizes: wraps.to_vec() }));
        assert!(matches!(first(&[usize::MAX, usize::MAX, 0]), Err(ShapeError::Zero { .. })));
    }
}
