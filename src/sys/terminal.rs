//! Whose the terminal is. A main command gets ours, if we have one, so that a shell
//! can have job control in it; and we get it back when that command stops or ends.
//! What runs in the child keeps the rules of `child.rs`.

use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{Pid as Number, getpgrp, getppid, getsid, setpgid, setsid};

use crate::supervise::Pid;

const STDIN: libc::c_int = 0;

/// The group in the foreground of the terminal that is our stdin and that controls
/// our session, if there is one (tcgetpgrp(3)).
fn foreground() -> Option<Number> {
    // SAFETY: asks the kernel for a number; no memory of ours is concerned.
    let group = unsafe { libc::tcgetpgrp(STDIN) };
    (group >= 0).then_some(Number::from_raw(group))
}

/// Puts a group into the foreground. SIGTTOU, which could stop us, is blocked.
fn set_foreground(group: Number) -> bool {
    // SAFETY: tells the kernel a number; no memory of ours is concerned.
    unsafe { libc::tcsetpgrp(STDIN, group.as_raw()) == 0 }
}

/// In the child: begins a session, or shares that of its terminal, in a group of its
/// own, which is in the foreground if ours was.
pub(super) fn begin(has_terminal: bool) -> Result<(), Errno> {
    let none = Number::from_raw(0);
    if has_terminal && foreground().is_some() {
        let was_ours = foreground() == Some(getpgrp());
        setpgid(none, none)?;
        let _ = was_ours && set_foreground(getpgrp());
        return Ok(());
    }
    setsid()?;
    if has_terminal {
        // A terminal that controls nobody's session yet controls this one.
        // SAFETY: passes a number only; on what is no free terminal it fails.
        unsafe { libc::ioctl(STDIN, libc::TIOCSCTTY, 0) };
    }
    Ok(())
}

/// Whether our stdin is a terminal.
pub fn is_there() -> bool {
    // SAFETY: asks about a number; no memory of ours is concerned.
    unsafe { libc::isatty(STDIN) == 1 }
}

/// Whether the main command shares our session, and so is seen by whoever has
/// started us from a terminal.
pub fn is_shared() -> bool {
    foreground().is_some()
}

/// Takes the foreground back from `group`.
pub fn take_back(group: Pid) -> bool {
    foreground() == Some(Number::from_raw(group.0)) && set_foreground(getpgrp())
}

/// Lends the foreground to `group` if it is ours.
pub fn lend(group: Pid) {
    let _ = foreground() == Some(getpgrp()) && set_foreground(Number::from_raw(group.0));
}

/// The signal of the terminal by which a child was stopped, each time once.
pub fn stopped(child: Pid) -> Option<i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WSTOPPED | libc::WNOHANG;
    let id = libc::id_t::try_from(child.0).ok()?;
    // SAFETY: info is a siginfo_t to write to, and outlives the call.
    let done = unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), options) };
    // SAFETY: zeroed first, and all zeroes is a valid siginfo_t.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in the fields of a SIGCHLD, or leaves zeroes.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let is_terminal = matches!(status, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
    (done == 0 && pid == child.0 && is_terminal).then_some(status)
}

/// Stops ourselves until somebody continues us, if there is a shell that would.
pub fn suspend() {
    let has_shell = getsid(Some(getppid())).ok() == getsid(None).ok();
    if has_shell && std::process::id() != 1 {
        // We go on here when we are continued.
        let _ = raise(Signal::SIGSTOP);
    }
}
