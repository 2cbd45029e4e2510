//! The phases of synchronized passes: begun, sent, received, submitted. The host waits between them, and only there.

use super::message::Head;
use super::{Exchange, Round, SyncError};
use crate::batch_norm::{BatchNorm, BoundOperation};
use crate::buffer::BufferRange;
use crate::context::lock;
use crate::device::Download;
use crate::plan::Monoid;
use std::sync::Mutex;

/// One or several synchronized passes whose local halves are submitted: the device takes the statistics of this
/// replica's samples, or their gradient sums, and copies them to the host.
///
/// Meanwhile the caller may record and submit other work. Nothing has been told to the other replicas yet.
#[must_use = "the other replicas wait until it is sent"]
pub struct Begun<'a, E> {
    exchange: &'a E,
    parts: Vec<Part<'a>>,
}

/// Passes whose records are on their way to the other replicas.
///
/// Meanwhile the caller may record and submit other work. To drop it is to leave: the others get an error.
#[must_use = "the pass is not done before it is finished"]
pub struct Sent<'a> {
    rank: usize,
    replicas: usize,
    parts: Vec<Part<'a>>,
    /// What this replica has told the others.
    message: Vec<u8>,
    round: Box<dyn Round + 'a>,
}

/// Passes with the records of all replicas, which have been found to agree.
#[must_use = "the pass is not done before it is submitted"]
pub struct Received<'a> {
    parts: Vec<(Part<'a>, Vec<u8>)>,
}

/// One pass.
pub(super) struct Part<'a> {
    pub(super) batch_norm: &'a BatchNorm,
    pub(super) head: Head,
    pub(super) mask: bool,
    pub(super) own: Own,
    pub(super) records: Lease<'a>,
    /// The half that needs everybody's records.
    pub(super) merged: BoundOperation,
}

/// This replica's record.
pub(super) enum Own {
    Copying(Download),
    Here(Vec<u8>),
}

impl<'a, E: Exchange> Begun<'a, E> {
    pub(super) fn new(exchange: &'a E, part: Part<'a>) -> Self {
        Self { exchange, parts: vec![part] }
    }

    /// These passes and then `other`'s, in one exchange instead of two. They must not depend on one another's
    /// results, as layers of parallel branches do not; and all replicas must join the same ones in the same order.
    /// The message goes through the exchange of the first; that of the other must have the same replicas.
    ///
    /// # Errors
    /// [`SyncError::Join`] if the exchanges differ in their rank or number of replicas.
    pub fn join(mut self, other: Begun<'a, E>) -> Result<Self, SyncError> {
        let of = |exchange: &E| [exchange.rank(), exchange.replicas()];
        let (actual, expected) = (of(other.exchange), of(self.exchange));
        if actual != expected {
            return Err(SyncError::Join { actual, expected });
        }
        self.parts.extend(other.parts);
        Ok(self)
    }

    /// Waits until this replica's records are on the host. [`Begun::send`] does so too.
    ///
    /// # Errors
    /// [`SyncError::BatchNorm`] if the device is lost.
    pub async fn copy(mut self) -> Result<Self, SyncError> {
        for part in &mut self.parts {
            part.own = match std::mem::replace(&mut part.own, Own::Here(Vec::new())) {
                Own::Copying(copy) => Own::Here(copy.finish().await?),
                here @ Own::Here(_) => here,
            };
        }
        Ok(self)
    }

    /// Tells the other replicas this one's records, in one message, when they are on the host.
    ///
    /// # Errors
    /// [`SyncError`] if the device is lost, or a replica has left.
    pub async fn send(self) -> Result<Sent<'a>, SyncError> {
        let Self { exchange, parts } = self.copy().await?;
        let mut message = Vec::new();
        for Part { head, mask, own, .. } in &parts {
            if let Own::Here(own) = own {
                head.encode(*mask, own, &mut message);
            }
        }
        let (rank, replicas) = (exchange.rank(), exchange.replicas());
        let round = exchange.start(message.clone())?;
        Ok(Sent { rank, replicas, parts, message, round })
    }
}

