//! Pipes as their reader sees them, and messages that bring them.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{SockFlag, accept4};

/// How many bytes there are to be read (pipe(7)).
///
/// # Errors
/// ENOTTY if it is no pipe.
pub fn available(pipe: BorrowedFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to a place of ours.
    let done = unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut count) };
    check(done).map(|_| usize::try_from(count).unwrap_or(0))
}

/// Copies up to `length` bytes from the head of one pipe into another one,
/// without taking them out (tee(2)).
///
/// # Errors
/// EAGAIN if there is nothing, or no room.
pub fn tee(from: BorrowedFd, to: BorrowedFd, length: usize) -> io::Result<usize> {
    let flags = libc::SPLICE_F_NONBLOCK;
    // SAFETY: no memory is passed.
    let done = unsafe { libc::tee(from.as_raw_fd(), to.as_raw_fd(), length, flags) };
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}

/// Takes over a descriptor by its number, from whoever started us, and lets it
/// end with us.
///
/// # Errors
/// EBADF if it is not open.
///
/// It must be called once for a number, before anything else is opened.
pub fn inherit(number: RawFd) -> io::Result<OwnedFd> {
    if number < 3 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: asks whether the number is open, and fails if it is not.
    check(unsafe { libc::fcntl(number, libc::F_GETFD) })?;
    // SAFETY: it is open, and nobody here has it, for it was there before us.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

/// Takes a client of a listening socket, without waiting (accept4(2)).
///
/// # Errors
/// EAGAIN if there is none.
pub fn accept(listener: BorrowedFd) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let number = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: the kernel just made this descriptor, and we are the first to own it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// More descriptors than this do not come with one message (SCM_MAX_FD, unix(7)).
const RIGHTS_MAX: usize = 253;

/// A message as it came.
pub struct Received {
    /// How long it is.
    pub length: usize,
    /// What came with it.
    pub fds: Vec<OwnedFd>,
    /// Whether a part of it, or a descriptor, is lost.
    pub is_cut: bool,
    /// Which process of which user sent it, where the socket asks for that
    /// (SO_PASSCRED, unix(7)); 0 is one that we cannot see.
    pub sender: Option<(i32, u32)>,
}

/// Receives one message with its descriptors, without waiting (recvmsg(2)).
/// Unlike nix's, it loses no descriptor when there are too many.
///
/// # Errors
/// EAGAIN if there is none.
#[expect(clippy::useless_conversion, reason = "musl has other types in a msghdr than glibc")]
pub fn receive(socket: BorrowedFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // Words, for the header in it has to be aligned.
    let mut control = [0_u64; 8 + RIGHTS_MAX.div_ceil(2)];
    // SAFETY: all zeroes is a valid msghdr, with nothing in it.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control).try_into().unwrap_or(0);
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the header describes two buffers of ours by their true lengths.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let is_cut = header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    let (fds, sender) = rights(&header);
    Ok(Received { length, fds, is_cut, sender })
}

/// The descriptors in a received header, and who it is from.
#[expect(clippy::useless_conversion, reason = "musl has other types in a cmsghdr than glibc")]
fn rights(header: &libc::msghdr) -> (Vec<OwnedFd>, Option<(i32, u32)>) {
    let (mut fds, mut sender) = (Vec::new(), None);
    // SAFETY: the kernel filled the header and its control buffer.
    let mut item = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !item.is_null() {
        // SAFETY: the macros of cmsg(3) lead to complete headers or to null.
        let head = unsafe { ptr::read(item) };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: computes a size.
            let empty = unsafe { libc::CMSG_LEN(0) };
            let empty = usize::try_from(empty).unwrap_or(0);
            let length = usize::try_from(head.cmsg_len).unwrap_or(0).saturating_sub(empty);
            // SAFETY: the data of a header of this type.
            let first = unsafe { libc::CMSG_DATA(item) }.cast::<RawFd>();
            for index in 0..length / size_of::<RawFd>() {
                // SAFETY: inside of the data, whose length the header told.
                let place = unsafe { first.add(index) };
                // SAFETY: as above; the data need not be aligned.
                let number = unsafe { ptr::read_unaligned(place) };
                // SAFETY: the kernel just made this descriptor for us.
                fds.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_CREDENTIALS {
            // SAFETY: the data of a header of this type.
            let data = unsafe { libc::CMSG_DATA(item) }.cast::<libc::ucred>();
            // SAFETY: a ucred is all of that data, which need not be aligned.
            let it = unsafe { ptr::read_unaligned(data) };
            sender = Some((it.pid, it.uid));
        }
        // SAFETY: as for the first one.
        item = unsafe { libc::CMSG_NXTHDR(header, item) };
    }
    (fds, sender)
}

/// How far the local time at `seconds` since 1970 is ahead of UTC, in seconds
/// (localtime_r(3)).
pub fn local_offset(seconds: i64) -> i64 {
    // SAFETY: all zeroes is a valid struct tm.
    let mut parts: libc::tm = unsafe { mem::zeroed() };
    // SAFETY: both places are ours, and nobody changes the environment
    // meanwhile: going-log has one thread, and going-alert's leave it alone.
    let done = unsafe { libc::localtime_r(&raw const seconds, &raw mut parts) };
    if done.is_null() { 0 } else { parts.tm_gmtoff }
}

fn check(done: i32) -> io::Result<i32> {
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(done) }
}

/// Lets everybody else go first (nice(2)).
pub fn be_modest() {
    // SAFETY: no memory is passed.
    unsafe { libc::nice(19) };
}
