//! What the steps hand to one another.

use super::error::check_channels;
use super::{Element, ReferenceError, Segment};

/// What `statistics` finds per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// m, the number of values per channel.
    pub count: usize,
    /// μ, `[C]`.
    pub mean: Vec<f64>,
    /// Σ(x − μ)², `[C]`.
    pub m2: Vec<f64>,
}

/// What normalizes a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// μ, `[C]`.
    pub mean: Vec<f64>,
    /// v, the biased variance, `[C]`.
    pub variance: Vec<f64>,
    /// 1/σ = 1/√(v + ε), `[C]`.
    pub inverse_sigma: Vec<f64>,
    /// Whether they are held: x does not reach the loss through them.
    pub constant: bool,
}

/// Running statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The running mean, `[C]`.
    pub mean: Vec<f64>,
    /// The running variance, of unbiased variances, `[C]`.
    pub variance: Vec<f64>,
}

/// What `backward_reduce` finds per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct GradSums {
    /// m, the number of values per channel.
    pub count: usize,
    /// Σg, `[C]`.
    pub sum_dy: Vec<f64>,
    /// Σg·x̂, `[C]`.
    pub sum_dy_x_hat: Vec<f64>,
}

/// The gradients per channel, and the means that `backward_apply` takes off.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelGradients {
    /// dγ, `[C]`.
    pub dweight: Vec<f64>,
    /// dβ, `[C]`.
    pub dbias: Vec<f64>,
    /// The gradient of μ if the statistics are held, `[C]`.
    pub dmean: Vec<f64>,
    /// The gradient of v if the statistics are held, `[C]`.
    pub dvariance: Vec<f64>,
    /// ⟨g⟩, `[C]`.
    pub mean_dy: Vec<f64>,
    /// ⟨g·x̂⟩, `[C]`.
    pub mean_dy_x_hat: Vec<f64>,
}

/// What `double_backward_reduce` finds per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubleGradSums {
    /// m, Σg and Σg·x̂ with g = dy.
    pub dy: GradSums,
    /// m, Σv and Σv·x̂ with v = ddx.
    pub ddx: GradSums,
    /// Σ(g − ⟨g⟩)(v − ⟨v⟩), `[C]`: without the means, whose product would cancel.
    pub sum_dy_ddx: Vec<f64>,
}

/// The second gradient of γ, and what `double_backward_apply` needs.
#[derive(Clone, Debug, PartialEq)]
pub struct DoubleGradients {
    /// The cotangent of γ, `[C]`.
    pub grad_weight: Vec<f64>,
    /// γ/σ, `[C]`.
    pub gain: Vec<f64>,
    /// The cotangent of dγ, `[C]`.
    pub a: Vec<f64>,
    /// The cotangent of dβ, `[C]`.
    pub b: Vec<f64>,
    /// f = ⟨g·v⟩ − ⟨g⟩⟨v⟩ − ⟨g·x̂⟩⟨v·x̂⟩, `[C]`.
    pub f: Vec<f64>,
    /// ⟨g⟩, `[C]`.
    pub mean_dy: Vec<f64>,
    /// ⟨g·x̂⟩, `[C]`.
    pub mean_dy_x_hat: Vec<f64>,
    /// ⟨v⟩, `[C]`.
    pub mean_ddx: Vec<f64>,
    /// ⟨v·x̂⟩, `[C]`.
    pub mean_ddx_x_hat: Vec<f64>,
}

impl Moments {
    /// Those of no values, which change nothing they are merged with.
    pub fn empty(channels: usize) -> Self {
        Self { count: 0, mean: vec![0.0; channels], m2: vec![0.0; channels] }
    }

