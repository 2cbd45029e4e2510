//! The JSON that all peers write, and which of its rows is about the same as one of ours.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the file of a peer cannot be compared with.
#[derive(Debug, Error)]
pub enum PeerError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not what peers write.
    #[error(
        "{} is not the JSON of a peer: {source}; expected what benches/peers/README.md shows",
        path.display()
    )]
    Format {
        /// Where it is.
        path: PathBuf,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// A time is none.
    #[error("{}: {name} took {actual} ms, expected more than 0: measure it again", path.display())]
    Time {
        /// Where it is.
        path: PathBuf,
        /// The row.
        name: String,
        /// Its median.
        actual: f64,
    },
}

/// What one run of a peer has left.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerFile {
    /// Its name and version.
    pub peer: String,
    /// What it ran on.
    pub adapter: String,
    /// Where its times come from.
    #[serde(default)]
    pub clock: Option<String>,
    /// The measurements.
    pub rows: Vec<PeerRow>,
    /// What was not measured, and why.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One measurement of a peer.
#[derive(Clone, Debug, Deserialize)]
pub struct PeerRow {
    /// What was measured.
    #[serde(flatten)]
    pub subject: Subject,
    /// One of several ways in which the peer does it.
    #[serde(default)]
    pub variant: Option<String>,
    /// Milliseconds of a step.
    pub median_ms: f64,
    /// Difference of the quartiles over the median.
    #[serde(default)]
    pub spread: Option<f64>,
}

/// What is measured, ours or theirs: rows of the same subject are compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Subject {
    /// N, C and the spatial sizes, whatever the layout.
    pub shape: Vec<usize>,
    /// `channels_first` or `channels_last`.
    pub layout: String,
    /// `forward`, `backward` or `forward_eval`.
    pub pass: String,
    /// Of the elements.
    #[serde(default = "f32")]
    pub dtype: String,
    /// Of the output.
    #[serde(default = "none")]
    pub activation: String,
    /// Whether something is added before the activation.
    #[serde(default)]
    pub residual: bool,
}

fn f32() -> String {
    "f32".to_owned()
}

fn none() -> String {
    "none".to_owned()
}

impl PeerFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`PeerError`] if it cannot be read, or is not what peers write.
    pub fn load(path: &Path) -> Result<Self, PeerError> {
        let read = |source| PeerError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PeerError> {
        let path = path.to_owned();
        let file: Self = match serde_json::from_str(text) {
            Ok(file) => file,
            Err(source) => return Err(PeerError::Format { path, source }),
        };
        // A ratio of it would say nothing.
        if let Some(row) = file.rows.iter().find(|row| !(row.median_ms > 0.0 && row.median_ms.is_finite())) {
            let Subject { shape, pass, .. } = &row.subject;
            let name = format!("{pass} of {shape:?}");
            return Err(PeerError::Time { path, name, actual: row.median_ms });
        }
        Ok(file)
    }

    /// The peer by its variant.
    pub fn name_of(&self, row: &PeerRow) -> String {
        match &row.variant {
            Some(variant) => format!("{} {variant}", self.peer),
            None => self.peer.clone(),
        }
    }

    /// The rows about `subject`, one for each variant.
    pub fn rows_about<'a>(&'a self, subject: &'a Subject) -> impl Iterator<Item = &'a PeerRow> {
        self.rows.iter().filter(move |row| row.subject == *subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "peer": "other 1.0", "adapter": "a card",
        "rows": [
            {"shape": [8, 3, 4], "layout": "channels_first", "pass": "forward", "median_ms": 3.0},
            {"shape": [8, 3, 4], "layout": "channels_first", "pass": "forward", "variant": "fast",
             "dtype": "f32", "activation": "none", "residual": false, "median_ms": 1.5, "spread": 0.5},
            {"shape": [8, 3, 4], "layout": "channels_first", "pass": "forward", "dtype": "f16", "median_ms": 9}
        ]
    }"#;

    fn parse(text: &str) -> Result<PeerFile, PeerError> {
        PeerFile::parse(Path::new("peer.json"), text)
    }

    #[test]
    fn rows_of_the_same_subject_are_found() -> Result<(), PeerError> {
        let file = parse(FILE)?;
        let subject = file.rows[0].subject.clone();
        let found: Vec<_> = file.rows_about(&subject).map(|row| (file.name_of(row), row.median_ms)).collect();
        assert_eq!(found, [("other 1.0".to_owned(), 3.0), ("other 1.0 fast".to_owned(), 1.5)]);
        let backward = Subject { pass: "backward".to_owned(), ..subject };
        assert_eq!(file.rows_about(&backward).count(), 0);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| parse(text).map(|_| ()).map_err(|error| error.to_string());
        let lacking = said(r#"{"peer": "other", "rows": []}"#);
        assert!(lacking.is_err_and(|error| error.contains("peer.json") && error.contains("adapter")));
        let zero = said(&FILE.replace("3.0", "0.0"));
        assert!(zero.is_err_and(|error| error.contains("forward of [8, 3, 4] took 0 ms")));
        let missing = PeerFile::load(Path::new("no-such-file.json")).map(|_| ());
        assert!(missing.is_err_and(|error| error.to_string().contains("no-such-file.json")));
    }
}
