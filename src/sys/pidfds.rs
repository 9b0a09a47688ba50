//! Processes that are not our children, by descriptors which mean them even when
//! their pid has become another's (pidfd_open(2), Linux 5.3).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::processes;
use crate::config::Signal;
use crate::supervise::{Exit, Pid};

/// A descriptor that means this process, even when its pid is another's.
///
/// # Errors
/// ESRCH if there is none, ENOSYS on older kernels.
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel just made this descriptor, and we are the first to own it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor that a process has by this number, as one of ours (pidfd_getfd(2),
/// Linux 5.6).
///
/// # Errors
/// EBADF if it has none, EPERM if we may not trace it, ENOSYS on older kernels.
pub fn take(pidfd: BorrowedFd, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel just made this descriptor, and we are the first to own it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal to a process that was [`open`]ed (pidfd_send_signal(2)).
///
/// # Errors
/// ESRCH if it is dead, EPERM if it is not ours to signal.
pub fn signal(pidfd: BorrowedFd, signal: Signal) -> io::Result<()> {
    send(pidfd, i32::from(signal.0), 0)
}

/// Sends a signal to all of the process group that is named after a process, be
/// that dead or alive (Linux 6.9).
///
/// # Errors
/// ESRCH if the group has no members, EINVAL on older kernels.
pub fn signal_group(pidfd: BorrowedFd, signal: Signal) -> io::Result<()> {
    /// PIDFD_SIGNAL_PROCESS_GROUP of pidfd_send_signal(2).
    const PROCESS_GROUP: u32 = 1 << 2;
    send(pidfd, i32::from(signal.0), PROCESS_GROUP)
}

fn send(pidfd: BorrowedFd, number: i32, flags: u32) -> io::Result<()> {
    let (fd, no_info) = (pidfd.as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: a null siginfo is allowed, and makes the kernel fill one in.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, no_info, flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// struct pidfd_info of the kernel's pidfd.h, as of Linux 6.13.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    /// What is asked for, then what is answered.
    mask: u64,
    cgroup: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// PIDFD_INFO_EXIT, Linux 6.15.
const INFO_EXIT: u64 = 1 << 3;

/// PIDFD_GET_INFO: _IOWR(0xff, 11, struct pidfd_info of 64 bytes).
const GET_INFO: u32 = 3 << 30 | 64 << 16 | 0xff << 8 | 11;

/// How a process ended that somebody else has reaped, if this kernel tells.
pub fn exit(pidfd: BorrowedFd) -> Option<Exit> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // As a system call, for the type of a request differs between libraries.
    // SAFETY: the request writes as many bytes as its number says, the size of info.
    let done =
        unsafe { libc::syscall(libc::SYS_ioctl, pidfd.as_raw_fd(), GET_INFO, &raw mut info) };
    (done == 0 && info.mask & INFO_EXIT != 0).then(|| processes::exit_of(info.exit_code))
}
