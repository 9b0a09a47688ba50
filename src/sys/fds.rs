//! Descriptors: which of them our children must not see, and writes that must
//! not wait.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{self, Gid, Uid};

/// Marks everything above stderr as closed on exec, for whoever started us may
/// have left descriptors open (close_range(2), Linux 5.11; before that by hand).
pub fn keep_from_children() {
    // SAFETY: no memory is passed, and no descriptor changes its owner.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done == 0 {
        return;
    }
    for number in 3..4096 {
        // SAFETY: on a number that is not open this fails with EBADF.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// Takes a descriptor that was handed over to us across exec, and is nobody's yet.
/// The standard streams are no such.
pub fn inherit(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: on a number that is not open this fails with EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    // All that is ours closes on exec, so this is none of ours.
    if number <= 2 || flags < 0 || flags & libc::FD_CLOEXEC != 0 {
        return None;
    }
    set_inherited(number, false);
    // SAFETY: it is open, and from now on closes on exec, so this is done once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sets whether a descriptor stays open across exec.
pub fn set_inherited(fd: RawFd, is_inherited: bool) {
    let flags = if is_inherited { 0 } else { libc::FD_CLOEXEC };
    // SAFETY: on a number that is not open this fails with EBADF.
    unsafe { libc::fcntl(fd, libc::F_SETFD, flags) };
}

/// Moves a descriptor out of the way of so many that a child is given from 3 on
/// (fcntl(2), F_DUPFD_CLOEXEC).
///
/// # Errors
/// EMFILE if there is no number left.
pub fn lift(fd: OwnedFd, given: usize) -> io::Result<OwnedFd> {
    let first = RawFd::try_from(given).unwrap_or(0).saturating_add(3);
    if given == 0 || fd.as_raw_fd() >= first {
        return Ok(fd);
    }
    let number = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(first))?;
    // SAFETY: the kernel just made this descriptor, and we are the first to own it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes connections from now on, so many at once before they are accepted
/// (listen(2)); nix lets no more than 4096 wait.
///
/// # Errors
/// EADDRINUSE if others do so there.
pub fn listen(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no memory is passed.
    let done = unsafe { libc::listen(socket.as_raw_fd(), backlog) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets those who read a descriptor wait, as they do without O_NONBLOCK.
///
/// # Errors
/// What fcntl(2) says.
pub fn set_waiting(fd: BorrowedFd) -> io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::empty()))?;
    Ok(())
}

/// The number of the inode that an open descriptor leads to.
pub fn inode(fd: RawFd) -> Option<u64> {
    // SAFETY: on a number that is not open fstat(2) fails with EBADF.
    fstat(unsafe { BorrowedFd::borrow_raw(fd) }).ok().map(|stat| stat.st_ino)
}

/// The limit of descriptors that we were given, and services get from us.
static GIVEN: OnceLock<(u64, u64)> = OnceLock::new();

/// Allows ourselves as many descriptors as the hard limit does: a thousand
/// services have a pipe each.
pub fn raise_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() {
        // The first time counts.
        let _ = GIVEN.set((soft, hard));
    }
}

/// Back to what we were given, for whoever we become next.
pub fn lower_limit() {
    if let Some((soft, hard)) = given_limit() {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
}

/// The limit that was raised for us, soft and hard.
pub fn given_limit() -> Option<(u64, u64)> {
    GIVEN.get().copied()
}

/// How many descriptors we may have (getrlimit(2)).
pub fn limit() -> Option<usize> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    usize::try_from(soft).ok()
}

/// `/dev/null`, to be given to services.
///
/// # Errors
/// What open(2) says.
pub fn open_null() -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).open("/dev/null")?.into())
}

/// Opens a pipe or terminal that `fd` leads to once more, so that our writes do
/// not wait, while those of the services which inherit `fd` still do: O_NONBLOCK
/// belongs to an opening, not to a descriptor (open(2)). A file does not make
/// anybody wait, and a second opening of it would have an offset of its own.
///
/// # Errors
/// What open(2) says of `/proc/self/fd`; `Unsupported` if there is no need.
pub fn reopen_nonblocking(fd: BorrowedFd) -> io::Result<OwnedFd> {
    let kind = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFIFO && kind != SFlag::S_IFCHR {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    Ok(OpenOptions::new().append(true).custom_flags(flags).open(path)?.into())
}

/// Opens a pipe once more, for reading and writing, and closes the end that was
/// given: a service that holds it may write without a reader, and whoever takes
/// over from us can open it again through /proc (proc(5), /proc/pid/fd). `owner`
/// is to be able to open it, too, as /dev/stdout.
///
/// # Errors
/// What open(2) says. Without /proc it is the given end, which
/// waits, as services expect.
pub fn reopen_pipe(end: OwnedFd, owner: Option<(u32, u32)>) -> io::Result<OwnedFd> {
    if let Some((uid, gid)) = owner {
        // Without the right to do so we cannot change to that user either, which
        // is told then.
        let _ = unistd::fchown(&end, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
    let path = format!("/proc/self/fd/{}", end.as_raw_fd());
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(pipe) => Ok(pipe.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fcntl(&end, FcntlArg::F_SETFL(OFlag::empty()))?;
            Ok(end)
        }
        Err(error) => Err(error),
    }
}

/// How many bytes a pipe takes at once, whole pages being free or not at all
/// (pipe(7)).
///
/// # Errors
/// What fcntl(2) and ioctl(2) say.
pub fn room(pipe: BorrowedFd) -> io::Result<usize> {
    let size = usize::try_from(fcntl(pipe, FcntlArg::F_GETPIPE_SZ)?).unwrap_or(0);
    let mut held: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int (ioctl_tty(2), pipe(7)).
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut held) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // Each write may have left a page that is not full.
    let held = usize::try_from(held).unwrap_or(0);
    Ok(if held == 0 { size } else { size.saturating_sub(held).saturating_sub(4096) })
}

/// Whether a write to `fd` would be taken at once, as far as poll(2) can tell.
pub fn is_ready(fd: BorrowedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}
