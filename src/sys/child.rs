//! From fork to exec. Everything was looked up and built before the fork,
//! because the child may only make system calls: no allocation, no lock, no
//! panic. The order is that of the privileges it takes; each step is checked,
//! and one that fails means that the service does not run.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{self, Gid, Uid, setsid};

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
    /// Descriptors of ours that it gets as 3, 4 and so on.
    pub passed: Vec<RawFd>,
}

/// A user with all groups.
pub struct Identity {
    /// Real, effective and saved user.
    pub uid: Uid,
    /// Real, effective and saved group.
    pub gid: Gid,
    /// All others.
    pub groups: Vec<Gid>,
}

/// Forks, and makes a service of the child. The descriptor tells when it runs:
/// it ends at exec, unless five bytes come first (see [`hear`]).
///
/// # Errors
/// What pipe2(2) and fork(2) say. All else is told by the child.
pub fn spawn(program: &Program, null: BorrowedFd) -> Result<(Pid, OwnedFd), Fault> {
    let flags = OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let (ear, mouth) = unistd::pipe2(flags).map_err(|errno| fault(Step::Pipe, errno))?;
    let image = Image::of(program);
    // SAFETY: there is one thread, so no lock can be held by another one; the
    // child calls nothing but system calls, and ends in exec or _exit.
    match unsafe { libc::fork() } {
        -1 => Err(fault(Step::Fork, Errno::last())),
        0 => {
            let Err(fault) = become_service(program, &image, null);
            last_words(mouth.as_fd(), fault);
        }
        pid => Ok((Pid(pid), ear)),
    }
}

/// What a child said: `None` while it is silent, a fault if it could not
/// become its program, and nothing more once it did.
pub fn hear(ear: BorrowedFd) -> Option<Result<(), Fault>> {
    let mut words = [0; 5];
    match unistd::read(ear, &mut words) {
        Err(Errno::EAGAIN | Errno::EINTR) => None,
        Ok(5) => {
            let [step, errno @ ..] = words;
            Some(Err(Fault { step: Step::of(step), errno: i32::from_ne_bytes(errno) }))
        }
        // Five bytes are written at once or not at all (pipe(7)).
        Ok(_) | Err(_) => Some(Ok(())),
    }
}

pub(super) fn fault(step: Step, errno: Errno) -> Fault {
    Fault { step, errno: errno as i32 }
}

fn last_words(mouth: BorrowedFd, Fault { step, errno }: Fault) -> ! {
    let [a, b, c, d] = errno.to_ne_bytes();
    // If going is gone there is nobody to tell.
    let _ = unistd::write(mouth, &[step as u8, a, b, c, d]);
    // SAFETY: ends the process at once, with nothing flushed twice.
    unsafe { libc::_exit(127) }
}

/// The pointers that execve(2) wants, valid as long as their program.
struct Image {
    argv: Vec<*const c_char>,
    /// For a script without `#!`: the shell, the script, its words.
    script: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

const SHELL: &CStr = c"/bin/sh";

impl Image {
    fn of(program: &Program) -> Image {
        let pointers = |words: &[CString]| {
            let words = words.iter().map(|word| word.as_ptr());
            words.chain([ptr::null()]).collect::<Vec<_>>()
        };
        let argv = pointers(&program.argv);
        let words = argv.iter().copied().skip(1);
        let script = [SHELL.as_ptr(), program.path.as_ptr()].into_iter().chain(words).collect();
        Image { argv, script, envp: pointers(&program.envp) }
    }
}

/// Everything between fork and exec, in the order of going.8.
fn become_service(program: &Program, image: &Image, null: BorrowedFd) -> Result<Infallible, Fault> {
    setsid().map_err(|errno| fault(Step::Session, errno))?;
    let late = open_streams(&program.streams, null, [true; 3], program.identity.is_some())?;
    signals::unblock_all().map_err(|errno| fault(Step::Session, errno))?;
    umask(program.umask);
    if let Some(identity) = &program.identity {
        take_identity(identity)?;
    }
    open_streams(&program.streams, null, late, false)?;
    pass(&program.passed)?;
    unistd::chdir(program.cwd.as_c_str()).map_err(|errno| fault(Step::Directory, errno))?;
    execute(&program.path, &image.argv, &image.envp);
    if Errno::last() == Errno::ENOEXEC {
        execute(SHELL, &image.script, &image.envp);
    }
    Err(fault(Step::Execute, Errno::last()))
}

fn execute(path: &CStr, argv: &[*const c_char], envp: &[*const c_char]) {
    // SAFETY: path and all pointers are C strings of a Program that lives until
    // exec, and both lists end with a null pointer (Image::of).
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
}

/// Groups first, for without the user's rights they cannot be set any more; then
/// a look back, since a saved id left over would be a way back to root.
fn take_identity(identity: &Identity) -> Result<(), Fault> {
    let Identity { uid, gid, groups } = identity;
    unistd::setgroups(groups).map_err(|errno| fault(Step::Groups, errno))?;
    unistd::setresgid(*gid, *gid, *gid).map_err(|errno| fault(Step::Group, errno))?;
    unistd::setresuid(*uid, *uid, *uid).map_err(|errno| fault(Step::User, errno))?;
    let is_root = uid.is_root();
    if !is_root && unistd::setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok() {
        return Err(fault(Step::User, Errno::EPERM));
    }
    Ok(())
}
