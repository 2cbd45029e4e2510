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
//! α, o and β are those within a node (memory), α', o' and β' those between nodes (network). α and β are others for long
//! messages than for short ones, since they go another way through an MPI. Ranks that share cores take turns: with more of
//! them than cores everything takes longer by that factor.

use crate::Algorithm;

/// Messages of m bytes take α + β·m.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// α, in seconds: what a message takes however short it is.
    pub latency: f64,
    /// β, in seconds per byte.
    pub per_byte: f64,
}

impl Line {
    /// Seconds of a message of so many bytes.
    pub fn seconds(&self, bytes: f64) -> f64 {
        self.latency + self.per_byte * bytes
    }

    /// The line that fits pairs of bytes and seconds best, by least squares of the relative errors, and the sum of these
    /// squares; none if there are fewer than two sizes.
    fn fit(points: &[(f64, f64)]) -> Option<(Self, f64)> {
        // Weights of 1/t² make the squares those of relative errors.
        let [mut w, mut wx, mut wy, mut wxx, mut wxy] = [0.0; 5];
        for &(bytes, seconds) in points {
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
        let mut line = Self { latency: 0.0, per_byte: ((w * wxy - wx * wy) / determinant).max(0.0) };
        line.latency = (wy - line.per_byte * wx) / w;
        if line.latency < 0.0 {
            // Nothing takes less than no time: the best line through 0.
            line = Self { latency: 0.0, per_byte: wxy / wxx };
        }
        let error = |&(bytes, seconds): &(f64, f64)| (line.seconds(bytes) / seconds - 1.0).powi(2);
        Some((line, points.iter().map(error).sum()))
    }
}

/// How fast messages are between two ranks: long ones go another way through an MPI than short ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Messages below `long_from`.
    pub short: Line,
    /// The others.
    pub long: Line,
    /// Bytes of the shortest long message; infinite if all are alike.
    pub long_from: f64,
    /// o, in seconds: what each further message takes of a rank that sends several at once.
    pub overhead: f64,
}

impl Link {
    /// A link without overhead on which all messages are alike.
    pub fn of(line: Line) -> Self {
        Self { short: line, long: line, long_from: f64::INFINITY, overhead: 0.0 }
    }

