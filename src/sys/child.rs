//! From fork to exec. Everything was looked up and built before the fork,
//! because the child may only make system calls: no allocation, no lock, no
//! panic. The order is that of the privileges it takes; each step is checked,
//! and one that fails means that the service does not run.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd;

use super::capabilities;
use super::cgroup::{self, Cgroup};
use super::fds;
use super::identity::{Identity, lend_identity, take_identity};
use super::image::Image;
use super::limits;
use super::mouth::tell;
use super::register::Register;
use super::sandbox::{self, Wrapping};
use super::signals;
use super::streams::{Source, open_streams, pass, pass_as};
use crate::supervise::{Fault, Pid, Step};

pub use super::mouth::{Word, hear};

/// What a service is to be, ready for use after fork.
pub struct Program {
    /// The file to execute, absolute or relative to `cwd`.
    pub path: CString,
    /// Its words.
    pub argv: Vec<CString>,
    /// Its environment, `NAME=VALUE` each.
    pub envp: Vec<CString>,
    /// Its working directory.
    pub cwd: CString,
    /// Its file mode creation mask.
    pub umask: Mode,
    /// Whom it runs as; `None` leaves things as they are.
    pub identity: Option<Identity>,
    /// stdin, stdout and stderr.
    pub streams: [Source; 3],
    /// Whether it gets our terminal.
    pub has_terminal: bool,
    /// What it may take, see and do.
    pub wrapping: Wrapping,
    /// The delay of its timers, in nanoseconds, if it is not the usual one.
    pub slack: Option<u32>,
    /// The control group it enters.
    pub cgroup: Option<Cgroup>,
    /// Descriptors of ours that it gets as 3, 4 and so on.
    pub passed: Vec<RawFd>,
    /// A descriptor of ours, above those, that it gets by this number.
    pub voice: Option<(RawFd, RawFd)>,
}

/// Forks, and makes a service of the child. The descriptor tells when it runs:
/// it ends at exec, unless words come first (see [`hear`]).
///
/// # Errors
/// What pipe2(2) and fork(2) say. All else is told by the child.
pub fn spawn(
    program: &Program,
    null: BorrowedFd,
    register: Option<&Register>,
) -> Result<(Pid, OwnedFd), Fault> {
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let (ear, mouth) = unistd::pipe2(flags).map_err(|errno| fault(Step::Pipe, errno))?;
    let above = program.voice.map_or(0, |(_, number)| number.unsigned_abs().saturating_sub(2));
    let above = program.passed.len().max(usize::try_from(above).unwrap_or(0));
    let mouth = fds::lift(mouth, above);
    let mouth = mouth.map_err(|_| fault(Step::Pipe, Errno::EMFILE))?;
    let mut image = Image::of(program);
    // SAFETY: there is one thread, so no lock can be held by another one; the
    // child calls nothing but system calls, and ends in exec or _exit.
    match unsafe { libc::fork() } {
        -1 => Err(fault(Step::Fork, Errno::last())),
        0 => {
            let Err(fault) = become_service(program, &mut image, null, mouth.as_fd(), register);
            tell(mouth.as_fd(), fault, false);
            // SAFETY: ends the process at once, with nothing flushed twice.
            unsafe { libc::_exit(127) }
        }
        pid => Ok((Pid(pid), ear)),
    }
}

pub(super) fn fault(step: Step, errno: Errno) -> Fault {
    Fault { step, errno: errno as i32 }
}

/// Everything between fork and exec, in the order of going.8. What needs root's
/// rights comes before they are given up, and what needs a free descriptor before
/// there may be none.
fn become_service(
    program: &Program,
    image: &mut Image,
    null: BorrowedFd,
    mouth: BorrowedFd,
    register: Option<&Register>,
) -> Result<Infallible, Fault> {
    let (identity, wrapping) = (program.identity.as_ref(), &program.wrapping);
    let kept = wrapping.capabilities.as_ref();
    super::terminal::begin(program.has_terminal).map_err(|errno| fault(Step::Session, errno))?;
    let late = open_streams(&program.streams, null, [true; 3], identity.is_some())?;
    lend_identity(identity, late, || open_streams(&program.streams, null, late, false))?;
    register.map_or(Ok(()), Register::sign)?;
    signals::unblock_all().map_err(|errno| fault(Step::Session, errno))?;
    cgroup::enter(program.cgroup.as_ref(), |lack| tell(mouth, lack, true))?;
    // It is of use only if nothing else is, so it may fail.
    program.slack.map(|slack| prctl::set_timerslack(slack.into()));
    limits::set_priorities(&wrapping.limits)?;
    sandbox::enter(&wrapping.sandbox, |lack| tell(mouth, lack, true))?;
    umask(program.umask);
    pass(&program.passed)?;
    program.voice.map_or(Ok(()), |(fd, number)| pass_as(fd, number))?;
    limits::set_limits(&wrapping.limits)?;
    capabilities::bound(kept, |lack| tell(mouth, lack, true))?;
    take_identity(identity)?;
    unistd::chdir(program.cwd.as_c_str()).map_err(|errno| fault(Step::Directory, errno))?;
    capabilities::keep(kept)?;
    capabilities::deny_new_privileges(wrapping.no_new_privs)?;
    Err(fault(Step::Execute, image.execute()))
}
