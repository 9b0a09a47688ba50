//! Sockets that outlived a going: handed over by the one before us in this process,
//! or taken back from the service that runs with them. Only what has the very address
//! that the service's file asks for is ever taken for one.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::sys::socket::sockopt::{AcceptConn, SockType};
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getsockname, getsockopt};

use super::super::Daemon;
use super::Held;
use super::open::kind;
use crate::config::line_of;
use crate::config::listen::{Address, LISTENS_MAX, Listen};
use crate::supervise::{Pid, Slot};
use crate::sys::{fds, pidfds};

/// So many descriptors of a service are looked at. It got its sockets as the first
/// ones, and why should it have moved them.
const LOOKS_MAX: usize = 4096;

impl Daemon {
    /// Takes what the going before us in this process left for a line of a service.
    pub(super) fn claim(&mut self, slot: Slot, listen: &Listen) -> bool {
        let name = self.supervisor.get(slot).map_or("", |it| &it.name);
        let left = &mut self.listeners.left;
        let Some(index) = left.iter().position(|(fd, of)| of == name && is_it(fd, listen)) else {
            return false;
        };
        let (fd, _) = left.swap_remove(index);
        self.listeners.held.push(Held::new(slot, listen.clone(), fd));
        true
    }

    /// Takes back the sockets of a service that ran while nobody supervised it. What
    /// cannot be had is opened when it is started the next time.
    pub(in crate::daemon) fn reclaim_sockets(&mut self, slot: Slot, pid: Pid) {
        let text = self.supervisor.get(slot).map(|it| &it.definition.text);
        let is_asked = text.is_some_and(|text| line_of(text, "listen") > 0);
        if !is_asked && self.defaults.listen.is_empty() {
            return;
        }
        let Some(spec) = self.spec(slot) else { return };
        for listen in &spec.listen {
            if !self.claim(slot, listen) {
                let found = find(pid, listen).into_iter();
                self.listeners.held.extend(found.map(|fd| Held::new(slot, listen.clone(), fd)));
            }
        }
    }

    /// What nobody claimed is of no use any more.
    pub(in crate::daemon) fn drop_unclaimed_sockets(&mut self) {
        self.listeners.left = Vec::new();
    }

    /// All sockets, for a going that takes our place: descriptors, and of whom.
    pub(in crate::daemon) fn bequeathed_sockets(&self) -> Vec<(RawFd, String)> {
        let held = self.listeners.held.iter().filter_map(|it| {
            let name = &self.supervisor.get(it.slot)?.name;
            Some((it.fd.as_raw_fd(), format!("l{name}")))
        });
        held.collect()
    }
}

/// The socket of a process with this address, as a descriptor of ours
/// (pidfd_getfd(2), Linux 5.6, and only from whom we may trace).
fn find(pid: Pid, listen: &Listen) -> Option<OwnedFd> {
    let process = pidfds::open(pid).ok()?;
    let entries = fs::read_dir(format!("/proc/{}/fd", pid.0)).ok()?;
    entries.flatten().take(LOOKS_MAX).find_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        if !link.as_os_str().as_bytes().starts_with(b"socket:") {
            return None;
        }
        let number = entry.file_name().to_str()?.parse().ok()?;
        let fd = pidfds::take(process.as_fd(), number).ok().filter(|fd| is_it(fd, listen))?;
        fds::lift(fd, LISTENS_MAX).ok()
    })
}

/// Whether a descriptor is the socket that a line asks for.
fn is_it(fd: &OwnedFd, listen: &Listen) -> bool {
    let is_kind = getsockopt(fd, SockType).is_ok_and(|it| it == kind(listen.protocol));
    // A connection has the address of the socket it came through.
    let is_listening = getsockopt(fd, AcceptConn).unwrap_or(false);
    if !is_kind || is_listening != listen.protocol.has_connections() {
        return false;
    }
    let Ok(name) = getsockname::<SockaddrStorage>(fd.as_raw_fd()) else { return false };
    let is_ip = |address: IpAddr, port| internet(&name) == Some(SocketAddr::new(address, port));
    match &listen.address {
        Address::Any(port) => {
            is_ip(Ipv6Addr::UNSPECIFIED.into(), *port) || is_ip(Ipv4Addr::UNSPECIFIED.into(), *port)
        }
        Address::Ip(address) => internet(&name) == Some(*address),
        Address::Path(path) => {
            let own = name.as_unix_addr().and_then(|it| it.path());
            own.is_some_and(|own| own.as_os_str().as_bytes() == path.as_bytes())
        }
        Address::Abstract(it) => {
            name.as_unix_addr().and_then(|it| it.as_abstract()) == Some(it.as_bytes())
        }
    }
}

fn internet(name: &SockaddrStorage) -> Option<SocketAddr> {
    let four = || name.as_sockaddr_in().map(|it| SocketAddr::V4((*it).into()));
    let six = || name.as_sockaddr_in6().map(|it| SocketAddr::V6((*it).into()));
    name.family().and_then(|_| four().or_else(six))
}