    /// The link without overhead that fits measured pairs of bytes and seconds best, by least squares of the relative
    /// errors; none if there are fewer than two sizes. It tells short messages from long ones where there are two sizes
    /// of either and that fits better.
    ///
    /// ```
    /// use wgpu_batchnorm_mpi::model::Link;
    ///
    /// let link = Link::fit(&[(0.0, 1e-6), (1e6, 101e-6)]).ok_or("too few points")?;
    /// assert!((link.short.latency - 1e-6).abs() < 1e-12 && (link.short.per_byte - 1e-10).abs() < 1e-16);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        let mut points: Vec<_> = points.iter().copied().filter(|(_, seconds)| *seconds > 0.0).collect();
        points.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let (line, mut least) = Line::fit(&points)?;
        let mut best = Self::of(line);
        for middle in 1..points.len() {
            let Some((short, long)) = points.split_at_checked(middle) else { continue };
            let (Some(&(below, _)), Some(&(long_from, _))) = (short.last(), long.first()) else { continue };
            if below < long_from
                && let (Some((short, short_error)), Some((long, long_error))) =
                    (Line::fit(short), Line::fit(long))
                && short_error + long_error < least
            {
                least = short_error + long_error;
                best = Self { short, long, long_from, overhead: 0.0 };
            }
        }
        Some(best)
    }

    /// The line on which messages of so many bytes lie.
    pub fn line(&self, bytes: f64) -> Line {
        if bytes < self.long_from { self.short } else { self.long }
    }

    /// Seconds until so many messages, sent at once, of so many bytes each, are there; the link is shared by so many
    /// ranks that do the same.
    fn several(&self, messages: usize, bytes: f64, sharing: usize) -> f64 {
        match messages.checked_sub(1) {
            None => 0.0,
            Some(further) => {
                let Line { latency, per_byte } = self.line(bytes);
                latency + further as f64 * self.overhead + per_byte * bytes * (messages * sharing) as f64
            }
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
            Algorithm::Direct if ranks == node => self.within.several(ranks - 1, bytes, 1),
            Algorithm::Direct => {
                let far = self.between.line(bytes).per_byte * ((ranks - node) * node) as f64 * bytes;
                let near = self.within.line(bytes).per_byte * (node - 1) as f64 * bytes;
                self.between.line(bytes).latency + (ranks - 2) as f64 * self.between.overhead + far + near
            }
            Algorithm::Bruck => bruck(ranks, bytes, |distance, bytes| match ranks == node {
                true => self.within.several(1, bytes, 1),
                false => self.between.several(1, bytes, distance.min(node)),
            }),
            Algorithm::TwoLevel { node } => {
                let node = node.clamp(1, ranks);
                let nodes = ranks.div_ceil(node);
                let [gathered, all] = [node, ranks].map(|records| records as f64 * bytes);
                let between = match Algorithm::of(nodes) {
                    Algorithm::Direct => self.between.several(nodes - 1, gathered, 1),
                    _ => bruck(nodes, gathered, |_, bytes| self.between.several(1, bytes, 1)),
                };
                let inside = |record: f64| self.within.several(node - 1, record, 1);
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
    36 + 20 * channels
}

/// Bytes of the record that a rank gives in a backward pass over so many channels.
pub fn backward_bytes(channels: usize) -> usize {
    36 + 16 * channels
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn link(latency: f64, per_byte: f64, overhead: f64) -> Link {
        let line = Line { latency, per_byte };
        Link { short: line, long: line, long_from: f64::INFINITY, overhead }
    }

    const CLUSTER: Cluster =
        Cluster { node: 8, within: link(1e-6, 1e-10, 2e-7), between: link(5e-6, 1e-9, 5e-7), cores: 64 };

    #[test]
    fn two_ranks_are_one_message() {
        for algorithm in [Algorithm::Direct, Algorithm::Bruck] {
            let seconds = CLUSTER.seconds(algorithm, 2, 1000.0);
            assert!(
                (seconds - CLUSTER.within.short.seconds(1000.0)).abs() < 1e-15,
                "{algorithm:?}: {seconds}"
            );
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

    /// A regime of short messages and one of long ones, as measured through shared memory.
    #[test]
    fn long_messages_have_a_line_of_their_own() {
        let (short, long) = (Line { latency: 9e-6, per_byte: 3e-10 }, Line { latency: 2e-4, per_byte: 1e-9 });
        let sizes = [64.0, 1e3, 1e4, 1e5, 4e5, 8e5, 1.6e6];
        let time = |bytes: f64| if bytes < 4e5 { short.seconds(bytes) } else { long.seconds(bytes) };
        let fitted = Link::fit(&sizes.map(|bytes| (bytes, time(bytes))));
        assert_eq!(fitted.map(|link| link.long_from), Some(4e5));
        for bytes in sizes {
            let predicted = fitted.map_or(0.0, |link| link.line(bytes).seconds(bytes));
            assert!((predicted / time(bytes) - 1.0).abs() < 1e-9, "{bytes}: {predicted}");
        }
        // The long line counts where the messages are long, not where they are many.
        let cluster = fitted.map(|within| Cluster { node: 64, within, ..CLUSTER });
        let seconds = |algorithm| cluster.map_or(0.0, |it| it.seconds(algorithm, 64, 1e5));
        assert!((seconds(Algorithm::Direct) - (9e-6 + 63.0 * 1e5 * 3e-10)).abs() < 1e-12);
        assert!(seconds(Algorithm::Bruck) > 4.0 * 2e-4);
    }

    #[test]
    fn the_fit_needs_two_sizes_and_is_never_negative() {
        assert_eq!(Link::fit(&[]), None);
        assert_eq!(Link::fit(&[(5.0, 1.0), (5.0, 2.0)]), None);
        let link = Link::fit(&[(0.0, 2.0), (10.0, 1.0)]);
        assert!(link.is_some_and(|link| link.short.per_byte == 0.0 && link.short.latency > 0.0));
    }
}
