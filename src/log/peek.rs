//! Looks at what is in a pipe without taking it out. So a pipe is its own buffer:
//! what could not be handed on is still in there, whoever dies.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{pipe2, read};

use super::lines::LINE_MAX;
use crate::sys::pipes;

/// A pipe for copies of what is in other ones.
pub struct Peek {
    read: OwnedFd,
    write: OwnedFd,
    bytes: Vec<u8>,
}

impl Peek {
    /// Makes the pipe.
    ///
    /// # Errors
    /// What pipe2(2) says.
    pub fn new() -> io::Result<Peek> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        Ok(Peek { read, write, bytes: Vec::new() })
    }

    /// The first byte in a pipe that is not empty.
    ///
    /// # Errors
    /// What tee(2) and read(2) say.
    pub fn first(&mut self, pipe: BorrowedFd) -> io::Result<u8> {
        let mut bytes = [0];
        pipes::tee(pipe, self.write.as_fd(), 1)?;
        read(&self.read, &mut bytes)?;
        let [first] = bytes;
        Ok(first)
    }

    /// What is in a pipe, up to a line of the greatest length; nothing if it is
    /// empty.
    ///
    /// # Errors
    /// What tee(2) and read(2) say.
    pub fn all(&mut self, pipe: BorrowedFd) -> io::Result<&[u8]> {
        if self.bytes.is_empty() {
            self.bytes = vec![0; LINE_MAX + 1];
            // The bytes of a line may lie in more parts than a pipe has by
            // default. Without more of them, long lines are broken earlier.
            let size = i32::try_from(4 * LINE_MAX).unwrap_or(i32::MAX);
            let _ = fcntl(&self.write, FcntlArg::F_SETPIPE_SZ(size));
        }
        let length = match pipes::tee(pipe, self.write.as_fd(), self.bytes.len()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            done => done?,
        };
        let mut filled = 0;
        while filled < length {
            let place = self.bytes.get_mut(filled..length).unwrap_or_default();
            match read(&self.read, place)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(self.bytes.get(..filled).unwrap_or_default())
    }

    /// Takes out what was looked at and handed on.
    ///
    /// # Errors
    /// What read(2) says.
    pub fn take_out(&mut self, pipe: BorrowedFd, length: usize) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            let size = left.min(self.bytes.len());
            match read(pipe, self.bytes.get_mut(..size).unwrap_or_default())? {
                0 => break,
                count => left -= count,
            }
        }
        Ok(())
    }
}
