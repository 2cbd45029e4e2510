//! Which elements share statistics: batch normalization by layout, and its relatives.

use crate::experiment::{Experiment, Finding, Lab, Outcome, Verdict};
use crate::train;
use burn::nn::{GroupNormConfig, InstanceNormConfig, LayerNormConfig};
use burn::tensor::{Device, Tensor, TensorData};
use burn_batchnorm::{BatchNormConfig, Layout};
use maud::{Markup, html};
use wgpu_batchnorm_digits::{Digits, PIXELS};
use wgpu_batchnorm_report::chart::SERIES;

pub(crate) const EXPERIMENT: Experiment = Experiment {
    number: 13,
    slug: "axes",
    title: "Dimensions",
    claim: "Batch normalization takes a channel's mean and variance over all axes but the channel's, whatever the rank and \
            the layout; layer, instance and group normalization never mix samples.",
    source: "S. Ioffe and C. Szegedy, 2015, section 3.2; Y. Wu and K. He, Group Normalization, ECCV 2018, figure 2.",
    method: "Four digits as feature maps: brightness, and its slopes to the right, downwards and diagonally, each as the \
             means of the four quarters of the image, [4, 4, 2, 2]. For each kind of normalization the statistics are taken \
             in float64 over the axes that the figure shows, the tensor is normalized with them, and compared with what our \
             layer computes (batch normalization of every shape), with what burn's layers compute (the others), and with our \
             layer on a reshaped tensor (the others too). It counts as held if no element differs by more than 0.00001.",
    run,
};

/// N, C, H and W.
const SIZES: [usize; 4] = [4, 4, 2, 2];
const GROUPS: usize = 2;
const EPSILON: f64 = 1e-5;
/// Of elements around 1: some roundings in float32.
const SAME: f64 = 1e-5;

/// Which elements share statistics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Batch,
    Layer,
    Instance,
    Group,
}

/// A tensor in some layout, and how it is normalized.
struct Panel {
    title: &'static str,
    /// What the statistics run over.
    axes: &'static str,
    kind: Kind,
    rank: usize,
    /// Elements of a channel of a sample.
    spatial: usize,
    last: bool,
}

const PANELS: [Panel; 7] = [
    Panel { title: "batch, [N, C]", axes: "N", kind: Kind::Batch, rank: 2, spatial: 1, last: false },
    Panel { title: "batch, [N, C, L]", axes: "N, L", kind: Kind::Batch, rank: 3, spatial: 4, last: false },
    Panel {
        title: "batch, [N, C, H, W]",
        axes: "N, H, W",
        kind: Kind::Batch,
        rank: 4,
        spatial: 4,
        last: false,
    },
    Panel {
        title: "batch, [N, H, W, C]",
        axes: "N, H, W",
        kind: Kind::Batch,
        rank: 4,
        spatial: 4,
        last: true,
    },
    Panel {
        title: "layer, [N, C, H, W]",
        axes: "C, H, W",
        kind: Kind::Layer,
        rank: 4,
        spatial: 4,
        last: false,
    },
    Panel {
        title: "instance, [N, C, H, W]",
        axes: "H, W",
        kind: Kind::Instance,
        rank: 4,
        spatial: 4,
        last: false,
    },
    Panel {
        title: "group, [N, C, H, W]",
        axes: "half of C, H, W",
        kind: Kind::Group,
        rank: 4,
        spatial: 4,
        last: false,
    },
];

fn run(lab: &Lab) -> anyhow::Result<Outcome> {
    let device = &lab.device;
    let maps = feature_maps(&lab.digits.train)?;
    let (mut rows, mut drawn, mut largest) = (Vec::new(), Vec::new(), 0.0f64);
    for panel in &PANELS {
        let x = panel.values(&maps);
        let (expected, sets) = panel.normalized(&x);
        let checks = panel.computed(&x, device)?;
        let mut cells = vec![panel.title.to_owned(), panel.axes.to_owned(), sets.len().to_string()];
        cells.push(sets.first().map_or(0, |set| set.count).to_string());
        for (who, computed) in &checks {
            let error = expected.iter().zip(computed).map(|(a, b)| (a - f64::from(*b)).abs());
            let error = train::largest(error);
            anyhow::ensure!(computed.len() == expected.len(), "{who} has left out elements");
            largest = train::largest([largest, error]);
            cells.push(format!("{who}: {error:.1e}"));
        }
        cells.resize(6, "–".to_owned());
        rows.push(cells);
        drawn.push((panel, sets));
    }
    let verdict = Verdict::of(&[largest < SAME]);
    let because = format!(
        "In all {} cases statistics over the axes shown give what the layers compute; the largest difference of an \
         element is {largest:.1e}.",
        PANELS.len()
    );
    let findings = vec![
        Finding::chart(
            "Each row is a sample, in the order in which it lies in memory; the number in a cell is its channel. Cells \
             of one colour share a mean and a variance; the first such set stands out, and colours repeat after eight",
            &[],
            figure(&drawn),
        ),
        Finding::table(
            "Statistics over these axes, beside what layers compute",
            &["normalization", "over the axes", "sets", "values of each", "largest difference", ""],
            rows,
        ),
        Finding::text(
            "Only N, C and the product of all other sizes matter. Layer, instance and group normalization are batch \
             normalization of a reshaped tensor: [1, N, C·H·W], [1, N·C, H·W] and [1, N·G, C/G·H·W]. Their sets lie \
             within a sample, so they need no running statistics and do not couple samples; with [N, C] and one \
             element in a set, instance normalization would leave nothing.",
        ),
    ];
    Ok(Outcome { verdict, because, findings })
}

