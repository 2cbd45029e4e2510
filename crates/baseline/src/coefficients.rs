//! What the elementwise second halves of the passes need to know of a channel.

/// `y = (x − mean)·scale + shift` for one channel.
///
/// Not `x·scale + shift`: that cancels where |mean| ≫ σ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub(crate) mean: f32,
    pub(crate) scale: f32,
    pub(crate) shift: f32,
}

impl Affine {
    /// Normalizes with `mean` and `variance`, then scales by `weight` and adds `bias`.
    pub(crate) fn new(mean: f64, variance: f64, weight: f32, bias: f32, eps: f32) -> Self {
        let scale = f64::from(weight) / (variance + f64::from(eps)).sqrt();
        let rounded = mean as f32;
        // What the rounded mean leaves out matters where |mean| ≫ σ.
        let rest = mean - f64::from(rounded);
        Self { mean: rounded, scale: scale as f32, shift: (f64::from(bias) - rest * scale) as f32 }
    }

    pub(crate) fn parts(self) -> [f32; 3] {
        [self.mean, self.scale, self.shift]
    }

    #[inline(always)]
    pub(crate) fn of([mean, scale, shift]: [f32; 3]) -> Self {
        Self { mean, scale, shift }
    }

    #[inline(always)]
    pub(crate) fn apply(self, x: f32) -> f32 {
        (x - self.mean) * self.scale + self.shift
    }
}

/// `sum_dy = Σdy` and `sum_dy_x = Σdy·(x − mean)` over one channel, or over a part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct GradSums {
    pub(crate) sum_dy: f64,
    pub(crate) sum_dy_x: f64,
}

impl GradSums {
    pub(crate) fn of(x: f32, dy: f32, mean: f32) -> Self {
        Self { sum_dy: f64::from(dy), sum_dy_x: f64::from(dy * (x - mean)) }
    }

    #[inline(always)]
    pub(crate) fn merge(self, other: Self) -> Self {
        Self { sum_dy: self.sum_dy + other.sum_dy, sum_dy_x: self.sum_dy_x + other.sum_dy_x }
    }
}

/// `dx = dy_scale·dy − (x_scale·(x − mean) + shift)` for one channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gradient {
    pub(crate) mean: f32,
    pub(crate) dy_scale: f32,
    pub(crate) x_scale: f32,
    pub(crate) shift: f32,
}

impl Gradient {
    /// The gradient through a channel of `count` values with these statistics and sums.
    pub(crate) fn new(sums: GradSums, count: usize, weight: f32, mean: f32, inv_std: f32) -> Self {
        let (inv_std, count) = (f64::from(inv_std), count as f64);
        let dy_scale = f64::from(weight) * inv_std;
        Self {
            mean,
            dy_scale: dy_scale as f32,
            x_scale: (dy_scale * inv_std * inv_std * sums.sum_dy_x / count) as f32,
            shift: (dy_scale * sums.sum_dy / count) as f32,
        }
    }

    pub(crate) fn parts(self) -> [f32; 4] {
        [self.mean, self.dy_scale, self.x_scale, self.shift]
    }

    #[inline(always)]
    pub(crate) fn of([mean, dy_scale, x_scale, shift]: [f32; 4]) -> Self {
        Self { mean, dy_scale, x_scale, shift }
    }

    #[inline(always)]
    pub(crate) fn apply(self, x: f32, dy: f32) -> f32 {
        self.dy_scale * dy - (self.x_scale * (x - self.mean) + self.shift)
    }
}
