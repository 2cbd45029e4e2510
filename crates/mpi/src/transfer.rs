//! Messages on their way. The only unsafe code of this crate: MPI reads and writes their bytes after the call that
//! names them, until it says that it is done, and rsmpi's scopes would wait for that without a limit.

#![allow(unsafe_code)]

use crate::MpiError;
use mpi::environment::is_finalized;
use mpi::ffi;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, AsRawMut as _, Communicator as _, Equivalence, Source as _};
use std::mem;
use std::os::raw::c_int;
use std::rc::Rc;

/// A message, and the request that tells when MPI has done with it. `B` keeps its bytes at one place on the heap.
struct Transfer<B> {
    request: ffi::MPI_Request,
    /// Taken when MPI is done.
    bytes: Option<B>,
}

impl<B> Transfer<B> {
    /// The bytes, once MPI is done with them.
    fn take(&mut self) -> Result<Option<B>, MpiError> {
        if self.bytes.is_none() {
            return Ok(None);
        }
        let mut done: c_int = 0;
        // SAFETY: the request is one that MPI has given and not been told is over: `bytes` is there.
        let code = unsafe { ffi::MPI_Test(&mut self.request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
        check("MPI_Test", code)?;
        Ok(if done == 0 { None } else { self.bytes.take() })
    }
}

impl<B> Drop for Transfer<B> {
    fn drop(&mut self) {
        if self.bytes.is_none() || is_finalized() {
            return;
        }
        // Whoever gave up waiting must leave the bytes to MPI.
        if !matches!(self.take(), Ok(Some(_))) {
            mem::forget(self.bytes.take());
        }
    }
}

/// A message that is being sent.
pub(crate) struct Sending {
    to: usize,
    transfer: Transfer<Rc<Vec<u8>>>,
}

impl Sending {
    pub(crate) fn start(
        comm: &SimpleCommunicator,
        to: usize,
        tag: c_int,
        message: Rc<Vec<u8>>,
    ) -> Result<Self, MpiError> {
        let (count, rank) = (count_of(message.len())?, count_of(to)?);
        // SAFETY: a constant of the library, initialized before any communicator is there.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        // SAFETY: the bytes lie on the heap; the transfer keeps them, and nobody writes to them because they are
        // shared, until MPI is done, or forever.
        let code = unsafe {
            ffi::MPI_Isend(
                message.as_ptr().cast(),
                count,
                u8::equivalent_datatype().as_raw(),
                rank,
                tag,
                comm.as_raw(),
                &mut request,
            )
        };
        check("MPI_Isend", code)?;
        Ok(Self { to, transfer: Transfer { request, bytes: Some(message) } })
    }

    /// Whom it is for.
    pub(crate) fn to(&self) -> usize {
        self.to
    }

    pub(crate) fn is_done(&mut self) -> Result<bool, MpiError> {
        Ok(self.transfer.bytes.is_none() || self.transfer.take()?.is_some())
    }
}

/// A message that is being received.
pub(crate) struct Receiving(Transfer<Vec<u8>>);

impl Receiving {
    /// The next message with this tag from a rank, if one has been announced: its length is known then, and no
    /// memory is promised to one that never comes.
    pub(crate) fn start(
        comm: &SimpleCommunicator,
        from: usize,
        tag: c_int,
    ) -> Result<Option<Self>, MpiError> {
        let process = comm.process_at_rank(count_of(from)?);
        let Some((mut message, status)) = process.immediate_matched_probe_with_tag(tag) else {
            return Ok(None);
        };
        let count = status.count(u8::equivalent_datatype());
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        // SAFETY: as in `Sending::start`.
        let mut request = unsafe { ffi::RSMPI_REQUEST_NULL };
        // SAFETY: `bytes` has room for `count` bytes, on the heap, where they stay while the vector moves; the
        // transfer keeps it, untouched, until MPI is done, or forever.
        let code = unsafe {
            ffi::MPI_Imrecv(
                bytes.as_mut_ptr().cast(),
                count,
                u8::equivalent_datatype().as_raw(),
                message.as_raw_mut(),
                &mut request,
            )
        };
        check("MPI_Imrecv", code)?;
        Ok(Some(Self(Transfer { request, bytes: Some(bytes) })))
    }

    /// The message, once it is all there.
    pub(crate) fn take(&mut self) -> Result<Option<Vec<u8>>, MpiError> {
        self.0.take()
    }
}

fn count_of(number: usize) -> Result<c_int, MpiError> {
    c_int::try_from(number).map_err(|_| MpiError::TooLong { actual: number, most: c_int::MAX as usize })
}

fn check(function: &'static str, code: c_int) -> Result<(), MpiError> {
    if code == 0 { Ok(()) } else { Err(MpiError::Call { function, code }) }
}