impl<'a> Sent<'a> {
    /// Moves messages as far as that takes no waiting, and says whether all are there. Some transports only move
    /// large messages while they are called.
    ///
    /// # Errors
    /// [`SyncError::Exchange`] if a replica has left.
    pub fn is_complete(&mut self) -> Result<bool, SyncError> {
        Ok(self.round.is_complete()?)
    }

    /// Blocks until the records of all replicas have arrived, and checks that they agree.
    ///
    /// # Errors
    /// [`SyncError`] if the replicas do not get together; then nothing of these passes is submitted any more.
    pub fn receive(self) -> Result<Received<'a>, SyncError> {
        let Self { rank, replicas: expected, parts, message, round } = self;
        let messages = round.wait()?;
        if messages.len() != expected {
            return Err(SyncError::Messages { actual: messages.len(), expected });
        }
        if messages.get(rank) != Some(&message) {
            return Err(SyncError::Misplaced { rank });
        }
        let mut rests: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let lengths = |i: usize| [messages.get(i).map_or(0, Vec::len), message.len()];
        let mut received = Vec::with_capacity(parts.len());
        for part in parts {
            let mut all = Vec::with_capacity(part.head.record_bytes() * expected);
            let (mut values, mut masked) = (0u64, false); // of a channel, if these are statistics
            for (i, rest) in rests.iter_mut().enumerate() {
                let (mask, record, after) = part.head.decode(i, rest, lengths(i))?;
                *rest = after;
                masked |= mask;
                values = values.saturating_add(first_count(record, part.head));
                all.extend_from_slice(record);
            }
            // A mask may show less than the host knew; all replicas decide alike.
            if part.head.monoid() == Monoid::Moments && values < 2 && !masked {
                return Err(SyncError::TooFewValues { actual: values });
            }
            received.push((part, all));
        }
        match rests.iter().position(|rest| !rest.is_empty()) {
            None => Ok(Received { parts: received }),
            Some(rank) => {
                let [actual, expected] = lengths(rank).map(|bytes| bytes as u64);
                Err(SyncError::Malformed { rank, actual, expected })
            }
        }
    }

    /// Blocks until the records of all replicas have arrived, and submits the halves that need them.
    ///
    /// # Errors
    /// [`SyncError`] if the replicas do not get together, or the device is lost.
    pub fn finish(self) -> Result<(), SyncError> {
        self.receive()?.submit()
    }
}

impl Received<'_> {
    /// Submits the halves that need the records of all.
    ///
    /// # Errors
    /// [`SyncError::BatchNorm`] if the device is lost.
    pub fn submit(self) -> Result<(), SyncError> {
        for (part, all) in &self.parts {
            let context = part.batch_norm.context();
            context.check_alive()?;
            context.queue().write_buffer(&part.records.range.buffer, 0, all);
            context.submit(|encoder| part.merged.record(encoder))?;
        }
        Ok(())
    }
}

/// How many values the first channel of these statistics has: the planes of the count come first, the lower words and
/// then the upper ones.
fn first_count(record: &[u8], head: Head) -> u64 {
    let words = record.as_chunks::<4>().0;
    let word = |i: usize| words.get(i).map_or(0, |word| u64::from(u32::from_le_bytes(*word)));
    word(0) | word(head.channels()) << 32
}

/// Buffers to keep for later passes.
const KEPT: usize = 4;

/// A buffer of the pool, which goes back when the pass is done: what is submitted later runs later.
pub(super) struct Lease<'a> {
    pub(super) range: BufferRange,
    pub(super) pool: &'a Mutex<Vec<wgpu::Buffer>>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut pool = lock(self.pool);
        if pool.len() < KEPT {
            pool.push(self.range.buffer.clone());
        }
    }
}
