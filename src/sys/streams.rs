//! The three standard streams of a child, between fork and exec: the rules of
//! `child.rs` hold here, too. A file named by a service must not lend root's rights
//! to the service's user, who may own the directory it is in.

use std::ffi::{CStr, CString, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl;
use nix::sys::stat::{SFlag, fstat};

use super::child::fault;
use crate::supervise::{Fault, Step};

/// Where a standard stream comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It stays as it is.
    Inherit,
    /// `/dev/null`.
    Null,
    /// This file.
    File(CString),
    /// Wherever stdout leads.
    Stdout,
    /// This descriptor of ours, which closes on exec.
    Descriptor(RawFd),
}

/// Opens those of the three streams which are `wanted`; answers with those that
/// must wait until the service's own rights are in force.
pub(super) fn open_streams(
    streams: &[Source; 3],
    null: BorrowedFd,
    wanted: [bool; 3],
    is_careful: bool,
) -> Result<[bool; 3], Fault> {
    let steps = [Step::Stdin, Step::Stdout, Step::Stderr];
    let mut late = [false; 3];
    let mut is_stdout_late = false;
    for (number, (((source, step), is_wanted), is_late)) in
        (0..).zip(streams.iter().zip(steps).zip(wanted).zip(&mut late))
    {
        if !is_wanted {
            continue;
        }
        *is_late = match source {
            Source::Inherit => false,
            Source::Null => !redirect(null.as_raw_fd(), number, step)?,
            Source::Descriptor(fd) => !redirect(*fd, number, step)?,
            Source::Stdout if is_stdout_late => true,
            Source::Stdout => !redirect(1, number, step)?,
            Source::File(path) => match open_file(path, number, is_careful) {
                Err(errno) => return Err(fault(step, errno)),
                Ok(None) => true,
                Ok(Some(file)) => !redirect(file.as_raw_fd(), number, step)?,
            },
        };
        is_stdout_late = *is_late && number == 1;
    }
    Ok(late)
}

/// Hands `passed` to the child as its descriptors 3, 4 and so on. What the child
/// still needs must be above them, and is: going had these numbers long before.
pub(super) fn pass(passed: &[RawFd]) -> Result<(), Fault> {
    let end = i32::try_from(passed.len()).unwrap_or(0).saturating_add(FIRST_PASSED);
    for (number, &fd) in (FIRST_PASSED..end).zip(passed) {
        // One that is in the way of another would be overwritten by it.
        if fd < end && fd != number {
            return Err(fault(Step::Session, Errno::EBADF));
        }
        pass_as(fd, number)?;
    }
    Ok(())
}

/// Hands one descriptor to the child, by this number.
pub(super) fn pass_as(fd: RawFd, number: c_int) -> Result<(), Fault> {
    if fd == number {
        let none = fcntl::FdFlag::empty();
        // SAFETY: the descriptor is open, being one of going's own.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        fcntl::fcntl(fd, fcntl::F_SETFD(none)).map_err(|errno| fault(Step::Session, errno))?;
    } else {
        redirect(fd, number, Step::Session)?;
    }
    Ok(())
}

/// The first number after the standard streams.
const FIRST_PASSED: c_int = 3;

/// Makes stream `number` lead where `fd` does; always true.
fn redirect(fd: RawFd, number: c_int, step: Step) -> Result<bool, Fault> {
    // SAFETY: replaces one of the three streams of this child, which nobody
    // here owns; a copy made by dup2(2) is not closed on exec.
    match unsafe { libc::dup2(fd, number) } {
        -1 => Err(fault(step, Errno::last())),
        _ => Ok(true),
    }
}

/// Opens the file of a stream. A careful opening, with root's rights for a
/// service that has less, must not be led astray by links which the service's
/// user can make: it follows none, and answers `None` where there is one.
fn open_file(path: &CStr, number: c_int, is_careful: bool) -> Result<Option<OwnedFd>, Errno> {
    let flags = libc::O_CLOEXEC
        | libc::O_NOCTTY
        | if number == 0 {
            libc::O_RDONLY
        } else {
            // A FIFO that nobody reads is told (ENXIO), not waited for.
            libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NONBLOCK
        };
    if !is_careful {
        // SAFETY: path is a C string.
        let fd = unsafe { libc::open(path.as_ptr(), flags, 0o640) };
        return Ok(Some(patient(own(fd)?, number)?));
    }
    let how = OpenHow {
        flags: u64::from(flags.unsigned_abs()),
        mode: if number == 0 { 0 } else { 0o640 },
        resolve: libc::RESOLVE_NO_SYMLINKS,
    };
    let size = size_of::<OpenHow>();
    // SAFETY: path is a C string, how an open_how of that size (openat2(2)).
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path.as_ptr(), &raw const how, size)
    };
    match own(c_int::try_from(fd).unwrap_or(-1)) {
        Ok(file) => {
            let stat = fstat(&file)?;
            let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
            let is_safe = kind != SFlag::S_IFREG || stat.st_nlink == 1;
            if is_safe { patient(file, number).map(Some) } else { Ok(None) }
        }
        // ENOSYS is a kernel before 5.6, EPERM a seccomp filter that does not
        // know the call.
        Err(Errno::ELOOP | Errno::ENOSYS | Errno::EPERM) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// struct open_how of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// A file that its service may wait for when it writes.
fn patient(file: OwnedFd, number: c_int) -> Result<OwnedFd, Errno> {
    if number > 0 {
        fcntl::fcntl(&file, fcntl::FcntlArg::F_SETFL(fcntl::OFlag::O_APPEND))?;
    }
    Ok(file)
}

fn own(fd: RawFd) -> Result<OwnedFd, Errno> {
    if fd < 0 {
        return Err(Errno::last());
    }
    // SAFETY: the kernel just made this descriptor, and we are the first to own it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
