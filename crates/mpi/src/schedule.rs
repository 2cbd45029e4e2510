//! Who sends what to whom, step by step, so that in the end every rank has the records of all.

/// How the records of all ranks get to all ranks. Every rank of an exchange must use the same; the results are the
/// same bits with each.
///
/// In the table p is the number of ranks, n the ranks of a node and m the bytes of a record.
///
/// | | steps | messages a rank sends | bytes a rank receives |
/// |---|---|---|---|
/// | `Direct` | 1 | p − 1 | (p − 1)·m |
/// | `Bruck` | ⌈log₂ p⌉ | ⌈log₂ p⌉ | (p − 1)·m |
/// | `TwoLevel` | 3, or 2 + ⌈log₂(p/n)⌉ beyond 16 nodes | 1, or p/n + n of a node's first rank | p·m, through its network once a node |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Every rank sends to every other. A rank that does not arrive is named exactly.
    Direct,
    /// In step i every rank passes what it has on to the rank 2ⁱ below (J. Bruck et al., *Efficient algorithms for
    /// all-to-all communications in multiport message-passing systems*, 1997). A rank that gives up waits a
    /// second more, to hear from those that pass records on whom they are waiting for themselves, and names these.
    Bruck,
    /// The first rank of every run of `node` ranks gathers theirs, exchanges with the first ranks of the others, and
    /// gives all records to its own. Pays where the ranks of a node share a network that is slower than their memory.
    TwoLevel {
        /// Ranks of a node, which must have neighbouring numbers, as `mpirun --map-by core` gives them.
        node: usize,
    },
}

/// Up to so many units [`Algorithm::Direct`] has the least latency, and a rank the least to keep track of.
const MOST_DIRECT: usize = 16;

impl Algorithm {
    /// The one that is used for so many ranks unless another one is asked for. Whether [`Algorithm::TwoLevel`] would be
    /// faster depends on the network, of which the number of ranks says nothing:
    /// [`Cluster::best`](crate::model::Cluster::best) compares all three.
    pub fn of(ranks: usize) -> Self {
        if ranks <= MOST_DIRECT { Self::Direct } else { Self::Bruck }
    }
}

/// A cyclic run of ranks whose records travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocks {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Blocks {
    /// The ranks, of so many in all.
    pub(crate) fn ranks(self, size: usize) -> impl Iterator<Item = usize> {
        (self.first..self.first + self.count).map(move |rank| rank % size)
    }
}

/// What one rank does in a step. It begins when what the step before receives is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Whom it sends to, and what.
    pub(crate) to: Vec<(usize, Blocks)>,
    /// Whom it receives from, and what.
    pub(crate) from: Vec<(usize, Blocks)>,
}

/// The steps of `rank`, as many as those of all others: what is sent in a step is received in the same step.
pub(crate) fn steps(algorithm: Algorithm, rank: usize, size: usize) -> Vec<Step> {
    match algorithm {
        _ if size < 2 => Vec::new(),
        Algorithm::Direct => direct(&units(1, size), rank),
        Algorithm::Bruck => bruck(&units(1, size), rank, size),
        Algorithm::TwoLevel { node } => two_level(node.max(1), rank, size),
    }
}

/// Runs of `length` ranks, the last one maybe shorter. The first rank of each acts for it.
fn units(length: usize, size: usize) -> Vec<Blocks> {
    let starts = (0..size).step_by(length);
    starts.map(|first| Blocks { first, count: length.min(size - first) }).collect()
}

fn direct(units: &[Blocks], own: usize) -> Vec<Step> {
    let Some(&mine) = units.get(own) else { return Vec::new() };
    // Beginning with the next one, so that not all send to the same rank first.
    let others = (1..units.len()).filter_map(|distance| units.get((own + distance) % units.len()));
    let (to, from) = others.map(|other| ((other.first, mine), (other.first, *other))).unzip();
    vec![Step { to, from }]
}

fn bruck(units: &[Blocks], own: usize, size: usize) -> Vec<Step> {
    let length = units.len();
    // So many units from this one on.
    let run = |first: usize, count: usize| {
        let counts = (first..first + count).filter_map(|unit| units.get(unit % length));
        let first = units.get(first).map_or(0, |unit| unit.first);
        Blocks { first, count: counts.map(|unit| unit.count).sum::<usize>().min(size) }
    };
    let acting = |unit: usize| units.get(unit).map_or(0, |unit| unit.first);
    let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
    distances
        .take_while(|distance| *distance < length)
        .map(|distance| {
            let count = distance.min(length - distance);
            let (below, above) = ((own + length - distance) % length, (own + distance) % length);
            Step {
                to: vec![(acting(below), run(own, count))],
                from: vec![(acting(above), run(above, count))],
            }
        })
        .collect()
}

