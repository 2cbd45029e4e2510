//! What moves while the networks train.

use super::{BINS, Progress, RANGE, SMOOTHED, Trainer};
use wgpu_batchnorm_report::chart::{Axis, ChartError, Curve, Curves, HistogramRow, Histograms};

/// SVG elements.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Charts {
    /// Of each step the mean loss of the last steps.
    pub loss: String,
    /// ‖dW‖ of each layer.
    pub gradients: String,
    /// Of each hidden layer's outputs.
    pub histograms: String,
}

const NAMES: [&str; 2] = ["with batch normalization", "without"];
/// More points than pixels say nothing more.
const MOST_POINTS: usize = 400;
/// Steps that the axis shows at least.
const LEAST_STEPS: f64 = 100.0;
const HEIGHT: u32 = 260;

impl Trainer {
    /// The charts as they are after the last step, for a place of this width.
    ///
    /// # Errors
    /// [`ChartError`] if the library that draws them fails.
    pub fn charts(&self, width: u32) -> Result<Charts, ChartError> {
        let size = (width.clamp(280, 1600), HEIGHT);
        let steps = Axis { label: "step", tick: |step| format!("{step:.0}") };
        let number = |label| Axis { label, tick: plain };
        let curves = |of: fn(&Progress) -> Vec<(f64, f64)>, marked: bool| -> Vec<Curve> {
            let all = self.progress.iter().enumerate();
            all.map(|(color, progress)| Curve { color, marked, points: of(progress) }).collect()
        };
        let losses: Vec<_> = self.progress.iter().map(|progress| said(progress.loss())).collect();
        let loss = Curves {
            name: format!("Loss by step, now {} {} and {} {}", losses[0], NAMES[0], losses[1], NAMES[1]),
            x: steps,
            y: number("loss"),
            x_range: (0.0, LEAST_STEPS),
            curves: curves(smoothed, false),
            size,
        };
        let layers = self.settings().depth as f64 + 1.0;
        let gradients = Curves {
            name: "Norm of the weight gradient by layer".to_owned(),
            x: Axis {
                label: "layer",
                tick: |layer| if layer.fract() == 0.0 { format!("{layer}") } else { String::new() },
            },
            y: number("‖dW‖"),
            x_range: (0.5, layers + 0.5),
            curves: curves(norms, true),
            size,
        };
        let rows = (0..self.settings().depth).map(|layer| HistogramRow {
            label: format!("layer {}", layer + 1),
            bins: self.progress.iter().map(|progress| bins(progress, layer)).collect(),
        });
        let histograms = Histograms {
            name: "Distribution of the outputs of each hidden layer".to_owned(),
            colors: vec![0, 1],
            rows: rows.collect(),
            range: RANGE,
            label: "output of a hidden layer".to_owned(),
            width: size.0,
        };
        Ok(Charts { loss: loss.svg()?, gradients: gradients.svg()?, histograms: histograms.svg()? })
    }
}

/// 1, 2 or 5 times a power of ten, without a prefix as long as that is short.
fn plain(number: f64) -> String {
    if (1e-4..1e5).contains(&number) {
        let decimals = (-number.log10().floor()).max(0.0) as usize;
        format!("{number:.decimals$}")
    } else {
        format!("{number:.0e}")
    }
}

fn said(loss: Option<f32>) -> String {
    loss.map_or_else(|| "unknown".to_owned(), |loss| format!("{loss:.3}"))
}

/// Of evenly many steps the mean of the losses of the last ones.
fn smoothed(progress: &Progress) -> Vec<(f64, f64)> {
    let losses = &progress.losses;
    let every = losses.len().div_ceil(MOST_POINTS).max(1);
    let mean = |step: usize| {
        let window = losses.iter().take(step).skip(step.saturating_sub(SMOOTHED));
        let (sum, count) =
            window.fold((0.0, 0.0), |(sum, count), &loss| (sum + f64::from(loss), count + 1.0));
        sum / count
    };
    (1..=losses.len())
        .filter(|step| step % every == 0 || *step == losses.len())
        .map(|step| (step as f64, mean(step)))
        .collect()
}

fn norms(progress: &Progress) -> Vec<(f64, f64)> {
    (1..).map(f64::from).zip(progress.norms.iter().map(|&norm| f64::from(norm))).collect()
}

fn bins(progress: &Progress, layer: usize) -> Vec<f64> {
    let bins = progress.histograms.get(layer).map(Vec::as_slice).unwrap_or_default();
    debug_assert!(bins.is_empty() || bins.len() == BINS);
    bins.iter().map(|&share| f64::from(share)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_plain_numbers() {
        let ticks = [2e-7, 0.0005, 0.2, 0.30000000000000004, 1.0, 50.0, 2e8].map(plain);
        assert_eq!(ticks, ["2e-7", "0.0005", "0.2", "0.3", "1", "50", "2e8"]);
    }

    #[test]
    fn losses_are_averaged_over_the_last_steps() {
        let losses: Vec<f32> = (1..=1000).map(|step| step as f32).collect();
        let points = smoothed(&Progress { losses, ..Progress::default() });
        assert!(points.len() <= MOST_POINTS + 1);
        assert_eq!(points.last(), Some(&(1000.0, 990.5)));
    }
}