/// `[N, C, H, W]` of the first digits that differ.
fn feature_maps(digits: &Digits) -> anyhow::Result<Vec<f32>> {
    const SIDE: usize = 8;
    let [samples, channels, tall, wide] = SIZES;
    let mut maps = Vec::new();
    for image in digits.pixels.chunks_exact(PIXELS).take(samples) {
        for channel in 0..channels {
            let (down, right) = [(0, 0), (0, 1), (1, 0), (1, 1)][channel % 4];
            for quarter in 0..tall * wide {
                let (top, left) = (quarter / wide * SIDE / tall, quarter % wide * SIDE / wide);
                let places =
                    (0..SIDE / tall).flat_map(|y| (0..SIDE / wide).map(move |x| (top + y, left + x)));
                let at = |y: usize, x: usize| image[y.min(SIDE - 1) * SIDE + x.min(SIDE - 1)];
                let value = |(y, x)| if channel == 0 { at(y, x) } else { at(y + down, x + right) - at(y, x) };
                maps.push(places.map(value).sum::<f32>() / (PIXELS / (tall * wide)) as f32);
            }
        }
    }
    anyhow::ensure!(maps.len() == SIZES.iter().product::<usize>(), "too few digits");
    Ok(maps)
}

/// Elements that share statistics.
struct Set {
    count: usize,
    mean: f64,
    variance: f64,
}

impl Panel {
    /// The sample and the channel of an element by its place in memory.
    fn place(&self, index: usize) -> (usize, usize) {
        let channels = SIZES[1];
        let within = index % (channels * self.spatial);
        let channel = if self.last { within % channels } else { within / self.spatial };
        (index / (channels * self.spatial), channel)
    }

    /// The set of an element.
    fn set(&self, index: usize) -> usize {
        let (sample, channel) = self.place(index);
        match self.kind {
            Kind::Batch => channel,
            Kind::Layer => sample,
            Kind::Instance => sample * SIZES[1] + channel,
            Kind::Group => sample * GROUPS + channel / (SIZES[1] / GROUPS),
        }
    }

    /// The feature maps in this layout; without spatial axes their means.
    fn values(&self, maps: &[f32]) -> Vec<f32> {
        let (channels, spatial) = (SIZES[1], SIZES[2] * SIZES[3]);
        if self.spatial == 1 {
            return maps.chunks_exact(spatial).map(|map| map.iter().sum::<f32>() / spatial as f32).collect();
        }
        if !self.last {
            return maps.to_vec();
        }
        let sample = |maps: &[f32]| -> Vec<f32> {
            (0..maps.len()).map(|index| maps[index % channels * spatial + index / channels]).collect()
        };
        maps.chunks_exact(channels * spatial).flat_map(sample).collect()
    }

    /// By the definition, in float64: (x − mean) / √(variance + ε) with the statistics of each element's set.
    fn normalized(&self, x: &[f32]) -> (Vec<f64>, Vec<Set>) {
        let sets = (0..x.len()).map(|index| self.set(index)).max().map_or(0, |last| last + 1);
        let statistics = |set: usize| {
            let members: Vec<f64> = (0..x.len())
                .filter(|index| self.set(*index) == set)
                .map(|index| f64::from(x[index]))
                .collect();
            let mean = members.iter().sum::<f64>() / members.len() as f64;
            let squares = members.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            Set { count: members.len(), mean, variance: squares / members.len() as f64 }
        };
        let sets: Vec<Set> = (0..sets).map(statistics).collect();
        let normalize = |(index, value): (usize, &f32)| {
            let Set { mean, variance, .. } = sets[self.set(index)];
            (f64::from(*value) - mean) / (variance + EPSILON).sqrt()
        };
        (x.iter().enumerate().map(normalize).collect(), sets)
    }

