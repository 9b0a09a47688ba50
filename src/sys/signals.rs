//! Signals become bytes of a descriptor. All are blocked and back at their
//! defaults before the first fork, so that none is lost and no service inherits
//! an ignored one from whoever started us.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks every signal, sets each back to its default, and opens the
/// descriptor from which they are read (signalfd(2)).
///
/// # Errors
/// What signalfd(2) says.
pub fn take_over() -> io::Result<SignalFd> {
    let mut set = SigSet::all();
    // Blocked, these would turn a bug into an endless loop at the same address.
    for fatal in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGABRT,
        Signal::SIGSYS,
        Signal::SIGTRAP,
    ] {
        set.remove(fatal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
    for number in 1..=64 {
        // KILL, STOP and those which libc keeps for itself refuse, rightly.
        //
        // SAFETY: SIG_DFL runs no code of ours, so nothing can be interrupted.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Lets all signals through again; for the child, before it becomes a service.
///
/// # Errors
/// None on Linux; the type says what sigprocmask(2) could.
pub fn unblock_all() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
