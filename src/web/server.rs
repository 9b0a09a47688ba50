//! Connections: a thread for each, of which there are only so many, and each
//! thing that is waited for has an end. Whoever is slow keeps nobody else waiting.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::Builder;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{MsgFlags, getsockopt, recv};

use super::auth::Peer;
use super::guests::Who;
use super::http::{Refusal, Request, Response, Rest};
use super::route::{self, Answer};
use super::{Web, live};
use crate::supervise::Moment;
use crate::sys;

/// Each takes a few pages of memory, until it asks for something.
pub const CONNECTIONS_MAX: usize = 2048;

/// In bytes. What a thread needs is on the heap, or small.
const STACK: usize = 256 * 1024;

/// For a whole request, from its first byte on.
const ASKING: Duration = Duration::from_secs(15);

/// For a whole answer, or a piece of one that has no end.
const ANSWERING: Duration = Duration::from_secs(30);

/// Between two requests.
const IDLING: Duration = Duration::from_secs(60);

/// When the kernel can take no connection, it may soon.
const AGAIN: u16 = 100;

/// What we listen on.
#[derive(Debug)]
pub enum Door {
    /// A network.
    Net(TcpListener),
    /// A file.
    File(UnixListener),
}

impl Door {
    fn accept(&self) -> io::Result<(UnixStream, Peer, Who)> {
        match self {
            Door::Net(listener) => {
                let (stream, address) = listener.accept()?;
                stream.set_nodelay(true)?;
                let who = Who::at(address.ip());
                let peer = if who == Who::Here { Peer::Here } else { Peer::Afar };
                // Of what a socket can do, we need what all kinds can.
                Ok((UnixStream::from(OwnedFd::from(stream)), peer, who))
            }
            Door::File(listener) => {
                let (stream, _) = listener.accept()?;
                let user = getsockopt(&stream, PeerCredentials)?.uid();
                Ok((stream, Peer::File, Who::User(user)))
            }
        }
    }

    /// Takes connections for ever.
    pub fn serve(&self, web: &'static Web) {
        loop {
            let Ok((stream, peer, who)) = self.accept() else {
                // Too many files are open, or the client is gone again.
                let _ = poll(&mut [], PollTimeout::from(AGAIN));
                continue;
            };
            let Some(guest) = web.guests.come(who) else {
                turn_away(stream);
                continue;
            };
            let thread = Builder::new().stack_size(STACK);
            // Without a thread for it, it is closed.
            let _ = thread.spawn(move || {
                let _guest = guest;
                talk(web, Patient { stream, until: sys::monotonic() }, peer, who);
            });
        }
    }
}

fn turn_away(stream: UnixStream) {
    let mut stream = stream;
    let full = Response::text(503, "too many connections; come back when some of yours are closed")
        .with("Retry-After", "5");
    let _ = stream.set_nonblocking(true);
    let _ = full.write(&mut stream, true, false);
}

/// A stream on which nothing takes longer than it may.
#[derive(Debug)]
pub struct Patient {
    stream: UnixStream,
    until: Moment,
}

impl Patient {
    /// Has all that follows end in time.
    pub fn hurry(&mut self, patience: Duration) {
        self.until = sys::monotonic().after(patience);
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.until.since(sys::monotonic());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }

    /// Whether the other side is gone. What it says meanwhile is not heard:
    /// supervisorctl sends an empty line too many, sooner or later.
    pub fn is_done(&self) -> bool {
        let mut buffer = [0; 512];
        let (fd, flags) = (self.stream.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        match recv(fd, &mut buffer, flags) {
            Ok(length) => length == 0,
            Err(error) => !matches!(error, Errno::EAGAIN | Errno::EINTR),
        }
    }

    /// To be polled along with other things.
    pub fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers requests until there are no more.
fn talk(web: &Web, mut stream: Patient, peer: Peer, who: Who) {
    let mut rest = Rest::default();
    loop {
        if rest.is_empty() && !waits(&mut stream) {
            return;
        }
        stream.hurry(ASKING);
        let request = match Request::read(&mut stream, &mut rest) {
            Ok(request) => request,
            Err(Refusal::Gone) => return,
            Err(Refusal::Status(status, why)) => {
                stream.hurry(ANSWERING);
                let _ = Response::text(status, why).write(&mut stream, true, false);
                linger(stream);
                return;
            }
        };
        let is_lasting = request.is_lasting;
        let has_body = request.method != "HEAD";
        let answer = route::answer(web, &request, peer);
        stream.hurry(ANSWERING);
        let written = match answer {
            Answer::Whole(response) => response.write(&mut stream, has_body, is_lasting),
            // There is nothing to come.
            Answer::Endless(_) if !has_body => {
                Response::new(200, live::EVENTS, "").write(&mut stream, false, is_lasting)
            }
            Answer::Endless(live) => {
                let _ = live.run(web, &mut stream, who, request.is_modern);
                return;
            }
        };
        if written.is_err() || !is_lasting {
            return;
        }
    }
}

/// Waits for the next request.
fn waits(stream: &mut Patient) -> bool {
    stream.hurry(IDLING);
    let Ok(Some(left)) = stream.left() else { return false };
    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], left) == Ok(1)
}

/// Lets the client read why before it is told that nobody listens: to close with
/// something unread throws away what was written (RFC 9112, 9.6).
fn linger(stream: Patient) {
    let mut stream = stream;
    let _ = stream.stream.shutdown(std::net::Shutdown::Write);
    stream.hurry(Duration::from_secs(2));
    let mut buffer = [0; 4096];
    let mut left = 256;
    while left > 0 && stream.read(&mut buffer).is_ok_and(|length| length > 0) {
        left -= 1;
    }
}
