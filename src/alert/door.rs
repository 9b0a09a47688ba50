//! Sockets of ours in going's run directory, which nobody but our own user and root
//! can open, unless one is given to somebody else; and the one by which goingctl comes.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::client::{Place, alerts};
use crate::protocol::{Decoder, Message};

/// Who comes has all of it in hand, and takes no longer between two pieces.
const PATIENCE: Duration = Duration::from_millis(500);

/// Listens there, so that it is decided who may connect before anybody can.
///
/// # Errors
/// As bind(2), chown(2) and rename(2).
pub fn bind(path: &Path, user: Option<u32>) -> io::Result<UnixListener> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parent = path.parent().unwrap_or(Path::new("/"));
    let draft = parent.join(format!(".{name}-{}", std::process::id()));
    let _ = fs::remove_file(&draft);
    let listener = UnixListener::bind(&draft)?;
    fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
    if user.is_some() {
        chown(&draft, user, None)?;
    }
    fs::rename(&draft, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The next one who comes.
pub fn accept(listener: &UnixListener) -> Option<UnixStream> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// The socket of goingctl.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    /// Opens it.
    ///
    /// # Errors
    /// As [`bind`]; or another one of us has it.
    pub fn open(place: &Place) -> io::Result<Door> {
        let path = alerts::socket(place);
        if UnixStream::connect(&path).is_ok() {
            return Err(io::Error::other("another going-alert listens there"));
        }
        Ok(Door { listener: bind(&path, None)?, path })
    }

    /// Whether it can still be found.
    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// What to poll.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The next one who wants something, and what.
    pub fn hear(&self) -> Option<(UnixStream, Message)> {
        while let Some(mut stream) = accept(&self.listener) {
            if let Some(message) = read(&mut stream) {
                return Some((stream, message));
            }
        }
        None
    }
}

fn read(stream: &mut UnixStream) -> Option<Message> {
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(message) = decoder.message().ok()? {
            return Some(message);
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => decoder.feed(buffer.get(..length)?),
        }
    }
}

/// Answers, if anybody still wants to know.
pub fn answer(mut stream: UnixStream, messages: &[Message]) {
    let mut bytes = Vec::new();
    messages.iter().for_each(|message| message.write(&mut bytes));
    let _ = stream.write_all(&bytes);
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
