//! The connection to going. Nothing here waits for ever unless it was asked to:
//! a going that is stopped, stuck or gone is told from one that answers.

pub mod alerts;
pub mod json;
pub mod listeners;
pub mod log;
pub mod metrics;
pub mod process;
pub mod reply;
pub mod say;
pub mod usage;

use std::io::{ErrorKind, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::Uid;

use crate::protocol::{Decoder, Message, Request};
use crate::sys;
use reply::Stranger;

/// Going answers within milliseconds. After this it is stopped, or the machine
/// is so busy that more patience would not help.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer, or none that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is nobody to ask.
    NoGoing(String),
    /// There was somebody, who is gone.
    HungUp(String),
    /// The command line is wrong.
    Usage(String),
    /// It was tried.
    Failed(String),
    /// Nobody listens to what we say any more.
    Unheard,
}

impl Trouble {
    /// What people are to be told.
    pub fn sentence(&self) -> Option<&str> {
        match self {
            Trouble::NoGoing(text)
            | Trouble::HungUp(text)
            | Trouble::Usage(text)
            | Trouble::Failed(text) => Some(text),
            Trouble::Unheard => None,
        }
    }
}

/// Where going listens, and who would listen if that one does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The socket.
    pub socket: PathBuf,
    /// It was chosen by going's own rule, not by the operator.
    is_default: bool,
}

impl Place {
    /// The place in `directory`; without one, that of the system's going for
    /// root, and of a user's own for others.
    ///
    /// # Errors
    /// There may be no such place.
    pub fn find(directory: Option<&Path>) -> Result<Place, Trouble> {
        let is_default = directory.is_none();
        let directory = match directory {
            Some(directory) => directory.to_owned(),
            None if Uid::effective().is_root() => PathBuf::from(SYSTEM),
            None => {
                let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty());
                let missing = "XDG_RUNTIME_DIR is not set, so name going's run directory with -r";
                PathBuf::from(runtime.ok_or(Trouble::NoGoing(missing.to_owned()))?).join("going")
            }
        };
        Ok(Place { socket: directory.join("control"), is_default })
    }

    /// Why there is no connection, and what can be done.
    fn explain(&self, errno: Errno) -> Trouble {
        let socket = self.socket.display();
        let is_absent = [Errno::ENOENT, Errno::ENOTDIR].contains(&errno);
        let mut text = if is_absent {
            format!("no going here: there is no {socket}")
        } else if errno == Errno::ECONNREFUSED {
            format!("no going here: nobody listens on {socket} any more")
        } else if errno == Errno::EAGAIN {
            format!("going does not answer on {socket}; is it stopped?")
        } else {
            format!("can't connect to {socket}: {}", errno.desc())
        };
        let system = Path::new(SYSTEM).join("control");
        if self.is_default && self.socket != system && system.exists() {
            text.push_str("\nthe system's going can be asked by: goingctl -r ");
            text.push_str(SYSTEM);
        } else if is_absent || errno == Errno::ECONNREFUSED {
            text.push_str("\nis it running, and with this run directory? -r names another one");
        }
        Trouble::NoGoing(text)
    }
}

const SYSTEM: &str = "/run/going";

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    place: Place,
}

/// All of an answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// What came before the last message.
    pub blocks: Vec<Message>,
    /// The code of an error; nothing if all went well.
    pub code: Option<String>,
    /// What people are to be told.
    pub message: Option<String>,
    /// The number of the last event so far.
    pub serial: u64,
}

impl Reply {
    /// The names that nothing has.
    pub fn strangers(&self) -> Vec<Stranger> {
        self.blocks.iter().filter_map(Stranger::read).collect()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there, or nobody answers.
    pub fn connect(place: &Place) -> Result<Client, Trouble> {
        let failed = |errno| place.explain(errno);
        let kind = (AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC);
        let fd = socket(kind.0, kind.1, kind.2, None).map_err(failed)?;
        let address = UnixAddr::new(&place.socket).map_err(failed)?;
        let patience = TimeVal::milliseconds(i64::try_from(PATIENCE.as_millis()).unwrap_or(0));
        // Before connect(2), which waits as well while the queue is full.
        setsockopt(&fd, sockopt::SendTimeout, &patience).map_err(failed)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
        connect(number, &address).map_err(failed)?;
        Ok(Client { stream: fd.into(), decoder: Decoder::new(), place: place.clone() })
    }

    /// What to poll for events.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.stream)
    }

