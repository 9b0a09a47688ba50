//! The socket through which going hands over pipes and hears that they are read.
//! It is never waited for; whoever is not root or our own user is turned away.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, send,
    socket,
};
use nix::unistd::Uid;

use super::FIRST_CONNECTION;
use super::news::News;
use crate::protocol::Message;
use crate::sys::pipes;

/// A message is no longer than this.
pub const MESSAGE_MAX: usize = 8 * 1024;

/// So many messages of one connection in one turn.
const SHARE: usize = 64;

/// The listening socket and who came.
pub struct Wire {
    listener: OwnedFd,
    registry: Registry,
    /// The newest one is last, and going.
    connections: Vec<Connection>,
    next_token: usize,
    /// Messages for going, before any report.
    answers: VecDeque<Vec<u8>>,
}

struct Connection {
    socket: OwnedFd,
    token: usize,
    /// There may be something to be read.
    is_ready: bool,
}

/// What came with one datagram.
pub enum Incoming {
    /// A message, and the descriptors that came with it.
    Message(Message, Vec<OwnedFd>),
    /// A message about a pipe of this number, for whose descriptor there is no room.
    Lacking(u64),
    /// Something else; what is wrong with it.
    Malformed(String),
}

fn malformed() -> Incoming {
    let why = "a message is too long, or its descriptors are too many";
    Incoming::Malformed(why.to_owned())
}

/// Binds a socket of our own making, in place of an old one.
///
/// # Errors
/// What bind(2) and listen(2) say.
pub fn bind_to(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&listener, Backlog::new(16)?)?;
    Ok(listener)
}

impl Wire {
    /// Answers at this socket.
    pub fn new(listener: OwnedFd, registry: Registry) -> Wire {
        let next_token = FIRST_CONNECTION;
        Wire { listener, registry, connections: Vec::new(), next_token, answers: VecDeque::new() }
    }

    /// The descriptor of the listening socket.
    pub fn fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }

    /// Takes everybody who is waiting at the door.
    pub fn accept(&mut self) {
        loop {
            match pipes::accept(self.listener.as_fd()) {
                Ok(socket) => self.admit(socket),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Those who gave up; the rest will be told of by the poll.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    fn admit(&mut self, socket: OwnedFd) {
        let Ok(peer) = getsockopt(&socket, PeerCredentials) else { return };
        if peer.uid() != 0 && peer.uid() != Uid::effective().as_raw() {
            return;
        }
        let (token, interest) = (self.next_token, Interest::READABLE.add(Interest::WRITABLE));
        let fd = socket.as_raw_fd();
        if self.registry.register(&mut SourceFd(&fd), Token(token), interest).is_err() {
            return;
        }
        self.next_token = self.next_token.wrapping_add(1).max(FIRST_CONNECTION);
        self.connections.push(Connection { socket, token, is_ready: true });
        // What its predecessor was not told, it will ask for.
        self.answers.clear();
        let mut hello = Message::new();
        hello.add("hello", "going-log");
        hello.add("version", env!("CARGO_PKG_VERSION"));
        hello.add("pid", &std::process::id().to_string());
        self.answer(&hello);
    }

    /// There may be something of this connection.
    pub fn wake(&mut self, token: usize) {
        let connection = self.connections.iter_mut().find(|it| it.token == token);
        connection.into_iter().for_each(|it| it.is_ready = true);
    }

    /// Whether there may be something.
    pub fn is_ready(&self) -> bool {
        self.connections.iter().any(|it| it.is_ready)
    }

    /// Reads what came, a share of each connection.
    pub fn receive(&mut self) -> Vec<Incoming> {
        let mut incoming = Vec::new();
        let mut buffer = [0; MESSAGE_MAX];
        let mut gone = Vec::new();
        for connection in self.connections.iter_mut().filter(|it| it.is_ready) {
            for _ in 0..SHARE {
                match pipes::receive(connection.socket.as_fd(), &mut buffer) {
                    // Nobody sends nothing, so this is the end.
                    Ok(it) if it.length == 0 && it.fds.is_empty() => {
                        gone.push(connection.token);
                        connection.is_ready = false;
                        break;
                    }
                    Ok(it) if it.is_cut => {
                        let bytes = buffer.get(..it.length).unwrap_or_default();
                        let id = Message::parse(bytes).ok().and_then(|it| it.number("id"));
                        incoming.push(id.map_or_else(malformed, Incoming::Lacking));
                    }
                    Ok(it) => {
                        let bytes = buffer.get(..it.length).unwrap_or_default();
                        incoming.push(match Message::parse(bytes) {
                            Ok(message) => Incoming::Message(message, it.fds),
                            Err(why) => Incoming::Malformed(why.to_string()),
                        });
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        connection.is_ready = false;
                        if error.kind() != io::ErrorKind::WouldBlock {
                            gone.push(connection.token);
                        }
                        break;
                    }
                }
            }
        }
        for token in gone {
            self.close(token);
        }
        incoming
    }

    fn close(&mut self, token: usize) {
        if let Some(it) = self.connections.iter().find(|it| it.token == token) {
            let _ = self.registry.deregister(&mut SourceFd(&it.socket.as_raw_fd()));
        }
        self.connections.retain(|it| it.token != token);
    }

    /// Says something to going, if it is there: whoever connects later asks
    /// for all that matters.
    pub fn answer(&mut self, message: &Message) {
        if self.connections.is_empty() {
            return;
        }
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        self.answers.push_back(bytes);
    }

    /// Sends what is to be said, as far as that goes.
    pub fn flush(&mut self, news: &mut News) {
        let Some(going) = self.connections.last().map(|it| it.socket.as_raw_fd()) else { return };
        while let Some(answer) = self.answers.front() {
            if !try_send(going, answer) {
                return;
            }
            self.answers.pop_front();
        }
        while let Some((level, text)) = news.first() {
            let mut message = Message::new();
            message.add("report", text);
            message.add("level", level.word());
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            if !try_send(going, &bytes) {
                return;
            }
            news.drop_first();
        }
    }
}

/// False if it must be tried again.
fn try_send(fd: RawFd, bytes: &[u8]) -> bool {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match send(fd, bytes, flags) {
        // The poll tells when there is room, or that going is gone.
        Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR | Errno::EPIPE | Errno::ECONNRESET) => {
            false
        }
        // What the kernel never takes must not be in the way of all else.
        _ => true,
    }
}