    /// The same by layers: who computed, and what.
    fn computed(&self, x: &[f32], device: &Device) -> anyhow::Result<Vec<(&'static str, Vec<f32>)>> {
        let [n, c, h, w] = SIZES;
        let s = self.spatial;
        let tensor = |sizes: [usize; 3]| Tensor::<3>::from_data(TensorData::new(x.to_vec(), sizes), device);
        let ours = |channels: usize, last: bool| {
            let layout = if last { Layout::ChannelsLast } else { Layout::ChannelsFirst };
            BatchNormConfig::new(channels)
                .with_epsilon(EPSILON)
                .with_affine(false)
                .with_layout(layout)
                .init(device)
        };
        let reshaped = |channels: usize| {
            let x = tensor([1, channels, n * c * s / channels]);
            Ok::<_, anyhow::Error>((
                "ours, reshaped",
                ours(channels, false).forward(x).try_into_vec_as::<f32>()?,
            ))
        };
        let x = tensor([n, c, s]);
        Ok(match self.kind {
            Kind::Batch => {
                let layer = ours(c, self.last);
                let y = match (self.rank, self.last) {
                    (2, _) => layer.forward(x.reshape([n, c])).try_into_vec_as(),
                    (3, _) => layer.forward(x).try_into_vec_as(),
                    (_, true) => layer.forward(x.reshape([n, h, w, c])).try_into_vec_as(),
                    (_, false) => layer.forward(x.reshape([n, c, h, w])).try_into_vec_as(),
                };
                vec![("ours", y?)]
            }
            Kind::Layer => {
                let layer = LayerNormConfig::new(c * s).with_epsilon(EPSILON).init(device);
                vec![reshaped(n)?, ("burn", layer.forward(x.reshape([n, c * s])).try_into_vec_as()?)]
            }
            Kind::Instance => {
                let layer = InstanceNormConfig::new(c).with_epsilon(EPSILON).init(device);
                vec![reshaped(n * c)?, ("burn", layer.forward(x).try_into_vec_as()?)]
            }
            Kind::Group => {
                let layer = GroupNormConfig::new(GROUPS, c).with_epsilon(EPSILON).init(device);
                vec![reshaped(n * GROUPS)?, ("burn", layer.forward(x).try_into_vec_as()?)]
            }
        })
    }
}

const WIDTH: usize = 960;
const COLUMNS: usize = 4;
const CELL: usize = 12;
/// Between channels, or positions if the channels are last.
const BLOCK_GAP: usize = 3;
const ROW_GAP: usize = 4;
const PANEL_TALL: usize = 155;

/// All panels, side by side.
fn figure(panels: &[(&Panel, Vec<Set>)]) -> String {
    let wide = WIDTH / COLUMNS;
    let tall = panels.len().div_ceil(COLUMNS) * PANEL_TALL;
    let name = "Which elements share statistics";
    let figure = html! {
        svg role="img" aria-label=(name) width=(WIDTH) height=(tall) viewBox=(format!("0 0 {WIDTH} {tall}"))
            xmlns="http://www.w3.org/2000/svg" {
            @for (index, (panel, sets)) in panels.iter().enumerate() {
                g transform=(format!("translate({} {})", index % COLUMNS * wide, index / COLUMNS * PANEL_TALL)) {
                    (drawing(panel, sets))
                }
            }
        }
    };
    figure.into_string()
}

fn drawing(panel: &Panel, sets: &[Set]) -> Markup {
    let [samples, channels, ..] = SIZES;
    let row = channels * panel.spatial;
    let block = if panel.last { channels } else { panel.spatial };
    // Alone in their blocks, cells may take the room of the whole block.
    let cell = if block == 1 { 2 * CELL } else { CELL };
    let top = 28;
    html! {
        text x="0" y="16" font-size="13" font-weight="600" fill=(INK) { (panel.title) }
        @for index in 0..samples * row {
            @let (sample, channel) = panel.place(index);
            @let set = panel.set(index);
            @let within = index % row;
            @let (x, y) = (within * cell + within / block * BLOCK_GAP, top + sample * (CELL + 4 + ROW_GAP));
            rect x=(x) y=(y) width=(cell - 1) height=(CELL + 4) fill=(color(set))
                fill-opacity=(if set == 0 { "1" } else { "0.28" }) {}
            text x=(x + (cell - 1) / 2) y=(y + 12) font-size="9" text-anchor="middle" fill=(INK)
                style=(if set == 0 { "stroke:none;fill:var(--paper)" } else { "stroke:none;fill-opacity:0.6" }) { (channel) }
        }
        @if let Some(Set { count, mean, variance }) = sets.first() {
            @let below = top + samples * (CELL + 4 + ROW_GAP) + 14;
            text x="0" y=(below) font-size="11" fill=(INK) { "over " (panel.axes) ": " (count) " values" }
            text x="0" y=(below + 15) font-size="11" fill=(INK) {
                "mean " (format!("{mean:.2}").replace('-', "−")) ", σ " (format!("{:.2}", variance.sqrt()))
            }
        }
    }
}

/// As charts name it, for the style sheet to give it its value.
const INK: &str = "#1A1A1A";

fn color(set: usize) -> String {
    let (red, green, blue) =
        (SERIES[set % SERIES.len()].0, SERIES[set % SERIES.len()].1, SERIES[set % SERIES.len()].2);
    format!("#{red:02X}{green:02X}{blue:02X}")
}
