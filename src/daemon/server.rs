//! The control socket: bytes in, bytes out, never waiting for either. A client
//! that is slow, stuck or malicious costs a bounded buffer and nothing else; what
//! the requests mean is `answer.rs`'s business.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::Daemon;
use super::answer::Work;
use super::rundir::RunDirectory;
use crate::protocol::{Code, Decoder, Request};
use crate::supervise::Moment;
use crate::sys;

/// Clients are known by their place, above any pid there can be (proc(5),
/// pid_max).
const FIRST_CLIENT: usize = 1 << 30;
pub(super) const LISTENER: usize = FIRST_CLIENT - 1;

/// A reply is written in pieces of about this size, made as they are read: small,
/// for a client makes something of one while we make the next.
const PIECE: usize = 2 * 1024;

/// So many requests and pieces of one client in one turn; then others have theirs.
const SHARE: usize = 16;

/// So many new clients in one turn, or whoever connects in a loop would keep the
/// loop here for ever.
const GUESTS: usize = 32;

/// Out of descriptors, so long until we try to take a client again.
const PAUSE: Duration = Duration::from_secs(1);

/// The listening socket and everybody who came.
pub(super) struct Server {
    pub(super) run_directory: RunDirectory,
    listener: UnixListener,
    registry: Registry,
    clients: Vec<Option<Client>>,
    /// Half the descriptors we may have: the other half is for services.
    clients_max: usize,
    /// Not listening until then, having too many clients.
    paused_until: Option<Moment>,
    /// A client had more to say than its share.
    has_more: bool,
}

/// Somebody who asks.
pub(super) struct Client {
    stream: UnixStream,
    /// Whose process it is, as the kernel saw it connect (unix(7)).
    pub(super) uid: u32,
    pub(super) gid: u32,
    decoder: Decoder,
    /// What is to be written, and how much of it is.
    pub(super) out: Vec<u8>,
    written: usize,
    pub(super) work: Work,
    /// It may be read or written without being told so by the poll.
    is_ready: bool,
    /// To be closed as soon as all is written.
    is_leaving: bool,
    last_heard: Moment,
}

impl Server {
    /// Listens in the run directory.
    ///
    /// # Errors
    /// What bind(2) and epoll_ctl(2) say.
    pub(super) fn new(
        mut run_directory: RunDirectory,
        listener: Option<OwnedFd>,
        registry: &Registry,
    ) -> std::io::Result<Server> {
        let listener = run_directory.listen(listener)?;
        let registry = registry.try_clone()?;
        listen(&registry, listener.as_raw_fd(), LISTENER, Interest::READABLE)?;
        let clients_max = sys::fds::limit().map_or(512, |limit| limit / 2).clamp(8, 4096);
        Ok(Server {
            run_directory,
            listener,
            registry,
            clients: Vec::new(),
            clients_max,
            paused_until: None,
            has_more: false,
        })
    }

    /// Listens anew if the socket is not there any more; whether that was so.
    ///
    /// # Errors
    /// As for [`Server::new`].
    pub(super) fn listen_again(&mut self) -> std::io::Result<bool> {
        if self.run_directory.has_socket() {
            return Ok(false);
        }
        let new = self.run_directory.listen(None)?;
        listen(&self.registry, new.as_raw_fd(), LISTENER, Interest::READABLE)?;
        let old = std::mem::replace(&mut self.listener, new);
        let _ = self.registry.deregister(&mut SourceFd(&old.as_raw_fd()));
        Ok(true)
    }

    /// When it has something to do by itself.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        if self.has_more { Some(now) } else { self.paused_until }
    }

    /// How many clients there are.
    pub(super) fn count(&self) -> usize {
        self.clients.iter().flatten().count()
    }

    /// What another going in our place needs: the lock, the listening socket, and
    /// the client who asked for it, -1 if that is gone.
    pub(super) fn handover(&self) -> [RawFd; 3] {
        let asking = self.clients.iter().flatten().find(|it| it.work.is_upgrade());
        let asking = asking.map_or(-1, |it| it.stream.as_raw_fd());
        [self.run_directory.lock(), self.listener.as_raw_fd(), asking]
    }

    /// Takes everybody who is waiting at the door.
    fn accept(&mut self, now: Moment) {
        for _ in 0..GUESTS {
            if self.count() >= self.clients_max && !self.evict() {
                return self.pause(now);
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(nix::libc::ECONNABORTED) => {}
                // No descriptors or no memory. The poll is edge-triggered and
                // will not tell of this client again, so we come back by time.
                Err(_) => return self.pause(now),
            }
        }
        // There may be more, and the poll tells of them once; but services have
        // their turn first.
        self.paused_until = Some(now);
    }

    fn pause(&mut self, now: Moment) {
        self.paused_until = Some(now.after(PAUSE));
    }

    fn admit(&mut self, stream: UnixStream, now: Moment) {
        let Ok(peer) = getsockopt(&stream, PeerCredentials) else { return };
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let place = self.clients.iter().position(Option::is_none).unwrap_or(self.clients.len());
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        if listen(&self.registry, stream.as_raw_fd(), FIRST_CLIENT + place, interest).is_err() {
            return;
        }
        let client = Some(Client {
            stream,
            uid: peer.uid(),
            gid: peer.gid(),
            decoder: Decoder::new(),
            out: Vec::new(),
            written: 0,
            work: Work::None,
            is_ready: true,
            is_leaving: false,
            last_heard: now,
        });
        match self.clients.get_mut(place) {
            Some(free) => *free = client,
            None => self.clients.push(client),
        }
    }

    /// Shows out whoever has been silent longest, so that nobody can keep root
    /// away by keeping all places; root and our own user stay. Whether there was one.
    fn evict(&mut self) -> bool {
        let others = self.clients.iter().enumerate();
        let others = others.filter_map(|(place, it)| it.as_ref().map(|it| (place, it)));
        let idlest = others.filter(|(_, it)| !it.may_all()).min_by_key(|(_, it)| it.last_heard);
        let Some((place, _)) = idlest else { return false };
        self.close(place);
        true
    }

    fn close(&mut self, place: usize) {
        if let Some(client) = self.clients.get_mut(place).and_then(Option::take) {
            let _ = self.registry.deregister(&mut SourceFd(&client.stream.as_raw_fd()));
        }
        while matches!(self.clients.last(), Some(None)) {
            self.clients.pop();
        }
    }
}

