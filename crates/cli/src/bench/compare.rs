//! The peers' times beside ours.

use super::row::{Pass, Row};
use serde::Serialize;
use std::path::PathBuf;
use wgpu_batchnorm_report::{PeerError, PeerFile, WORTHLESS_SPREAD, geometric_mean};

/// A peer's time for the same as one of our rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Compared {
    /// With its variant.
    pub(crate) peer: String,
    pub(crate) median_ms: f64,
    /// Its time over ours: how many times as fast we are.
    pub(crate) ratio: f64,
    pub(crate) worthless: bool,
}

/// A run of a peer, without its rows.
#[derive(Debug, Serialize)]
pub(crate) struct PeerRun {
    pub(crate) peer: String,
    pub(crate) adapter: String,
    pub(crate) clock: Option<String>,
    /// Rows of ours that it has something about.
    pub(crate) compared: usize,
    pub(crate) notes: Vec<String>,
}

/// The files that `--compare` names.
pub(crate) struct Peers {
    files: Vec<PeerFile>,
}

impl Peers {
    pub(crate) fn load(paths: &[PathBuf]) -> Result<Self, PeerError> {
        Ok(Self { files: paths.iter().map(|path| PeerFile::load(path)).collect::<Result<_, _>>()? })
    }

    /// Puts the peers' times into the rows, and says what became of each peer.
    pub(crate) fn compare(&self, rows: &mut [Row]) -> Vec<PeerRun> {
        let run = |file: &PeerFile| {
            let mut compared = 0;
            for row in &mut *rows {
                let Some(subject) = row.subject() else { continue };
                let ours = row.time.median_ms;
                let found = file.rows_about(&subject).map(|theirs| Compared {
                    peer: file.name_of(theirs),
                    median_ms: theirs.median_ms,
                    ratio: theirs.median_ms / ours,
                    worthless: theirs.spread.is_some_and(|spread| spread > WORTHLESS_SPREAD),
                });
                let before = row.peers.len();
                row.peers.extend(found);
                compared += usize::from(row.peers.len() > before);
            }
            let PeerFile { peer, adapter, clock, notes, .. } = file.clone();
            PeerRun { peer, adapter, clock, compared, notes }
        };
        self.files.iter().map(run).collect()
    }
}

/// The names of all peers in the rows, in the order in which they come.
pub(crate) fn names(rows: &[Row]) -> Vec<&str> {
    let mut names = Vec::new();
    for peer in rows.iter().flat_map(|row| &row.peers) {
        if !names.contains(&&*peer.peer) {
            names.push(&*peer.peer);
        }
    }
    names
}

/// Our times of one pass over those of whichever peer is fastest in each row.
pub(crate) struct BesideFastest<'a> {
    /// The geometric mean.
    pub(crate) mean: f64,
    pub(crate) worst: f64,
    pub(crate) worst_row: &'a Row,
}

/// Nothing if no peer has the pass.
pub(crate) fn beside_fastest(rows: &[Row], pass: Pass) -> Option<BesideFastest<'_>> {
    let of_row = |row: &Row| {
        let fastest = row.peers.iter().map(|compared| compared.ratio).min_by(f64::total_cmp)?;
        Some(1.0 / fastest)
    };
    let rows = rows.iter().filter(|row| row.pass == pass);
    let ours: Vec<_> = rows.filter_map(|row| Some((row, of_row(row)?))).collect();
    let &(worst_row, worst) = ours.iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let ratios: Vec<_> = ours.iter().map(|&(_, ratio)| ratio).collect();
    Some(BesideFastest { mean: geometric_mean(&ratios), worst, worst_row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::config::{Config, ElementType, Function};
    use crate::bench::shapes::BenchShape;
    use wgpu_batchnorm::Layout;
    use wgpu_batchnorm_report::Summary;

    fn row(pass: Pass, layout: Layout, config: &Config, seconds: f64) -> Result<Row, String> {
        let shape: BenchShape = "8,16,4,4".parse()?;
        Ok(Row::new((&shape, layout), (config, None), (pass, 3.0, Summary::of(&[seconds])), 1e9))
    }

    #[test]
    fn ratios_are_their_time_over_ours() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("peer.json");
        std::fs::write(
            &path,
            r#"{"peer": "other", "adapter": "a card", "rows": [
            {"shape": [8, 16, 4, 4], "layout": "channels_first", "pass": "forward", "median_ms": 6.0},
            {"shape": [8, 16, 4, 4], "layout": "channels_last", "pass": "forward_eval", "dtype": "f16",
             "variant": "fast", "activation": "relu", "residual": true, "median_ms": 1.0, "spread": 0.3},
            {"shape": [8, 16, 16], "layout": "channels_first", "pass": "forward", "median_ms": 7.0}]}"#,
        )?;
        let fused = Config {
            dtype: ElementType::F16,
            activation: Function::Relu,
            residual: true,
            ..Config::default()
        };
        let masked = Config { mask: true, ..Config::default() };
        let plain = Config::default();
        let mut rows = [
            row(Pass::Forward, Layout::ChannelsFirst, &plain, 0.002),
            row(Pass::Forward, Layout::ChannelsFirst, &masked, 0.002),
            row(Pass::Forward, Layout::ChannelsLast, &plain, 0.002),
            row(Pass::Evaluation, Layout::ChannelsLast, &fused, 0.004),
            row(Pass::Copy, Layout::ChannelsFirst, &plain, 0.002),
        ]
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(anyhow::Error::msg)?;
        let runs = Peers::load(&[path])?.compare(&mut rows);
        assert_eq!((runs.len(), runs[0].compared), (1, 2));
        let compared = |peer: &str, median_ms, ratio, worthless| {
            vec![Compared { peer: peer.to_owned(), median_ms, ratio, worthless }]
        };
        assert_eq!(rows[0].peers, compared("other", 6.0, 3.0, false));
        assert_eq!(rows[3].peers, compared("other fast", 1.0, 0.25, true));
        // Another mask, layout or pass is another subject.
        assert!([1, 2, 4].into_iter().all(|index: usize| rows[index].peers.is_empty()));
        assert_eq!(names(&rows), ["other", "other fast"]);
        Ok(())
    }

    #[test]
    fn the_fastest_peer_of_each_row_counts() -> Result<(), String> {
        let plain = Config::default();
        let mut rows = [
            row(Pass::Forward, Layout::ChannelsFirst, &plain, 0.002)?,
            row(Pass::Forward, Layout::ChannelsLast, &plain, 0.002)?,
            row(Pass::Backward, Layout::ChannelsFirst, &plain, 0.002)?,
        ];
        // We take half of the time of the fastest, and twice as long.
        for (row, ratios) in rows.iter_mut().zip([[4.0, 2.0], [0.5, 8.0]]) {
            let peer = |ratio| Compared { peer: String::new(), median_ms: 0.0, ratio, worthless: false };
            row.peers = ratios.map(peer).into();
        }
        let found = beside_fastest(&rows, Pass::Forward).ok_or("nothing")?;
        assert_eq!((found.mean, found.worst, found.worst_row.layout), (1.0, 2.0, rows[1].layout));
        assert!(beside_fastest(&rows, Pass::Backward).is_none());
        Ok(())
    }
}