    /// Asks.
    ///
    /// # Errors
    /// Going is gone, or does not take it.
    pub fn send(&mut self, request: &Request) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        request.to_message().write(&mut bytes);
        match self.stream.write_all(&bytes) {
            // What it said before it hung up is worth more than that it did.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| self.lost(&error)),
        }
    }

    fn lost(&self, error: &std::io::Error) -> Trouble {
        let socket = self.place.socket.display();
        if error.kind() == ErrorKind::WouldBlock {
            let patience = PATIENCE.as_secs();
            let text =
                format!("going did not answer on {socket} within {patience}s; is it stopped?");
            return Trouble::NoGoing(text);
        }
        Trouble::NoGoing(format!("lost going on {socket}: {}", sys::explain(error)))
    }

    /// The next message; nothing if there is none within `patience`.
    ///
    /// # Errors
    /// Going hung up, or does not speak our language.
    pub fn next(&mut self, patience: Duration) -> Result<Option<Message>, Trouble> {
        loop {
            if let Some(message) = self.decoder.message().map_err(|why| {
                Trouble::Failed(format!("going said what cannot be understood: {why}"))
            })? {
                return Ok(Some(message));
            }
            if !self.read(patience)? {
                return Ok(None);
            }
        }
    }

    /// Reads once; false if nothing came within `patience`.
    fn read(&mut self, patience: Duration) -> Result<bool, Trouble> {
        let mut buffer = [0; 16 * 1024];
        // Zero would be for ever.
        let patience = patience.max(Duration::from_millis(1));
        let ready = self.stream.set_read_timeout(Some(patience));
        match ready.and_then(|()| self.stream.read(&mut buffer)) {
            Ok(0) => return Err(self.hung_up()),
            Ok(length) => self.decoder.feed(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return Err(self.hung_up());
            }
            Err(error) => return Err(self.lost(&error)),
        }
        Ok(true)
    }

    fn hung_up(&self) -> Trouble {
        let socket = self.place.socket.display();
        Trouble::HungUp(format!("going hung up on {socket}; is it still running?"))
    }

    /// The next message, which must come soon.
    fn answer(&mut self) -> Result<Message, Trouble> {
        let late = std::io::Error::from(ErrorKind::WouldBlock);
        self.next(PATIENCE)?.ok_or_else(|| self.lost(&late))
    }

    /// Asks, and takes the whole answer.
    ///
    /// # Errors
    /// There is no answer. One which says that something went wrong is one.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, Trouble> {
        self.ask_each(request, Some)
    }

    /// Asks, and gives each block to `take` while going makes the next ones; what
    /// that gives back is in the reply.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_each(
        &mut self,
        request: &Request,
        mut take: impl FnMut(Message) -> Option<Message>,
    ) -> Result<Reply, Trouble> {
        self.send(request)?;
        let mut reply = Reply::default();
        loop {
            let message = self.answer()?;
            let Some(result) = message.get("result") else {
                reply.blocks.extend(take(message));
                continue;
            };
            reply.serial = message.number("serial").unwrap_or(0);
            if result != "ok" {
                reply.code = Some(message.get("code").unwrap_or("failed").to_owned());
                reply.message = message.get("message").map(str::to_owned);
            }
            return Ok(reply);
        }
    }
}

/// Asks once, over a connection of its own.
///
/// # Errors
/// As [`Client::connect`] and [`Client::ask`].
pub fn ask(place: &Place, request: &Request) -> Result<Reply, Trouble> {
    Client::connect(place)?.ask(request)
}
