//! What the programs of wgpu-batchnorm report with: figures of many measurements ([`Summary`]), the files of the
//! peers ([`PeerFile`]), charts ([`chart`]) and self-contained pages ([`Page`]).
//!
//! It knows nothing of batch normalization: a program hands over names and numbers.

pub mod chart;
pub mod page;
pub mod peer;
mod summary;
pub mod unit;

pub use page::Page;
pub use peer::{PeerError, PeerFile};
pub use summary::{Summary, WORTHLESS_SPREAD, geometric_mean, median};
