//! Whether somebody takes connections at an address: tried again and again, with pauses
//! that get longer, while the service is on its way up.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getpeername, getsockname,
    getsockopt, socket,
};

use super::{Daemon, Way};
use crate::supervise::Moment;

/// From this to that is waited between two attempts: short enough not to be noticed, and
/// long enough not to be a burden.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Who has not answered in this time is asked anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// An address at which somebody is to be.
pub(super) struct Port {
    address: SocketAddr,
    /// A connection under way.
    socket: Option<OwnedFd>,
    /// When it is tried next, or the connection under way given up.
    pub(super) at: Option<Moment>,
    pause: Duration,
}

impl Port {
    pub(super) fn new(address: SocketAddr) -> Port {
        Port { address, socket: None, at: None, pause: PAUSE_MIN }
    }

    pub(super) fn fd(&self) -> Option<RawFd> {
        self.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Has it tried from now on.
    pub(super) fn begin(&mut self, now: Moment) {
        self.at = self.at.or(Some(now));
    }

    /// Goes on with it; whether somebody is there. `is_heard` is whether the poll told of
    /// the connection under way.
    fn go_on(&mut self, token: Token, is_heard: bool, registry: &Registry, now: Moment) -> bool {
        let Some(at) = self.at else { return false };
        if let Some(socket) = self.socket.take_if(|_| is_heard || at <= now) {
            let _ = registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
            if is_heard && is_connected(&socket) {
                return true;
            }
            return self.rest(now);
        }
        if self.socket.is_some() || now < at {
            return false;
        }
        let family =
            if self.address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let Ok(socket) = socket(family, SockType::Stream, flags, None) else {
            return self.rest(now);
        };
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(self.address)) {
            Ok(()) if is_connected(&socket) => return true,
            Err(Errno::EINPROGRESS) => {}
            Ok(()) | Err(_) => return self.rest(now),
        }
        let mut source = SourceFd(&socket.as_raw_fd());
        if registry.register(&mut source, token, Interest::WRITABLE).is_err() {
            return self.rest(now);
        }
        self.socket = Some(socket);
        self.at = Some(now.after(PATIENCE));
        false
    }

    /// Waits for the next attempt.
    fn rest(&mut self, now: Moment) -> bool {
        self.at = Some(now.after(self.pause));
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        false
    }
}

/// Whether there is somebody else at the other end: who connects to a port that nobody
/// has may be given that very port, and so reach itself.
fn is_connected(socket: &OwnedFd) -> bool {
    let name = |it: Result<SockaddrStorage, Errno>| it.ok();
    let (own, peer) =
        (name(getsockname(socket.as_raw_fd())), name(getpeername(socket.as_raw_fd())));
    getsockopt(socket, SocketError) == Ok(0) && peer.is_some() && own != peer
}

impl Daemon {
    /// Tries whether those answer that are waited for.
    pub(super) fn try_ports(&mut self) {
        let Some(readiness) = &mut self.readiness else { return };
        let mut ready = Vec::new();
        for wait in &mut readiness.waits {
            let token = wait.token();
            let is_heard = self.heard.contains(&token.0);
            if let Way::Port(port) = &mut wait.way {
                if port.go_on(token, is_heard, self.poll.registry(), self.now) {
                    ready.push(wait.slot);
                }
            }
        }
        ready.into_iter().for_each(|slot| self.step_ready(slot));
    }
}
