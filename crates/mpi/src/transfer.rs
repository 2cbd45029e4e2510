//! What MPI works on after the call that names it: messages on their way, and communicators that are being duplicated.
//! The only unsafe code of this crate: rsmpi's scopes would wait for their end without a limit, and it knows no
//! duplication that can be waited for with one.

#![allow(unsafe_code)]

use crate::MpiError;
use mpi::environment::is_finalized;
use mpi::ffi;
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::{AsRaw, Equivalence, FromRaw as _};
use std::mem::{self, MaybeUninit};
use std::os::raw::c_int;
use std::rc::Rc;

/// Whether MPI has done what a request stands for.
fn is_done(request: &mut ffi::MPI_Request) -> Result<bool, MpiError> {
    let mut done: c_int = 0;
    // SAFETY: the request is one that MPI has given, or the null request that it leaves of one that is over.
    let code = unsafe { ffi::MPI_Test(request, &mut done, ffi::RSMPI_STATUS_IGNORE) };
    check("MPI_Test", code)?;
    Ok(done != 0)
}

fn null_request() -> ffi::MPI_Request {
    // SAFETY: a constant of the library, initialized before any communicator is there.
    unsafe { ffi::RSMPI_REQUEST_NULL }
}

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
        Ok(if is_done(&mut self.request)? { self.bytes.take() } else { None })
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
    /// Sends to a rank of the communicator.
    pub(crate) fn start(
        comm: &SimpleCommunicator,
        to: usize,
        tag: c_int,
        message: Rc<Vec<u8>>,
    ) -> Result<Self, MpiError> {
        let (count, rank) = (count_of(message.len())?, count_of(to)?);
        let mut request = null_request();
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
pub(crate) struct Receiving {
    from: usize,
    transfer: Transfer<Vec<u8>>,
}

impl Receiving {
    /// The next message with this tag from a rank, or from any, if one has been announced: its length is known then,
    /// and no memory is promised to one that never comes.
    pub(crate) fn start(
        comm: &SimpleCommunicator,
        from: Option<usize>,
        tag: c_int,
    ) -> Result<Option<Self>, MpiError> {
        // SAFETY: a constant of the library.
        let from = from.map_or(Ok(unsafe { ffi::RSMPI_ANY_SOURCE }), count_of)?;
        let mut found: c_int = 0;
        // SAFETY: a constant of the library.
        let mut message = unsafe { ffi::RSMPI_MESSAGE_NULL };
        let mut status = MaybeUninit::<ffi::MPI_Status>::zeroed();
        // SAFETY: all pointers are to values of ours that outlive the call.
        let code = unsafe {
            ffi::MPI_Improbe(from, tag, comm.as_raw(), &mut found, &mut message, status.as_mut_ptr())
        };
        check("MPI_Improbe", code)?;
        if found == 0 {
            return Ok(None);
        }
        // SAFETY: plain numbers, zero before MPI has written to them.
        let status = unsafe { status.assume_init() };
        let mut count: c_int = 0;
        // SAFETY: as above.
        let code = unsafe { ffi::MPI_Get_count(&status, u8::equivalent_datatype().as_raw(), &mut count) };
        check("MPI_Get_count", code)?;
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0)];
        let mut request = null_request();
        // SAFETY: `bytes` has room for `count` bytes, on the heap, where they stay while the vector moves; the
        // transfer keeps it, untouched, until MPI is done, or forever.
        let code = unsafe {
            ffi::MPI_Imrecv(
                bytes.as_mut_ptr().cast(),
                count,
                u8::equivalent_datatype().as_raw(),
                &mut message,
                &mut request,
            )
        };
        check("MPI_Imrecv", code)?;
        let from = usize::try_from(status.MPI_SOURCE).unwrap_or(usize::MAX);
        Ok(Some(Self { from, transfer: Transfer { request, bytes: Some(bytes) } }))
    }

    /// Who has sent it.
    pub(crate) fn from(&self) -> usize {
        self.from
    }

    /// The message, once it is all there.
    pub(crate) fn take(&mut self) -> Result<Option<Vec<u8>>, MpiError> {
        self.transfer.take()
    }
}

/// A communicator that all its ranks duplicate.
pub(crate) struct Duplicating {
    original: ffi::MPI_Comm,
    request: ffi::MPI_Request,
    /// Where MPI writes the new communicator; nobody else uses it until it is done. Who gives up leaves it to MPI.
    place: *mut ffi::MPI_Comm,
}

impl Duplicating {
    pub(crate) fn start(comm: &impl Communicator) -> Result<Self, MpiError> {
        let original = comm.as_raw();
        let mut request = null_request();
        // SAFETY: a constant of the library.
        let place = Box::into_raw(Box::new(unsafe { ffi::RSMPI_COMM_NULL }));
        // SAFETY: the place is never freed before MPI has done with it.
        let code = unsafe { ffi::MPI_Comm_idup(original, place, &mut request) };
        check("MPI_Comm_idup", code)?;
        Ok(Self { original, request, place })
    }

    /// Whether it is this communicator's.
    pub(crate) fn is_of(&self, comm: &impl Communicator) -> bool {
        self.original == comm.as_raw()
    }

    /// The duplicate once it is there, which is once. Its errors are returned, and do not end the job.
    pub(crate) fn take(&mut self) -> Result<Option<SimpleCommunicator>, MpiError> {
        if self.place.is_null() || !is_done(&mut self.request)? {
            return Ok(None);
        }
        let place = mem::replace(&mut self.place, std::ptr::null_mut());
        // SAFETY: made by `Box::into_raw`, and MPI is done with it.
        let raw = *unsafe { Box::from_raw(place) };
        // SAFETY: a live communicator of one group, since it duplicates one, that nobody else has.
        let comm = unsafe { SimpleCommunicator::from_raw(raw) };
        // SAFETY: the same, and a constant of the library.
        let code = unsafe { ffi::MPI_Comm_set_errhandler(raw, ffi::RSMPI_ERRORS_RETURN) };
        check("MPI_Comm_set_errhandler", code)?;
        Ok(Some(comm))
    }
}

fn count_of(number: usize) -> Result<c_int, MpiError> {
    c_int::try_from(number).map_err(|_| MpiError::TooLong { actual: number, most: c_int::MAX as usize })
}

fn check(function: &'static str, code: c_int) -> Result<(), MpiError> {
    if code == 0 { Ok(()) } else { Err(MpiError::Call { function, code }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waiting::duplicate;
    use mpi::Threading;
    use std::time::Duration;

    /// MPI may be initialized once in a process, so this is the only test here.
    #[test]
    fn what_mpi_refuses_is_returned() -> Result<(), Box<dyn std::error::Error>> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled).ok_or("MPI runs already")?;
        let comm = duplicate(&universe.world(), Duration::from_secs(60))?;
        let sent = Sending::start(&comm, 7, 1, Rc::new(vec![1])).err();
        assert!(
            matches!(sent, Some(MpiError::Call { function: "MPI_Isend", code }) if code != 0),
            "a world of one has no rank 7, and MPI says {sent:?}"
        );
        let most = c_int::MAX as usize;
        let sent = Sending::start(&comm, most + 1, 1, Rc::new(vec![1])).err();
        assert_eq!(sent, Some(MpiError::TooLong { actual: most + 1, most }));
        Ok(())
    }
}
