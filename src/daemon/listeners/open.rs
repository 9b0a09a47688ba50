//! Opens one socket. Root does so in directories that others can write to, too: no
//! link and no file that they put there may lead astray what is bound, given away or
//! removed here.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{self, AtFlags, OFlag};
use nix::sys::socket::sockopt::{IpFreebind, Ipv6V6Only, ReuseAddr, ReusePort};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, UnixAddr, bind, connect, setsockopt, socket,
};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, umask};
use nix::unistd::{Gid, Uid, fchownat};

use crate::config::listen::{Address, LISTENS_MAX, Listen, Protocol};
use crate::sys::fds;

/// Whose the file of a socket is to be, as far as that is not ours.
pub(in crate::daemon) type Owner = (Option<Uid>, Option<Gid>);

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}

/// What socket(2) knows it by.
pub(super) fn kind(protocol: Protocol) -> SockType {
    match protocol {
        Protocol::Tcp | Protocol::Unix => SockType::Stream,
        Protocol::Udp | Protocol::UnixDgram => SockType::Datagram,
        Protocol::UnixSeqpacket => SockType::SeqPacket,
    }
}

/// Opens a socket, ready for connections, above the numbers that services get theirs
/// as.
///
/// # Errors
/// What the kernel says, and: EEXIST if there is something else in its place, EPERM if
/// strangers may change that place.
pub(super) fn open(listen: &Listen, owner: Owner) -> Result<OwnedFd, Errno> {
    let fd = match &listen.address {
        Address::Any(port) => {
            let any = |address| open_internet(listen, SocketAddr::new(address, *port));
            match any(Ipv6Addr::UNSPECIFIED.into()) {
                // There is no IPv6 here.
                Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if !listen.v6only => {
                    any(Ipv4Addr::UNSPECIFIED.into())
                }
                opened => opened,
            }
        }
        Address::Ip(address) => open_internet(listen, *address),
        Address::Path(path) => open_file(listen, path, owner),
        Address::Abstract(name) => {
            let fd = new(AddressFamily::Unix, listen)?;
            bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
            Ok(fd)
        }
    }?;
    if listen.protocol.has_connections() {
        let backlog = listen.backlog.and_then(|it| i32::try_from(it).ok());
        // The kernel makes of -1 the most that it allows.
        fds::listen(&fd, backlog.unwrap_or(-1)).map_err(|error| errno(&error))?;
    }
    fds::lift(fd, LISTENS_MAX).map_err(|error| errno(&error))
}

fn new(family: AddressFamily, listen: &Listen) -> Result<OwnedFd, Errno> {
    socket(family, kind(listen.protocol), SockFlag::SOCK_CLOEXEC, None)
}

fn open_internet(listen: &Listen, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let fd = new(family, listen)?;
    if listen.protocol == Protocol::Tcp {
        // Connections of the last run may linger (tcp(7)); for datagrams this would
        // mean something else: that others may listen, too.
        setsockopt(&fd, ReuseAddr, &true)?;
    }
    if listen.reuse_port {
        setsockopt(&fd, ReusePort, &true)?;
    }
    if listen.freebind {
        setsockopt(&fd, IpFreebind, &true)?;
    }
    if address.is_ipv6() {
        setsockopt(&fd, Ipv6V6Only, &listen.v6only)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

fn open_file(listen: &Listen, path: &str, owner: Owner) -> Result<OwnedFd, Errno> {
    prepare_directory(Path::new(path))?;
    let fd = new(AddressFamily::Unix, listen)?;
    let address = UnixAddr::new(path)?;
    // A file is made with the mode of its socket, so that there is no moment in which
    // more may connect to it.
    fchmod(&fd, Mode::from_bits_truncate(listen.mode))?;
    let bind = || {
        let before = umask(Mode::empty());
        let bound = bind(fd.as_raw_fd(), &address);
        umask(before);
        bound
    };
    match bind() {
        Err(Errno::EADDRINUSE) => {
            remove_stale(path, &address, owner)?;
            bind()?;
        }
        bound => bound?,
    }
    give_away(path, owner)?;
    Ok(fd)
}

/// Makes the directory if it is missing, as after a boot, and has a look at it.
fn prepare_directory(path: &Path) -> Result<(), Errno> {
    let Some(directory) = path.parent() else { return Err(Errno::ENOENT) };
    let metadata = match fs::metadata(directory) {
        Ok(metadata) => metadata,
        Err(_) => {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
            made.and_then(|()| fs::metadata(directory)).map_err(|error| errno(&error))?
        }
    };
    let is_open_to_all = metadata.mode() & 0o1002 == 0o002;
    if Uid::effective().is_root() && is_open_to_all { Err(Errno::EPERM) } else { Ok(()) }
}

/// Removes the socket of somebody who is no more.
fn remove_stale(path: &str, address: &UnixAddr, owner: Owner) -> Result<(), Errno> {
    let metadata = fs::symlink_metadata(path).map_err(|error| errno(&error))?;
    let known = [Some(Uid::effective()), Some(Uid::from_raw(0)), owner.0];
    let is_known = known.contains(&Some(Uid::from_raw(metadata.uid())));
    if !metadata.file_type().is_socket() || !is_known {
        return Err(Errno::EEXIST);
    }
    // For datagrams, so that nobody who listens for connections is bothered: they
    // have the wrong type, and that is all we want to know.
    let probe = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    match connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(|error| errno(&error)),
        _ => Err(Errno::EADDRINUSE),
    }
}

/// Gives the file of a new socket to its owner. It may have been swapped for another
/// one already; then that keeps its owner.
fn give_away(path: &str, (uid, gid): Owner) -> Result<(), Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = fcntl::open(path, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let is_socket = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK;
    if !is_socket || stat.st_nlink != 1 || stat.st_uid != Uid::effective().as_raw() {
        return Err(Errno::EPERM);
    }
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    fchownat(&file, "", uid, gid, AtFlags::AT_EMPTY_PATH)
}
