//! A child writes itself down before it becomes its program. Until it has, it dies
//! if the going that forked it is dead; from then on the next going finds it. So
//! there is no moment at which a service runs that nobody would know of.
//!
//! What runs between fork and exec keeps the rules of `child.rs`.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};

use super::child::fault;
use crate::supervise::record::Birth;
use crate::supervise::{Fault, Pid, Step};

/// Where a child is to write itself down, and what.
pub struct Register<'a> {
    /// Who forks it.
    pub parent: Pid,
    /// The state file, if there is one, and the place of the birth in it.
    pub place: Option<(BorrowedFd<'a>, i64)>,
    /// All but the pid and the latest tick of its birth.
    pub birth: Birth,
}

impl Register<'_> {
    /// Writes the child down. What comes before this nobody else may notice; what
    /// comes after it may change the user, forbid to write, or take for ever.
    pub(super) fn sign(&self) -> Result<(), Fault> {
        let failed = |errno| fault(Step::Session, errno);
        // From here to the end of the writing we die with our parent (prctl(2),
        // PR_SET_PDEATHSIG): the next going may have read the file by then.
        set_pdeathsig(Signal::SIGKILL).map_err(failed)?;
        if getppid().as_raw() != self.parent.0 {
            return Err(failed(Errno::ESRCH));
        }
        if let Some((file, offset)) = self.place {
            let born = (self.birth.born.0, super::ticks());
            let birth = Birth { pid: Pid(getpid().as_raw()), born, ..self.birth };
            let bytes = birth.encode();
            let (fd, start, length) = (file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len());
            // A full file system has been reported, and must not stop a service.
            // SAFETY: start is the start of that many bytes, which outlive the call.
            unsafe { libc::pwrite(fd, start, length, offset) };
        }
        set_pdeathsig(None).map_err(failed)
    }
}
