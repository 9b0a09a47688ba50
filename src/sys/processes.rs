//! Processes that are ours: how they ended, and signals to them. A pid is used
//! only until its process is reaped, or for a group while it has members.

use std::fs;
use std::io;
use std::mem::MaybeUninit;

use crate::config::Signal;
use crate::supervise::{Exit, Pid};

/// Reaps one dead child; `None` if there is none (waitid(2)).
pub fn reap() -> Option<(Pid, Exit)> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG;
    loop {
        // SAFETY: info is a siginfo_t to write to, and outlives the call.
        let done = unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) };
        if done == 0 {
            break;
        }
        if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
    // SAFETY: zeroed first, and all zeroes is a valid siginfo_t.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in the fields of a SIGCHLD, or leaves zeroes.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    let number = u8::try_from(status & 0xff).unwrap_or(0);
    let exit = match info.si_code {
        libc::CLD_EXITED => Exit::Code(number),
        code => Exit::Signal { signal: Signal(number), core: code == libc::CLD_DUMPED },
    };
    (pid > 0).then_some((Pid(pid), exit))
}

/// What a status as of waitpid(2) says.
pub fn exit_of(status: i32) -> Exit {
    let number = |value: i32| u8::try_from(value).unwrap_or(0);
    if libc::WIFSIGNALED(status) {
        let signal = Signal(number(libc::WTERMSIG(status)));
        return Exit::Signal { signal, core: libc::WCOREDUMP(status) };
    }
    Exit::Code(number(libc::WEXITSTATUS(status)))
}

/// Sends a signal to one process (kill(2)).
///
/// # Errors
/// ESRCH if there is none, EPERM if it is not ours to signal.
pub fn signal(pid: Pid, signal: Signal) -> io::Result<()> {
    kill(pid.0, i32::from(signal.0))
}

/// Sends a signal to all of a process group (kill(2)).
///
/// # Errors
/// ESRCH if the group has no members, EPERM if none is ours to signal.
pub fn signal_group(group: Pid, signal: Signal) -> io::Result<()> {
    kill(-group.0, i32::from(signal.0))
}

/// Whether a process group has members, dead ones that nobody reaped included.
pub fn is_group_alive(group: Pid) -> bool {
    // EPERM means that somebody is there who is not ours to signal.
    kill(-group.0, 0).map_or_else(|error| error.raw_os_error() != Some(libc::ESRCH), |()| true)
}

/// Whether there is such a process, dead and unreaped ones included.
pub fn is_there(pid: Pid) -> bool {
    kill(pid.0, 0).map_or_else(|error| error.raw_os_error() != Some(libc::ESRCH), |()| true)
}

/// Our children, dead ones that nobody reaped included; `None` where the kernel does not
/// tell. Only we reap them, so none can be overlooked because another one goes away
/// meanwhile. That our services' children become ours when their parents die is what
/// [`become_subreaper`] is for.
pub fn children() -> Option<Vec<Pid>> {
    let us = Pid(i32::try_from(std::process::id()).ok()?);
    children_of(us, us)
}

/// Whether a process has no children, as far as can be known.
pub fn is_childless(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", pid.0));
    let mut threads = threads.into_iter().flatten();
    let mut is_seen = false;
    let are_all = threads.all(|thread| {
        is_seen = true;
        let thread = thread.ok().and_then(|it| it.file_name().to_str()?.parse().ok().map(Pid));
        thread.and_then(|it| children_of(pid, it)).is_some_and(|it| it.is_empty())
    });
    is_seen && are_all
}

/// The children that a thread has made (proc_pid_children(5)).
fn children_of(pid: Pid, thread: Pid) -> Option<Vec<Pid>> {
    let text = fs::read_to_string(format!("/proc/{}/task/{}/children", pid.0, thread.0)).ok()?;
    text.split_ascii_whitespace().map(|it| it.parse().ok().map(Pid)).collect()
}

/// Makes us the parent of what our services leave behind (PR_SET_CHILD_SUBREAPER
/// of prctl(2)); the kernel has done so already if we are the first process.
///
/// # Errors
/// EINVAL before Linux 3.4.
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

fn kill(target: i32, number: i32) -> io::Result<()> {
    // SAFETY: no memory is passed. Targets 0, -1 and 1 cannot be, as a Pid of
    // ours is a child's, and above 1.
    let done = unsafe { libc::kill(target, number) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
