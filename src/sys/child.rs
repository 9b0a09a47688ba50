//! From fork to exec. Everything was looked up and built before the fork,
//! because the child may only make system calls: no allocation, no lock, no
//! panic. The order is that of the privileges it takes; each step is checked,
//! and one that fails means that the service does not run.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd;

use super::capabilities;
use super::identity::{Identity, lend_identity, take_identity};
use super::image::Image;
use super::limits;
use super::register::Register;
use super::sandbox::{self, Wrapping};
use super::signals;
use super::streams::{Source, open_streams, pass};
use crate::supervise::{Fault, Pid, Step};

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
    /// Descriptors of ours that it gets as 3, 4 and so on.
    pub passed: Vec<RawFd>,
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
    let image = Image::of(program);
    // SAFETY: there is one thread, so no lock can be held by another one; the
    // child calls nothing but system calls, and ends in exec or _exit.
    match unsafe { libc::fork() } {
        -1 => Err(fault(Step::Fork, Errno::last())),
        0 => {
            let Err(fault) = become_service(program, &image, null, mouth.as_fd(), register);
            tell(mouth.as_fd(), fault, false);
            // SAFETY: ends the process at once, with nothing flushed twice.
            unsafe { libc::_exit(127) }
        }
        pid => Ok((Pid(pid), ear)),
    }
}

/// What a child said.
pub enum Word {
    /// It does without something, though it was to have it if possible.
    Lack(Fault),
    /// It could not become its program.
    Fault(Fault),
    /// It became its program.
    Executed,
}

/// The next word of a child: `None` while it is silent, and nothing after the
/// last one.
pub fn hear(ear: BorrowedFd) -> Option<Word> {
    let mut words = [0; WORD];
    match unistd::read(ear, &mut words) {
        // The poll tells of words but once.
        Err(Errno::EINTR) => hear(ear),
        Err(Errno::EAGAIN) => None,
        Ok(WORD) => {
            let [is_lack, place, which, errno @ ..] = words;
            let fault = Fault { step: Step::of([place, which]), errno: i32::from_ne_bytes(errno) };
            Some(if is_lack == 0 { Word::Fault(fault) } else { Word::Lack(fault) })
        }
        // So few bytes are written at once or not at all (pipe(7)).
        Ok(_) | Err(_) => Some(Word::Executed),
    }
}

pub(super) fn fault(step: Step, errno: Errno) -> Fault {
    Fault { step, errno: errno as i32 }
}

/// In bytes.
const WORD: usize = 7;

fn tell(mouth: BorrowedFd, Fault { step, errno }: Fault, is_lack: bool) {
    let ([place, which], [a, b, c, d]) = (step.told(), errno.to_ne_bytes());
    // If going is gone there is nobody to tell.
    let _ = unistd::write(mouth, &[u8::from(is_lack), place, which, a, b, c, d]);
}

/// Everything between fork and exec, in the order of going.8. What needs root's
/// rights comes before they are given up, and what needs a free descriptor before
/// there may be none.
fn become_service(
    program: &Program,
    image: &Image,
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
    limits::set_priorities(&wrapping.limits)?;
    sandbox::enter(&wrapping.sandbox, |lack| tell(mouth, lack, true))?;
    umask(program.umask);
    pass(&program.passed)?;
    limits::set_limits(&wrapping.limits)?;
    capabilities::bound(kept, |lack| tell(mouth, lack, true))?;
    take_identity(identity)?;
    unistd::chdir(program.cwd.as_c_str()).map_err(|errno| fault(Step::Directory, errno))?;
    capabilities::keep(kept)?;
    capabilities::deny_new_privileges(wrapping.no_new_privs)?;
    Err(fault(Step::Execute, image.execute()))
}