fn two_level(node: usize, rank: usize, size: usize) -> Vec<Step> {
    let nodes = units(node, size);
    let own = rank / node;
    let Some(mine) = nodes.get(own) else { return Vec::new() };
    let others = || mine.ranks(size).skip(1);
    let (all, alone) = (Blocks { first: 0, count: size }, |rank| Blocks { first: rank, count: 1 });
    let between = |own| match nodes.len() <= MOST_DIRECT {
        true => direct(&nodes, own),
        false => bruck(&nodes, own, size),
    };
    if rank == mine.first {
        let gather = Step { to: Vec::new(), from: others().map(|rank| (rank, alone(rank))).collect() };
        let spread = Step { to: others().map(|rank| (rank, all)).collect(), from: Vec::new() };
        return [vec![gather], between(own), vec![spread]].concat();
    }
    let gather = Step { to: vec![(mine.first, alone(rank))], from: Vec::new() };
    let spread = Step { to: Vec::new(), from: vec![(mine.first, all)] };
    [vec![gather], vec![Step::default(); between(own).len()], vec![spread]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ALGORITHMS: [Algorithm; 6] = [
        Algorithm::Direct,
        Algorithm::Bruck,
        Algorithm::TwoLevel { node: 1 },
        Algorithm::TwoLevel { node: 2 },
        Algorithm::TwoLevel { node: 3 },
        Algorithm::TwoLevel { node: 8 },
    ];

    /// Runs the steps of all ranks; each must have what it sends, and in the end all records.
    fn simulate(algorithm: Algorithm, size: usize) {
        let schedules: Vec<_> = (0..size).map(|rank| steps(algorithm, rank, size)).collect();
        let mut known: Vec<BTreeSet<usize>> = (0..size).map(|rank| BTreeSet::from([rank])).collect();
        let lengths: BTreeSet<_> = schedules.iter().map(Vec::len).collect();
        assert_eq!(lengths.len(), 1, "{algorithm:?} of {size}: {lengths:?}");
        for step in 0..schedules[0].len() {
            let before = known.clone();
            let mut sent = Vec::new();
            for (rank, steps) in schedules.iter().enumerate() {
                for &(to, blocks) in &steps[step].to {
                    assert!(to != rank && blocks.ranks(size).all(|block| before[rank].contains(&block)));
                    known[to].extend(blocks.ranks(size));
                    sent.push((rank, to, blocks.first, blocks.count));
                }
            }
            let received = schedules.iter().enumerate().flat_map(|(rank, steps)| {
                steps[step].from.iter().map(move |&(from, blocks)| (from, rank, blocks.first, blocks.count))
            });
            let mut received: Vec<_> = received.collect();
            sent.sort_unstable();
            received.sort_unstable();
            assert_eq!(sent, received, "{algorithm:?} of {size}, step {step}");
            let pairs: BTreeSet<_> = sent.iter().map(|&(from, to, ..)| (from, to)).collect();
            assert_eq!(pairs.len(), sent.len(), "a pair has two messages in a step");
        }
        assert!(known.iter().all(|known| known.len() == size), "{algorithm:?} of {size}");
    }

    #[test]
    fn every_rank_gets_the_records_of_all() {
        for algorithm in ALGORITHMS {
            for size in (1..40).chain([64, 100, 129]) {
                simulate(algorithm, size);
            }
        }
    }

    #[test]
    fn steps_and_messages_are_as_many_as_documented() {
        let count = |algorithm, rank, size| {
            let steps = steps(algorithm, rank, size);
            (steps.len(), steps.iter().map(|step| step.to.len()).sum::<usize>())
        };
        assert_eq!(count(Algorithm::Direct, 3, 8), (1, 7));
        assert_eq!(count(Algorithm::Bruck, 3, 1000), (10, 10));
        assert_eq!(count(Algorithm::TwoLevel { node: 4 }, 3, 32), (3, 1));
        assert_eq!(count(Algorithm::TwoLevel { node: 4 }, 4, 32), (3, 7 + 3));
        assert_eq!(count(Algorithm::TwoLevel { node: 4 }, 4, 4096).0, 2 + 10);
        assert_eq!([1, 16, 17].map(Algorithm::of), [Algorithm::Direct, Algorithm::Direct, Algorithm::Bruck]);
    }
}
