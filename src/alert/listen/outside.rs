//! What others say to listeners: the socket to which going-web brings what
//! sendRemoteCommEvent was given.

use std::fs::{self, DirBuilder};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::super::door;
use crate::client::Place;
use crate::client::listeners::{SAID_MAX, folder};

/// The socket, which goes with us.
#[derive(Debug)]
pub struct Outside {
    listener: UnixListener,
    path: PathBuf,
}

impl Outside {
    /// Opens it, for us and for the user of this number.
    ///
    /// # Errors
    /// As mkdir(2), bind(2) and chown(2).
    pub fn open(place: &Place, user: Option<u32>) -> io::Result<Outside> {
        let folder = folder(place);
        DirBuilder::new().recursive(true).mode(0o755).create(&folder)?;
        for entry in fs::read_dir(&folder)?.flatten() {
            // Of somebody who was killed.
            let is_dead = UnixStream::connect(entry.path())
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if is_dead {
                let _ = fs::remove_file(entry.path());
            }
        }
        let path = folder.join(std::process::id().to_string());
        let listener = door::bind(&path, user)?;
        Ok(Outside { listener, path })
    }

    /// What to poll.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// What somebody said: of which kind, and what.
    pub fn hear(&self) -> Option<(String, Vec<u8>)> {
        loop {
            let mut stream = door::accept(&self.listener)?;
            if let Ok(Some(said)) = read(&mut stream) {
                return Some(said);
            }
        }
    }
}

fn read(stream: &mut UnixStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut said = Vec::new();
    stream.take(SAID_MAX).read_to_end(&mut said)?;
    let Some(end) = said.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let text = said.split_off(end.saturating_add(1));
    said.truncate(end);
    // Who does not wait for it has said it all the same.
    let _ = stream.write_all(b"ok\n");
    Ok(Some((String::from_utf8_lossy(&said).into_owned(), text)))
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