fn listen(registry: &Registry, fd: RawFd, token: usize, interest: Interest) -> std::io::Result<()> {
    registry.register(&mut SourceFd(&fd), Token(token), interest)
}

impl Client {
    /// Writes what there is; false if the client is gone.
    fn flush(&mut self) -> bool {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return false,
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        // Most clients are silent most of the time, so their space is given back.
        self.out = Vec::new();
        self.written = 0;
        true
    }

    /// Reads once; false if nothing more will come.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.decoder.feed(bytes.get(..count).unwrap_or_default());
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_ready = false;
                true
            }
            Err(error) => error.kind() == ErrorKind::Interrupted,
        }
    }
}

impl Daemon {
    /// Takes new clients and serves those who are ready.
    pub(super) fn serve_clients(&mut self) {
        let now = self.now;
        let Some(server) = &mut self.server else { return };
        let may_try = server.paused_until.take_if(|until| *until <= now).is_some();
        if may_try || self.heard.contains(&LISTENER) {
            server.accept(now);
        }
        for token in &self.heard {
            let place = token.checked_sub(FIRST_CLIENT);
            if let Some(Some(client)) = place.and_then(|place| server.clients.get_mut(place)) {
                client.is_ready = true;
            }
        }
        server.has_more = false;
        for place in 0..server.clients.len() {
            self.serve_client(place, |client| client.is_ready);
        }
    }

    /// Brings news to those who follow the events.
    pub(super) fn publish(&mut self) {
        let places = self.server.as_ref().map_or(0, |server| server.clients.len());
        for place in 0..places {
            let serial = self.events_ring.serial();
            self.serve_client(place, |client| client.work.awaits(serial));
        }
    }

    fn serve_client(&mut self, place: usize, is_due: impl Fn(&Client) -> bool) {
        let Some(server) = &mut self.server else { return };
        let Some(free) = server.clients.get_mut(place) else { return };
        // Taken out while it is served, for serving it may need all of us.
        let Some(mut client) = free.take_if(|client| is_due(client)) else { return };
        client.is_ready = true;
        let is_here = self.converse(&mut client);
        let Some(server) = &mut self.server else { return };
        server.has_more |= is_here && client.is_ready;
        if let Some(free) = server.clients.get_mut(place) {
            *free = Some(client);
        }
        if !is_here {
            server.close(place);
        }
    }

    /// Writes, makes more to write, reads; false when the client is done with.
    fn converse(&mut self, client: &mut Client) -> bool {
        for _ in 0..SHARE {
            // What clients are told has been written down for the next going.
            self.follow_up();
            if !client.flush() {
                return false;
            }
            if !client.out.is_empty() {
                return true;
            }
            if client.is_leaving {
                return false;
            }
            while client.out.len() < PIECE && self.work_on(client) {}
            if !client.out.is_empty() {
                continue;
            }
            if client.work.is_upgrade() {
                // Its answer comes with the end of the upgrade, and nothing is
                // read before that: some close their side after the question.
                client.is_ready = false;
                return true;
            }
            match client.decoder.message() {
                Ok(Some(_)) if client.work.is_endless() => return false,
                Ok(Some(message)) => {
                    client.last_heard = self.now;
                    match Request::from_message(&message) {
                        Ok(request) => self.answer(client, request),
                        Err(refusal) => self.refuse_request(client, refusal.code, &refusal.message),
                    }
                }
                Ok(None) => {
                    if !client.read() {
                        return false;
                    }
                    if !client.is_ready {
                        return true;
                    }
                }
                Err(malformed) => {
                    self.refuse_request(client, Code::Invalid, &malformed.to_string());
                    client.is_leaving = true;
                }
            }
        }
        true
    }
}
