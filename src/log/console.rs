//! Our own stdout, which is going's, and often somebody's terminal or the log of
//! a container. Only whole lines go there. It may be stuck for as long as it
//! likes: whoever writes to logs does not wait for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

use crate::sys::fds;

/// A write of so much to a pipe is not torn apart by those of others (pipe(7)).
pub const ATOMIC: usize = 4096;

/// Where lines go.
pub struct Console {
    way: Way,
    pending: Vec<u8>,
    written: usize,
    /// Whose lines are pending, and how much of its pipe they are.
    owner: Option<(u64, usize)>,
    /// It takes nothing now.
    pub is_stuck: bool,
}

/// How it can be written without waiting.
enum Way {
    /// Opened by ourselves, so that it does not wait.
    Own(File),
    /// A socket, where each call may say so.
    Socket,
    /// A file, or something that we may not open: asked before each write.
    Asked,
}

impl Console {
    /// Our stdout.
    pub fn new() -> Console {
        let stdout = io::stdout();
        let kind = fstat(stdout.as_fd())
            .map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT);
        let way = if kind == SFlag::S_IFSOCK {
            Way::Socket
        } else {
            let own = fds::reopen_nonblocking(stdout.as_fd());
            own.map_or(Way::Asked, |own| Way::Own(own.into()))
        };
        Console { way, pending: Vec::new(), written: 0, owner: None, is_stuck: false }
    }

    /// The descriptor that tells when it takes something again.
    pub fn fd(&self) -> RawFd {
        match &self.way {
            Way::Own(file) => file.as_raw_fd(),
            Way::Socket | Way::Asked => io::stdout().as_raw_fd(),
        }
    }

    /// Whether lines can be added.
    pub fn is_free(&self) -> bool {
        self.owner.is_none()
    }

    /// Adds lines, for which so much of a stream's pipe is to be taken out when
    /// they are written.
    pub fn add(&mut self, lines: &[u8], id: u64, length: usize) {
        self.pending.extend_from_slice(lines);
        self.owner = Some((id, length));
    }

    /// Writes what is pending as far as that goes. Whose it was, when all of it
    /// is written or cannot be.
    pub fn flush(&mut self) -> Option<(u64, usize)> {
        self.is_stuck = false;
        while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
            let rest = rest.get(..ATOMIC).unwrap_or(rest);
            let stdout = io::stdout();
            let done = match &mut self.way {
                Way::Own(file) => file.write(rest),
                Way::Socket => {
                    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                    send(stdout.as_raw_fd(), rest, flags).map_err(io::Error::from)
                }
                Way::Asked if !fds::is_ready(stdout.as_fd()) => {
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Way::Asked => nix::unistd::write(stdout.as_fd(), rest).map_err(io::Error::from),
            };
            match done {
                Ok(count) if count > 0 => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_stuck = true;
                    return None;
                }
                // Nobody will ever read it.
                Ok(_) | Err(_) => break,
            }
        }
        self.pending.clear();
        self.written = 0;
        self.owner.take()
    }
}
