//! Transports that count, and transports that lie.

use std::sync::{Mutex, PoisonError};
use wgpu_batchnorm::{Exchange, ExchangeError, InProcess, Sequence};

/// Either the end of an exchange, or a transport in which all others say what this replica says, changed.
pub(super) struct Tampered {
    end: Option<InProcess>,
    replicas: usize,
    messages: usize,
    change: fn(&mut Vec<u8>),
    lengths: Mutex<Vec<usize>>,
    sequence: Sequence,
}

impl Tampered {
    /// An honest one.
    pub(super) fn counting(end: InProcess) -> Self {
        let replicas = end.replicas();
        Self { end: Some(end), ..Self::echoing(replicas, |_| {}) }
    }

    /// Replica 0 of so many, of which the others' messages are its own, changed.
    pub(super) fn echoing(messages: usize, change: fn(&mut Vec<u8>)) -> Self {
        Self {
            end: None,
            replicas: messages,
            messages,
            change,
            lengths: Mutex::default(),
            sequence: Sequence::new(),
        }
    }

    /// The same with so many replicas, whatever the number of messages.
    pub(super) fn of_replicas(self, replicas: usize) -> Self {
        Self { replicas, ..self }
    }

    /// Bytes of the messages given so far.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Exchange for Tampered {
    fn rank(&self) -> usize {
        0
    }

    fn replicas(&self) -> usize {
        self.replicas
    }

    fn sequence(&self) -> &Sequence {
        &self.sequence
    }

    fn all_gather(&self, message: &[u8]) -> Result<Vec<Vec<u8>>, ExchangeError> {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).push(message.len());
        if let Some(end) = &self.end {
            return end.all_gather(message);
        }
        let mut messages = vec![message.to_vec(); self.messages];
        messages.iter_mut().skip(1).for_each(self.change);
        Ok(messages)
    }
}
