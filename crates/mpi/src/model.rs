//! What an exchange takes, predicted: the model of Hockney (R. W. Hockney, *The communication challenge for MPP*, 1994),
//! in which a message of m bytes takes α + β·m.
//!
//! Messages that a rank sends to several others overlap but for the work of sending, o a message (the overhead of D.
//! Culler et al., *LogP*, 1993). With p ranks, n of them on a node, and a record of m bytes:
//!
//! ```text
//! direct, one node      α + (p − 2)·o + (p − 1)·β·m
//! direct, p/n nodes     α' + (p − 2)·o' + (n − 1)·β·m + (p − n)·n·β'·m   the ranks of a node share its network
//! Bruck, one node       Σᵢ (α + β·cᵢ·m)                                  cᵢ = min(2ⁱ, p − 2ⁱ) records in step i
//! Bruck, p/n nodes      Σᵢ (α' + min(2ⁱ, n)·β'·cᵢ·m)                     min(2ⁱ, n) ranks of a node send to others
//! two levels            α + (n − 2)·o + (n − 1)·β·m                      gather
//!                       + the above between p/n ranks, one a node, with records of n·m bytes
//!                       + α + (n − 2)·o + (n − 1)·β·p·m                  spread
//! ```
//!
//! α, o and β are those within a node (memory), α', o' and β' those between nodes (network). Ranks that share cores take
//! turns: with more of them than cores everything takes longer by that factor.

use crate::Algorithm;

/// How fast messages are between two ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// α, in seconds: what a message takes however short it is.
    pub latency: f64,
    /// o, in seconds: what each further message takes of a rank that sends several at once.
    pub overhead: f64,
    /// β, in seconds per byte.
    pub per_byte: f64,
}

impl Link {
    /// The link without overhead that fits measured pairs of bytes and seconds best, by least squares of the relative errors; none if
    /// there are fewer than two sizes.
    ///
    /// ```
    /// use wgpu_batchnorm_mpi::model::Link;
    ///
    /// let link = Link::fit(&[(0.0, 1e-6), (1e6, 101e-6)]).ok_or("too few points")?;
    /// assert!((link.latency - 1e-6).abs() < 1e-12 && (link.per_byte - 1e-10).abs() < 1e-16);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        // Weights of 1/t² make the squares those of relative errors.
        let [mut w, mut wx, mut wy, mut wxx, mut wxy] = [0.0; 5];
        for &(bytes, seconds) in points.iter().filter(|(_, seconds)| *seconds > 0.0) {
            let weight = seconds.powi(-2);
            w += weight;
            wx += weight * bytes;
            wy += weight * seconds;
            wxx += weight * bytes * bytes;
            wxy += weight * bytes * seconds;
        }
        let determinant = w * wxx - wx * wx;
        if determinant <= 1e-12 * w * wxx {
            return None;
        }
        let per_byte = ((w * wxy - wx * wy) / determinant).max(0.0);
        let latency = ((wy - per_byte * wx) / w).max(0.0);
        Some(Self { latency, overhead: 0.0, per_byte })
    }

    /// Seconds of a message of so many bytes.
    pub fn seconds(&self, bytes: f64) -> f64 {
        self.latency + self.per_byte * bytes
    }

    /// Seconds until so many messages, sent at once, are there, of so many bytes together.
    fn several(&self, messages: usize, bytes: f64) -> f64 {
        match messages.checked_sub(1) {
            None => 0.0,
            Some(further) => self.seconds(bytes) + further as f64 * self.overhead,
        }
    }
}

/// Nodes of equal size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Ranks of a node.
    pub node: usize,
    /// Between ranks of a node.
    pub within: Link,
    /// Between nodes; the ranks of a node share it.
    pub between: Link,
    /// How many ranks of a node run at once: its cores, if each rank needs one.
    pub cores: usize,
}

impl Cluster {
    /// Seconds of an exchange between so many ranks, each of which gives so many bytes.
    pub fn seconds(&self, algorithm: Algorithm, ranks: usize, bytes: f64) -> f64 {
        let node = self.node.clamp(1, ranks.max(1));
        let turns = (node as f64 / self.cores.max(1) as f64).max(1.0);
        turns * self.undisturbed(algorithm, node, ranks, bytes)
    }

    fn undisturbed(&self, algorithm: Algorithm, node: usize, ranks: usize, bytes: f64) -> f64 {
        match algorithm {
            _ if ranks < 2 => 0.0,
            Algorithm::Direct => {
                let (near, far) = ((node - 1) as f64 * bytes, ((ranks - node) * node) as f64 * bytes);
                if ranks == node {
                    return self.within.several(ranks - 1, near);
                }
                self.between.several(ranks - 1, far) + self.within.per_byte * near
            }
            Algorithm::Bruck => bruck(ranks, bytes, |distance, bytes| {
                if ranks == node {
                    return self.within.seconds(bytes);
                }
                self.between.latency + self.between.per_byte * distance.min(node) as f64 * bytes
            }),
            Algorithm::TwoLevel { node } => {
                let node = node.clamp(1, ranks);
                let nodes = ranks.div_ceil(node);
                let [gathered, all] = [node, ranks].map(|records| records as f64 * bytes);
                let between = match Algorithm::of(nodes) {
                    Algorithm::Direct => self.between.several(nodes - 1, (nodes - 1) as f64 * gathered),
                    _ => bruck(nodes, gathered, |_, bytes| self.between.seconds(bytes)),
                };
                let others = node - 1;
                let inside = |record: f64| self.within.several(others, others as f64 * record);
                inside(bytes) + between + inside(all)
            }
        }
    }

