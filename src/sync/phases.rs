//! The phases of synchronized passes: begun, sent, received, submitted. The host waits between them, and only there.

use super::message::Header;
use super::{Exchange, Round, SyncError};
use crate::batch_norm::{BatchNorm, BoundOperation};
use crate::buffer::BufferRange;
use crate::context::{Context, lock};
use crate::device::{DeviceError, Download};
use crate::plan::Monoid;
use std::fmt;
use std::sync::Mutex;

/// One or several synchronized passes whose local halves are submitted: the device takes the statistics of this
/// replica's samples, or their gradient sums, and copies them to the host.
///
/// Meanwhile the caller may record and submit other work. Nothing has been told to the other replicas yet: to drop it is
/// to be out of step with them, which the next pass is told by [`SyncError::Disagree`].
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
    /// Of what this replica has told the others.
    bytes: usize,
    round: Box<dyn Round + 'a>,
}

/// Passes with the records of all replicas, which have been found to agree.
#[must_use = "the pass is not done before it is submitted"]
pub struct Received<'a> {
    /// Each with where its records begin, in the message of every replica.
    parts: Vec<(Part<'a>, usize)>,
    messages: Vec<Vec<u8>>,
}

/// One pass.
pub(super) struct Part<'a> {
    pub(super) batch_norm: &'a BatchNorm,
    pub(super) header: Header,
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

impl Own {
    /// The record, if it is on the host.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copying(_) => &[],
            Self::Here(bytes) => bytes,
        }
    }
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
        for Part { header, mask, own, .. } in &parts {
            header.encode(*mask, own.bytes(), &mut message);
        }
        let (rank, replicas, bytes) = (exchange.rank(), exchange.replicas(), message.len());
        let round = exchange.start(message)?;
        Ok(Sent { rank, replicas, parts, bytes, round })
    }
}

impl<'a> Sent<'a> {
    /// Moves messages as far as that takes no waiting, and says whether all are there. Some transports only move
    /// large messages while they are called. The limit of the transport counts from the first call on.
    ///
    /// # Errors
    /// [`SyncError::Exchange`] if a replica has left, or has not arrived within the limit.
    pub fn is_complete(&mut self) -> Result<bool, SyncError> {
        Ok(self.round.is_complete()?)
    }

    /// Waits until the records of all replicas have arrived, without blocking the thread if the transport can do so, as
    /// [`InTasks`](crate::InTasks) can; with others it returns at once, and [`Sent::receive`] blocks.
    ///
    /// # Errors
    /// [`SyncError::Exchange`] if a replica has left.
    pub async fn arrived(mut self) -> Result<Self, SyncError> {
        std::future::poll_fn(|context| self.round.poll_complete(context)).await?;
        Ok(self)
    }

    /// Blocks until the records of all replicas have arrived, and checks that they agree.
    ///
    /// # Errors
    /// [`SyncError`] if the replicas do not get together; then nothing of these passes is submitted any more.
    pub fn receive(self) -> Result<Received<'a>, SyncError> {
        let Self { rank, replicas: expected, parts, bytes, round } = self;
        let messages = round.wait()?;
        if messages.len() != expected {
            return Err(SyncError::Messages { actual: messages.len(), expected });
        }
        if !messages.get(rank).is_some_and(|message| is_own(&parts, rank, message)) {
            return Err(SyncError::Misplaced { rank });
        }
        let mut rests: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let lengths = |i: usize| [messages.get(i).map_or(0, Vec::len), bytes];
        let mut received = Vec::with_capacity(parts.len());
        for part in parts {
            let (mut values, mut masked) = (0u64, false); // of a channel, if these are statistics
            for (i, rest) in rests.iter_mut().enumerate() {
                let (mask, record, after) = part.header.decode(i, rest, lengths(i))?;
                *rest = after;
                masked |= mask;
                values = values.saturating_add(first_count(record, part.header));
            }
            // A mask may show less than the host knew; all replicas decide alike.
            if part.header.monoid() == Monoid::Moments && values < 2 && !masked {
                return Err(SyncError::TooFewValues { actual: values });
            }
            // All replicas agree, so that this is where the records are in each message.
            let end = bytes - rests.get(rank).map_or(0, |rest| rest.len());
            let start = end - part.header.record_bytes();
            received.push((part, start));
        }
        if let Some(rank) = rests.iter().position(|rest| !rest.is_empty()) {
            let [actual, expected] = lengths(rank).map(|bytes| bytes as u64);
            return Err(SyncError::Malformed { rank, actual, expected });
        }
        Ok(Received { parts: received, messages })
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
        for (part, start) in &self.parts {
            let context = part.batch_norm.context();
            context.check_alive()?;
            let length = part.header.record_bytes();
            let records = self.messages.iter().filter_map(|message| message.get(*start..*start + length));
            write(context, &part.records.range.buffer, records)?;
            context.submit(|encoder| part.merged.record(encoder))?;
        }
        Ok(())
    }
}

impl<E> fmt::Debug for Begun<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("passes", &self.parts.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rank, replicas, parts, bytes, .. } = self;
        f.debug_struct("Sent")
            .field("rank", rank)
            .field("replicas", replicas)
            .field("passes", &parts.len())
            .field("bytes", bytes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("passes", &self.parts.len()).finish_non_exhaustive()
    }
}

/// Whether a message is the one that these passes of this replica have given.
fn is_own(parts: &[Part<'_>], rank: usize, message: &[u8]) -> bool {
    let rest = parts.iter().try_fold(message, |rest, Part { header, mask, own, .. }| {
        let (found_mask, record, after) = header.decode(rank, rest, [message.len(); 2]).ok()?;
        (found_mask == *mask && record == own.bytes()).then_some(after)
    });
    rest.is_some_and(<[u8]>::is_empty)
}

/// Writes records of one length to a buffer, one after the other.
fn write<'a>(
    context: &Context,
    buffer: &wgpu::Buffer,
    records: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(), DeviceError> {
    let bytes: usize = records.clone().map(<[u8]>::len).sum();
    let view = wgpu::BufferSize::new(bytes as u64)
        .and_then(|bytes| context.queue().write_buffer_with(buffer, 0, bytes));
    let Some(mut view) = view else {
        let reason = format!("the queue gave no memory for {bytes} bytes");
        return Err(DeviceError::Refused { what: "the records of all replicas".into(), reason });
    };
    let mut start = 0;
    for record in records {
        view.slice(start..start + record.len()).copy_from_slice(record);
        start += record.len();
    }
    Ok(())
}

/// How many values the first channel of these statistics has: the planes of the count come first, the lower words and
/// then the upper ones.
fn first_count(record: &[u8], header: Header) -> u64 {
    let words = record.as_chunks::<4>().0;
    let word = |i: usize| words.get(i).map_or(0, |word| u64::from(u32::from_le_bytes(*word)));
    word(0) | word(header.channels()) << 32
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