    /// Those of the values of both (Chan, Golub and LeVeque 1979), with δ = μ_b − μ_a and m = m_a + m_b:
    /// μ = μ_a + δ·m_b/m and M2 = M2_a + M2_b + δ²·m_a·m_b/m. An empty one has no influence, not even by a
    /// NaN.
    ///
    /// # Errors
    /// [`ReferenceError::Channels`] if they differ in channels.
    pub fn merge(&self, other: &Self) -> Result<Self, ReferenceError> {
        check_channels("mean", other.mean.len(), self.mean.len())?;
        check_channels("M2", other.m2.len(), self.m2.len())?;
        match (self.count, other.count) {
            (_, 0) => return Ok(self.clone()),
            (0, _) => return Ok(other.clone()),
            _ => {}
        }
        let count = self.count + other.count;
        let share = other.count as f64 / count as f64;
        let delta: Vec<f64> = self.mean.iter().zip(&other.mean).map(|(a, b)| b - a).collect();
        let between = delta.iter().map(|delta| delta * delta * self.count as f64 * share);
        let within = self.m2.iter().zip(&other.m2).map(|(a, b)| a + b);
        Ok(Self {
            count,
            mean: self.mean.iter().zip(&delta).map(|(mean, delta)| mean + delta * share).collect(),
            m2: within.zip(between).map(|(within, between)| within + between).collect(),
        })
    }

    /// M2/(m − 1), `[C]`.
    ///
    /// # Errors
    /// [`ReferenceError::TooFewValues`] if there are fewer than two.
    pub fn unbiased_variance(&self) -> Result<Vec<f64>, ReferenceError> {
        match self.count {
            actual @ (0 | 1) => Err(ReferenceError::TooFewValues { actual }),
            count => Ok(self.m2.iter().map(|m2| m2 / (count - 1) as f64).collect()),
        }
    }
}

impl GradSums {
    /// Those of the values of both: for each sum, the sum.
    ///
    /// # Errors
    /// [`ReferenceError::Channels`] if they differ in channels.
    pub fn merge(&self, other: &Self) -> Result<Self, ReferenceError> {
        check_channels("sum(dy)", other.sum_dy.len(), self.sum_dy.len())?;
        check_channels("sum(dy·x̂)", other.sum_dy_x_hat.len(), self.sum_dy_x_hat.len())?;
        let total = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        Ok(Self {
            count: self.count + other.count,
            sum_dy: total(&self.sum_dy, &other.sum_dy),
            sum_dy_x_hat: total(&self.sum_dy_x_hat, &other.sum_dy_x_hat),
        })
    }
}

impl Statistics {
    /// Mean and variance from elsewhere, with 1/σ = 1/√(v + ε), held constant.
    pub fn held(mean: Vec<f64>, variance: Vec<f64>, epsilon: f64) -> Self {
        let inverse_sigma = variance.iter().map(|variance| 1.0 / (variance + epsilon).sqrt()).collect();
        Self { mean, variance, inverse_sigma, constant: true }
    }

    /// x̂ = (x − μ)/σ.
    pub(super) fn x_hat(&self, x: impl Element, channel: usize) -> f64 {
        (x.to_f64() - self.mean[channel]) * self.inverse_sigma[channel]
    }

    /// γ/σ, `[C]`.
    pub(super) fn gain(&self, weight: Option<&[f32]>) -> Result<Vec<f64>, ReferenceError> {
        let Some(weight) = weight else { return Ok(self.inverse_sigma.clone()) };
        check_channels("weight", weight.len(), self.inverse_sigma.len())?;
        Ok(weight.iter().zip(&self.inverse_sigma).map(|(&weight, inv)| f64::from(weight) * inv).collect())
    }

    pub(super) fn check(&self, segment: &Segment<'_>) -> Result<(), ReferenceError> {
        segment.check_channels("mean", &self.mean)?;
        segment.check_channels("1/sigma", &self.inverse_sigma)
    }
}

impl DoubleGradients {
    pub(super) fn check(&self, segment: &Segment<'_>) -> Result<(), ReferenceError> {
        let Self { grad_weight: _, gain, a, b, f, mean_dy, mean_dy_x_hat, mean_ddx, mean_ddx_x_hat } = self;
        for (tensor, values) in [
            ("weight/sigma", gain),
            ("ddweight", a),
            ("ddbias", b),
            ("f", f),
            ("mean(dy)", mean_dy),
            ("mean(dy·x̂)", mean_dy_x_hat),
            ("mean(ddx)", mean_ddx),
            ("mean(ddx·x̂)", mean_ddx_x_hat),
        ] {
            segment.check_channels(tensor, values)?;
        }
        Ok(())
    }
}
