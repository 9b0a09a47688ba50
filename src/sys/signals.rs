//! Signals become bytes of a descriptor. All are blocked and back at their
//! defaults before the first fork, so that none is lost and no service inherits
//! an ignored one from whoever started us.

use std::io;

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::fault;

/// Blocks every signal, sets each back to its default, and opens the
/// descriptor from which they are read (signalfd(2)).
///
/// # Errors
/// What signalfd(2) says.
pub fn take_over() -> io::Result<SignalFd> {
    let mut set = SigSet::all();
    // Blocked, these would turn a bug into an endless loop at the same address.
    for fatal in fault::FATAL {
        set.remove(fatal);
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&set), None)?;
    for number in 1..=64 {
        reset(number);
    }
    fault::listen();
    Ok(SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Sets one signal back to its default. Past libc, which keeps 32 and 33 for itself
/// and refuses, though whoever started us may have had them ignored.
fn reset(number: i32) {
    // A struct sigaction of the kernel: handler, flags, restorer, mask.
    let default = [0_u64; 4];
    let none = std::ptr::null_mut::<u64>();
    // SAFETY: default is as large as rt_sigaction(2) reads, and SIG_DFL runs no
    // code of ours. KILL and STOP refuse, rightly.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), none, 8) };
}

/// Lets all signals through again; for the child, before it becomes a service.
///
/// # Errors
/// None on Linux; the type says what sigprocmask(2) could.
pub fn unblock_all() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