    /// The one of `Direct`, `Bruck` and `TwoLevel` that takes least, and how long.
    pub fn best(&self, ranks: usize, bytes: f64) -> (Algorithm, f64) {
        let two_level = Algorithm::TwoLevel { node: self.node };
        let of = |algorithm| (algorithm, self.seconds(algorithm, ranks, bytes));
        let flat = if of(Algorithm::Direct).1 <= of(Algorithm::Bruck).1 {
            Algorithm::Direct
        } else {
            Algorithm::Bruck
        };
        if ranks > self.node && of(two_level).1 < of(flat).1 { of(two_level) } else { of(flat) }
    }
}

/// The sum over Bruck's steps: of each its distance and the bytes of its message.
fn bruck(units: usize, bytes: f64, seconds: impl Fn(usize, f64) -> f64) -> f64 {
    let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
    let steps = distances.take_while(|distance| *distance < units);
    steps.map(|distance| seconds(distance, distance.min(units - distance) as f64 * bytes)).sum()
}

/// Bytes of the record that a rank gives in a forward pass over so many channels.
pub fn forward_bytes(channels: usize) -> usize {
    24 + 20 * channels
}

/// Bytes of the record that a rank gives in a backward pass over so many channels.
pub fn backward_bytes(channels: usize) -> usize {
    24 + 16 * channels
}

/// The batch normalization layers of ResNet-50 (K. He et al., 2015) with images of 224×224: channels, height and width,
/// and how many there are, 53 in all.
pub const RESNET_50: [(usize, usize, usize); 12] = [
    (64, 112, 1),
    (64, 56, 6),
    (256, 56, 4),
    (128, 56, 1),
    (128, 28, 7),
    (512, 28, 5),
    (256, 28, 1),
    (256, 14, 11),
    (1024, 14, 7),
    (512, 14, 1),
    (512, 7, 5),
    (2048, 7, 4),
];

/// Seconds that the exchanges of a training step of ResNet-50 take, forward and backward, by `seconds` of an exchange
/// with records of so many bytes.
pub fn resnet_50(seconds: impl Fn(f64) -> f64) -> f64 {
    RESNET_50
        .into_iter()
        .map(|(channels, _, count)| {
            let both = seconds(forward_bytes(channels) as f64) + seconds(backward_bytes(channels) as f64);
            count as f64 * both
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: Cluster = Cluster {
        node: 8,
        within: Link { latency: 1e-6, overhead: 2e-7, per_byte: 1e-10 },
        between: Link { latency: 5e-6, overhead: 5e-7, per_byte: 1e-9 },
        cores: 64,
    };

    #[test]
    fn resnet_50_has_its_layers() {
        let layers = || RESNET_50.into_iter();
        assert_eq!(layers().map(|(.., count)| count).sum::<usize>(), 53);
        assert_eq!(layers().map(|(channels, _, count)| channels * count).sum::<usize>(), 26_560);
        let bytes = resnet_50(|bytes| bytes);
        assert_eq!(bytes, (2 * 53 * 24 + 36 * 26_560) as f64);
    }

    #[test]
    fn two_ranks_are_one_message() {
        for algorithm in [Algorithm::Direct, Algorithm::Bruck] {
            let seconds = CLUSTER.seconds(algorithm, 2, 1000.0);
            assert!((seconds - CLUSTER.within.seconds(1000.0)).abs() < 1e-15, "{algorithm:?}: {seconds}");
        }
        assert_eq!(CLUSTER.seconds(Algorithm::Direct, 1, 1000.0), 0.0);
    }

    #[test]
    fn messages_at_once_share_their_latency() {
        let seconds = CLUSTER.seconds(Algorithm::Direct, 8, 1000.0);
        assert!((seconds - (1e-6 + 6.0 * 2e-7 + 7.0 * 1e-7)).abs() < 1e-15, "{seconds}");
    }

    #[test]
    fn ranks_that_share_cores_take_turns() {
        let shared = Cluster { cores: 2, ..CLUSTER };
        let [alone, shared] = [CLUSTER, shared].map(|cluster| cluster.seconds(Algorithm::Direct, 8, 1e4));
        assert!((shared / alone - 4.0).abs() < 1e-12);
    }

    #[test]
    fn a_slow_network_is_crossed_once_a_node() {
        for ranks in [64, 1024, 16_384] {
            let two_level = Algorithm::TwoLevel { node: 8 };
            assert_eq!(CLUSTER.best(ranks, 1e4).0, two_level, "{ranks}");
        }
        // Within a node there is nothing to cross.
        assert_eq!(CLUSTER.best(8, 1e4).0, Algorithm::Direct);
        // Where the network is as fast as memory and not shared, nothing is won.
        let even = Cluster { node: 1, between: CLUSTER.within, ..CLUSTER };
        assert_ne!(even.best(64, 1e4).0, Algorithm::TwoLevel { node: 1 });
    }

    #[test]
    fn the_fit_needs_two_sizes_and_is_never_negative() {
        assert_eq!(Link::fit(&[]), None);
        assert_eq!(Link::fit(&[(5.0, 1.0), (5.0, 2.0)]), None);
        let link = Link::fit(&[(0.0, 2.0), (10.0, 1.0)]);
        assert!(link.is_some_and(|link| link.per_byte == 0.0 && link.latency > 0.0));
    }
}
